"""Who listens and speaks beside a call (eavesdropper.c): detectors hear what phones play, taps hear a relayed call, a voice is heard by one party only."""
import math
import subprocess
import time
from collections import deque

import pytest

from ear import PCMU
from pbx import BUILD
from talker import FRAME, Talker, _mu_law
from tone import RATE, windows_db

SILENCE = bytes([0xff]) * FRAME


def tone(*hertz, seconds):
    return [sum(5000 * math.sin(2 * math.pi * hz * n / RATE) for hz in hertz) for n in range(round(seconds * RATE))]


def quiet(seconds):
    return [0] * round(seconds * RATE)


def speech(prompt, tmp_path):
    """A prompt of the build as 8 kHz samples."""
    raw = tmp_path / f"{prompt}.raw"
    subprocess.run(["sox", BUILD / "etc" / "prompts" / "en" / f"{prompt}.wav", "-r", str(RATE), "-c", "1", "-b", "16", "-e", "signed", "-t", "raw", raw],
                   check=True)
    data = raw.read_bytes()
    return [int.from_bytes(data[at:at + 2], "little", signed=True) for at in range(0, len(data), 2)]


class Player(Talker):
    """A phone that plays what it is given, then is silent."""

    def __init__(self, pbx, number, secret):
        self.script = deque()
        super().__init__(pbx, number, secret, 440)

    def plays(self, samples):
        coded = bytes(_mu_law(round(sample)) for sample in samples)
        self.script.extend(coded[at:at + FRAME].ljust(FRAME, b"\xff") for at in range(0, len(coded), FRAME))

    def _speak(self):
        seq, began = 0, time.monotonic()
        while not self._closing.wait(max(0, began + seq * 0.02 - time.monotonic())):
            if self.towards:
                payload = self.script.popleft() if self.script else SILENCE
                head = bytes([0x80, PCMU]) + (seq & 0xffff).to_bytes(2, "big") + (seq * FRAME).to_bytes(4, "big")
                self.rtp.sendto(head + self.rtp_port.to_bytes(4, "big") + payload, self.towards)
            seq += 1


@pytest.fixture
def house(make_pbx):
    return make_pbx(plugins=[BUILD / "tests" / "e2e"])


@pytest.fixture
def player(house):
    """player() gives a phone that has dialled *81, where everything is listened for."""
    made = []

    def make():
        number = f"10{len(made) + 21}"
        made.append(Player(house, number, house.account(number, name="Player")))
        assert made[-1].register().status == 200
        return made[-1]

    yield make
    for phone in made:
        phone.close()


def found(pbx, name, like=lambda data: True):
    return pbx.wait_event("eavesdropper.found", 0, lambda data: data["name"] == name and like(data))["data"]


def test_what_machines_and_networks_play_is_detected_in_calls_side_by_side(house, player, tmp_path):
    fax, busy, machine, person = player(), player(), player(), player()
    fax.plays(quiet(0.5) + tone(1100, seconds=0.5) + quiet(3) + tone(1100, seconds=0.5))
    busy.plays(quiet(0.3) + (tone(480, 620, seconds=0.5) + quiet(0.5)) * 4)
    greeting = speech("leave_message", tmp_path)
    machine.plays(quiet(0.4) + (greeting + quiet(0.1)) * 2 + quiet(0.3) + tone(850, seconds=0.5) + quiet(1))
    person.plays(quiet(0.6) + speech("1", tmp_path) + quiet(3))
    for phone in (fax, busy, machine, person):
        phone.dial("*81")
    assert found(house, "cng")["hz"] == 1100
    assert 500 <= found(house, "busy")["for_ms"] <= 2500
    assert found(house, "machine", lambda data: data["words"] > 0)["cause"] in ("long_greeting", "many_words")
    assert 400 <= found(house, "beep", lambda data: abs(data["hz"] - 850) < 20)["for_ms"] <= 600
    assert found(house, "human")["cause"] == "greeting_over"
    for phone in (fax, busy, machine, person):
        phone.hangup()


def test_a_tap_hears_both_at_16_khz_while_the_call_is_relayed(house, talk):
    alice, bob = talk(house, "1001", "1002")
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
    after = house.last_seq()
    alice.press("*5")
    heard = house.wait_event("eavesdropper.heard", after)["data"]
    assert abs(heard["says_hz"] - alice.hertz) <= 10 and abs(heard["hears_hz"] - bob.hertz) <= 10
    assert heard["dropped_ms"] == 0
    alice.hangup()
    house.wait_event("call.ended", after)
    ended = [event["data"] for event in house.events("leg.ended") if event["seq"] > after]
    assert len(ended) == 2 and all(data["lost"] == 0 and not data["transcoded"] for data in ended), ended


def test_a_voice_over_a_call_is_heard_by_one_party_only(house, talk):
    alice, bob = talk(house, "1001", "1002")
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
    of_alice, of_bob = len(alice.heard()), len(bob.heard())
    after = house.last_seq()
    alice.press("*6")
    house.wait_event("eavesdropper.said", after)

    assert max(windows_db(alice.heard()[of_alice:], 1000)) > -15
    assert max(windows_db(bob.heard()[of_bob:], 1000)) < -40
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz), "and afterwards they talk as before"
    alice.hangup()
