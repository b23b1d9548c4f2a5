"""What this machine keeps from those who run on it, so that nobody blames it on the PBX: a test that measures time takes it off.

A limit in a test is the product's promise. What is only waited for has PATIENCE_S instead: nothing is proved by how soon it comes."""
import functools
import math
import statistics
import threading
import time
from pathlib import Path

PATIENCE_S = 30
PUNCTUAL_MS = 2  # who sleeps is never woken at once


class Stalls:
    """How late this busy machine wakes somebody who wants to be woken every 10 ms."""

    def __init__(self):
        self.late = []  # (when, by how many ms), the wall's clock
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            before = time.time()
            time.sleep(0.01)
            after = time.time()
            self.late.append((after, (after - before) * 1000 - 10))

    def _between(self, since, until):
        for when, late in reversed(self.late):
            if when < since:
                return
            if when - late / 1000 < until:
                yield late

    def longest_ms(self, since, until=math.inf):
        return max(self._between(since, until), default=0.0)

    def mean_ms(self, since):
        return statistics.mean([0.0, *self._between(since, math.inf)])

    def lost_s(self, since, until=math.inf):
        """All of it together: whoever had to wait for its turn several times in that while waited no longer."""
        return sum(max(0.0, late - PUNCTUAL_MS) for late in self._between(since, until)) / 1000


@functools.cache
def stalls():
    """Those of this process, from the first question on."""
    return Stalls()


class Watch:
    """A stopwatch that does not run while the machine stands still."""

    def __init__(self):
        stalls()
        self.began, self.began_at = time.monotonic(), time.time()

    def elapsed_s(self):
        """By the clock on the wall."""
        return time.monotonic() - self.began

    def took_s(self):
        return self.elapsed_s() - stalls().lost_s(self.began_at)


def waited_s(process, name):
    """How long threads of this name have stood in the queue for a core so far: the one that stood longest. The kernel counts it."""
    found = [0.0]
    for task in Path(f"/proc/{process}/task").iterdir():
        try:
            if (task / "comm").read_text().startswith(name):
                found.append(int((task / "schedstat").read_text().split()[1]) / 1e9)
        except OSError:  # it has ended meanwhile
            pass
    return max(found)
