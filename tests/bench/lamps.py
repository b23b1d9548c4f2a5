#!/usr/bin/env python3
"""What lamps cost: memory of a subscription, NOTIFY/s and CPU with many watched lines under calls, and one line that a thousand watch."""
import argparse
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from bed import FIRST_USER, HERE, SECRET, Pbx, answering, line, successes

SUBSCRIBE = ("SUBSCRIBE sip:{line}@pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};rport;branch=z9hG4bK{port}-{id}\r\nMax-Forwards: 70\r\n"
             "From: <sip:{line}@pbx.test>;tag=w{id}\r\nTo: <sip:{line}@pbx.test>\r\nCall-ID: lamp{id}@127.0.0.1:{port}\r\nCSeq: 1 SUBSCRIBE\r\n"
             "Contact: <sip:watcher@127.0.0.1:{port}>\r\nUser-Agent: Bench phone 1.0\r\nEvent: dialog\r\nAccept: application/dialog-info+xml\r\n"
             "Expires: 3600\r\nContent-Length: 0\r\n\r\n")
TRANSACTION_S = 35  # and a little more: RFC 3261 17.2.2
KEPT = re.compile(rb"(?im)^(?:via|from|to|call-id|cseq):[^\r\n]*\r\n")


class Watchers:
    """All watchers behind one socket: each NOTIFY is answered, and its time kept."""

    def __init__(self, sip_port):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.port, self.to, self.count = self.socket.getsockname()[1], ("127.0.0.1", sip_port), 0
        self.times, self.granted, self.refused = [], 0, 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            data = self.socket.recv(65536)
            if data.startswith(b"NOTIFY"):
                self.times.append(time.monotonic())
                self.socket.sendto(b"SIP/2.0 200 OK\r\n" + b"".join(KEPT.findall(data.split(b"\r\n\r\n")[0] + b"\r\n")) + b"Content-Length: 0\r\n\r\n", self.to)
            elif data.startswith(b"SIP/2.0 200"):
                self.granted += 1
            elif data.startswith(b"SIP/2.0 "):
                self.refused += 1

    def subscribe(self, lines, per_s=0):
        """One subscription for each, some at a time or so many a second; the state has been told when it returns."""
        began = time.monotonic()
        for index, number in enumerate(lines):
            if per_s:
                time.sleep(max(0, began + index / per_s - time.monotonic()))
            self.count += 1
            self.socket.sendto(SUBSCRIBE.format(line=number, id=self.count, port=self.port).encode(), self.to)
            if self.count % 50 == 0:
                self._wait(lambda: self.granted + self.refused >= self.count - 20)
        self._wait(lambda: self.granted == self.count)
        self._wait(self.quiet)

    def quiet(self):
        return not self.times or time.monotonic() - self.times[-1] > 0.3

    def _wait(self, done):
        deadline = time.monotonic() + 60
        while not done():
            assert time.monotonic() < deadline and not self.refused, (self.granted, self.refused, self.count)
            time.sleep(0.01)


def register_all(pbx, directory, users, callee_port):
    """All users live where the callee listens."""
    csv = directory / "inf.csv"
    csv.write_text("SEQUENTIAL\n" + "".join(f"{n};[authentication username={n} password={SECRET}]\n" for n in range(FIRST_USER, FIRST_USER + users)))
    scenario = directory / "register.xml"
    scenario.write_text(re.sub(r"(Contact: <sip:[^@]*@)[^>]*>", rf"\g<1>127.0.0.1:{callee_port}>", (HERE / "scenarios" / "register.xml").read_text()))
    subprocess.run(["sipp", f"127.0.0.1:{pbx.sip_port}", "-sf", str(scenario), "-inf", str(csv), "-i", "127.0.0.1", "-p", str(callee_port + 1), "-r", "200", "-m", str(users),
                    "-key", "domain", "pbx.test", "-nostdin", "-timeout", "60"], cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=True)


def calls(pbx, directory, users, rate, seconds, port):
    """Calls to one user after the other: CPU seconds of the daemon, and how many were good."""
    csv, scenario, stat = directory / "called.csv", directory / "called.xml", directory / "called-stat.csv"
    csv.write_text("SEQUENTIAL\n" + "".join(f"{n};\n" for n in range(FIRST_USER, FIRST_USER + users)))
    scenario.write_text((HERE / "scenarios" / "uac.xml").read_text().replace("[service]", "[field0]"))
    stat.unlink(missing_ok=True)
    before = pbx.cpu_s()
    subprocess.run(["sipp", f"127.0.0.1:{pbx.sip_port}", "-sf", str(scenario), "-inf", str(csv), "-i", "127.0.0.1", "-p", str(port), "-r", str(rate), "-m",
                    str(int(rate * seconds)), "-d", "500", "-key", "user", "bench", "-nostdin", "-trace_stat", "-stf", str(stat), "-fd", "1", "-timeout",
                    str(seconds + 30)], cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)  # what a call leaves to do is done
    (directory / "called.csv").rename(directory / "called-users.csv")
    stat.rename(directory / "called.csv")
    good, bad = successes(directory, "called")
    return pbx.cpu_s() - before, good, bad


def measure(pbx, directory, options):
    pbx.add_accounts()
    callee_port, caller_port = options.port + 2, options.port + 4
    register_all(pbx, directory, options.lines, callee_port)
    callee = answering(directory, callee_port)
    lines = [str(number) for number in range(FIRST_USER, FIRST_USER + options.lines)]
    try:
        plain, good, bad = calls(pbx, directory, options.lines, options.rate, options.seconds, caller_port)

        watchers = Watchers(pbx.sip_port)
        watchers.subscribe(lines)
        told = len(watchers.times)
        cpu, good, bad = calls(pbx, directory, options.lines, options.rate, options.seconds, caller_port)
        notified = len(watchers.times) - told
        line(f"NOTIFY/s, {options.lines} watched lines, {options.rate} calls/s", f"{notified / options.seconds:.0f}", "3 a call")
        line(f"NOTIFYs for each call ({good} good, {bad} failed)", f"{notified / max(1, good):.2f}", "3")
        line("CPU of a NOTIFY, ms", f"{1000 * (cpu - plain) / max(1, notified):.3f}", "")

        for _ in range(2):  # at a steady pace: in the second round what transactions hold for half a minute is neither more nor less
            before = pbx.rss_kib()
            watchers.subscribe(lines * options.rounds, options.rounds * options.lines / TRANSACTION_S)
        more = options.rounds * options.lines
        line(f"memory per subscription ({more} more), KiB", f"{(pbx.rss_kib() - before) / more:.2f}", "")

        pbx.ctl("config", "set", "sip.max_subscriptions", "100000")
        one = Watchers(pbx.sip_port)
        one.subscribe(lines[:1] * 1000)
        pbx.ctl("status")  # what was worst until now is of no interest
        told, before = len(one.times), pbx.cpu_s()
        calls(pbx, directory, 1, 1, 1, caller_port)
        burst = one.times[told:]
        gaps = [index for index in range(1, len(burst)) if burst[index] - burst[index - 1] > 0.1]
        first = burst[:gaps[0]] if gaps else burst
        line("1,000 watchers of one line: NOTIFYs of one call", f"{len(burst)}", "3,000, fewer when states follow within 100 ms")
        line("from the first to the last of one state, ms", f"{1000 * (first[-1] - first[0]):.0f} ({len(first)})", "")
        line("CPU of such a NOTIFY, ms", f"{1000 * (pbx.cpu_s() - before) / len(burst):.3f}", "")
        stats = pbx.ctl("status")["loop"]
        line("worst loop callback meanwhile, ms", f"{stats['worst_ms']:.1f} ({stats['worst_owner']})", "10 at p99.9")
    finally:
        callee.kill()
        callee.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--port", type=int, default=5170, help="first of five that are free")
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="pbx-bench-") as name:
        directory = Path(name)
        pbx = Pbx(options.build, directory, options.port, options.lines, options.port + 1).start()
        try:
            measure(pbx, directory, options)
        finally:
            pbx.stop()


main()
