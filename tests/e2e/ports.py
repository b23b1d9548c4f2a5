"""Free loopback ports, allotted and never fixed, so that tests can run side by side.

A test process takes a window of ports for itself, which no other one touches: an ear listens to port numbers, not to sockets. Within
the window ports are handed out in a circle, so that one is not used again while late packets of the test before are still on their way."""
import fcntl
import functools
import os
import socket
import tempfile
import time

WINDOWS = 8
RTP_FIRST, RTP_COUNT, DAEMONS_COUNT = 10000, 1250, 800  # all below the range the kernel hands out by itself
PORT_FIRST, PORT_COUNT = 20000, 1250


@functools.cache
def _take_window():
    """When the first port is asked for, so that a process that only hands out tests has none. The lock goes with the process; when all are
    taken we wait for whichever is the first to be free: a certain one may be a sibling's, who waits for us."""
    while True:
        for window in range(WINDOWS):
            file = open(os.path.join(tempfile.gettempdir(), f"pbx-e2e-ports-{window}"), "w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return window, file
            except OSError:
                file.close()
        time.sleep(0.2)


_next_port = 0
_next_rtp = {}  # of each kind of range


def _is_free(port, kinds, host):
    try:
        for kind in kinds:
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.bind((host, port))
    except OSError:
        return False
    return True


def free_port(kind=socket.SOCK_DGRAM, host="127.0.0.1"):
    """A port that nobody uses, for UDP and TCP alike. The next one is kept free too: a phone listens there for TLS."""
    global _next_port
    for _ in range(PORT_COUNT // 2):
        port = PORT_FIRST + _take_window()[0] * PORT_COUNT + _next_port
        _next_port = (_next_port + 2) % PORT_COUNT
        if _is_free(port, (socket.SOCK_DGRAM, socket.SOCK_STREAM), host):
            return port
    raise RuntimeError("no free port")


def free_range(count):
    """The first of `count` ports in a row for RTP, even. Daemons and phones have parts of the window of their own: whoever still speaks to the port of
    a daemon that has gone is not heard by the phone of a later test."""
    part = (0, DAEMONS_COUNT) if count >= 100 else (DAEMONS_COUNT, RTP_COUNT)
    for _ in range(RTP_COUNT):
        begin = _next_rtp.get(part, part[0])
        if begin + count > part[1]:
            begin = part[0]
        first = RTP_FIRST + _take_window()[0] * RTP_COUNT + begin
        _next_rtp[part] = begin + count + count % 2
        if all(_is_free(port, (socket.SOCK_DGRAM,), "127.0.0.1") for port in range(first, first + count)):
            return first
    raise RuntimeError("no free range")
