"""What reaches a phone, taken from the wire: every RTP packet with the kernel's time of arrival, and the sound in it.

A recorder inside the phone stops when the phone holds; the wire does not, and it also shows gaps, sequence and SSRC."""
import ctypes
import os
import select
import socket
import struct
import threading
import time
import warnings
from array import array
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from machine import PATIENCE_S, stalls
from tone import RATE, WINDOW, is_heard_in, power_db, silent_at

ETH_P_IP, ETH_P_IPV6, SO_ATTACH_FILTER, SO_TIMESTAMPNS = 0x0800, 0x86dd, 26, 35
PCMU, PCMA, G722, FRAIL = 0, 8, 9, 98  # FRAIL: of a plugin of ours (frail/)


def _from_mu_law(byte):
    byte = ~byte & 0xff
    value = (((byte & 0x0f) << 3) + 0x84 << (byte >> 4 & 7)) - 0x84
    return -value if byte & 0x80 else value


def _from_a_law(byte):
    byte ^= 0x55
    exponent, mantissa = byte >> 4 & 7, byte & 0x0f
    value = (mantissa << 4) + 8 if not exponent else (mantissa << 4) + 0x108 << exponent - 1
    return value if byte & 0x80 else -value


DECODE = {PCMU: [_from_mu_law(byte) for byte in range(256)], PCMA: [_from_a_law(byte) for byte in range(256)],
          FRAIL: [(byte ^ 0x80) - 0x80 << 8 for byte in range(256)]}


class WideDecoder:
    """spandsp's G.722, brought down to the 8 kHz at which all else is measured: two neighbours become one sample."""

    def __init__(self):
        self._library = ctypes.CDLL("libspandsp.so.2")
        self._library.g722_decode_init.restype = ctypes.c_void_p
        self._state = ctypes.c_void_p(self._library.g722_decode_init(None, 64000, 0))

    def __call__(self, payload):
        samples = (ctypes.c_int16 * (2 * len(payload)))()
        self._library.g722_decode(self._state, samples, payload, len(payload))
        return [(a + b) // 2 for a, b in zip(samples[::2], samples[1::2])]


class Packet(NamedTuple):
    at: float           # seconds, the kernel's clock
    source: int         # UDP port of the sender
    to: int             # of ours
    seq: int
    stamp: int
    ssrc: int
    kind: int           # payload type
    marker: bool
    payload: bytes


class WireEar:
    """Hears what arrives at UDP ports first..last on the loopback device. Needs CAP_NET_RAW."""

    def __init__(self, first, last, six=False):
        stalls()
        self.packets = []
        self._samples = array("h")
        self._taking = threading.Lock()
        self._wide = None
        self.six, kind = six, ETH_P_IPV6 if six else ETH_P_IP
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)  # deaf until bind, lest it hears others before the filter is there
        self._attach(first, last)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.bind(("lo", kind))  # one protocol: only what arrives is seen
        self._socket.setblocking(False)
        self._closing = os.eventfd(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _attach(self, first, last):
        """In the kernel, so that busy neighbours cost nothing: UDP, not a fragment, destination port in the range."""
        program = [(0x30, 0, 0, 9), (0x15, 0, 7, socket.IPPROTO_UDP), (0x28, 0, 0, 6), (0x45, 5, 0, 0x1fff), (0xb1, 0, 0, 0), (0x48, 0, 0, 2),
                   (0x35, 0, 2, first), (0x25, 1, 0, last), (0x06, 0, 0, 0xffff), (0x06, 0, 0, 0)]
        if self.six:  # a head of forty bytes, and nothing between it and UDP
            program = [(0x30, 0, 0, 6), (0x15, 0, 4, socket.IPPROTO_UDP), (0x28, 0, 0, 42), (0x35, 0, 2, first), (0x25, 1, 0, last),
                       (0x06, 0, 0, 0xffff), (0x06, 0, 0, 0)]
        code = b"".join(struct.pack("HBBI", *step) for step in program)
        buffer = ctypes.create_string_buffer(code)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(buffer)))

    def _run(self):
        while self._closing not in select.select([self._socket, self._closing], [], [])[0]:
            with self._taking:
                data, extra, _, _ = self._socket.recvmsg(65536, 64)
                self._take(data, extra)

    def catch_up(self):
        """Until all that has arrived by now is in `packets`: on a busy machine this thread comes late, and what is old would pass for new."""
        while self._thread.is_alive():
            with self._taking:
                if not select.select([self._socket], [], [], 0)[0]:
                    return
            time.sleep(0.002)

    def _take(self, data, extra):
        udp = data[40 if self.six else (data[0] & 15) * 4:]
        source, to, size, _ = struct.unpack("!4H", udp[:8])
        rtp = self.opened(udp[8:size])
        if len(rtp) < 12 or rtp[0] >> 6 != 2 or 200 <= rtp[1] <= 207:  # RTCP has ports of its own, or looks like types 72 to 79
            return
        seconds, nanoseconds = struct.unpack("qq", extra[0][2])
        seq, stamp, ssrc = struct.unpack("!HII", rtp[2:12])
        kind, payload = rtp[1] & 0x7f, rtp[12 + 4 * (rtp[0] & 15):]
        if kind in DECODE:
            table = DECODE[kind]
            self._samples.extend(table[byte] for byte in payload)
        elif kind == G722:
            self._wide = self._wide or WideDecoder()
            self._samples.extend(self._wide(payload))
        self.packets.append(Packet(seconds + nanoseconds / 1e9, source, to, seq, stamp, ssrc, kind, bool(rtp[1] & 0x80), payload))

    def opened(self, datagram):
        """What is in it, for who has a key."""
        return datagram

    def samples(self):
        return self._samples

    def close(self):
        if not self._thread.is_alive():
            return
        os.eventfd_write(self._closing, 1)
        self._thread.join()
        os.close(self._closing)
        self._socket.close()

    # ---- the stream itself --------------------------------------------------------------------

    def mark(self):
        """Now, as a place in the stream, for the questions below."""
        self.catch_up()
        return len(self.packets)

    def gaps(self, since=0, over_ms=40):
        """The times without a packet since a place that a listener could notice, longer than the machine's own stalls explain, and than it kept who sends from a core."""
        packets = self.packets[max(since - 1, 0):]
        stalled = stalls().longest_ms(packets[0].at) if packets else 0
        found = []
        for before, after in zip(packets, packets[1:]):
            gap = (after.at - before.at) * 1000
            allowed = over_ms + (max(stalled, stalls().queued_ms(before.at, after.at)) if gap > over_ms else 0)
            if gap > allowed:
                found.append(f"{gap:.0f} ms before seq {after.seq}, stamp +{(after.stamp - before.stamp) & 0xffffffff}, allowed {allowed:.0f} ms")
        return found

    def streams(self, since=0):
        """Whose packets came since a place, for who is told that a sound was not heard: one line a stream, or that nobody takes what comes."""
        packets = Counter((packet.source, packet.to, packet.ssrc, packet.kind) for packet in self.packets[since:])
        return [f"{count} packets {source} -> {to}, ssrc {ssrc:08x}, type {kind}" for (source, to, ssrc, kind), count in packets.items()] \
            + ([] if self._thread.is_alive() else ["the ear has ended"])

    def breaks(self, since=0):
        """Where the stream is not one unbroken stream: another SSRC, a sequence number left out or doubled, time going wrong."""
        found = []
        packets = [packet for packet in self.packets[max(since - 1, 0):] if packet.kind in DECODE or packet.kind == G722]
        for before, after in zip(packets, packets[1:]):
            if before.ssrc != after.ssrc:
                found.append(f"ssrc {before.ssrc:08x} to {after.ssrc:08x}")
            elif (before.seq + 1) & 0xffff != after.seq:
                found.append(f"seq {before.seq} to {after.seq}")
            elif not after.marker and (before.stamp + len(before.payload)) & 0xffffffff != after.stamp:
                found.append(f"stamp {before.stamp}+{len(before.payload)} to {after.stamp}")
        return found


class RecorderEar:
    """Where the wire may not be listened to: what the phone's own recorder writes, until its phone holds."""

    def __init__(self, directory):
        self.directory = Path(directory)

    def samples(self):
        samples = array("h")
        for path in sorted(self.directory.glob("dump-*-dec.wav")):
            data = path.read_bytes()[44:]
            samples.frombytes(data[:len(data) // 2 * 2])
        return samples

    def catch_up(self):
        pass

    def mark(self):
        return 0

    def streams(self, _since=0):
        return ["by the phone's recorder"]

    def close(self):
        pass


def open_ear(first, last, directory, six=False):
    try:
        return WireEar(first, last, six)
    except PermissionError:
        warnings.warn("no CAP_NET_RAW: phones listen by their own recorder, which is deaf after the phone has held; tests of hold will fail")
        return RecorderEar(directory)


class Listener:
    """What a test asks of whoever has an ear."""

    def heard(self):
        """Every sample that has arrived so far, over all calls."""
        return self.ear.samples()

    def listen(self, seconds=1.0, limit=PATIENCE_S):
        """The next `seconds` of sound from now on, however long they take to arrive (at most limit)."""
        self.ear.catch_up()
        before = len(self.heard())
        deadline = time.monotonic() + limit
        while len(self.heard()) < before + seconds * RATE:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        return self.heard()[before:before + int(seconds * RATE)]

    def hears(self, hertz, others=(), seconds=1.0, within=None):
        """Waits until a whole `seconds` of this tone has come from now on, in 90 % of its windows (the cards' "X hears F").

        within: a promise that no more than so much of another sound comes before it, counted in what arrives. Without it, it is waited for."""
        since = self.ear.mark()
        at, count, good = len(self.heard()), round(seconds * RATE / WINDOW), []
        deadline, late = time.monotonic() + seconds + PATIENCE_S, False
        while not late and time.monotonic() < deadline:
            heard = self.heard()
            while not late and len(heard) >= at + WINDOW:
                good.append(is_heard_in(heard[at:at + WINDOW], hertz, others))
                at += WINDOW
                whole = good[-count:]
                if len(whole) == count and whole[0] and sum(whole) >= 0.9 * count:
                    return True
                late = within is not None and len(good) - count >= within * RATE / WINDOW
            time.sleep(0.02)
        print(f"{hertz} Hz in {sum(good)} of {len(good)} windows, of", *self.ear.streams(since), sep="\n    ")
        return False

    def is_left_alone(self, seconds):
        """Nothing has come for so long, and longer than the machine may have held back what was on its way."""
        self.ear.catch_up()
        packets = self.ear.packets
        return bool(packets) and time.time() - packets[-1].at > seconds + stalls().longest_ms(packets[-1].at) / 1000

    def hears_nothing_of(self, hertz, seconds=1.0):
        """So long, from now on. A tone that breaks off is heard at every frequency: who heard something while the machine stood still listens again."""
        deadline = time.monotonic() + PATIENCE_S
        while not silent_at(self.listen(seconds, limit=seconds + 0.5), hertz):
            if stalls().longest_ms(time.time() - seconds - 1) < 100 or time.monotonic() > deadline:
                return False
        return True

    def level(self, hertz, seconds=0.5):
        return power_db(self.listen(seconds), hertz)
