"""What a relayed packet costs: our worker, the kernel, rtpengine, each beside a bare loop in the same run; how late it is; how many calls go."""
import os
import re
import subprocess
import tempfile
from pathlib import Path

import wires
from bed import line
from rtpengine import Rtpengine

STREAMS, SECONDS, FIRST_PORT = 1000, 3, 34000
FROM_PORT = 33990  # of the generator, where a relay must be told
CALLS_AT_EASE = 100  # with which the delay is measured
MOST_STREAMS = 9000  # two files each
LOSS = 0.001


class Bench:
    """relay_bench, and what it prints by name."""

    def __init__(self, build):
        self.program = str(Path(build) / "tests/bench/relay_bench")

    def run(self, *words, streams=STREAMS, seconds=SECONDS, within=()):
        text = subprocess.run([*within, self.program, str(streams), str(seconds), str(FIRST_PORT), *map(str, words)], stdout=subprocess.PIPE, text=True, check=True).stdout
        return {name: float(value) for name, value in re.findall(r"(\w+) ([\d.]+)(?=\s)", text)}

    def lines(self, *words):
        return subprocess.run([self.program, *words], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()


def span(values):
    return f"{min(values):.2f}-{max(values):.2f}"


def measure_worker(bench):
    pairs = [(bench.run("--floor"), bench.run()) for _ in range(2)]
    floor, ours = pairs[-1]
    line("relayed packet, CPU µs (bare loop beside it)", f"{ours['cpu_us_per_packet']:.2f} ({floor['cpu_us_per_packet']:.2f})", "")
    line("relayed packet, ratio to the bare loop", span([ours["cpu_us_per_packet"] / floor["cpu_us_per_packet"] for floor, ours in pairs]), "1.3")
    line("memory per bridged call in the media engine, KiB", f"{ours['kib_per_call']:.1f}", "64 in all")


def measure_mix(bench):
    """A conference of a hundred in which three speak: each party is a packet in and a packet out every 20 ms."""
    cost_us = min(bench.run("--mix", streams=100)["cpu_us_per_packet"] for _ in range(2))
    line("100 parties in one room, CPU µs a party and 20 ms", f"{cost_us:.2f}", "")
    line("   parties in G.711 that one core carries", f"{20000 / cost_us:.0f}", "500")


def measure_rtpengine(bench, directory, threads):
    streams, ratios = STREAMS // 2, []
    rtpengine = Rtpengine(directory, threads)
    try:
        targets = [port for number in range(streams // 2) for port in rtpengine.call(number, FROM_PORT)]
        (directory / "targets").write_text("".join(f"127.0.0.1 {port}\n" for port in targets))
        for _ in range(2):
            before_s = rtpengine.cpu_s()
            bench.run("--from", FROM_PORT, "--to", directory / "targets", streams=streams)
            theirs = (rtpengine.cpu_s() - before_s) * 1e6 / (streams * 50 * SECONDS)
            ours = bench.run("--workers", threads, streams=streams)["cpu_us_per_packet"]
            ratios.append(ours / theirs)
    finally:
        rtpengine.stop()
    line(f"{streams // 2} calls, threads: {threads}; our packet, CPU µs (rtpengine in user space)", f"{ours:.2f} ({theirs:.2f})", "")
    line("   ratio to rtpengine", span(ratios), "0.6")


def measure_kernel(bench):
    """All CPU of the process, for the kernel works on the account of whoever sends; less what sending alone costs."""
    if not wires.permitted():
        line("relay by the kernel", "not measured", "root and network namespaces, which are not permitted here")
        return
    with wires.wires():
        within = ("ip", "netns", "exec", wires.HALL)
        wire = ("--wire", f"/run/netns/{wires.ROOMS[0]}")
        rounds = [[bench.run(*wire, *how, within=within) for how in (("--floor",), (), ("--kernel",))] for _ in range(2)]
        wires.drop(wires.HALL, "hall0")
        nothing_us = min(bench.run(*wire, "--nothing", within=within)["total_us"] for _ in range(2))

    def cost(result):
        return (result["total_us"] - nothing_us) / result["out"]

    floor, worker, kernel = ([cost(result) for result in of_kind] for of_kind in zip(*rounds))
    if rounds[-1][2]["by_kernel"] < rounds[-1][2]["out"]:
        line("relay by the kernel", "not measured", "CAP_BPF and CAP_NET_ADMIN, a build with libbpf, Linux 5.10: pbxd's log says which")
        return
    line("over wires, all CPU for a packet, softirq too, µs: bare loop", f"{min(floor):.2f}", "")
    line("   relayed by a worker", f"{min(worker):.2f}", "")
    line("   relayed by the kernel", f"{min(kernel):.2f}", "")
    line("relayed by the kernel, ratio to the bare loop", span([k / f for k, f in zip(kernel, floor)]), "0.3")


def measure_delay(bench):
    direct = bench.run("--nothing", "--delay", streams=2 * CALLS_AT_EASE)
    ours = bench.run("--delay", streams=2 * CALLS_AT_EASE)
    line(f"{CALLS_AT_EASE} calls: added delay, median, µs (p99; without us)",
         f"{ours['median_us'] - direct['median_us']:.0f} ({ours['p99_us'] - direct['p99_us']:.0f}; {direct['median_us']:.0f}, {direct['p99_us']:.0f})", "5,000 at p95")


def measure_srtp(bench):
    for text in bench.lines("--srtp"):
        _, suite, _, seal_us, _, open_us = text.split()
        line(f"SRTP {suite}, CPU µs to seal (to open)", f"{seal_us} ({open_us})", "0.7")


def measure_most(bench):
    held, streams = 0, STREAMS
    while streams <= MOST_STREAMS:
        result = bench.run(streams=streams, seconds=SECONDS)
        sent = streams * 50 * SECONDS
        if result["out"] < sent * (1 - LOSS) or result["took_s"] > SECONDS * 1.05:
            break  # or the generator does not keep up
        held, streams = streams, streams * 3 // 2
    line("two-way calls on one worker without loss (0.1 %), generator beside it", held // 2, "")


def measure(build):
    bench = Bench(build)
    measure_worker(bench)
    measure_mix(bench)
    measure_kernel(bench)
    with tempfile.TemporaryDirectory(prefix="pbx-bench-") as name:
        for threads in sorted({1, os.cpu_count()}):
            measure_rtpengine(bench, Path(name), threads)
    measure_delay(bench)
    measure_srtp(bench)
    measure_most(bench)
