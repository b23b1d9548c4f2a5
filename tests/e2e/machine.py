"""What this machine keeps from those who run on it, so that nobody blames it on the PBX: a test that measures time takes it off.

A limit in a test is the product's promise. What is only waited for has PATIENCE_S instead: nothing is proved by how soon it comes."""
import collections
import contextlib
import functools
import itertools
import math
import statistics
import threading
import time
from pathlib import Path

PATIENCE_S = 30
PUNCTUAL_MS = 2  # who sleeps is never woken at once


def answer(question, *about):
    """What a question about something that is still under way comes to, and why it cannot be told yet: what is in no list or dictionary so far
    (LookupError) is not there yet."""
    try:
        return question(*about), None
    except LookupError as problem:
        return None, problem


def wait_for(look, what, seconds=PATIENCE_S):
    """Asks until the answer is true, and once more when time is up. For states that no event tells of. AssertionError: in vain."""
    deadline = time.monotonic() + seconds
    while True:
        is_last = time.monotonic() > deadline
        found, why_not = answer(look)
        if found:
            return found
        if is_last:
            raise AssertionError(f"waited {seconds} s in vain for {what}") from why_not
        time.sleep(0.05)


class Stalls:
    """How late this busy machine wakes somebody who wants to be woken every 10 ms, and how long it lets others wait for a core who are to be on time."""

    def __init__(self):
        self.late = [(time.time(), 0.0)]  # (when, by how many ms), the wall's clock
        self.heeded, self.kept = {}, []   # file: its thread's ms in the queue so far; (when, file, for how many ms)
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            time.sleep(0.01)
            self.late.append(self._now())
            for file, before in list(self.heeded.items()):
                try:
                    self.heeded[file] = _queued_ms(file)
                except OSError:  # it has ended
                    del self.heeded[file]
                    continue
                if self.heeded[file] - before > PUNCTUAL_MS:
                    self.kept.append((time.time(), file, self.heeded[file] - before))

    def heed(self, process, name):
        """From now on, the threads of this process whose name begins so."""
        self.heeded.update((file, _queued_ms(file)) for file in _threads(process, name))

    def queued_ms(self, since, until):
        """How long one of those heeded stood in the queue for a core, all together: the one that stood longest."""
        found = collections.Counter()
        for when, file, ms in reversed(self.kept):
            if when < since:
                break
            if when - ms / 1000 < until:
                found[file] += ms
        return max(found.values(), default=0.0)

    def _now(self):
        now = time.time()
        return now, (now - self.late[-1][0]) * 1000 - 10

    def _between(self, since, until):
        for when, late in itertools.chain([self._now()], reversed(self.late)):  # whoever asks may have been woken first after all of us stood still
            if when < since:
                return
            if when - late / 1000 < until:
                yield late

    def longest_ms(self, since, until=math.inf):
        return max(self._between(since, until), default=0.0)

    def tenths(self, since):
        """How many tenths of a second of sound they may have cost: each as long as it lasted, and those it began and ended in."""
        return sum(late / 100 + 2 for late in self._between(since, math.inf) if late > 20)

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


def _threads(process, name):
    """The files in which the kernel counts for the threads whose name begins so."""
    for task in Path(f"/proc/{process}/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            if (task / "comm").read_text().startswith(name):
                yield task / "schedstat"


def _queued_ms(file):
    return int(file.read_text().split()[1]) / 1e6


def waited_s(process, name):
    """How long threads of this name have stood in the queue for a core so far: the one that stood longest. The kernel counts it."""
    found = [0.0]
    for file in _threads(process, name):
        with contextlib.suppress(OSError):
            found.append(_queued_ms(file) / 1000)
    return max(found)
