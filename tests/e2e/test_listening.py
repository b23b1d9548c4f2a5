"""How it sounds when the network is bad, and when somebody works on the sound: measured on the wire, where the listener's phone is."""
import random
import threading

import pytest
from machine import Watch, stalls
from tone import power_db, windows_db


@pytest.fixture
def call(pbx, talkers):
    """call(): 1001 talks with 1002, both of our own making."""
    def make():
        alice, bob = talkers(pbx, "1001", "1002")
        answering = threading.Thread(target=bob.answer)
        answering.start()
        alice.dial("1002")
        answering.join()
        assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
        return alice, bob
    return make


def leg_of(pbx, talker):
    """What the PBX measures of the stream from a talker."""
    return next(leg for leg in pbx.ctl("media", "streams") if leg["remote"].endswith(f":{talker.rtp_port}"))


def test_an_uneven_network_is_not_heard(pbx, call):
    """60 ms give or take 30, and one packet in twenty lost: what leaves is even, without a hole or a click."""
    pbx.ctl("config", "set", "media.jitter_buffer.passthrough", "true")
    alice, bob = call()
    chance = random.Random(7)
    steady = power_db(alice.listen(1), bob.hertz)
    bob.way = lambda seq: None if chance.random() < 0.05 else max(0, chance.gauss(0.06, 0.03))
    alice.listen(8)  # until the network is known: the buffer goes by the last ten seconds
    before, here, watch = leg_of(pbx, bob), alice.ear.mark(), Watch()
    heard = alice.listen(6)
    after = leg_of(pbx, bob)
    kept_back_ms = 1000 * stalls().lost_s(watch.began_at)

    assert 100 * sum(level <= steady - 6 for level in windows_db(heard, bob.hertz)) <= kept_back_ms
    assert not alice.ear.breaks(here) and not alice.ear.gaps(here)
    assert 80_000 <= after["buffer_target_us"] <= 160_000
    concealed, lost = after["concealed_ms"] - before["concealed_ms"], after["lost"] - before["lost"]
    assert lost > 5
    assert 20 * lost - 60 <= concealed <= 20 * lost + 400 + kept_back_ms, "what was lost, what was the one of a hundred, and what a busy machine kept back"
    bob.way = None
    alice.hangup()
    bob.closed()


def test_sound_is_worked_on_in_a_live_call(pbx, call):
    """A relayed call gets a filter and loses it again: gains are heard, mute is, and no switch makes a gap."""
    alice, bob = call()
    here, steady = alice.ear.mark(), power_db(alice.listen(1), bob.hertz)
    leg = next(event["data"]["leg_id"] for event in pbx.events("leg.started") if event["data"]["number"] == "1002")

    status, _ = pbx.http("PUT", f"/media/legs/{leg}/audio", {"gain_in_db": -12})
    assert status == 200
    pbx.wait_for(lambda: abs(power_db(alice.listen(0.2), bob.hertz) - (steady - 12)) < 1, "another loudness")
    assert bob.hears(alice.hertz)
    assert pbx.http("PUT", f"/media/legs/{leg}/audio", {"gain_in_db": 0, "gain_out_db": 6})[0] == 200
    pbx.wait_for(lambda: abs(power_db(alice.listen(0.2), bob.hertz) - steady) < 1, "another loudness")
    assert pbx.http("PUT", f"/media/legs/{leg}/audio", {"gain_out_db": 0, "muted": True})[0] == 200
    pbx.wait_for(lambda: power_db(alice.listen(0.2), bob.hertz) < steady - 40, "another loudness")
    assert pbx.http("PUT", f"/media/legs/{leg}/audio", {"muted": False})[0] == 200
    assert alice.hears(bob.hertz)
    pbx.ctl("plugin", "reload", "audio_processing")
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
    assert not alice.ear.gaps(here) and not alice.ear.breaks(here)
    alice.hangup()
    bob.closed()
