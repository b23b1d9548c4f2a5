"""What a packet costs that is relayed, by our worker, the kernel, rtpengine, or transcoded, each beside a bare loop in the same run; how late it is; how many calls go."""
import os
import re
import subprocess
import tempfile
from pathlib import Path

import wires
from bed import line
from rtpengine import Rtpengine

STREAMS, SECONDS, FIRST_PORT = 1000, 3, 34000
RTPENGINE_STREAMS = 400
TCP_STREAMS = 400
HANDFULS = ("--slices", 20)  # all that falls due in a millisecond is sent at once; else in a tenth of one
FROM_PORT = 33990  # of the generator, where a relay must be told
CALLS_AT_EASE = 100  # with which the delay is measured
MOST_STREAMS = 9000  # two files each
LOSS = 0.001
PAIRS = [("PCMU", "G722"), ("PCMU", "G729"), ("PCMU", "opus"), ("G722", "opus")]  # with their sockets, too: packets of 20 ms
PAIR_STREAMS = 60


class Bench:
    """relay_bench, and what it prints by name."""

    def __init__(self, build):
        self.program = str(Path(build) / "tests/bench/relay_bench")
        self.transcoder = str(Path(build) / "tests/bench/transcode_bench")
        self.plugins = str(Path(build) / "plugins")

    def run(self, *words, streams=STREAMS, seconds=SECONDS, within=()):
        text = subprocess.run([*within, self.program, str(streams), str(seconds), str(FIRST_PORT), *map(str, words)], stdout=subprocess.PIPE, text=True, check=True).stdout
        return {name: float(value) for name, value in re.findall(r"(\w+) ([\d.]+)(?=\s)", text)}

    def pairs(self):
        """Both directions' CPU µs of 20 ms by pair of codecs: the codecs alone, and ours."""
        text = subprocess.run([self.transcoder, self.plugins], stdout=subprocess.PIPE, text=True, check=True).stdout
        return {(a, b): (float(bare) + float(bare_back), float(ours) + float(ours_back)) for a, b, bare, ours, bare_back, ours_back in
                re.findall(r"pair (\S+) (\S+) bare_us (\S+) ours_us (\S+) bare_back_us (\S+) ours_back_us (\S+)", text)}

    def lines(self, *words):
        return subprocess.run([self.program, *words], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()


def span(values):
    return f"{min(values):.2f}-{max(values):.2f}"


def measure_worker(bench):
    for how, words in (("", ()), ("   in handfuls: ", HANDFULS)):
        pairs = [(bench.run("--floor", *words), bench.run(*words)) for _ in range(2)]
        floor, ours = pairs[-1]
        line(f"{how}relayed packet, CPU µs (bare loop beside it)", f"{ours['cpu_us_per_packet']:.2f} ({floor['cpu_us_per_packet']:.2f})", "")
        line(f"{how}relayed packet, ratio to the bare loop", span([ours["cpu_us_per_packet"] / floor["cpu_us_per_packet"] for floor, ours in pairs]), "1.3")
    line("memory per bridged call in the media engine, KiB", f"{ours['kib_per_call']:.1f}", "64 in all")


def measure_tcp(bench):
    """A page whose network lets no UDP out, and a phone: each packet is in a connection on one side of us and a datagram on the other."""
    rounds = [[bench.run(*how, streams=TCP_STREAMS) for how in (("--floor",), (), ("--tcp",))] for _ in range(2)]
    floor, udp, tcp = ([each["cpu_us_per_packet"] for each in of_kind] for of_kind in zip(*rounds))
    line("packet between ICE over TCP and UDP, CPU µs (UDP on both sides)", f"{min(tcp):.2f} ({min(udp):.2f})", "")
    line("   ratio to the bare loop of UDP", span([t / f for t, f in zip(tcp, floor)]), "")


def measure_mix(bench):
    """A conference of a hundred in which three speak: each party is a packet in and a packet out every 20 ms."""
    cost_us = min(bench.run("--mix", streams=100)["cpu_us_per_packet"] for _ in range(2))
    line("100 parties in one room, CPU µs a party and 20 ms", f"{cost_us:.2f}", "")
    line("   parties in G.711 that one core carries", f"{20000 / cost_us:.0f}", "500")


def measure_transcoding(bench):
    """A leg is 20 ms said and 20 ms heard in each 20 ms: all that a worker does for it, beside its decoder, its encoder and a resampler alone."""
    pairs = bench.pairs()
    for (a, b), (bare_us, ours_us) in pairs.items():
        line(f"{a} <-> {b}: transcoded legs a core (its codecs alone)", f"{40000 / ours_us:.0f} ({40000 / bare_us:.0f})", "")
    ratios = sorted((ours_us / bare_us, pair) for pair, (bare_us, ours_us) in pairs.items())
    line("transcoding, ratio to the codecs alone, median", f"{ratios[len(ratios) // 2][0]:.2f}", "1.15")
    line(f"   most of all ({' <-> '.join(ratios[-1][1])})", f"{ratios[-1][0]:.2f}", "1.15")
    floor_us = min(bench.run("--floor", streams=PAIR_STREAMS)["cpu_us_per_packet"] for _ in range(2))
    for a, b in PAIRS:
        ours_us = min(bench.run("--pair", f"{a},{b}", "--plugins", bench.plugins, streams=PAIR_STREAMS)["cpu_us_per_packet"] for _ in range(2))
        bare_us = pairs[a, b][0] / 2 + floor_us
        line(f"{a} <-> {b} with sockets, CPU µs a packet (bare loop and codecs)", f"{ours_us:.1f} ({bare_us:.1f})", f"{1.15 * bare_us:.1f}")


def measure_rtpengine(bench, directory, threads):
    streams, rtpengine = RTPENGINE_STREAMS, Rtpengine(directory, threads)
    try:
        targets = [port for number in range(streams // 2) for port in rtpengine.call(number, FROM_PORT)]
        (directory / "targets").write_text("".join(f"127.0.0.1 {port}\n" for port in targets))
        for how, words in (("", ()), ("   in handfuls: ", HANDFULS)):
            ratios = []
            for _ in range(2):
                before_s = rtpengine.cpu_s()
                bench.run("--from", FROM_PORT, "--to", directory / "targets", *words, streams=streams)
                theirs = (rtpengine.cpu_s() - before_s) * 1e6 / (streams * 50 * SECONDS)
                ours = bench.run("--workers", threads, *words, streams=streams)["cpu_us_per_packet"]
                ratios.append(ours / theirs)
            line(f"{how}{streams // 2} calls, threads: {threads}; our packet, CPU µs (rtpengine)", f"{ours:.2f} ({theirs:.2f})", "")
            line(f"{how}ratio to rtpengine in user space", span(ratios), "0.6")
    finally:
        rtpengine.stop()


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


def measure_delay(bench, calls, what):
    direct = bench.run("--nothing", "--delay", streams=2 * calls)
    ours = bench.run("--delay", streams=2 * calls)
    line(f"{calls} calls ({what}): added delay, median, µs (p99; without us)",
         f"{ours['median_us'] - direct['median_us']:.0f} ({ours['p99_us'] - direct['p99_us']:.0f}; {direct['median_us']:.0f}, {direct['p99_us']:.0f})",
         "1,000 (5,000)")


def measure_srtp(bench):
    for text in bench.lines("--srtp"):
        _, suite, _, seal_us, _, open_us = text.split()
        line(f"SRTP {suite}, CPU µs to seal (to open)", f"{seal_us} ({open_us})", "0.7")


def most_streams(bench, workers):
    """The most that are relayed while hardly a packet is lost and the generator keeps up; what its run told. None: not even the first."""
    held, streams = None, STREAMS
    while streams <= MOST_STREAMS:
        result = bench.run("--workers", workers, streams=streams)
        if result["out"] < streams * 50 * SECONDS * (1 - LOSS) or result["took_s"] > SECONDS * 1.05:
            break
        held, streams = (streams, result), streams * 3 // 2
    return held


def measure_most(bench):
    """The generator is a thread of the same process and takes its share of the machine: what each used is told beside the number."""
    calls = 0
    for workers in sorted({1, os.cpu_count()}):
        held = most_streams(bench, workers)
        if not held:
            line(f"two-way calls without loss, workers: {workers}", f"fewer than {STREAMS // 2}", "")
            continue
        streams, result = held
        calls, worker_us = streams // 2, result["cpu_us_per_packet"] * result["out"]
        used, generator = (each / (result["took_s"] + 0.2) / 1e6 for each in (worker_us, result["total_us"] - worker_us))
        line(f"two-way calls without loss (0.1 %), workers: {workers}", calls, "")
        line("   cores that they used (and the generator beside them)", f"{used:.2f} ({generator:.2f})", "")
    return calls


def measure(build):
    bench = Bench(build)
    measure_worker(bench)
    measure_tcp(bench)
    measure_mix(bench)
    measure_transcoding(bench)
    measure_kernel(bench)
    with tempfile.TemporaryDirectory(prefix="pbx-bench-") as name:
        for threads in sorted({1, os.cpu_count()}):
            measure_rtpengine(bench, Path(name), threads)
    measure_delay(bench, CALLS_AT_EASE, "at ease")
    measure_srtp(bench)
    calls = measure_most(bench)
    if calls:
        measure_delay(bench, calls // 2, "half of the most")
