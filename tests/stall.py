#!/usr/bin/env python3
"""Runs a command on a machine that stands still now and then: everything it starts is frozen together for a moment, as when the host of a virtual
machine is busy elsewhere. A test has to pass here as anywhere. Root, and cgroups of version 2.

    tests/stall.py [--seed N] [--for S..S] [--every S..S] COMMAND…
"""
import argparse
import os
import random
import subprocess
import sys
import time
from pathlib import Path


def span(text):
    least, _, most = text.partition("..")
    return float(least), float(most or least)


def home():
    """Where cgroups of version 2 are."""
    for line in Path("/proc/mounts").read_text().splitlines():
        _, folder, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(folder)
    sys.exit("no cgroup2 is mounted here: mount -t cgroup2 none /sys/fs/cgroup")


def main():
    words = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    words.add_argument("--seed", type=int, default=time.time_ns() % 100000)
    words.add_argument("--for", dest="lasts", type=span, default=(0.3, 1.5), metavar="S..S", help="how long (0.3..1.5)")
    words.add_argument("--every", type=span, default=(2, 6), metavar="S..S", help="how long not (2..6)")
    words.add_argument("command", nargs=argparse.REMAINDER)
    given = words.parse_args()
    dice, count = random.Random(given.seed), 0
    group = home() / f"pbx-stall-{os.getpid()}"
    group.mkdir()
    try:
        process = subprocess.Popen(given.command, preexec_fn=lambda: (group / "cgroup.procs").write_text("0"))
        while True:
            try:
                code = process.wait(dice.uniform(*given.every))
                break
            except subprocess.TimeoutExpired:
                (group / "cgroup.freeze").write_text("1")
                time.sleep(dice.uniform(*given.lasts))
                (group / "cgroup.freeze").write_text("0")
                count += 1
    finally:
        (group / "cgroup.freeze").write_text("0")
        (group / "cgroup.kill").write_text("1")  # what the command has left
        while "populated 1" in (group / "cgroup.events").read_text():
            time.sleep(0.01)
        group.rmdir()
    print(f"stood still {count} times, seed {given.seed}", file=sys.stderr)
    return code


sys.exit(main())
