"""Keys between parties who press and hear them in different ways: events of RFC 4733, tones in the sound, INFO; each comes once, as long as it was pressed."""
import struct
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from key_phone import EVENT, WAYS, Party
from machine import PATIENCE_S, Watch, stalls

KEYS = "1122#"
LOST = (None, b"", 0)  # in the script of a party: a packet that does not arrive


@pytest.fixture
def parties(pbx):
    """parties("tones", "info") talk to each other."""
    made = []

    def talk(*ways):
        for way in ways:
            number = str(1700 + 10 * list(WAYS).index(way) + len(made))
            party = Party(pbx, number, pbx.account(number, dtmf=WAYS[way]), way)
            party.told = []
            made.append(party)
            assert party.register().status == 200
        caller, callee = made
        with ThreadPoolExecutor(1) as pool:
            answered = pool.submit(callee.answer)
            caller.dial(callee.number)
            answered.result(PATIENCE_S)
        for party in made:
            pbx.wait_for(lambda party=party: len(party.ear.packets) > 5, f"{party.number} to hear the other")
        return made

    yield talk
    for party in made:
        party.close()


@pytest.mark.parametrize("there", WAYS)
@pytest.mark.parametrize("here", WAYS)
def test_keys_come_once_and_as_long_as_they_were_pressed(pbx, parties, here, there):
    caller, callee = parties(here, there)
    caller.press(KEYS)
    pbx.wait_for(lambda: len(callee.heard()) >= len(KEYS), f"keys by {there}: {callee.heard()}")
    mark = len(callee.ear.packets)
    pbx.wait_for(lambda: len(callee.ear.packets) > mark + 25, "half a second more")  # what came twice would come now
    heard = callee.heard()
    assert "".join(key for key, _ in heard) == KEYS, heard
    assert all(60 <= length <= 100 for _, length in heard), heard
    if there != "tones":
        assert callee.tones() == []  # cut out where they came another way
    caller.hangup()


def test_a_phone_that_presses_in_two_ways_at_once_presses_once(pbx, parties):
    caller, callee = parties("tones", "events")

    def pressed(key):
        """What the callee gets of it; None: the machine stood still in between, and it was not at once."""
        before, watch = len(callee.events()), Watch()
        caller.press_tone(key)
        caller.press_info(key)
        pbx.wait_for(lambda: not caller.script, "the tone to end")
        pbx.wait_for(lambda: len(callee.events()) > before, f"key {key}")
        mark = len(callee.ear.packets)
        pbx.wait_for(lambda: len(callee.ear.packets) > mark + 25, "half a second more")
        return None if stalls().longest_ms(watch.began_at) > 100 else [heard for heard, _ in callee.events()[before:]]
    for key in KEYS:
        assert pbx.wait_for(lambda key=key: pressed(key), f"key {key} to be pressed in two ways at once") == [key]
    caller.hangup()


def test_keys_are_pressed_by_request(pbx, parties):
    caller, callee = parties("info", "events")
    leg, = (leg for leg in pbx.ctl("calls", "legs", pbx.ctl("calls", "list")[0]["call_id"])["legs"] if leg["number"] == callee.number)
    call = f"/calls/{leg['leg_id'].rsplit('-', 1)[0]}:digits"
    assert pbx.http("POST", call, {"digits": "12#", "leg_id": leg["leg_id"], "duration_ms": 120})[0] == 202
    pbx.wait_for(lambda: len(callee.events()) >= 3, f"keys: {callee.events()}")
    assert "".join(key for key, _ in callee.events()) == "12#" and all(100 <= length <= 140 for _, length in callee.events())
    assert pbx.http("POST", call, {"digits": "12x"})[0] == 422
    assert not pbx.events("dtmf.received")  # keys of a conversation are nobody else's
    caller.hangup()


# ---- what others have recorded ------------------------------------------------------------------------------------------------

SIPP = Path("/usr/share/sip-tester")  # its recordings of a phone's keys
RECORDED = {**{str(digit): f"dtmf_2833_{digit}.pcap" for digit in range(10)}, "*": "dtmf_2833_star.pcap", "#": "dtmf_2833_pound.pcap"}


def rtp_of(path):
    """The RTP packets of a recording of Ethernet: marker, sequence and timestamp as they were."""
    data, at = path.read_bytes(), 24
    while at < len(data):
        size, = struct.unpack_from("<I", data, at + 8)
        yield data[at + 16 + 14 + 20 + 8:at + 16 + size]
        at += 16 + size


class Replayer(Party):
    """Presses keys as they were recorded, under a payload type of its own; of those with `half` every second packet is lost."""

    def __init__(self, *given, kind=EVENT, half=False):
        self.kind_of_keys, self.half = kind, half
        super().__init__(*given, "events")

    def session(self, direction="sendrecv", connection="127.0.0.1"):
        return super().session(direction, connection).replace(" 0 101", f" 0 {self.kind_of_keys}").replace("map:101", f"map:{self.kind_of_keys}").replace("fmtp:101", f"fmtp:{self.kind_of_keys}")

    def press_event(self, key):
        for n, packet in enumerate(rtp_of(SIPP / RECORDED[key])):
            self.script.append(LOST if self.half and n % 2 else (self.kind_of_keys | packet[1] & 0x80, packet[12:], n))
        self.script.extend([(0, bytes([0xff]) * 160, 0)] * 3)


def test_keys_that_sipp_has_recorded_whole_halved_and_renumbered(pbx):
    made, calls = [], []
    try:
        for at, wishes in enumerate([{}, {"half": True}, {"kind": 96}]):
            caller = Replayer(pbx, str(1790 + at), pbx.account(str(1790 + at)), **wishes)
            callee = Party(pbx, str(1795 + at), pbx.account(str(1795 + at), dtmf="info"), "info")
            callee.told = []
            made += [caller, callee]
            assert caller.register().status == callee.register().status == 200
            with ThreadPoolExecutor(1) as pool:
                answered = pool.submit(callee.answer)
                caller.dial(callee.number)
                answered.result(PATIENCE_S)
            calls.append((caller, callee))
        for caller, _ in calls:
            caller.press("".join(RECORDED))
        # All are asked each time: an INFO that nobody answers comes again.
        pbx.wait_for(lambda: all([len(callee.heard()) >= len(RECORDED) for _, callee in calls]), "twelve keys of each")
        marks = [(callee, len(callee.ear.packets)) for _, callee in calls]
        pbx.wait_for(lambda: all([callee.heard() and len(callee.ear.packets) > mark + 15 for callee, mark in marks]), "a moment more")
        for _, callee in calls:  # what came twice would have come by now
            assert "".join(key for key, _ in callee.told) == "".join(RECORDED)
        for caller, _ in calls:
            caller.hangup()
    finally:
        for party in made:
            party.close()


def test_a_hook_flash_reaches_who_takes_it_and_is_no_key(pbx, parties):
    caller, callee = parties("info", "events")
    for told, (body, kind) in enumerate([("signal=hf\r\n", "application/hook-flash"), ("Signal=16\r\nDuration=100\r\n", "application/dtmf-relay")], 1):
        assert caller.inside("INFO", body=body, kind=kind).status == 200
        pbx.wait_for(lambda told=told: len(callee.events()) == told, "the flash as an event")
    assert {key for key, _ in callee.events()} == {"!"}
    callee.press_event("!")
    pbx.wait_for(caller.infos, "the flash by INFO")
    assert [key for key, _ in caller.told] == ["hf"]
    assert [event["data"]["method"] for event in pbx.events("dtmf.flash")] == ["info", "info", "rfc4733"]
    assert not pbx.events("dtmf.received")
    caller.hangup()


def test_the_first_packet_of_each_party_is_told_where_that_is_wanted(pbx, parties):
    pbx.ctl("config", "set", "calls.media_started", "yes")
    caller, callee = parties("events", "events")
    told = pbx.wait_for(lambda: (found := pbx.events("media.started")) and len(found) == 2 and found, "both legs to be told of")
    assert {event["data"]["number"]: event["data"]["media_from"] for event in told} == {
        party.number: f"127.0.0.1:{party.rtp_port}" for party in (caller, callee)}
    caller.hangup()
    pbx.wait_event("call.ended")
    assert len(pbx.events("media.started")) == 2
