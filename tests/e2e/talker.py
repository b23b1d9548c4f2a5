"""A phone of a few lines with a voice and an ear: it says on the wire exactly what a test wants said, which no real phone would."""
import functools
import heapq
import math
import re
import socket
import threading
import time

from ear import DECODE, FRAIL, PCMA, PCMU, Listener, open_ear
from machine import PATIENCE_S
from ports import free_range
from sip_client import SipClient
from tone import RATE

SESSION = ("v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 {connection}\r\nt=0 0\r\n"
           "m=audio {port} RTP/AVP {kinds} 101\r\n{maps}a=rtpmap:101 telephone-event/8000\r\n{attribute}")
NAMES = {PCMU: "PCMU/8000", PCMA: "PCMA/8000", 13: "CN/8000", FRAIL: "FRAIL/8000"}
FRAME = RATE // 50


def _mu_law(sample):
    """G.711 of one 16-bit sample."""
    biased = min(abs(sample), 32635) + 132
    exponent = biased.bit_length() - 8
    return ~((0x80 if sample < 0 else 0) | exponent << 4 | biased >> (exponent + 3) & 0x0f) & 0xff


@functools.lru_cache
def _tone(kind, hertz):
    """100 ms of it in a law of G.711, which can be repeated without a seam: hertz is a multiple of 10."""
    table = DECODE[kind]
    wave = (8000 * math.sin(2 * math.pi * hertz * n / RATE) for n in range(RATE // 10))
    return bytes(min(range(256), key=lambda byte, sample=sample: abs(table[byte] - sample)) for sample in wave)


class Talker(SipClient, Listener):
    """It offers `kinds` (numbers of NAMES) and speaks `kind`, in packets of ptime_ms; both may change amid a call."""

    def __init__(self, pbx, number, secret, hertz, **more):
        super().__init__(pbx, number, secret, **more)
        self.hertz = hertz
        self.rtp_port = free_range(2)
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp.bind(("127.0.0.1", self.rtp_port))
        self.ear = open_ear(self.rtp_port, self.rtp_port, ".")
        self.towards, self.speaks, self.version = None, True, 0
        self.kinds, self.kind, self.ptime_ms = (PCMU,), PCMU, 20
        self.other_line, self.passed_on = None, 0
        self.also_says = ""  # further attribute lines of its SDP
        self.noise = b""  # a description of it (RFC 3389), which takes the place of a packet
        self.garbled = False  # what it says begins with an octet that FRAIL cannot decode
        self.loses = 0  # each so many-th packet never arrives
        self.road = None  # road(seq): how late a packet leaves, in seconds; None: it is lost
        self.way = None  # way(seq): seconds that a packet takes to us, None when it is lost; else they arrive at once
        self.remote = self.remote_tag = self.contact = self.target = self.answered_with = ""
        self._closing = threading.Event()
        self._voice = threading.Thread(target=self._speak, daemon=True)
        self._voice.start()

    def close(self):
        self._closing.set()
        self._voice.join()
        self.ear.close()
        self.rtp.close()
        super().close()

    def _speak(self):
        seq, due, stamp, underway = 0, time.monotonic(), 0, []
        while not self._closing.wait(max(0, min([due] + [at for at, _ in underway[:1]]) - time.monotonic())):
            if due <= time.monotonic():
                frame, at = self.ptime_ms * RATE // 1000, stamp % (RATE // 10)
                noise, self.noise = self.noise, b""
                kind, said = (13, noise) if noise else (self.kind, (2 * _tone(self.kind, self.hertz))[at:at + frame])
                said = b"\x80" + said[1:] if self.garbled else said
                head = bytes([0x80, kind]) + (seq & 0xffff).to_bytes(2, "big") + stamp.to_bytes(4, "big") + self.rtp_port.to_bytes(4, "big")
                late = self.road(seq) if self.road and self.towards else 0
                if late and self._closing.wait(late):
                    return
                takes = self.way(seq) if self.way else 0
                if self.towards and (self.speaks or noise) and late is not None and takes is not None and not (self.loses and seq % self.loses == 0):
                    heapq.heappush(underway, (time.monotonic() + takes, head + self._mixed(said)))
                seq, stamp, due = seq + 1, stamp + frame, due + frame / RATE
            while underway and underway[0][0] <= time.monotonic():
                self.rtp.sendto(heapq.heappop(underway)[1], self.towards)

    def _mixed(self, own):
        """Our voice, and in a conference what the party of the other line says."""
        packets = self.other_line.ear.packets if self.other_line else ()
        if self.passed_on >= len(packets):
            return own
        theirs, table = packets[self.passed_on].payload, DECODE[PCMU]
        self.passed_on += 1
        return bytes(_mu_law(table[a] + table[b]) for a, b in zip(own, theirs)) if len(theirs) == FRAME else own

    def meet(self, other_line):
        """Two lines of one phone, which mixes them: three talk."""
        for line, other in ((self, other_line), (other_line, self)):
            line.passed_on, line.other_line = max(0, len(other.ear.packets) - 3), other

    def session(self, direction="sendrecv", connection="127.0.0.1"):
        """An SDP of ours. direction "": the line is left out, as phones of old do."""
        self.version += 1
        attribute = f"a={direction}\r\n" if direction else ""
        if self.ptime_ms != 20:
            attribute += f"a=ptime:{self.ptime_ms}\r\n"
        attribute += self.also_says
        return SESSION.format(version=self.version, connection=connection, port=self.rtp_port, attribute=attribute, kinds=" ".join(map(str, self.kinds)),
                              maps="".join(f"a=rtpmap:{kind} {NAMES[kind]}\r\n" for kind in self.kinds))

    # ---- a call ------------------------------------------------------------------------------

    def dial(self, number):
        answer = self.invite(number, self.session())
        assert answer is not None and answer.status == 200, answer and answer.start
        self._take_part(answer, answer.get("To"))
        self.answered_with = answer.body
        return self

    def answer(self):
        invite = self.expect("INVITE")
        self.call_id = invite.get("Call-ID")
        self.reply(invite, 180, "Ringing")
        self.reply(invite, 200, "OK", body=self.session())
        self.expect("ACK")
        self._take_part(invite, invite.get("From"))
        return self

    def _take_part(self, message, remote):
        self.remote = re.search(r"<([^>]+)>", remote).group(1)
        self.remote_tag = re.search(r";tag=([^;]+)", remote).group(1)
        self.contact = message.get("Contact")
        self.target = re.search(r"<([^>]+)>", self.contact).group(1)
        self.towards = self._place_of(message)

    def _place_of(self, message):
        """Where to speak to, as the other side's SDP says."""
        return "127.0.0.1", message.rtp_port()

    def inside(self, method, headers=(), **more):
        """A request within the call: its final answer."""
        return self.request(method, self.target, headers, to=self.remote, to_tag=self.remote_tag, **more)

    def reinvite(self, direction="sendrecv", connection="127.0.0.1"):
        answer = self.inside("INVITE", body=self.session(direction, connection))
        assert answer is not None, "no answer to a re-INVITE"
        self.acknowledge(answer, self.target)
        return answer

    def reinvite_without_offer(self, answer_with):
        """Asks for the other side's offer and answers it in the ACK: answer_with(offer) gives the SDP. The offer."""
        offer = self.inside("INVITE")
        assert offer is not None and offer.status == 200, offer and offer.start
        self.acknowledge(offer, self.target, answer_with(offer))
        return offer

    def agree(self, direction):
        """Waits for a re-INVITE of the other side, answers it so and gives it."""
        invite = self.expect("INVITE")
        self.reply(invite, 200, "OK", body=self.session(direction))
        self.expect("ACK")
        return invite

    def refer(self, number, replaces=""):
        """Asks for a transfer: what the NOTIFYs say up to the last, as status codes. replaces: of which call, escaped."""
        replaces = f"?Replaces={replaces}" if replaces else ""
        answer = self.inside("REFER", [f"Refer-To: <sip:{number}@pbx.test{replaces}>", f"Referred-By: <sip:{self.number}@pbx.test>"])
        assert answer.status == 202, answer.start
        told = []
        while True:
            notify = self.expect("NOTIFY")
            self.reply(notify, 200, "OK")
            told.append(int(notify.body.split()[1]))
            if notify.get("Subscription-State").startswith("terminated"):
                return told

    def hangup(self):
        answer = self.inside("BYE")
        assert answer.status == 200, answer.start

    def closed(self, seconds=PATIENCE_S):
        self.reply(self.expect("BYE", seconds), 200, "OK")


def direction_of(message):
    """What the SDP of a message says of who may send."""
    found = re.search(r"^a=(sendrecv|sendonly|recvonly|inactive)", message.body, re.M)
    return found[1] if found else "sendrecv"
