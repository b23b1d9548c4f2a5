"""Call parking with real phones: parked in five ways, fetched, fought over, forgotten, given up, and kept while its plugin is exchanged."""
import re
from datetime import datetime

import pytest
from machine import Watch, stalls
from pbx import Refused
from tone import PROMPTS

MUSIC = 520


def slots(pbx):
    return [(slot["slot"], slot["caller"], slot["parker"]) for slot in pbx.ctl("parking", "list")]


def wall(event):
    return datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()


def call_of(pbx, phone):
    """The id of the call that this phone has made or taken."""
    return next(call["call_id"] for call in pbx.ctl("calls", "list") if phone.number in (call["from"], call["to"]))


def told(phone, *prompts):
    """The phone hears these prompts one after the other."""
    return all(phone.hears(PROMPTS[prompt], seconds=0.5) for prompt in prompts)


def park(pbx, parker, parked, number="*74"):
    parker.transfer(number)
    return pbx.wait_event("call.parked", where=lambda data: data["caller"] == parked.number)["data"]


def talk_to_talker(pbx, phones, talkers, caller, callee):
    """A phone has called a talker, which can send REFER as a test wants it."""
    phone, talker = phones(pbx, caller), talkers(pbx, callee)
    phone.dial(callee)
    talker.answer()
    phone.established()
    return phone, talker


def fetch(slot, fetcher, waiting):
    """`fetcher` dials the slot and both hear each other; whoever waited hangs up."""
    fetcher.dial(slot).established()
    assert fetcher.hears(waiting.hertz, others=(MUSIC,)) and waiting.hears(fetcher.hertz, others=(MUSIC,))
    waiting.hangup()
    fetcher.closed()


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

    bob.dial("70").established()
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
    fetch("*7570", phones(pbx, "1003"), bob)


def ask_for_a_slot(pbx, phones, talkers):
    """1003 (a phone) talks with 1001 (a talker), whose other line has dialled *74 and heard which slot."""
    carol, alice = talk_to_talker(pbx, phones, talkers, "1003", "1001")
    second = talkers(pbx, "1001").dial("*74")
    assert told(second, "slot", "7", "0")
    assert [(slot["slot"], slot["state"], slot["parker"]) for slot in pbx.ctl("parking", "list")] == [(70, "reserved", "1001")]
    return carol, alice, second


def replaces(other):
    return f"{other.call_id}%3Bto-tag%3D{other.remote_tag}%3Bfrom-tag%3D{other.tag}"


def test_attended_the_slot_is_spoken_and_the_call_waits_in_exactly_that(pbx, phones, talkers):
    """Acceptance 3."""
    carol, alice, second = ask_for_a_slot(pbx, phones, talkers)
    alice.reinvite("sendonly")
    assert carol.hears(MUSIC)
    assert alice.refer("*74", replaces(second))[-1] == 200
    alice.closed()
    second.closed()
    assert carol.hears(MUSIC, others=(alice.hertz,))
    assert slots(pbx) == [(70, "1003", "1001")]
    told_of = pbx.wait_event("call.transfer")["data"]
    assert (told_of["transfer_type"], told_of["target"], told_of["result"]) == ("attended", "*74", "ok")
    fetch("70", phones(pbx, "1002"), carol)


def test_attended_asked_for_in_the_other_call(pbx, phones, talkers):
    """Some phones send REFER to the feature and name the call with the party."""
    carol, alice, second = ask_for_a_slot(pbx, phones, talkers)
    name = f"{alice.call_id}%3Bto-tag%3D{alice.remote_tag}%3Bfrom-tag%3D{alice.tag}"
    assert second.refer("1003", name)[-1] == 200
    alice.closed()
    second.closed()
    assert carol.hears(MUSIC) and slots(pbx) == [(70, "1003", "1001")]
    carol.hangup()
    pbx.wait_event("call.park_abandoned")


def test_attended_and_hung_up_instead(pbx, phones, talkers):
    carol, alice, second = ask_for_a_slot(pbx, phones, talkers)
    second.hangup()
    pbx.wait_for(lambda: slots(pbx) == [], "the slot to be free")
    assert carol.hears(440) and alice.hears(880)
    assert pbx.events("call.parked") == []
    carol.hangup()
    alice.closed()


def test_who_parks_hears_where(pbx, phones, talkers):
    carol, alice = talk_to_talker(pbx, phones, talkers, "1003", "1001")
    assert alice.refer("*74") == [100, 200]
    assert told(alice, "slot", "7", "0")
    assert carol.hears(MUSIC, others=(alice.hertz,))
    alice.closed()
    carol.hangup()


def test_who_parks_and_hangs_up_at_once_reads_where(pbx, phones, talkers):
    carol, alice = talk_to_talker(pbx, phones, talkers, "1003", "1001")
    assert alice.refer("*74") == [100, 200]
    alice.hangup()
    message = alice.expect("MESSAGE")
    alice.reply(message, 200, "OK")
    assert message.body == "Slot 70: 1003 Phone 1003" and "sip:70@" in message.get("From")
    carol.hangup()


def test_who_fetches_may_not_transfer_when_the_lot_says_so(make_pbx, phones, talkers):
    pbx = make_pbx("call_parking:\n  retrieve_transfer: parked\n")
    carol, alice = talk_to_talker(pbx, phones, talkers, "1003", "1001")
    alice.refer("*74")
    alice.closed()
    alice.dial("70")
    assert alice.refer("1002") == [403]
    assert carol.hears(alice.hertz, others=(MUSIC,))
    alice.hangup()
    carol.closed()


def test_transfer_to_a_slot_of_ones_choice(pbx, talk, phones):
    alice, bob = talk(pbx, "1001", "1002")
    assert park(pbx, bob, alice, "75")["slot"] == 75
    bob.closed()
    fetch("75", bob, alice)


def test_a_taken_slot_is_refused_and_the_call_goes_on(pbx, talk, phones, talkers):
    """Nobody is thrown out of a slot, nobody lost on the way to one."""
    alice, bob = talk(pbx, "1001", "1002")
    park(pbx, bob, alice, "75")
    carol, dora = talk_to_talker(pbx, phones, talkers, "1003", "1004")
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
    carol, dora = talk_to_talker(pbx, phones, talkers, "1003", "1004")
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
    assert told(bob, "slot", "7", "0")
    assert alice.hears(MUSIC)
    bob.closed()
    fetch("70", bob, alice)


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


def test_an_empty_slot_says_so_and_is_404(pbx, phones):
    alice = phones(pbx, "1001")
    for number in ("70", "*7571"):
        alice.dial(number)
        assert told(alice, "slot_empty"), number
        assert "404" in alice.closed()["param"], number
    assert not alice.saw("CALL_ESTABLISHED")


def test_a_lot_is_for_its_groups(make_pbx, phones):
    pbx = make_pbx('call_parking:\n  lots: [{"name": "sales", "range_start": 80, "range_end": 81, "groups": "sales"}]\n')
    phones.secrets[pbx, "1001"] = pbx.account("1001", pickup_group="sales")
    alice, bob, carol = phones(pbx, "1001", "1002", "1003")
    carol.dial("1001")
    alice.answer()
    carol.established()
    assert park(pbx, alice, carol)["slot"] == 80
    alice.closed()
    bob.dial("80")
    assert told(bob, "not_allowed")
    assert "403" in bob.closed()["param"]
    assert slots(pbx) == [(80, "1003", "1001")]
    fetch("80", alice, carol)


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
    parked = Watch()
    park(pbx, bob, alice)
    bob.closed()
    call = bob.wait("CALL_INCOMING")
    assert parked.took_s() < 6.5
    assert 4.99 < wall(pbx.wait_event("call.park_timeout")) - wall(pbx.wait_event("call.parked")) < 5.2 + stalls().longest_ms(parked.began_at) / 1000
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
    bob.wait("CALL_INCOMING")
    bob.closed()
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
    bob.wait("CALL_INCOMING")
    fetch("70", carol, alice)
    bob.closed()


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
    fetch("72", bob, alice)
