"""Phones without a common codec: they talk, hear music, and notice neither an upgrade of a codec nor a packet time."""
import pytest
from ear import G722, PCMU

WIDE = {"codecs": "G722/16000/1", "codec_module": "g722.so"}  # baresip counts samples


@pytest.fixture
def wide_and_narrow(pbx, phones):
    alice = phones(pbx, "1001", **WIDE)
    bob = phones(pbx, "1002", codecs="PCMU")
    alice.dial("1002")
    bob.answer()
    alice.established()
    return alice, bob


def both_hear(a, b):
    assert a.hears(b.hertz, others=(a.hertz, 520)), f"{a.number} does not hear {b.number}: {a.level(b.hertz):.0f} dBFS"
    assert b.hears(a.hertz, others=(b.hertz, 520)), f"{b.number} does not hear {a.number}: {b.level(a.hertz):.0f} dBFS"


def test_a_wideband_phone_talks_to_one_that_is_not(pbx, wide_and_narrow):
    alice, bob = wide_and_narrow
    both_hear(alice, bob)
    legs = pbx.http("GET", "/media/legs")[1]
    assert {(leg["codec"], leg["transcoded"]) for leg in legs} == {("G722", True), ("PCMU", True)}
    for phone, kind in (alice, G722), (bob, PCMU):
        here = phone.ear.mark()
        phone.listen(1)
        packets = phone.ear.packets[here:]
        assert {(packet.kind, len(packet.payload)) for packet in packets} == {(kind, 160)}
        assert {(after.stamp - before.stamp) & 0xffffffff for before, after in zip(packets, packets[1:])} == {160}
        assert phone.ear.breaks(here) == []
    assert abs(alice.level(bob.hertz) - bob.level(alice.hertz)) < 1.5
    bob.hangup()
    alice.closed()
    ended = pbx.wait_event("leg.ended")["data"]
    assert ended["transcoded"]


def test_music_on_hold_in_wideband_and_an_upgrade_that_nobody_hears(pbx, wide_and_narrow):
    alice, bob = wide_and_narrow
    bob.hold()
    assert alice.hears(520, others=(bob.hertz,))
    bob.resume()
    both_hear(alice, bob)
    heres = [phone.ear.mark() for phone in (alice, bob)]
    pbx.ctl("plugin", "reload", "codec_g722")
    both_hear(alice, bob)
    for phone, here in zip((alice, bob), heres):
        assert phone.ear.breaks(here) == []
        assert phone.ear.gaps(here) == []
    alice.hangup()
    bob.closed()


def test_two_wideband_phones_are_relayed(pbx, phones):
    alice, bob = (phones(pbx, number, **WIDE) for number in ("1001", "1002"))
    alice.dial("1002")
    bob.answer()
    alice.established()
    both_hear(alice, bob)
    assert {(leg["codec"], leg["transcoded"]) for leg in pbx.http("GET", "/media/legs")[1]} == {("G722", False)}
    alice.hangup()
    bob.closed()


def test_where_transcoding_is_off_such_a_call_fails(make_pbx, phones):
    pbx = make_pbx("media:\n  transcode: never\n")
    alice, bob = phones(pbx, "1001", **WIDE), phones(pbx, "1002", codecs="PCMU")
    alice.dial("1002")
    assert "488" in alice.closed()["param"]
    bob.hangup()
