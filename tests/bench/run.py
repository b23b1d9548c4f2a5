#!/usr/bin/env python3
"""Measures a release build of this PBX; README.md beside this file says what and how."""
import argparse
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import relays
from bed import LINGER_S, SECRET, Callee, Pbx, calls, floor_cpu_ms, line, register_callee, registrations, sipp

MEASURES = ("idle", "register", "held", "call", "rate", "soak", "relay")
API_THREADS = 64  # requests until each thread of the gateway has had one, from which it keeps 40 KiB
HELD_CALLS = 500
GROWS_KIB = 512  # of a round of the soak: allocators and SQLite breathe


def measure_idle(pbx, directory, options):
    line("start with every plugin, s", f"{pbx.start_s:.3f}", "1")
    line("memory idle, MiB", f"{pbx.idle_kib / 1024:.1f}", "40")
    return True


def measure_register(pbx, directory, options):
    """The first quarter fills the caches of SQLite and of the allocator, which are bounded: 2.5 to 4 MiB, whoever registers."""
    first = options.users // 4
    registrations(pbx, directory, range(first), options.register_rate)
    time.sleep(LINGER_S)
    empty_kib = pbx.rss_kib() - pbx.ring_kib()
    load = registrations(pbx, directory, range(first, options.users), options.register_rate)
    line(f"challenged REGISTER at {options.register_rate}/s, CPU ms ({load.bad} failed)", f"{load.cpu_ms:.3f}", "0.15")
    time.sleep(LINGER_S)
    grown_kib = pbx.rss_kib() - pbx.ring_kib() - empty_kib
    line(f"memory per registration (of {load.good} beside {first}), KiB", f"{grown_kib / max(1, load.good):.2f}", "4")
    return load.bad == 0


def measure_held(pbx, directory, options):
    """The first that the process has, so that nothing of earlier ones is used again; once the SIP stack has forgotten how they were set up."""
    empty_kib, hold_s = pbx.rss_kib() - pbx.ring_kib(), HELD_CALLS // options.call_rate + LINGER_S + 6
    load = sipp(directory, "uac", f"127.0.0.1:{pbx.sip_port}", "-r", options.call_rate, "-m", HELD_CALLS, "-l", HELD_CALLS, "-timeout", 2 * hold_s,
                "-p", 6051, "-s", 1000, "-d", 1000 * hold_s, "-key", "user", "bench")
    while load.poll() is None and pbx.ctl("status")["calls"]["calls"] < HELD_CALLS:
        time.sleep(0.1)
    time.sleep(LINGER_S)
    grown_kib, held = pbx.rss_kib() - pbx.ring_kib() - empty_kib, pbx.ctl("status")["calls"]["calls"]
    load.wait()
    line(f"memory per bridged call with media ({held} at a time), KiB", f"{grown_kib / max(1, held):.1f}", "64")
    return held == HELD_CALLS


def measure_call(pbx, directory, options):
    load = calls(pbx, directory, options.call_rate, options.seconds)
    line(f"bridged call at {options.call_rate}/s, CPU ms ({load.good} good, {load.bad} failed)", f"{load.cpu_ms:.3f}", "1.0")
    line(f"   a bare nta server that only answers, at {options.call_rate}/s", f"{floor_cpu_ms(pbx.build, directory, options.call_rate, options.seconds):.3f}", "")
    stats = pbx.ctl("status")["loop"]
    line("worst loop callback, ms", f"{stats['worst_ms']:.1f} ({stats['worst_owner']})", "10 at p99.9")
    return load.bad == 0


def measure_rate(pbx, directory, options):
    """The highest rate that is held: hardly a call fails or is repeated, and SIPp gets rid of what it shall offer."""
    held, rate = None, options.first_rate
    while rate <= options.most_rate:
        load = calls(pbx, directory, rate, options.step_s)
        fine = load.bad * 1000 <= load.good and load.again * 100 <= load.good and load.took_s < options.step_s * 1.15 + 1.5
        print(f"  {rate:>5} set-ups/s: {load.bad} failed, {load.again} repetitions, {load.took_s:.1f} s, CPU {load.cpu_ms:.3f} ms a call, "
              f"{load.events_per_s:.0f} events/s", flush=True)
        if not fine:
            break
        held, rate = (rate, load), rate + options.rate_step
        time.sleep(1)
    line("set-ups a second held", held[0] if held else 0, "1000")
    line("events a second into the store at that rate", f"{held[1].events_per_s:.0f}" if held else 0, "")
    return held is not None


def measure_soak(pbx, directory, options):
    """Rounds of the same calls; after the first, which fills what is kept, memory stays where it is: the middle of the last third beside that of the first."""
    sizes = []
    for _ in range(API_THREADS):
        pbx.get("/healthz")
    for i in range(options.rounds + 1):
        load = calls(pbx, directory, options.call_rate, options.round_calls / options.call_rate)
        time.sleep(LINGER_S)
        sizes.append(pbx.rss_kib() - pbx.ring_kib())
        print(f"  round {i}: {load.good} good, {load.bad} failed, {sizes[-1] / 1024:.2f} MiB without the trace's ring", flush=True)
    third = max(1, options.rounds // 3)
    first, last = (statistics.median(part) for part in (sizes[1:1 + third], sizes[-third:]))
    growth = (last - first) / max(1, options.rounds - third)
    line(f"memory, the first {third} rounds and the last {third}, MiB", f"{first / 1024:.1f}, {last / 1024:.1f}", "")
    line(f"memory that a round of {options.round_calls} calls leaves behind, KiB", f"{growth:.0f}", f"{GROWS_KIB}")
    fine = growth <= GROWS_KIB
    print("memory stays where it is" if fine else "MEMORY GROWS" + (": it breathes by some MiB, so fewer than six rounds say little" if options.rounds < 6 else ""))
    return fine


def measure(pbx, directory, options):
    """Whether all was as it has to be; what costs more than its budget is only shown, for machines differ."""
    wanted = [name for name in MEASURES if name in options.only and name != "relay"]
    if not wanted:
        return True
    pbx.idle_kib = pbx.rss_kib()
    pbx.add_accounts()
    callee = Callee(pbx, directory) if {"held", "call", "rate", "soak"} & set(wanted) else None
    fine = [globals()[f"measure_{name}"](pbx, directory, options) for name in wanted]
    if callee:
        callee.stop()
    return all(fine)


def serve(pbx):
    pbx.add_accounts()
    register_callee(pbx.sip_port, "sip:1000@127.0.0.1:6060")
    print(f"--sut 127.0.0.1:{pbx.sip_port} --pid {pbx.process.pid} --uas 127.0.0.1:6060 --callee 1000 --domain pbx.test --password {SECRET}", flush=True)
    signal.pause()


def read_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--only", nargs="+", choices=MEASURES, default=["idle", "register", "held", "call", "rate", "relay"])
    parser.add_argument("--serve", action="store_true", help="only set up, for another harness")
    parser.add_argument("--sip-port", type=int, default=5070)
    parser.add_argument("--users", type=int, default=4000)
    parser.add_argument("--register-rate", type=int, default=500)
    parser.add_argument("--call-rate", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=15, help="of the calls at --call-rate")
    parser.add_argument("--first-rate", type=int, default=200, help="with which the search for the highest rate begins")
    parser.add_argument("--rate-step", type=int, default=200)
    parser.add_argument("--most-rate", type=int, default=2000)
    parser.add_argument("--step-s", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3, help="of the soak, after one that warms up")
    parser.add_argument("--round-calls", type=int, default=1000)
    return parser.parse_args()


def main():
    options = read_options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if options.only == ["relay"]:
        relays.measure(options.build)
        sys.exit(0)
    fine = False
    with tempfile.TemporaryDirectory(prefix="pbx-bench-") as name:
        pbx = Pbx(options.build, name, options.sip_port, options.users).start()
        try:
            fine = serve(pbx) if options.serve else measure(pbx, Path(name), options)
        except KeyboardInterrupt:
            pass
        finally:
            code = pbx.stop()
    if "relay" in options.only and not options.serve:
        relays.measure(options.build)
    sys.exit(code or (0 if fine or options.serve else 1))


if __name__ == "__main__":
    main()
