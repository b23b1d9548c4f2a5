"""Two phones and a core: who rings, who hears whom, what is left afterwards."""
import signal

from machine import PATIENCE_S


def both_hear(a, b):
    assert a.hears(b.hertz, others=(a.hertz, 520)), f"{a.number} does not hear {b.number}: {a.level(b.hertz):.0f} dBFS"
    assert b.hears(a.hertz, others=(b.hertz, 520)), f"{b.number} does not hear {a.number}: {b.level(a.hertz):.0f} dBFS"


def test_two_phones_hear_each_other(pbx, talk):
    alice, bob = talk(pbx, "1001", "1002")
    both_hear(alice, bob)
    bob.hangup()
    alice.closed()


def test_caller_hangs_up(pbx, talk):
    alice, bob = talk(pbx, "1001", "1002")
    alice.hangup()
    bob.closed()
    ended = pbx.wait_event("call.ended")["data"]
    assert (ended["disposition"], ended["hangup_by"]) == ("answered", "caller")


def test_phones_on_tcp(pbx, phones):
    alice, bob = phones(pbx, "1001", "1002", transport="tcp")
    alice.dial("1002")
    bob.answer()
    alice.established()
    both_hear(alice, bob)
    alice.hangup()
    bob.closed()


def test_a_law_meets_mu_law(pbx, phones):
    """Two phones without a common codec still talk."""
    alice = phones(pbx, "1001", codecs="PCMA")
    bob = phones(pbx, "1002", codecs="PCMU")
    alice.dial("1002")
    bob.answer()
    alice.established()
    both_hear(alice, bob)
    alice.hangup()
    bob.closed()


def test_unknown_number_is_404(pbx, phones):
    alice = phones(pbx, "1001")
    alice.dial("1999")
    assert "404" in alice.closed()["param"]
    ended = pbx.wait_event("call.ended")["data"]
    assert (ended["disposition"], ended["sip_code"], ended["cause"]) == ("failed", 404, "not_found")


def test_busy_phone(pbx, phones):
    alice, bob = phones(pbx, "1001", "1002")
    alice.dial("1002")
    bob.wait("CALL_INCOMING")
    bob.command("hangup")
    closed = alice.closed()["param"]
    assert "486" in closed or "603" in closed or "480" in closed
    assert pbx.wait_event("call.ended")["data"]["disposition"] in ("busy", "declined")


def test_caller_cancels(pbx, phones):
    alice, bob = phones(pbx, "1001", "1002")
    alice.dial("1002")
    bob.wait("CALL_INCOMING")
    alice.hangup()
    bob.closed()
    assert pbx.wait_event("call.ended")["data"]["disposition"] == "cancelled"


def test_hold_plays_music_and_resume_brings_back_the_voice(pbx, talk):
    alice, bob = talk(pbx, "1001", "1002")
    both_hear(alice, bob)
    bob.hold()
    pbx.wait_event("call.hold")
    assert alice.hears(520, others=(bob.hertz,))
    bob.resume()
    pbx.wait_event("call.resume")
    assert alice.hears(bob.hertz, others=(520,))
    assert bob.hears(alice.hertz)
    alice.hangup()
    bob.closed()


def test_music_survives_the_reload_of_its_plugin(pbx, talk):
    alice, bob = talk(pbx, "1001", "1002")
    bob.hold()
    pbx.wait_event("call.hold")
    assert alice.hears(520)
    pbx.ctl("plugin", "reload", "music_on_hold")
    samples = alice.listen(2.0)
    from tone import hears
    assert hears(samples, 520, share=0.95)
    bob.resume()
    pbx.wait_event("call.resume")
    both_hear(alice, bob)
    alice.hangup()
    bob.closed()


def test_two_devices_ring_and_the_loser_is_cancelled(pbx, phones):
    alice = phones(pbx, "1003")
    first, second = phones(pbx, "1001"), phones(pbx, "1001")
    alice.dial("1001")
    first.wait("CALL_INCOMING")
    second.wait("CALL_INCOMING")
    first.command("accept")
    first.established()
    alice.established()
    second.closed()
    assert alice.hears(440)
    alice.hangup()
    first.closed()


def test_kill_minus_nine_keeps_registrations(pbx, phones):
    alice, bob = phones(pbx, "1001", "1002")
    bob_contacts = pbx.ctl("registrations", "list", "1002")
    assert len(bob_contacts) == 1
    pbx.kill()
    pbx.restart()
    assert [c["contact"] for c in pbx.ctl("registrations", "list", "1002")] == [c["contact"] for c in bob_contacts]
    alice.dial("1002")
    bob.answer()
    alice.established()
    both_hear(alice, bob)
    alice.hangup()
    bob.closed()


def test_hang_up_during_ringing_leaves_nothing(pbx, phones):
    alice, bob = phones(pbx, "1001", "1002")
    for _ in range(5):
        alice.dial("1002")
        bob.wait("CALL_INCOMING")
        alice.hangup()
        bob.closed()
    pbx.assert_nothing_left()


def test_a_stop_lets_the_call_end(pbx, talk):
    """SIGTERM with a call in progress: no new call, the old one goes on until its people hang up."""
    alice, bob = talk(pbx, "1001", "1002")
    pbx.process.send_signal(signal.SIGTERM)
    pbx.wait_for(lambda: pbx.log_lines("stopping"), "the daemon to have heard it")
    both_hear(alice, bob)
    alice.hangup()
    bob.closed()
    assert pbx.process.wait(PATIENCE_S) == 0
