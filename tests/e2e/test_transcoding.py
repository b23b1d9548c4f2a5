"""Phones without a common codec: they talk, hear music, and notice neither an upgrade of a codec nor a packet time nor a new offer; silence is told."""
import math
import threading

import pytest
from ear import FRAIL, G722, PCMA, PCMU
from pbx import BUILD, Refused

WIDE = {"codecs": "G722/16000/1", "codec_module": "g722.so"}  # baresip counts samples


@pytest.fixture
def wide_and_narrow(pbx, phones):
    alice = phones(pbx, "1001", **WIDE)
    bob = phones(pbx, "1002", codecs="PCMU")
    alice.dial("1002")
    bob.answer()
    alice.established()
    return alice, bob


def audio_line(sdp):
    """The payload types of an answer, best first."""
    return [int(kind) for line in sdp.splitlines() if line.startswith("m=audio") for kind in line.split()[3:]]


def sends(listener, since=0):
    """(payload type, octets, ticks from packet to packet) of what reaches it."""
    packets = listener.ear.packets[since:]
    return {(packet.kind, len(packet.payload)) for packet in packets}, {(after.stamp - before.stamp) & 0xffffffff for before, after in zip(packets, packets[1:])}


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


def test_another_codec_and_another_packet_time_amid_the_call(pbx, talkers, phones):
    """What is offered anew is spoken at once, decoded on the other leg or not, and the stream stays one."""
    alice, bob = talkers(pbx, "1001"), phones(pbx, "1002", answer="auto", **WIDE)
    alice.dial("1002")
    both_hear(alice, bob)
    here = alice.ear.mark()
    alice.kinds, alice.kind, alice.ptime_ms = (PCMA,), PCMA, 30
    alice.reinvite()
    both_hear(alice, bob)
    since = alice.ear.mark()
    both_hear(alice, bob)
    assert sends(alice, since) == ({(PCMA, 240)}, {240})
    assert alice.ear.gaps(here, over_ms=100) == [] and len({packet.ssrc for packet in alice.ear.packets[here:]}) == 1
    alice.hangup()
    bob.closed()

    carol = talkers(pbx, "1003")  # 20 ms there, 30 ms here, and another law
    answering = threading.Thread(target=carol.answer)
    answering.start()
    alice.dial("1003")
    answering.join()
    both_hear(alice, carol)
    since = [phone.ear.mark() for phone in (alice, carol)]
    both_hear(alice, carol)
    assert sends(alice, since[0]) == ({(PCMA, 240)}, {240}) and sends(carol, since[1]) == ({(PCMU, 160)}, {160})
    alice.hangup()
    carol.closed()


def test_whose_order_counts_and_the_best_codec_for_each(pbx, talkers, phones):
    for name, value in ("prefer", "local"), ("transcode", "always"), ("codecs", "opus,G722,PCMA,PCMU"):
        pbx.ctl("config", "set", f"media.{name}", value)
    alice = talkers(pbx, "1001")
    alice.kinds, alice.kind = (PCMU, PCMA), PCMA
    bob = phones(pbx, "1002", codecs="PCMA,G722/16000/1,opus/48000/2", codec_module="g722.so\nmodule opus.so", answer="auto")
    alice.dial("1002")
    assert audio_line(alice.answered_with)[:2] == [PCMA, PCMU], "ours come first"
    assert alice.hears(bob.hertz)
    pbx.ctl("config", "set", "media.prefer", "remote")
    legs = {leg["codec"] for leg in pbx.http("GET", "/media/legs")[1]}
    assert legs == {"PCMA", "opus"}, "each has the best it can, though both have PCMA"
    alice.hangup()
    bob.closed()
    alice.dial("1002")
    assert audio_line(alice.answered_with)[:2] == [PCMU, PCMA], "theirs does"
    alice.hangup()
    bob.closed()


def test_wideband_to_wideband_and_a_codec_that_is_taken_away(pbx, phones):
    """G.722 and Opus talk; who takes a codec away is told who uses it, and when he insists the call goes on."""
    alice = phones(pbx, "1001", **WIDE)
    bob = phones(pbx, "1002", codecs="opus/48000/2", codec_module="opus.so", answer="auto")
    alice.dial("1002")
    alice.established()
    assert alice.hears(bob.hertz, others=(alice.hertz,))
    assert {leg["codec"] for leg in pbx.http("GET", "/media/legs")[1]} == {"G722", "opus"}
    with pytest.raises(Refused, match="encoder|decoder"):
        pbx.ctl("plugin", "unload", "codec_opus")
    assert alice.hears(bob.hertz, others=(alice.hertz,))
    alice.hangup()
    bob.closed()
    pbx.ctl("plugin", "unload", "codec_opus")
    bob.dial("1001")
    alice.answer()
    assert "488" in bob.closed()["param"]
    alice.closed()


def test_silence_is_described_to_who_takes_it(make_pbx, talkers, phones):
    """media.dtx: RFC 3389 out while bob's microphone is off, and in while alice says nothing."""
    pbx = make_pbx("media:\n  dtx: true\n")
    alice, bob = talkers(pbx, "1001"), phones(pbx, "1002", answer="auto", **WIDE)
    alice.kinds = (PCMU, 13)
    alice.dial("1002")
    assert 13 in audio_line(alice.answered_with)
    both_hear(alice, bob)
    bob.command("mute")
    here = alice.ear.mark()
    pbx.wait_for(lambda: sum(packet.kind == 13 for packet in alice.ear.packets[here:]) >= 3, "comfort noise")
    quiet = next(at for at, packet in enumerate(alice.ear.packets[here:]) if packet.kind == 13) + here
    packets = alice.ear.packets[quiet:]
    apart = [(after.stamp - before.stamp) % 2**32 / 8000 for before, after in zip(packets, packets[1:])]
    assert all(seconds >= 0.1 for seconds in apart) and not packets[0].marker, f"now and then, and not {apart} s apart"
    bob.command("mute")
    assert alice.hears(bob.hertz)
    spurt = next(packet for packet in alice.ear.packets[quiet + 1:] if packet.kind == PCMU)
    assert spurt.marker and len({packet.ssrc for packet in alice.ear.packets[here:]}) == 1

    alice.speaks, alice.noise = False, bytes([45, 127])

    def noise_db():
        samples = bob.listen(0.5)
        return 10 * math.log10(sum(sample * sample for sample in samples) / max(1, len(samples)) / 32768 ** 2 + 1e-12)
    pbx.wait_for(lambda: -51 < noise_db() < -42, "noise at -45 dBov, less what the ear's two samples a sample take of white noise")
    alice.hangup()
    bob.closed()


def frail_call(make_pbx, talkers, frames):
    """Alice calls bob with a codec whose encoder breaks after so many frames (frail.c)."""
    pbx = make_pbx(f"frail:\n  frames: {frames}\n", plugins=[BUILD / "tests" / "e2e" / "frail"])
    alice, bob = talkers(pbx, "1001"), talkers(pbx, "1002")
    alice.kinds, alice.kind = (FRAIL,), FRAIL
    answering = threading.Thread(target=bob.answer)
    answering.start()
    alice.dial("1002")
    answering.join()
    return pbx, alice, bob


def test_a_codec_that_fails_amid_a_call_is_replaced(make_pbx, talkers):
    """Its encoder breaks after a second (frail.c): the phone is asked to speak something else, and both hear each other again."""
    pbx, alice, bob = frail_call(make_pbx, talkers, frames=50)
    assert bob.hears(alice.hertz)
    asked = alice.expect("INVITE")
    assert "FRAIL" not in asked.body and "PCMA/8000" in asked.body
    alice.kinds, alice.kind = (PCMA,), PCMA
    alice.reply(asked, 200, "OK", body=alice.session())
    alice.expect("ACK")
    both_hear(alice, bob)
    here = alice.ear.mark()
    alice.listen(0.5)
    assert {packet.kind for packet in alice.ear.packets[here:]} == {PCMA} and len({packet.ssrc for packet in alice.ear.packets}) == 1
    told = pbx.wait_event("leg.codec_failed")["data"]
    assert (told["codec"], told["way"]) == ("FRAIL", "to_party")
    assert "FRAIL" not in alice.reinvite().body  # its own offer would not bring it back either
    alice.hangup()
    bob.closed()


def test_a_phone_that_takes_nothing_else_keeps_its_codec(make_pbx, talkers):
    pbx, alice, bob = frail_call(make_pbx, talkers, frames=1000000)
    both_hear(alice, bob)
    alice.garbled = True
    asked = alice.expect("INVITE")
    assert "FRAIL" not in asked.body
    alice.reply(asked, 488, "Not Acceptable Here")
    alice.expect("ACK")
    alice.garbled = False
    both_hear(alice, bob)
    assert "FRAIL" in alice.reinvite().body
    both_hear(alice, bob)
    told = pbx.wait_event("leg.codec_failed")["data"]
    assert (told["codec"], told["way"]) == ("FRAIL", "from_party")
    alice.hangup()
    bob.closed()
