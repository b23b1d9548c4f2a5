"""Short messages (RFC 3428): to a phone that is there, to one that comes later, and to nobody."""
import pytest
from pbx import Refused


def say(talker, number, text, headers=(), kind="text/plain;charset=UTF-8"):
    answer = talker.request("MESSAGE", f"sip:{number}@pbx.test", headers, body=text, kind=kind)
    return answer.status


def test_all_phones_of_an_account_get_it_and_one_is_enough(pbx, talkers):
    alice, desk, mobile = talkers(pbx, "1001", "1002", "1002")
    uri = "sip:1002@pbx.test"
    refused = alice.ask("MESSAGE", uri, body="Grüße & <more>", kind="text/plain;charset=UTF-8")
    alice.cseq += 1
    alice.send(alice.text("MESSAGE", uri, [alice.credentials(refused, "MESSAGE", uri)], body="Grüße & <more>", kind="text/plain;charset=UTF-8"))
    for phone in (desk, mobile):
        message = phone.expect("MESSAGE")
        assert message.body == "Grüße & <more>" and message.get("Content-Type") == "text/plain;charset=UTF-8"
        assert "<sip:1001@pbx.test>" in message.get("From")
        phone.reply(message, *((486, "Busy Here") if phone is desk else (200, "OK")))
    assert alice.receive(lambda message: message.status >= 200).status == 200
    pbx.wait_event("message.delivered", where=lambda data: data["from"] == "1001" and data["to"] == "1002")
    assert pbx.ctl("message", "list") == []


def test_who_is_away_gets_it_when_registering_even_after_a_crash(pbx, phones, talkers):
    phones.secrets[pbx, "1002"] = pbx.account("1002")
    alice = talkers(pbx, "1001")
    assert [say(alice, "1002", text) for text in ("one", "two")] == [202, 202]
    assert [(item["from"], item["text"]) for item in pbx.ctl("message", "list")] == [("1001", "one"), ("1001", "two")]
    pbx.kill()
    pbx.restart()
    bob = talkers(pbx, "1002")
    got = []
    while len(got) < 2:
        message = bob.expect("MESSAGE")
        bob.reply(message, 200, "OK")
        got.append(message.body)
    assert sorted(got) == ["one", "two"]
    pbx.wait_for(lambda: pbx.ctl("message", "list") == [], "nothing to wait")
    bob.register()
    assert bob.receive(lambda message: message.method == "MESSAGE", 0.5) is None


def test_what_cannot_be_delivered_is_refused_at_the_door(make_pbx, phones, talkers):
    pbx = make_pbx("messages:\n  most_bytes: 200\n  most_waiting: 2\n  per_minute: 4\n")
    phones.secrets[pbx, "1002"] = pbx.account("1002")
    alice = talkers(pbx, "1001")
    assert say(alice, "1999", "hello") == 404
    assert say(alice, "1002", "x" * 201) == 413
    assert [say(alice, "1002", "hello") for _ in range(3)] == [202, 202, 480]
    assert say(alice, "1002", "hello", ["Require: wonder"]) == 420
    assert [say(alice, "1002", "again"), say(alice, "1002", "and again")] == [480, 503]
    assert alice.ask("MESSAGE", "sip:1002@pbx.test", body="no credentials").status == 407


def test_a_phone_that_does_not_want_such_content_says_so(pbx, talkers):
    alice, bob = talkers(pbx, "1001", "1002")
    uri = "sip:1002@pbx.test"
    refused = alice.ask("MESSAGE", uri, body="<x/>", kind="application/xml")
    alice.cseq += 1
    alice.send(alice.text("MESSAGE", uri, [alice.credentials(refused, "MESSAGE", uri)], body="<x/>", kind="application/xml"))
    bob.reply(bob.expect("MESSAGE"), 415, "Unsupported Media Type")
    assert alice.receive(lambda message: message.status >= 200).status == 415
    assert pbx.ctl("message", "list") == []


def test_people_send_read_and_take_back(pbx, phones):
    phones.secrets[pbx, "1002"] = pbx.account("1002")
    status, sent = pbx.http("POST", "/messages", {"to": "1002", "text": "Taxi is here", "from": "reception"})
    assert (status, sent["outcome"]) == (202, "stored")
    item, = pbx.ctl("message", "list", "1002")
    assert (item["id"], item["from"], item["text"]) == (sent["id"], "reception", "Taxi is here")
    with pytest.raises(Refused, match="nobody has the number 1999"):
        pbx.ctl("message", "send", "1999", "hello")
    pbx.ctl("message", "remove", sent["id"])
    assert pbx.http("GET", "/messages")[1] in ([], {"items": []})
    with pytest.raises(Refused, match="no such message"):
        pbx.ctl("message", "remove", sent["id"])
