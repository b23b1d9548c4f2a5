"""What is said before a call is answered, who answers in another's place, and why it ended: on the wire, both legs of it."""
import re
import threading

import pytest
from talker import Talker, direction_of


def begin(caller, number, headers=(), body=None):
    """INVITE with credentials, on its way: the text of it."""
    uri = f"sip:{number}@pbx.test"
    body = caller.session() if body is None else body
    refused = caller.ask("INVITE", uri, body=body)
    caller.acknowledge(refused, uri)
    caller.cseq += 1
    text = caller.text("INVITE", uri, [caller.credentials(refused, "INVITE", uri), *headers], body=body)
    caller.send(text)
    return text


def response(phone, status, method="INVITE"):
    found = phone.receive(lambda message: message.status == status and message.get("CSeq").endswith(method))
    assert found, f"{phone.number}: no {status} to {method}; there were {[m.start for m in phone.kept]}"
    return found


def early(callee, invite, tag, rseq=None):
    """A 183 with media, reliable where rseq says so."""
    callee.tag, callee.call_id = tag, invite.get("Call-ID")
    callee.reply(invite, 183, "Session Progress", ["Require: 100rel", f"RSeq: {rseq}"] if rseq else [], body=callee.session())
    callee._take_part(invite, invite.get("From"))


def talk(a, b):
    assert a.hears(b.hertz) and b.hears(a.hertz)


def test_early_media_is_acknowledged_on_both_sides_and_may_change(pbx, talkers):
    """100rel (RFC 3262) is each leg's own; the early dialog takes an UPDATE with media (RFC 3311)."""
    alice, bob = talkers(pbx, "1001", "1002")
    text = begin(alice, "1002", ["Supported: 100rel", "Allow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE"])
    invite = bob.expect("INVITE")
    assert "100rel" in invite.get("Supported")
    early(bob, invite, "bob", rseq=77)
    prack = bob.expect("PRACK")
    assert prack.get("RAck") == f"77 {invite.get('CSeq')}" and ";tag=bob" in prack.get("To")
    bob.reply(prack, 200, "OK")

    progress = response(alice, 183)
    assert progress.get("Require") == "100rel" and progress.get("RSeq")
    assert response(alice, 183).get("RSeq") == progress.get("RSeq"), "it comes again until it is acknowledged"
    alice._take_part(progress, progress.get("To"))
    assert alice.ask("PRACK", alice.target, [f"RAck: {progress.get('RSeq')} {alice.cseq} INVITE"], to=alice.remote, to_tag=alice.remote_tag).status == 200
    talk(alice, bob)
    updated = alice.ask("UPDATE", alice.target, to=alice.remote, to_tag=alice.remote_tag, body=alice.session("sendonly"))
    assert updated.status == 200 and direction_of(updated) == "recvonly"
    updated = alice.ask("UPDATE", alice.target, to=alice.remote, to_tag=alice.remote_tag, body=alice.session())
    assert updated.status == 200 and direction_of(updated) == "sendrecv"

    bob.reply(invite, 200, "OK")
    assert bob.expect("ACK")
    alice.acknowledge(response(alice, 200), text.split()[1])
    talk(alice, bob)
    alice.hangup()
    bob.closed()


def test_a_call_without_an_offer_gets_ours(pbx, talkers):
    alice, bob = talkers(pbx, "1001", "1002")
    text = begin(alice, "1002", body="")
    bob.answer()
    offer = response(alice, 200)
    assert re.search(r"^m=audio [1-9]\d* RTP/AVP ", offer.body, re.M)
    alice.acknowledge(offer, text.split()[1], alice.session())
    alice._take_part(offer, offer.get("To"))
    talk(alice, bob)
    bob.hangup()
    alice.closed()


@pytest.mark.parametrize("said, reason, cause", [([], "unconditional", 302), (['Diversion: "Bob" <sip:1002@pbx.test>;reason=user-busy'], "user-busy", 486)])
def test_a_phone_that_sends_its_call_elsewhere_is_named_there(pbx, talkers, said, reason, cause):
    """302: the next phone learns by whom and why, in both spellings (RFC 5806, RFC 7044)."""
    alice, bob, carol = talkers(pbx, "1001", "1002", "1003")
    text = begin(alice, "1002")
    moved = bob.expect("INVITE")
    bob.reply(moved, 302, "Moved Temporarily", ["Contact: <sip:1003@pbx.test>", *said])
    assert bob.expect("ACK")
    invite = carol.expect("INVITE")
    assert re.match(rf"<sip:1002@[^>]+>;reason={reason}", invite.get("Diversion"))
    assert re.match(rf"<sip:1002@[^>]+Reason=SIP%3Bcause%3D{cause}>;index=1", invite.get("History-Info"))
    assert "sip:1001@" in invite.get("From")
    carol.reply(invite, 486, "Busy Here")
    assert carol.expect("ACK")
    alice.acknowledge(response(alice, 486), text.split()[1])


def test_the_cause_goes_through_to_the_other_leg(pbx, talkers):
    """Reason (RFC 3326) of a refusal and of a BYE."""
    alice, bob = talkers(pbx, "1001", "1002")
    text = begin(alice, "1002")
    invite = bob.expect("INVITE")
    bob.reply(invite, 503, "Service Unavailable", ["Reason: Q.850;cause=34;text=\"No circuit\""])
    assert bob.expect("ACK")
    refused = alice.receive(lambda message: message.status >= 400 and "INVITE" in message.get("CSeq"))
    alice.acknowledge(refused, text.split()[1])
    assert refused.get("Reason").startswith("Q.850;cause=34")

    answering = threading.Thread(target=bob.answer)
    answering.start()
    alice.dial("1002")
    answering.join()
    assert bob.inside("BYE", ["Reason: Q.850;cause=27"]).status == 200
    bye = alice.expect("BYE")
    alice.reply(bye, 200, "OK")
    assert bye.get("Reason") == "Q.850;cause=27"


@pytest.fixture
def carrier(make_pbx):
    """A PBX with a provider that is trusted: .line(number) is a party of it, with a voice."""
    pbx, lines = make_pbx("sip_trunk:\n  register_jitter_s: 0\n"), []

    def line(number, hertz):
        lines.append(Talker(pbx, number, "", hertz, host="127.0.0.2"))
        return lines[-1]

    far = line("12125551212", 1100)
    pbx.ctl("trunk", "add", "carrier", "host=127.0.0.2", f"port={far.port}", "keep_alive_interval_s=0", "trusted=true")
    pbx.ctl("outbound-route", "add", "out", "pattern=1[2-9][0-9]{9}", "trunks=carrier")
    pbx.ctl("inbound-route", "add", "main", "did=12125550100", "destination=1001")
    yield pbx, far
    for one in lines:
        one.close()


def answered(phone):
    phone.thread = threading.Thread(target=phone.answer)
    phone.thread.start()
    return phone


def diversions(message):
    return [re.match(r"<sip:([^@]+)@[^>]+>;reason=([^;]+)", value).groups() for value in message.all("Diversion")]


@pytest.mark.parametrize("lines, told", [
    (["Diversion: <sip:+13125550002@carrier.test>;reason=no-answer, <sip:13125550001@carrier.test>;reason=\"user-busy\";counter=2",
      "Diversion: <sip:13125550000@carrier.test>;privacy=full;reason=unconditional"], [("+13125550002", "no-answer"), ("13125550001", "user-busy")]),
    (["History-Info: <sip:13125550001@carrier.test?Reason=SIP%3Bcause%3D486>;index=1, <sip:13125550002@carrier.test?Reason=SIP%3Bcause%3D302>;index=1.1",
      "History-Info: <sip:12125550100@carrier.test>;index=1.1.1"], [("13125550002", "unconditional"), ("13125550001", "user-busy")]),
    (["Diversion: <<<", "History-Info: ;;"], [])])
def test_who_sent_a_call_on_before_it_came_to_us_is_told_to_the_next(carrier, talkers, lines, told):
    """And before them who did so here. What a phone tells of that is believed of nobody."""
    pbx, far = carrier
    alice, bob = talkers(pbx, "1001", "1002")
    pbx.http("PUT", "/extensions/1001/forwarding", {"always": "1002"})
    far.send(far.text("INVITE", "sip:12125550100@pbx.test", lines, body=far.session()))
    invite = bob.expect("INVITE")
    assert diversions(invite) == [("1001", "unconditional"), *told]
    bob.reply(invite, 486, "Busy Here")
    assert bob.expect("ACK")
    far.acknowledge(response(far, 486), "sip:12125550100@pbx.test")
    text = begin(bob, "1001", lines)
    invite = bob.expect("INVITE")
    assert diversions(invite) == [("1001", "unconditional")]
    bob.reply(invite, 486, "Busy Here")
    assert bob.expect("ACK")
    bob.acknowledge(response(bob, 486), text.split()[1])


def test_a_providers_party_is_transferred_to_a_phone_and_a_phones_to_a_provider(carrier, talkers):
    pbx, far = carrier
    alice, bob = talkers(pbx, "1001", "1002")
    answered(alice)
    far.dial("12125550100")
    alice.thread.join()
    talk(far, alice)
    answered(bob)
    assert alice.refer("1002")[-1] == 200
    bob.thread.join()
    alice.closed()
    talk(far, bob)
    bob.hangup()
    far.closed()

    answered(bob)
    alice.dial("1002")
    bob.thread.join()
    answered(far)
    assert bob.refer("12125551212")[-1] == 200
    far.thread.join()
    bob.closed()
    talk(alice, far)
    alice.hangup()
    far.closed()


def test_a_trusted_provider_transfers_its_own_party(carrier, talkers):
    """Its REFER is ours to carry out; of one that is not trusted it is 403."""
    pbx, far = carrier
    alice, bob = talkers(pbx, "1001", "1002")
    answered(alice)
    far.dial("12125550100")
    alice.thread.join()
    answered(bob)
    assert far.refer("1002")[-1] == 200
    bob.thread.join()
    far.closed()
    talk(alice, bob)
    alice.hangup()
    bob.closed()

    pbx.ctl("trunk", "set", "carrier", "trusted=false")
    answered(alice)
    far.dial("12125550100")
    alice.thread.join()
    assert far.inside("REFER", ["Refer-To: <sip:1002@pbx.test>"]).status == 403
    talk(far, alice)
    far.hangup()
    alice.closed()
