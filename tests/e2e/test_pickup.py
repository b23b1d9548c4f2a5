"""A call that rings elsewhere is taken: by code, from a desktop, and by only one of two who want it."""
import pytest
from pbx import Refused
from test_replaces import ringing
from test_transfer import both_hear


def hears_it_was_answered_elsewhere(bob, invite):
    cancel = bob.expect("CANCEL")
    assert cancel.get("Reason").startswith("SIP;cause=200"), cancel.get("Reason")
    bob.reply(cancel, 200, "OK")
    bob.reply(invite, 487, "Request Terminated")
    bob.expect("ACK")


def test_the_phones_that_rang_have_missed_nothing(pbx, phones, talkers):
    alice, bob, carol, invite = ringing(pbx, phones, talkers, "crew")
    carol.dial("*8")
    hears_it_was_answered_elsewhere(bob, invite)
    alice.established()
    both_hear(alice, carol)
    answered = pbx.wait_event("call.answered", where=lambda data: data["answered_by"]["number"] == "1003")
    assert answered
    alice.hangup()
    carol.closed()


def test_who_comes_second_gets_nothing(pbx, phones, talkers):
    alice, bob, carol, invite = ringing(pbx, phones, talkers, "crew")
    phones.secrets[pbx, "1004"] = pbx.account("1004", pickup_group="crew")
    dave = talkers(pbx, "1004")
    carol.dial("**1002")
    assert dave.invite("**1002", dave.session()).status == 404
    hears_it_was_answered_elsewhere(bob, invite)
    both_hear(alice, carol)
    carol.hangup()
    alice.closed()


def test_a_call_is_picked_up_from_a_desktop(pbx, phones, talkers):
    alice, bob, carol, invite = ringing(pbx, phones, talkers, "crew")
    call, = pbx.ctl("calls", "list")
    taken = pbx.ctl("calls", "pickup", call["call_id"], "1003")
    assert taken["from"] == "1003"
    carol.answer()
    hears_it_was_answered_elsewhere(bob, invite)
    alice.established()
    both_hear(alice, carol)
    event = pbx.wait_event("call.picked_up")
    assert event["call_id"] == call["call_id"] and (event["data"]["number"], event["data"]["by"]) == ("1002", "1003")
    with pytest.raises(Refused, match="that rings where you may take it"):
        pbx.ctl("calls", "pickup", call["call_id"], "1003")
    carol.hangup()
    alice.closed()


def test_a_pick_up_that_comes_too_late_hangs_up(pbx, phones, talkers):
    alice, bob, carol, invite = ringing(pbx, phones, talkers, "crew")
    call, = pbx.ctl("calls", "list")
    pbx.ctl("calls", "pickup", call["call_id"], "1003")
    late = carol.expect("INVITE")
    bob.reply(invite, 200, "OK", body=bob.session())
    bob.expect("ACK")
    alice.established()
    carol.call_id = late.get("Call-ID")
    carol.reply(late, 200, "OK", body=carol.session())
    carol.expect("ACK")
    carol.closed()
    alice.hangup()
    bob.closed()


def test_a_phone_that_rings_is_told_to_answer(pbx, phones, talkers):
    """By REST, in the dialog that rings (Event: talk), and only when the phone says that it can."""
    callee, caller = talkers(pbx, "1002"), phones(pbx, "1001")
    caller.dial("1002")
    invite = callee.expect("INVITE")
    callee.reply(invite, 180, "Ringing")
    pbx.wait_event("call.ringing")
    call = pbx.ctl("calls", "list")[0]["call_id"]
    assert pbx.http("POST", f"/calls/{call}:answer")[0] == 409
    callee.reply(invite, 180, "Ringing", ["Allow-Events: hold, talk"])

    def asked():
        return pbx.http("POST", f"/calls/{call}:answer")[0] == 202
    pbx.wait_for(asked, "the second 180 to be heard")
    notify = callee.expect("NOTIFY")
    assert (notify.get("Event"), notify.get("Call-ID")) == ("talk", invite.get("Call-ID")) and f"tag={callee.tag}" in notify.get("To")
    callee.reply(notify, 200, "OK")
    callee.reply(invite, 200, "OK", body=callee.session())
    callee.expect("ACK")
    caller.established()
    assert pbx.http("POST", f"/calls/{call}:answer")[0] == 409
    caller.hangup()
    callee.closed()
