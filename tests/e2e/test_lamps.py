"""Busy lamps: what a phone that watches a line is told (RFC 6665, RFC 4235), and for how long."""
import sqlite3
import xml.etree.ElementTree as XML

import pytest
from machine import Watch
from watcher import Watcher, cseq, dialogs


@pytest.fixture
def watcher(phones):
    made = []

    def make(pbx, number="1009", **more):
        if (pbx, number) not in phones.secrets:
            phones.secrets[pbx, number] = pbx.account(number, name=f"Phone {number}", **more)
        made.append(Watcher(pbx, number, phones.secrets[pbx, number]))
        return made[-1]

    yield make
    for phone in made:
        phone.close()


def test_a_lamp_follows_a_call(pbx, talkers, watcher):
    callee, caller = talkers(pbx, "1001", "1003")
    watch = watcher(pbx).watch("1001")
    first = watch.notify()
    assert first.get("Subscription-State").startswith("active;expires=")
    assert dialogs(first) == (0, "full", [])

    text = caller.ring("1001", caller.session())
    invite = callee.expect("INVITE")
    callee.call_id = invite.get("Call-ID")
    rung = Watch()
    callee.reply(invite, 180, "Ringing")
    early = watch.notify()
    assert rung.took_s() < 0.2
    version, state, (call,) = dialogs(early)
    assert (version, state, call["state"], call["direction"]) == (1, "partial", "early", "recipient")
    assert call["remote"] == "sip:1003@pbx.test"
    assert call["call-id"] == invite.get("Call-ID") and call["remote-tag"] == callee.tag

    callee.reply(invite, 200, "OK", body=callee.session())
    callee.expect("ACK")
    callee._take_part(invite, invite.get("From"))
    confirmed = watch.notify()
    assert dialogs(confirmed)[0] == 2 and dialogs(confirmed)[2][0]["state"] == "confirmed"

    answer = caller.receive(lambda message: message.status == 200 and "INVITE" in message.get("CSeq"))
    caller.acknowledge(answer, text.split()[1])
    callee.hangup()
    ended = watch.notify()
    assert dialogs(ended)[0] == 3 and dialogs(ended)[2][0]["state"] == "terminated"
    assert [cseq(message) for message in (first, early, confirmed, ended)] == sorted({cseq(m) for m in (first, early, confirmed, ended)})
    caller.closed()


def test_each_line_has_its_own_subscription(pbx, phones, watcher):
    pbx.account("1002"), pbx.account("1004")
    one, caller = phones(pbx, "1001", "1003")
    phone = watcher(pbx)
    watches = {number: phone.watch(number) for number in ("1001", "1002", "1004")}
    for watch in watches.values():
        assert dialogs(watch.notify())[0] == 0
    caller.dial("1001")
    assert dialogs(watches["1001"].notify())[2]
    watches["1002"].quiet(0.3)
    watches["1004"].quiet(0.1)
    caller.hangup()


def test_who_asks_wrongly_is_told_what_would_be_right(pbx, watcher):
    pbx.account("1001")
    phone = watcher(pbx)
    assert phone.ask("SUBSCRIBE", "sip:1001@pbx.test", ["Event: dialog"]).status == 401
    answer = phone.ask_to_watch("1001", "foo")
    assert answer.status == 489 and "dialog" in answer.get("Allow-Events")
    answer = phone.ask_to_watch("1001", expires=5)
    assert answer.status == 423 and answer.get("Min-Expires") == "60"
    assert phone.ask_to_watch("1999").status == 404
    assert phone.ask_to_watch("1001", headers=["Accept: text/plain"]).status == 406


def test_a_subscription_is_refreshed_and_ended(pbx, watcher):
    pbx.account("1001")
    watch = watcher(pbx).watch("1001")
    watch.notify()
    assert watch.again(300).status == 200
    again = watch.notify()
    assert dialogs(again) == (1, "full", []) and "expires=" in again.get("Subscription-State")
    assert watch.again(0).status == 200
    assert watch.notify().get("Subscription-State") == "terminated;reason=timeout"
    assert watch.again(300).status == 481


def test_an_orderly_stop_says_that_the_phone_should_subscribe_again(pbx, watcher):
    pbx.account("1001")
    watch = watcher(pbx).watch("1001")
    watch.notify()
    pbx.stop()
    assert watch.notify().get("Subscription-State") == "terminated;reason=deactivated"


def test_lamps_survive_kill_9(pbx, phones, watcher):
    phones.secrets[pbx, "1001"] = pbx.account("1001")
    watch = watcher(pbx).watch("1001")
    first = watch.notify()
    database = f"file:{pbx.directory / 'data' / 'pbx.db'}?mode=ro"
    pbx.wait_for(lambda: sqlite3.connect(database, uri=True).execute("SELECT id FROM subscriptions").fetchall(), "the row, written behind the 200")
    pbx.kill()
    pbx.start()
    again = watch.notify()
    assert cseq(again) > cseq(first) and dialogs(again)[0] > 0 and dialogs(again)[1] == "full"
    callee, caller = phones(pbx, "1001", "1003")
    caller.dial("1001")
    assert dialogs(watch.notify())[2][0]["state"] == "early"
    caller.hangup()


def test_who_is_gone_is_forgotten(pbx, phones, watcher):
    one, caller = phones(pbx, "1001", "1003")
    phone = watcher(pbx)
    watch = phone.watch("1001")
    watch.notify()
    caller.dial("1001")
    phone.reply(phone.expect("NOTIFY"), 481, "Gone")
    assert watch.again(300).status == 481
    caller.hangup()


def test_a_parking_slot_has_a_lamp(pbx, talk, watcher):
    caller, callee = talk(pbx, "1001", "1002")
    watch = watcher(pbx).watch("70")
    assert dialogs(watch.notify())[2] == []
    pbx.ctl("parking", "park", pbx.ctl("calls", "list")[0]["call_id"])
    (call,) = dialogs(watch.notify())[2]
    assert call["state"] == "confirmed" and call["remote"] in ("sip:1001@pbx.test", "sip:1002@pbx.test")
    caller.hangup()
    assert dialogs(watch.notify())[2] == []


def pidf(notify):
    """basic, the activities and the notes of a PIDF document."""
    root = XML.fromstring(notify.body)
    names = [node.tag.split("}")[1] for node in root.findall(".//r:activities/*", {"r": "urn:ietf:params:xml:ns:pidf:rpid"})]
    return root.find(".//{urn:ietf:params:xml:ns:pidf}basic").text, names, [node.text for node in root.iter("{urn:ietf:params:xml:ns:pidf}note")]


def test_availability_is_one_state_out_of_many(pbx, phones, watcher):
    pbx.account("1001")
    phone = watcher(pbx)
    phones.secrets[pbx, "1001"] = pbx.ctl("extension", "secret", "1001")["sip_secret"]
    watch = phone.watch("1001", "presence")
    assert pidf(watch.notify())[0] == "closed"
    own = watcher(pbx, "1001")
    assert own.register().status == 200
    assert pidf(watch.notify()) == ("open", [], [])
    pbx.ctl("presence", "set", "1001", "in_meeting", "message=Until noon")
    assert pidf(watch.notify()) == ("closed", ["meeting"], ["Until noon"])
    pbx.ctl("presence", "set", "1001", "automatic")
    assert pidf(watch.notify()) == ("open", [], [])
    pbx.ctl("extension", "set", "1001", "dnd=true")
    assert pidf(watch.notify()) == ("closed", ["busy"], ["Do not disturb"])
    pbx.ctl("extension", "set", "1001", "dnd=false")
    assert pidf(watch.notify())[0] == "open"
    assert own.register(expires=0).status == 200
    assert pidf(watch.notify())[0] == "closed"
    assert pbx.ctl("presence", "show", "1001")["status"] == "offline"


def test_who_is_idle_is_away(make_pbx, watcher, phones):
    pbx = make_pbx("presence:\n  auto_away_s: 2\n")
    own = watcher(pbx, "1001")
    own.register()
    pbx.wait_event("presence.changed", where=lambda data: data["new"] == "away")
    after = pbx.last_seq()
    pbx.ctl("presence", "set", "1001", "automatic")
    assert pbx.wait_event("presence.changed", after)["data"]["new"] == "available"


PUBLISHED = """<?xml version="1.0"?><presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:r="urn:ietf:params:xml:ns:pidf:rpid" entity="sip:1001@pbx.test">
<tuple id="a"><status><basic>open</basic></status></tuple><r:activities><r:away/></r:activities></presence>"""


def test_a_phone_publishes_how_its_user_is(pbx, watcher):
    own = watcher(pbx, "1001")
    published = own.request("PUBLISH", "sip:1001@pbx.test", ["Event: presence", "Expires: 300"], body=PUBLISHED, kind="application/pidf+xml")
    assert published.status == 200 and published.get("SIP-ETag")
    assert pbx.ctl("presence", "show", "1001")["status"] == "away"
    assert own.request("PUBLISH", "sip:1001@pbx.test", ["Event: presence", "SIP-If-Match: other"]).status == 412
    assert own.request("PUBLISH", "sip:1001@pbx.test", ["Event: presence"], body="<not", kind="application/pidf+xml").status == 400
    refused = own.request("PUBLISH", "sip:1001@pbx.test", ["Event: dialog"], body=PUBLISHED, kind="application/pidf+xml")
    assert refused.status == 489 and {"presence", "vq-rtcpxr"} == set(refused.get("Allow-Events").split(", "))
    refused = own.request("PUBLISH", "sip:1001@pbx.test", ["Event: presence"], body="x", kind="text/plain")
    assert refused.status == 415 and refused.get("Accept") == "application/pidf+xml"
    tag = published.get("SIP-ETag")
    assert own.request("PUBLISH", "sip:1001@pbx.test", ["Event: presence", "Expires: 0", f"SIP-If-Match: {tag}"]).status == 200
    assert pbx.ctl("presence", "show", "1001")["status"] == "offline"


def test_what_was_chosen_survives_a_restart(pbx):
    pbx.account("1001")
    pbx.ctl("presence", "set", "1001", "busy", "message=Thinking")
    pbx.stop()
    pbx.start()
    shown = pbx.ctl("presence", "show", "1001")
    assert (shown["status"], shown["message"]) == ("busy", "Thinking")
