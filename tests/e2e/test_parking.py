"""Call parking with real phones: parked in five ways, fetched, fought over, forgotten, given up, and kept while its plugin is exchanged."""
import re
import time

import pytest
from pbx import Refused

MUSIC = 520


def slots(pbx):
    return [(slot["slot"], slot["caller"], slot["parker"]) for slot in pbx.ctl("parking", "list")]


def call_of(pbx, phone):
    """The id of the call that this phone has made or taken."""
    return next(call["call_id"] for call in pbx.ctl("calls", "list") if phone.number in (call["from"], call["to"]))


def park(pbx, parker, parked, number="*74"):
    parker.transfer(number)
    return pbx.wait_event("call.parked", where=lambda data: data["caller"] == parked.number)["data"]


# ---- parking and fetching -------------------------------------------------------------------


def test_park_by_blind_transfer_and_fetch(pbx, talk, phones, talkers):
    """Acceptance 1 and 2."""
    carol, alice = talk(pbx, "1003", "1001")
    bob = phones(pbx, "1002")
    alice.transfer("*74")
    assert carol.hears(MUSIC, others=(alice.hertz,), within=1.0)
    alice.closed()
    status, listed = pbx.http("GET", "/parking")
    assert status == 200 and [(slot["slot"], slot["parker"], slot["caller"]) for slot in listed["items"]] == [(70, "1001", "1003")]
    parked = pbx.wait_event("call.parked")
    assert (parked["data"]["slot"], parked["data"]["parked_by"]) == (70, "1001")

    bob.dial("70").established(2)
    assert bob.hears(880, others=(MUSIC,), within=1.0) and carol.hears(660, others=(MUSIC,), within=1.0)
    assert slots(pbx) == []
    retrieved = pbx.wait_event("call.retrieved")
    assert (retrieved["data"]["slot"], retrieved["data"]["retrieved_by"]) == (70, "1002")
    assert retrieved["call_id"] == parked["call_id"]
    lamps = [(event["data"]["slot"], event["data"]["state"]) for event in pbx.events("parking.slot")]
    assert lamps == [(70, "confirmed"), (70, "terminated")]
    carol.hangup()
    bob.closed()


def test_the_caller_may_park_the_callee(pbx, talk, phones):
    alice, bob = talk(pbx, "1001", "1002")
    assert park(pbx, alice, bob)["parked_by"] == "1001"
    alice.closed()
    assert bob.hears(MUSIC)
    carol = phones(pbx, "1003")
    carol.dial("*7570").established()
    assert carol.hears(660) and bob.hears(880)
    carol.hangup()
    bob.closed()


def test_transfer_to_a_slot_of_ones_choice(pbx, talk, phones):
    alice, bob = talk(pbx, "1001", "1002")
    assert park(pbx, bob, alice, "75")["slot"] == 75
    bob.closed()
    bob.dial("75").established()
    assert bob.hears(440) and alice.hears(660)
    alice.hangup()
    bob.closed()


def test_a_taken_slot_is_refused_and_the_call_goes_on(pbx, talk, phones, talkers):
    """Nobody is thrown out of a slot, nobody lost on the way to one."""
    alice, bob = talk(pbx, "1001", "1002")
    park(pbx, bob, alice, "75")
    carol, dora = phones(pbx, "1003"), talkers(pbx, "1004")
    carol.dial("1004")
    dora.answer()
    carol.established()
    assert dora.refer("75") == [100, 486]
    assert slots(pbx) == [(75, "1001", "1002")]
    assert carol.hears(1100, others=(MUSIC,)) and dora.hears(880)
    assert alice.hears(MUSIC)
    carol.hangup()
    dora.closed()
    alice.hangup()
    pbx.wait_event("call.park_abandoned")


def test_a_full_lot_refuses(make_pbx, talk, phones, talkers):
    """Acceptance 5, with a lot of one."""
    pbx = make_pbx("call_parking:\n  range_start: 70\n  range_end: 70\n")
    alice, bob = talk(pbx, "1001", "1002")
    park(pbx, bob, alice)
    carol, dora = phones(pbx, "1003"), talkers(pbx, "1004")
    carol.dial("1004")
    dora.answer()
    carol.established()
    assert dora.refer("*74") == [100, 486]
    assert carol.hears(1100, others=(MUSIC,)) and dora.hears(880)
    with pytest.raises(Refused, match="every slot is taken"):
        pbx.ctl("parking", "park", call_of(pbx, carol))
    assert pbx.http("POST", "/parking", {"call_id": call_of(pbx, carol)})[0] == 409
    assert slots(pbx) == [(70, "1001", "1002")]
    carol.hangup()
    dora.closed()
    alice.hangup()


def test_by_keys_during_the_call(make_pbx, talk):
    pbx = make_pbx('call_parking:\n  keys: "##"\n')
    alice, bob = talk(pbx, "1001", "1002")
    bob.press("##")
    pbx.wait_event("call.parked")
    assert slots(pbx) == [(70, "1001", "1002")]
    assert alice.hears(MUSIC)
    bob.closed()
    bob.dial("70").established()
    assert bob.hears(440)
    alice.hangup()
    bob.closed()


def test_over_rest_and_brought_to_an_extension(pbx, talk, phones):
    alice, bob = talk(pbx, "1001", "1002")
    carol = phones(pbx, "1003")
    status, slot = pbx.http("POST", "/parking", {"call_id": call_of(pbx, alice), "slot": 77, "parker": "1001"})
    assert (status, slot["slot"], slot["caller"]) == (201, 77, "1002")
    alice.closed()
    assert pbx.http("POST", "/parking/77/retrieve", {"extension": "1003"})[0] == 202
    carol.answer()
    assert carol.hears(660) and bob.hears(880)
    carol.hangup()
    bob.closed()
    assert pbx.http("POST", "/parking/77/retrieve", {"extension": "1003"})[0] == 404
    assert pbx.http("DELETE", "/parking/77")[0] == 404
    assert pbx.http("POST", "/parking", {"call_id": "01AAAAAAAAAAAAAAAAAAAAAAAA"})[0] == 404


def test_rest_hangs_up_on_who_waits(pbx, talk):
    alice, bob = talk(pbx, "1001", "1002")
    park(pbx, bob, alice)
    assert pbx.http("DELETE", "/parking/70")[0] == 204
    alice.closed()
    assert slots(pbx) == []


# ---- what goes wrong --------------------------------------------------------------------------


def test_an_empty_slot_is_404(pbx, phones):
    alice = phones(pbx, "1001")
    for number in ("70", "*7571", "*74"):
        alice.dial(number)
        assert "404" in alice.closed()["param"], number


def test_of_two_fetchers_one_wins(pbx, talk, phones):
    alice, bob = talk(pbx, "1001", "1002")
    park(pbx, bob, alice)
    bob.closed()
    carol, dora = phones(pbx, "1003", "1004")
    for phone in (carol, dora):
        phone.dial("70")
    pbx.wait_event("call.retrieved")
    pbx.wait_for(lambda: carol.saw("CALL_CLOSED") or dora.saw("CALL_CLOSED"), "the other to be refused")
    winner, loser = (dora, carol) if carol.saw("CALL_CLOSED") else (carol, dora)
    assert "404" in loser.closed()["param"]
    winner.established()
    assert winner.hears(440) and alice.hears(winner.hertz, others=(loser.hertz,))
    assert len(pbx.events("call.retrieved")) == 1
    alice.hangup()
    winner.closed()


def test_who_waits_gives_up(pbx, talk, phones):
    alice, bob = talk(pbx, "1001", "1002")
    park(pbx, bob, alice)
    alice.hangup()
    assert pbx.wait_event("call.park_abandoned")["data"]["slot"] == 70
    assert slots(pbx) == []
    bob.closed()
    bob.dial("70")
    assert "404" in bob.closed()["param"]


# ---- forgotten ----------------------------------------------------------------------------------


def test_forgotten_it_comes_back_to_the_parker(make_pbx, talk):
    """Acceptance 4, after 5 s: the phone shows which slot and who."""
    pbx = make_pbx("call_parking:\n  timeout_s: 5\n")
    alice, bob = talk(pbx, "1001", "1002")
    park(pbx, bob, alice)
    bob.closed()
    parked_at = time.monotonic()
    call = bob.wait("CALL_INCOMING", 8)
    assert 4.5 < time.monotonic() - parked_at < 6.5
    assert re.search(r"Park 70\b", call["peerdisplayname"]), call
    assert "1001" in call["peeruri"]
    assert alice.hears(MUSIC)
    bob.command("accept")
    bob.established()
    assert bob.hears(440) and alice.hears(660)
    assert slots(pbx) == []
    assert pbx.wait_event("call.park_timeout")["data"]["comeback"] == 1
    alice.hangup()
    bob.closed()


def test_nobody_answers_and_it_goes_where_the_settings_say(make_pbx, talk, phones):
    pbx = make_pbx('call_parking:\n  timeout_s: 5\n  comeback_ring_s: 5\n  comeback_to: "1003"\n')
    alice, bob = talk(pbx, "1001", "1002")
    carol = phones(pbx, "1003")
    park(pbx, bob, alice)
    bob.closed()
    bob.wait("CALL_INCOMING", 8)
    bob.closed(8)
    carol.answer()
    assert carol.hears(440) and alice.hears(880)
    assert slots(pbx) == []
    alice.hangup()
    carol.closed()


def test_fetched_while_it_comes_back(make_pbx, talk, phones):
    """Somebody else is faster than the parker: the parker's phone stops ringing."""
    pbx = make_pbx("call_parking:\n  timeout_s: 5\n")
    alice, bob = talk(pbx, "1001", "1002")
    carol = phones(pbx, "1003")
    park(pbx, bob, alice)
    bob.closed()
    bob.wait("CALL_INCOMING", 8)
    carol.dial("70").established()
    bob.closed()
    assert carol.hears(440) and alice.hears(880)
    alice.hangup()
    carol.closed()


# ---- the plugin is exchanged ------------------------------------------------------------------------


def test_who_waits_outlives_the_reload_of_the_plugin(pbx, talk, phones):
    alice, bob = talk(pbx, "1001", "1002")
    park(pbx, bob, alice, "72")
    bob.closed()
    assert alice.hears(MUSIC)
    here = alice.ear.mark()
    pbx.ctl("plugin", "reload", "call_parking")
    assert alice.hears(MUSIC)
    assert alice.ear.breaks(here) == [] and alice.ear.gaps(here) == []
    assert not any(packet.marker for packet in alice.ear.packets[here:]), "the music began anew"
    assert slots(pbx) == [(72, "1001", "1002")]
    bob.dial("72").established()
    assert bob.hears(440) and alice.hears(660)
    alice.hangup()
    bob.closed()
