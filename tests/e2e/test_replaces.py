"""INVITE with Replaces (RFC 3891): a phone takes another one's place by itself, and nobody takes a stranger's."""
import pytest
from test_transfer import both_hear, in_call


def name_of(talker):
    """A talker's dialog, as the PBX calls its ends."""
    return f"Replaces: {talker.call_id};to-tag={talker.remote_tag};from-tag={talker.tag}"


def take_place(talker, header, number="1002"):
    answer = talker.invite(number, talker.session(), [header, "Require: replaces"])
    if answer.status == 200:
        talker._take_part(answer, answer.get("To"))
    return answer.status


def test_another_phone_of_the_account_goes_on_with_the_call(pbx, phones, talkers):
    alice, bob = in_call(pbx, phones, talkers)
    desk = talkers(pbx, "1002")
    assert take_place(desk, name_of(bob)) == 200
    bob.closed()
    both_hear(alice, desk)
    alice.hangup()
    desk.closed()


@pytest.mark.parametrize("number, change, code", [("1003", "", 403), ("1002", "x", 481), ("1002", ";early-only", 486)])
def test_whose_call_it_is_not_does_not_get_it(pbx, phones, talkers, number, change, code):
    alice, bob = in_call(pbx, phones, talkers)
    carol = talkers(pbx, number)
    assert take_place(carol, name_of(bob) + change) == code
    both_hear(alice, bob)
    bob.hangup()
    alice.closed()


def ringing(pbx, phones, talkers, group):
    """1001 (a phone) calls 1002 (a talker), which rings; 1003 is of a pickup group."""
    for number, of in (("1002", "crew"), ("1003", group)):
        phones.secrets[pbx, number] = pbx.account(number, pickup_group=of)
    alice, bob, carol = phones(pbx, "1001"), talkers(pbx, "1002"), talkers(pbx, "1003")
    alice.dial("1002")
    invite = bob.expect("INVITE")
    bob.call_id, bob.remote_tag = invite.get("Call-ID"), invite.get("From").split(";tag=")[1]
    bob.reply(invite, 180, "Ringing")
    pbx.wait_event("call.ringing")
    return alice, bob, carol, invite


def test_who_is_of_the_pickup_group_takes_a_call_that_rings(pbx, phones, talkers):
    alice, bob, carol, invite = ringing(pbx, phones, talkers, "crew")
    assert take_place(carol, name_of(bob) + ";early-only") == 200
    cancel = bob.expect("CANCEL")
    bob.reply(cancel, 200, "OK")
    bob.reply(invite, 487, "Request Terminated")
    bob.expect("ACK")
    alice.established()
    both_hear(alice, carol)
    alice.hangup()
    carol.closed()


def test_who_is_not_of_the_group_does_not(pbx, phones, talkers):
    alice, bob, carol, invite = ringing(pbx, phones, talkers, "others")
    assert take_place(carol, name_of(bob)) == 403
    bob.reply(invite, 486, "Busy Here")
    bob.expect("ACK")
    assert "486" in alice.closed()["param"]


def test_a_feature_is_taken_over_too(pbx, phones, talkers):
    """*74 was asked on one phone; another one of the account goes on waiting there in the slot's place."""
    bob, desk = talkers(pbx, "1002", "1002")
    bob.dial("*74")
    assert take_place(desk, name_of(bob), "*74") == 200
    bob.closed()
    slot, = pbx.ctl("parking", "list")
    assert (slot["slot"], slot["caller"]) == (70, "1002")
    desk.hangup()
    pbx.wait_event("call.park_abandoned")
