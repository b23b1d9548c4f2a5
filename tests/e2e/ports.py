"""Free loopback ports, allotted and never fixed, so that tests can run side by side."""
import os
import socket

_given = set()


def free_port(kind=socket.SOCK_DGRAM, host="127.0.0.1"):
    """A port that nobody uses, for UDP and TCP alike, outside the range the kernel hands out by itself. The next one is kept free
    too: a phone listens there for TLS."""
    start = 20000 + (os.getpid() * 97) % 8000
    for port in range(start, start + 4000, 2):
        if port in _given:
            continue
        try:
            for tried in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                with socket.socket(socket.AF_INET, tried) as probe:
                    probe.bind((host, port))
        except OSError:
            continue
        _given.add(port)
        return port
    raise RuntimeError("no free port")


def free_range(count):
    """The first of `count` ports in a row for RTP, even."""
    start = 10000 + (os.getpid() * 131) % 6000
    start += start % 2
    for first in range(start, start + 4000, 2):
        if all(port not in _given for port in range(first, first + count)):
            _given.update(range(first, first + count))
            return first
    raise RuntimeError("no free range")


def give_back():
    """The test is over and its processes have ended: its ports may be had again."""
    _given.clear()
