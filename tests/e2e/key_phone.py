"""A phone that presses and hears keys in one way: events of RFC 4733, tones in the sound, or INFO."""
import math
import re
import time
from collections import deque

from ear import DECODE, PCMU
from talker import FRAME, Talker, _mu_law
from tone import RATE, power_db

EVENT = 101
NAMES = "0123456789*#ABCD!"  # the last is a hook flash
LOW, HIGH, LAYOUT = (697, 770, 852, 941), (1209, 1336, 1477, 1633), "123A456B789C*0#D"
SILENCE = bytes([0xff]) * FRAME
WAYS = {"events": "auto", "tones": "auto", "info": "info"}


def tone_frames(key, frames):
    low, high = LOW[LAYOUT.index(key) // 4], HIGH[LAYOUT.index(key) % 4]
    wave = [round(5000 * (math.sin(2 * math.pi * low * n / RATE) + math.sin(2 * math.pi * high * n / RATE))) for n in range(frames * FRAME)]
    coded = bytes(_mu_law(sample) for sample in wave)
    return [coded[at:at + FRAME] for at in range(0, len(coded), FRAME)]


def key_of(samples):
    """The key whose tone is in a packet; "" when there is none."""
    def strongest(group):
        return max((power_db(samples, hertz), hertz) for hertz in group)
    (low_db, low), (high_db, high) = strongest(LOW), strongest(HIGH)
    return LAYOUT[LOW.index(low) * 4 + HIGH.index(high)] if min(low_db, high_db) > -30 else ""


class Party(Talker):
    """A phone that knows one way of pressing and hearing keys. It is silent otherwise."""

    def __init__(self, pbx, number, secret, way):
        self.way_of_keys, self.script = way, deque()
        super().__init__(pbx, number, secret, 440)

    def session(self, direction="sendrecv", connection="127.0.0.1"):
        text = super().session(direction, connection)
        events = "a=rtpmap:101 telephone-event/8000\r\n"
        return text.replace(events, events + "a=fmtp:101 0-16\r\n") if self.way_of_keys == "events" else text.replace(" 0 101", " 0").replace(events, "")

    def _speak(self):
        seq, began = 0, time.monotonic()
        while not self._closing.wait(max(0, began + seq * 0.02 - time.monotonic())):
            kind, payload, back = self.script.popleft() if self.script and self.towards else (PCMU, SILENCE, 0)
            if self.towards and kind is not None:
                head = bytes([0x80, kind]) + (seq & 0xffff).to_bytes(2, "big") + ((seq - back) * FRAME).to_bytes(4, "big")
                self.rtp.sendto(head + self.rtp_port.to_bytes(4, "big") + payload, self.towards)
            seq += 1

    def press_event(self, key):
        for packet in range(7):
            length = min(packet + 1, 4) * FRAME
            self.script.append((EVENT | 0x80 * (packet == 0), bytes([NAMES.index(key), 0x8a if packet >= 4 else 0x0a]) + length.to_bytes(2, "big"), packet))
        self.script.append((PCMU, SILENCE, 0))

    def press_tone(self, key):
        self.script.extend((PCMU, frame, 0) for frame in [*tone_frames(key, 4), *[SILENCE] * 4])

    def press_info(self, key):
        answer = self.inside("INFO", body=f"Signal={key}\r\nDuration=80\r\n", kind="application/dtmf-relay")
        assert answer.status == 200, answer.start

    def press(self, keys):
        for key in keys:
            {"events": self.press_event, "tones": self.press_tone, "info": self.press_info}[self.way_of_keys](key)

    # ---- what it hears ----------------------------------------------------------------------

    def events(self):
        """Keys with milliseconds, as events that have ended: three equal last packets, one marker, at the beginning."""
        found = {}
        for packet in self.ear.packets:
            if packet.kind == EVENT:
                found.setdefault(packet.stamp, []).append(packet)
        ended = [packets for packets in found.values() if sum(packet.payload[1] >> 7 for packet in packets) == 3]
        for packets in ended:
            assert [packet.marker for packet in packets] == [True] + [False] * (len(packets) - 1)
            assert len({packet.payload[2:4] for packet in packets if packet.payload[1] >> 7}) == 1
        return [(NAMES[packets[0].payload[0]], int.from_bytes(packets[-1].payload[2:4], "big") // 8) for packets in ended]

    def tones(self):
        found, last = [], ""
        for packet in self.ear.packets:
            key = key_of([DECODE[PCMU][byte] for byte in packet.payload]) if packet.kind == PCMU else ""
            if key and key == last:
                found[-1] = (key, found[-1][1] + 20)
            elif key:
                found.append((key, 20))
            last = key
        return [(key, length) for key, length in found if length >= 40]

    def infos(self):
        while (info := self.receive(lambda message: message.method == "INFO", 0.05)) is not None:
            self.reply(info, 200, "OK")
            self.told.append((re.search(r"Signal=(\S+)", info.body)[1], int(re.search(r"Duration=(\d+)", info.body)[1])))
        return self.told

    told = ()

    def heard(self):
        return {"events": self.events, "tones": self.tones, "info": self.infos}[self.way_of_keys]()
