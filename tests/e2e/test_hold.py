"""Hold in every way it is asked for: who hears what, what is answered, what is said on the bus, and that the voice comes back at once."""
import threading

import pytest
from talker import Talker, direction_of

MUSIC, SALES = 520, 740


def call_of(pbx):
    return pbx.ctl("calls", "list")[0]["call_id"]


@pytest.fixture
def alice_and(pbx, phones, talkers):
    """alice_and(number): phone 1001 talks with a talker, who says exactly what is wanted."""
    def make(number="1002"):
        alice, bob = phones(pbx, "1001"), talkers(pbx, number)
        alice.dial(number)
        bob.answer()
        alice.established()
        assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
        return alice, bob
    return make


@pytest.mark.parametrize("direction, connection, answer", [
    ("sendonly", "127.0.0.1", "recvonly"),
    ("inactive", "127.0.0.1", "inactive"),
    ("sendrecv", "0.0.0.0", None),          # RFC 2543; what is answered to it does not matter
    ("", "0.0.0.0", None),
])
def test_a_phone_holds_and_resumes(pbx, alice_and, direction, connection, answer):
    alice, bob = alice_and()
    answered = bob.reinvite(direction, connection)
    assert answered.status == 200
    assert answer is None or direction_of(answered) == answer
    pbx.wait_event("call.hold")
    assert alice.hears(MUSIC, others=(bob.hertz,))
    assert bob.hears_nothing_of(alice.hertz)
    assert not alice.saw("CALL_ESTABLISHED"), "the held party's session was touched"

    answered = bob.reinvite("sendrecv")
    assert answered.status == 200 and direction_of(answered) == "sendrecv"
    held = pbx.wait_event("call.resume")["data"]
    assert held["hold_ms"] >= 1000
    assert alice.hears(bob.hertz, others=(MUSIC,), within=0.2)
    assert bob.hears(alice.hertz, within=0.2)
    bob.hangup()
    alice.closed()


def test_the_stream_to_the_held_party_never_breaks(pbx, alice_and):
    """Voice, music, voice: one SSRC, one sequence, one clock."""
    alice, bob = alice_and()
    here = alice.ear.mark()
    for _ in range(3):
        assert bob.reinvite("sendonly").status == 200
        assert alice.hears(MUSIC, others=(bob.hertz,)), pbx.ctl("calls", "list")
        assert bob.reinvite("sendrecv").status == 200
        assert alice.hears(bob.hertz, others=(MUSIC,)), pbx.ctl("calls", "list")
    assert alice.ear.breaks(here) == []
    assert len(pbx.events("call.hold")) == len(pbx.events("call.resume")) == 3
    bob.hangup()
    alice.closed()


def test_holding_twice_is_holding_once(pbx, alice_and):
    """Session refreshes of a phone that holds repeat its sendonly."""
    alice, bob = alice_and()
    for _ in range(3):
        assert bob.reinvite("sendonly").status == 200
    assert alice.hears(MUSIC)
    bob.reinvite("sendrecv")
    assert alice.hears(bob.hertz, others=(MUSIC,))
    assert len(pbx.events("call.hold")) == len(pbx.events("call.resume")) == 1
    bob.hangup()
    alice.closed()


def test_a_reinvite_that_asks_for_our_offer_holds_and_resumes(pbx, alice_and):
    """RFC 6337 5.2.2: the offer allows everything, whatever was agreed before, and the answer in the ACK counts."""
    alice, bob = alice_and()
    for direction, heard in (("sendonly", MUSIC), ("sendrecv", bob.hertz)):
        offer = bob.reinvite_without_offer(lambda _, say=direction: bob.session(say))
        assert direction_of(offer) == "sendrecv"
        assert alice.hears(heard, others={MUSIC, bob.hertz} - {heard})
    assert [len(pbx.events(kind)) for kind in ("call.hold", "call.resume")] == [1, 1]
    bob.reinvite_without_offer(lambda _: "")  # breaks the rules, but not the call
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
    bob.hangup()
    alice.closed()


def test_a_phone_brings_its_own_music(make_pbx, phones, talkers):
    """RFC 7088: the holder asks for our offer, has a music server answer it, and the held party hears that one; the setting says for which phones."""
    pbx = make_pbx('calls:\n  moh_mode: phone_uri\n  moh_phones: ["1002"]\n')
    alice, bob, server = phones(pbx, "1001"), talkers(pbx, "1002"), Talker(pbx, "jukebox", "", SALES)

    def sing(offer):
        server.towards = ("127.0.0.1", offer.rtp_port())
        return server.session("sendonly")

    alice.dial("1002")
    bob.answer()
    alice.established()
    bob.speaks = False
    bob.reinvite_without_offer(sing)
    assert alice.hears(SALES, others=(MUSIC, bob.hertz))
    assert server.hears_nothing_of(alice.hertz), "who only sends is sent nothing"
    pbx.wait_event("call.hold")
    server.speaks, bob.speaks = False, True
    bob.reinvite("sendrecv")
    assert alice.hears(bob.hertz, others=(MUSIC, SALES)) and bob.hears(alice.hertz)
    bob.reinvite("inactive")  # nothing comes from it: ours is better than silence
    assert alice.hears(MUSIC)
    bob.hangup()
    alice.closed()
    server.close()

    carol = talkers(pbx, "1003")
    alice.dial("1003")  # of the others, ours is heard
    carol.answer()
    alice.established()
    carol.reinvite("sendonly")
    assert alice.hears(MUSIC, others=(carol.hertz,))
    carol.hangup()
    alice.closed()


def test_where_music_is_off_the_held_party_hears_nothing(make_pbx, talk):
    pbx = make_pbx("calls:\n  moh_mode: off\n")
    alice, bob = talk(pbx, "1001", "1002")
    bob.hold()
    pbx.wait_event("call.hold")
    assert alice.hears_nothing_of(MUSIC) and alice.hears_nothing_of(bob.hertz)
    bob.resume()
    assert alice.hears(bob.hertz)
    alice.hangup()
    bob.closed()


def test_a_call_held_for_long_rings_the_holder(make_pbx, talk):
    pbx = make_pbx("music_on_hold:\n  hold_timeout_s: 2\n")
    alice, bob = talk(pbx, "1001", "1002")
    bob.hold()
    held_at = pbx.wait_event("call.hold")
    call = bob.wait("CALL_INCOMING")
    assert "On hold: Phone 1001" in call["peerdisplayname"]
    assert alice.hears(MUSIC)
    bob.command("accept")
    assert alice.hears(bob.hertz, others=(MUSIC,))
    assert held_at["linked_id"] == pbx.wait_event("call.resume")["linked_id"]
    alice.hangup()
    pbx.wait_event("call.ended")
    record = pbx.wait_for(lambda: [record for record in pbx.ctl("cdr", "list") if record["ended_at"]], "the record")
    assert len(record) == 1 and record[0]["hold_ms"] >= 1900


def test_both_hold_each_other_and_nobody_hears_music(pbx, talkers):
    alice, bob = talkers(pbx, "1001", "1002")
    ringing = threading.Thread(target=bob.answer)
    ringing.start()
    alice.dial("1002")
    ringing.join()
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)

    bob.reinvite("sendonly")
    assert alice.hears(MUSIC)
    assert direction_of(alice.reinvite("sendonly")) in ("inactive", "recvonly")
    for party, other in ((alice, bob), (bob, alice)):
        assert party.hears_nothing_of(MUSIC) and party.hears_nothing_of(other.hertz)

    bob.reinvite("sendrecv")
    assert bob.hears(MUSIC, others=(alice.hertz,))  # alice still holds
    assert alice.hears_nothing_of(bob.hertz)
    alice.reinvite("sendrecv")
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
    bob.hangup()
    alice.closed()


def test_the_caller_may_hold_too(pbx, talk):
    alice, bob = talk(pbx, "1001", "1002")
    alice.hold()
    assert bob.hears(MUSIC, others=(alice.hertz,))
    alice.resume()
    assert bob.hears(alice.hertz, others=(MUSIC,)) and alice.hears(bob.hertz)
    bob.hangup()
    alice.closed()


@pytest.mark.parametrize("who", ["held", "holder"])
def test_hang_up_during_hold(pbx, talk, who):
    alice, bob = talk(pbx, "1001", "1002")
    bob.hold()
    assert alice.hears(MUSIC, seconds=1.2)
    (alice if who == "held" else bob).hangup()
    (bob if who == "held" else alice).closed()
    record = pbx.wait_for(lambda: [record for record in pbx.ctl("cdr", "list") if record["ended_at"]], "the record")[0]
    assert record["hold_ms"] >= 1000 and record["hangup_by"] == ("caller" if who == "held" else "callee")


def test_hold_and_resume_over_rest(pbx, alice_and):
    """The far party hears music, the holder's phone is told to be silent."""
    alice, bob = alice_and()
    path = f"/calls/{call_of(pbx)}"
    leg = next(leg for leg in pbx.ctl("calls", "show", call_of(pbx))["legs"] if leg["number"] == "1002")["leg_id"]
    status, answer = pbx.http("POST", path + ":hold", {"leg_id": leg})
    assert (status, answer["on_hold"]) == (200, True)
    assert direction_of(bob.agree("inactive")) == "inactive"
    assert alice.hears(MUSIC, others=(bob.hertz,))
    assert bob.hears_nothing_of(alice.hertz)

    status, answer = pbx.http("POST", path + ":resume", {"leg_id": leg})
    assert (status, answer["on_hold"]) == (200, False)
    assert direction_of(bob.agree("sendrecv")) == "sendrecv"
    assert alice.hears(bob.hertz, others=(MUSIC,)) and bob.hears(alice.hertz)
    bob.hangup()
    alice.closed()
    assert pbx.http("POST", path + ":hold")[0] == 404


def test_who_holds_chooses_the_music(pbx, phones, talk):
    phones.secrets[pbx, "1001"] = pbx.account("1001", music_class="sales")
    alice, bob = talk(pbx, "1001", "1002")
    alice.hold()
    assert bob.hears(SALES, others=(MUSIC, alice.hertz))
    alice.resume()
    assert bob.hears(alice.hertz)
    bob.hold()
    assert alice.hears(MUSIC, others=(SALES, bob.hertz))
    bob.resume()
    assert alice.hears(bob.hertz)
    alice.hangup()
    bob.closed()


def test_music_that_is_not_there_is_silence_not_an_end(make_pbx, talk):
    pbx = make_pbx('music_on_hold:\n  default_class: "nowhere"\n')
    alice, bob = talk(pbx, "1001", "1002")
    bob.hold()
    pbx.wait_event("call.hold")
    assert alice.hears_nothing_of(bob.hertz) and alice.hears_nothing_of(MUSIC)
    bob.resume()
    assert alice.hears(bob.hertz)
    alice.hangup()
    bob.closed()
