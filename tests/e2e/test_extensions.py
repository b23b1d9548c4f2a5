"""Extensions as their owners know them: who may leave the house, forwarding, picking up, and phones behind a router."""
import json
import re

import pytest
from pbx import Refused
from sip_client import SipClient


@pytest.fixture
def client():
    made = []

    def make(pbx, number, **account):
        made.append(SipClient(pbx, number, pbx.account(number, **account)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def ringing(client):
    """Accounts whose phones are ours: each shows the INVITE that reaches it."""
    def make(pbx, *numbers, **account):
        phones = [client(pbx, number, **account) for number in numbers]
        for phone in phones:
            assert phone.register().status == 200
        return phones
    return make


def test_who_may_not_leave_the_house_gets_403_and_the_call_is_no_call(pbx, ringing):
    """Acceptance 5."""
    (bob,) = ringing(pbx, "1002")
    assert bob.invite("5551234567").status == 404  # nobody has it, but it might be asked for
    assert pbx.http("PUT", "/extensions/1002", {"allow_external": False})[0] == 200
    assert bob.invite("5551234567").status == 403
    ended = pbx.wait_event("call.ended", where=lambda data: data["sip_code"] == 403)["data"]
    assert ended["cause"] == "not_permitted" and not pbx.events("call.answered")


def test_explain_tells_which_class_a_number_is_and_what_the_caller_may(pbx, ringing):
    (bob,) = ringing(pbx, "1002", call_class="local")
    assert bob.invite("9005551234").status == 403
    text = json.dumps(pbx.ctl("route", "explain", "1002", "+442071234567"))
    assert "1002 may call local numbers, this one is international" in text and "403" in text
    assert "1002 may call local numbers, this one is local" in json.dumps(pbx.ctl("route", "explain", "1002", "5551234"))


def test_a_name_that_a_command_has_not_is_refused_and_not_taken_for_something_else(pbx):
    with pytest.raises(Refused) as refused:
        pbx.ctl("extension", "add", "1002", "forward_always=1003")
    assert refused.value.code == 64 and "forward_always: unknown" in str(refused.value)
    assert pbx.ctl("extension", "list") == []
    with pytest.raises(Refused) as refused:
        pbx.ctl("extension", "add", "1002", "nam=Ada")
    assert "did you mean name?" in str(refused.value)
    assert pbx.ctl("extension", "add", "1002", "--", "a=b")["name"] == "a=b"


def test_a_forwarded_call_says_who_forwarded_it_and_why(pbx, ringing):
    """Acceptance 7, with History-Info (RFC 7044) beside Diversion."""
    alice, dora, carol = ringing(pbx, "1001", "1004", "1003")
    assert alice.invite("*761004").status == 200
    pbx.wait_for(lambda: pbx.ctl("extension", "show", "1001")["forwarding"]["always"] == "1004", "the forwarding to be kept")
    carol.ring("1001")
    invite = dora.expect("INVITE")
    assert re.match(r"<sip:1001@[^>]+>;reason=unconditional", invite.get("Diversion")), invite.headers
    history = ",".join(invite.all("History-Info"))
    assert "sip:1001@" in history and "index=1" in history
    dora.reply(invite, 486, "Busy Here")
    told = pbx.wait_event("call.forwarded")["data"]
    assert (told["from"], told["to"], told["reason"]) == ("1001", "1004", "unconditional")


def test_six_who_forward_to_each_other_do_not_ring_for_ever(pbx, ringing):
    numbers = ["1001", "1002", "1003", "1004", "1005", "1006"]
    (caller,) = ringing(pbx, "1000")
    for number, to in zip(numbers, numbers[1:] + numbers[:1]):
        pbx.account(number)
        assert pbx.http("PUT", f"/extensions/{number}/forwarding", {"always": to})[0] == 200
    answer = caller.invite("1001")
    assert 400 <= answer.status < 700


@pytest.mark.parametrize("code", ["*8", "**1001"])
def test_a_neighbours_call_is_picked_up(pbx, phones, code):
    for number in ("1001", "1002", "1003"):
        phones.secrets[pbx, number] = pbx.account(number, pickup_group="sales")
    alice, bob, carol = phones(pbx, "1001", "1002", "1003")
    carol.dial("1001")
    alice.wait("CALL_INCOMING")
    bob.dial(code).established()
    alice.closed()
    assert bob.hears(carol.hertz) and carol.hears(bob.hertz)
    carol.hangup()
    bob.closed()


def test_a_phone_behind_a_router_is_asked_whether_it_is_there(make_pbx, client):
    """It says 192.0.2.7 and its packets come from elsewhere: OPTIONS go where they come from, and the time is measured."""
    pbx = make_pbx("sip:\n  keepalive_s: 1\n")
    hidden, open_one = client(pbx, "1001"), client(pbx, "1002")
    assert hidden.register(contact="<sip:1001@192.0.2.7:5062>").status == 200 and open_one.register().status == 200

    asked = hidden.expect("OPTIONS")
    assert asked.start.startswith("OPTIONS sip:1001@192.0.2.7:5062 ")
    hidden.reply(asked, 200, "OK")

    def state():
        return pbx.ctl("registrations", "list", "1001")[0]

    answered = pbx.wait_for(lambda: (now := state()).get("round_trip_ms") and now, "the round trip")
    assert 0 < answered["round_trip_ms"] < 5000 and answered["unanswered"] == 0
    hidden.reply(hidden.expect("OPTIONS"), 486, "Busy Here")  # any answer is a sign of life
    hidden.expect("OPTIONS")  # and this one stays unanswered: it counts when it would be asked again
    assert open_one.receive(lambda message: message.method == "OPTIONS", seconds=2) is None
    pbx.wait_for(lambda: state()["unanswered"] >= 1, "the silence to be noticed")
