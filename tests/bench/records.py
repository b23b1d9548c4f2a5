#!/usr/bin/env python3
"""What calls leave behind, under load: events to webhooks in time and without a gap, a record of each call. The acceptance of the cards `webhooks` (4, 7)
and `cdr` (6) at their full size; tests/e2e has the same with fewer calls. Ends with 1 when something is missing or late."""
import argparse
import asyncio
import json
import multiprocessing
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from datetime import datetime
from pathlib import Path

from bed import Callee, Pbx, line, sipp, successes

STORY = ["call.started", "call.ringing", "call.answered", "call.ended"]


class Sink:
    """A receiver in a process of its own that answers after delay_s; None: it takes the connection and says nothing."""

    def __init__(self, delay_s):
        self.port = multiprocessing.Value("i", 0)
        self.kept, other_end = multiprocessing.Pipe(False)
        self.heard = []  # (when, event)
        self.process = multiprocessing.Process(target=self._serve, args=(delay_s, other_end), daemon=True)
        self.process.start()
        threading.Thread(target=self._collect, daemon=True).start()
        while not self.port.value:
            time.sleep(0.01)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port.value}/hook"

    def _collect(self):
        try:
            while True:
                when, body = self.kept.recv()
                self.heard.append((when, json.loads(body)))
        except EOFError:
            pass

    def _serve(self, delay_s, kept):
        async def handle(reader, writer):
            try:
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    size = next(int(row.split(b":")[1]) for row in head.split(b"\r\n") if row.lower().startswith(b"content-length:"))
                    body, when = await reader.readexactly(size), time.time()
                    if delay_s is None:
                        await asyncio.sleep(3600)
                    await asyncio.sleep(delay_s)
                    kept.send((when, body))
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    await writer.drain()
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        async def serve():
            server = await asyncio.start_server(handle, "127.0.0.1", 0, backlog=1024)
            self.port.value = server.sockets[0].getsockname()[1]
            await server.serve_forever()

        asyncio.run(serve())

    def lags_ms(self):
        """From each event to its arrival."""
        return sorted(1000 * (when - datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()) for when, event in self.heard)

    def wait(self, count, seconds):
        until = time.monotonic() + seconds
        while len(self.heard) < count and time.monotonic() < until:
            time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        self.process.join()


def at(values, share):
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("inf")


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class House:
    """A PBX whose webhooks lead to some sinks, and calls through it."""

    def __init__(self, build, directory, sinks):
        self.directory = directory
        self.pbx = Pbx(build, directory, free_port(), 1, api_port=free_port())
        settings = directory / "pbx.yml"
        allowed = {"webhooks": {"allow_http": True}, "fetch": {"allow": [f"127.0.0.1:{sink.port.value}" for sink in sinks]}}
        settings.write_text(json.dumps(json.loads(settings.read_text()) | allowed))
        self.pbx.start()
        self.pbx.add_accounts()
        for sink in sinks:
            self.pbx.ctl("webhook", "add", sink.url, "events=call.started,call.ringing,call.answered,call.ended")

    def call(self, calls, rate):
        """So many calls of half a second; how many went well."""
        callee = Callee(self.pbx, self.directory, free_port())
        sipp(self.directory, "uac", f"127.0.0.1:{self.pbx.sip_port}", "-r", rate, "-m", calls, "-l", 15000, "-recv_timeout", 8000, "-p", free_port(), "-s", 1000, "-d",
             500, "-key", "user", "bench").wait()
        callee.stop()
        return successes(self.directory, "uac")[0]

    def events(self):
        """The whole log."""
        found, after = [], 0
        while page := self.pbx.ctl("events", "list", f"after={after}", "limit=500")["items"]:
            found += page
            after = page[-1]["seq"]
        return found

    def export(self):
        """The lines of the CSV export."""
        done = subprocess.run([str(self.pbx.build / "api" / "pbxctl"), "--socket", str(self.directory / "run" / "pbxd.sock"), "cdr", "export"],
                              stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout.splitlines()


def stories(events):
    """By call, what was told of it, in order of arrival."""
    told = defaultdict(list)
    for event in events:
        told[event["call_id"]].append((event["seq"], event["type"]))
    return told


def check(problems, fine, what):
    if not fine:
        problems.append(what)


def in_order(problems, events, calls, where):
    """Each call is told whole, in its order; each event once."""
    told = stories(events)
    check(problems, len(told) == calls, f"{where}: {len(told)} calls of {calls}")
    check(problems, all([kind for _, kind in story] == STORY for story in told.values()), f"{where}: a call is not told whole and in order")
    check(problems, len({event["id"] for event in events}) == len(events), f"{where}: an event came twice")


def a_hanging_endpoint(build, directory, problems, calls=200):
    hangs, healthy = Sink(None), Sink(0)
    house = House(build, directory, [hangs, healthy])
    house.call(calls, 20)
    healthy.wait(calls * 4, 30)
    lags = healthy.lags_ms()
    line(f"webhooks: {calls} calls beside a dead endpoint, worst lag, ms", f"{at(lags, 1):.0f}", "500")
    in_order(problems, [event for _, event in healthy.heard], calls, "beside a dead endpoint")
    check(problems, at(lags, 1) < 500, "beside a dead endpoint: an event came late")
    house.pbx.stop()
    hangs.stop()
    healthy.stop()


def a_minute_of_calls(build, directory, problems, rate, seconds):
    sink, calls = Sink(0.005), rate * seconds
    house = House(build, directory, [sink])
    cpu = house.pbx.cpu_s()
    good = house.call(calls, rate)
    sink.wait(calls * 4, 60)
    cpu, lags = house.pbx.cpu_s() - cpu, sink.lags_ms()
    line(f"webhooks: {rate} calls/s for {seconds} s, lag p50/p99/worst, ms", f"{at(lags, .5):.0f}/{at(lags, .99):.0f}/{at(lags, 1):.0f}", "p99 2000")
    line(f"webhooks: events told of {good} calls, CPU ms a call", f"{len(sink.heard)}, {1000 * cpu / max(1, good):.2f}", f"{calls * 4}")
    in_order(problems, [event for _, event in sink.heard], calls, "a minute of calls")
    check(problems, at(lags, .99) < 2000, "a minute of calls: events came late")
    house.pbx.stop()
    sink.stop()


def records_of_many(build, directory, problems, calls, rate=50):
    house = House(build, directory, [])
    house.call(calls, rate)
    until = time.monotonic() + 60
    while len(house.export()) <= calls and time.monotonic() < until:
        time.sleep(0.2)
    lines = house.export()
    events = house.events()
    seqs = [event["seq"] for event in events]
    line(f"cdr: {calls} calls at {rate}/s, lines of the CSV export", str(len(lines)), str(calls + 1))
    line("cdr: events, and gaps in their numbers", f"{len(seqs)}, {seqs[-1] - seqs[0] + 1 - len(seqs)}", "0 gaps")
    check(problems, len(lines) == calls + 1, f"{len(lines)} lines of {calls} calls")
    check(problems, sorted(seqs) == list(range(min(seqs), max(seqs) + 1)), "the event log has a gap")
    in_order(problems, [event for event in events if event["type"] in STORY], calls, "the event log")
    house.pbx.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--calls", type=int, default=2000, help="for records, at 50 a second")
    parser.add_argument("--rate", type=int, default=100, help="calls a second for webhooks")
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    problems = []
    for measure, more in ((a_hanging_endpoint, ()), (a_minute_of_calls, (options.rate, options.seconds)), (records_of_many, (options.calls,))):
        with tempfile.TemporaryDirectory(prefix="pbx-bench-") as name:
            measure(options.build, Path(name), problems, *more)
    for problem in problems:
        print(f"FAILED {problem}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
