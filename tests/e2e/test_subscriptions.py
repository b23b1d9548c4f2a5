"""What phones subscribe to beside lamps: messages waiting (RFC 3842), registrations (RFC 3680), whole pages of lamps (RFC 4662), the phone's own keys; and what outlasts a crash."""
import re
import sqlite3
import xml.etree.ElementTree as XML

import pytest
from pbx import Pbx, Refused
from watcher import DIALOG, Watcher, cseq

LISTS = 'presence:\n  lists: [{name: desk, members: [1001, 1002]}]\n'
REG = "{urn:ietf:params:xml:ns:reginfo}"
RLMI = "{urn:ietf:params:xml:ns:rlmi}"


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """One PBX for all of this file; each test has extensions of its own."""
    pbx = Pbx(tmp_path_factory.mktemp("house"), LISTS).start()
    for number in ("1001", "1002"):
        pbx.account(number, name=f"Phone {number}")
    yield pbx
    pbx.stop()


@pytest.fixture
def watcher(house):
    made = []

    def make(number):
        secret = house.account(number) if number not in made_secrets else made_secrets[number]
        made_secrets[number] = secret
        made.append(Watcher(house, number, secret))
        return made[-1]

    made_secrets = {}
    yield make
    for phone in made:
        phone.close()
    for number in made_secrets:
        house.ctl("extension", "remove", number)


def summary(notify):
    """The lines of a message summary as a dictionary."""
    assert notify.get("Content-Type") == "application/simple-message-summary"
    return dict(line.split(": ", 1) for line in notify.body.split("\r\n") if line)


def test_a_phone_watches_its_mailbox(house, watcher):
    watch = watcher("1011").watch("1011", "message-summary")
    assert summary(watch.notify()) == {"Messages-Waiting": "no"}
    house.ctl("mwi", "set", "1011", "new=2", "old=8", "new_urgent=1")
    assert summary(watch.notify()) == {"Messages-Waiting": "yes", "Message-Account": "sip:1011@pbx.test", "Voice-Message": "2/8 (1/0)"}
    house.ctl("mwi", "set", "1011", "old=10", "new_fax=1")
    assert summary(watch.notify())["Fax-Message"] == "1/0"
    assert house.http("GET", "/message-counts/1011")[1] == {
        "mailbox": "1011", "new": 0, "old": 10, "new_urgent": 0, "old_urgent": 0, "new_fax": 1, "old_fax": 0, "owner": "presence"}
    house.ctl("mwi", "clear", "1011")
    assert summary(watch.notify()) == {"Messages-Waiting": "no"}
    assert [event["data"]["new"] for event in house.events("mwi.changed") if event["data"]["mailbox"] == "1011"] == [2, 0, 0]


def test_counts_that_cannot_be_are_refused(house):
    with pytest.raises(Refused) as refused:
        house.ctl("mwi", "set", "1001", "new=1", "new_urgent=2")
    assert "urgent" in str(refused.value)
    assert house.http("PUT", "/message-counts/1001", {"new": -1})[0] == 400
    assert house.http("GET", "/message-counts/1001")[0] == 404
    assert house.http("DELETE", "/message-counts/1001")[0] == 404


def test_a_mailbox_is_its_owners(house, watcher):
    phone = watcher("1012")
    assert phone.ask_to_watch("1001", "message-summary").status == 403
    assert phone.ask_to_watch("1001", "reg").status == 403
    assert phone.ask_to_watch("1999", "message-summary").status == 404
    house.ctl("extension", "set", "1012", "is_admin=true")
    assert phone.ask_to_watch("1001", "message-summary").status == 200


def test_a_phone_that_does_not_ask_is_told_all_the_same(house, watcher):
    phone = watcher("1013")
    assert phone.register().status == 200
    house.ctl("mwi", "set", "1013", "new=3")
    told = phone.expect("NOTIFY")
    assert (told.get("Event"), summary(told)["Voice-Message"]) == ("message-summary", "3/0 (0/0)")
    assert told.get("Subscription-State").startswith("terminated")
    phone.reply(told, 200, "OK")
    assert phone.register(expires=0).status == 200
    assert phone.register().status == 200
    again = phone.expect("NOTIFY")  # a phone that comes anew has forgotten
    assert summary(again)["Messages-Waiting"] == "yes"
    phone.reply(again, 200, "OK")
    watch = phone.watch("1013", "message-summary")
    watch.notify()
    house.ctl("mwi", "set", "1013")
    assert summary(watch.notify())["Messages-Waiting"] == "no"
    assert phone.receive(lambda message: message.method == "NOTIFY", 0.3) is None  # once is enough
    phone.register(expires=0)


def contacts(notify):
    """version, the state of the registration, and its contacts as (state, event, uri)."""
    root = XML.fromstring(notify.body)
    registration = root.find(REG + "registration")
    assert root.get("state") == "full" and registration.get("aor").endswith("@pbx.test")
    found = [(contact.get("state"), contact.get("event"), contact.find(REG + "uri").text) for contact in registration.findall(REG + "contact")]
    return int(root.get("version")), registration.get("state"), found


def test_a_registration_is_watched(watcher):
    phone = watcher("1014")
    watch = phone.watch("1014", "reg")
    assert contacts(watch.notify()) == (0, "init", [])
    phone.register()
    uri = f"sip:1014@127.0.0.1:{phone.port}"
    assert contacts(watch.notify()) == (1, "active", [("active", "registered", uri)])
    phone.register()
    watch.quiet(0.3)  # a refresh is no news
    phone.register(expires=0)
    assert contacts(watch.notify()) == (2, "terminated", [("terminated", "unregistered", uri)])


def page(notify):
    """fullState, {number: display} of the table of contents, and {number: document} of the parts of an RFC 4662 document."""
    boundary = re.search(r'boundary="([^"]+)"', notify.get("Content-Type")).group(1)
    parts = [part.partition("\r\n\r\n") for part in notify.body.split(f"--{boundary}")[1:-1]]
    root = XML.fromstring(parts[0][2].strip())
    cids, names, documents = {}, {}, {}
    for resource in root.findall(RLMI + "resource"):
        number = re.match(r"sip:([^@]+)@", resource.get("uri")).group(1)
        names[number] = resource.findtext(RLMI + "name")
        cids["<" + resource.find(RLMI + "instance").get("cid", "") + ">"] = number
    for head, _, body in parts[1:]:
        cid = re.search(r"Content-ID: (\S+)", head).group(1)
        documents[cids[cid]] = XML.fromstring(body.strip())
    return int(root.get("version")), root.get("fullState") == "true", names, documents


def test_a_page_of_lamps_is_one_subscription(house, watcher):
    phone = watcher("1015")
    assert phone.ask_to_watch("desk").status == 421
    watch = phone.watch("desk", headers=["Supported: eventlist", "Accept: application/dialog-info+xml, application/rlmi+xml, multipart/related"])
    first = watch.notify()
    assert first.get("Require") == "eventlist" and first.get("Content-Type").startswith("multipart/related")
    version, full, names, documents = page(first)
    assert (version, full, names) == (0, True, {"1001": "Phone 1001", "1002": "Phone 1002"})
    assert sorted(documents) == ["1001", "1002"]
    assert documents["1001"].get("state") == "full" and names["1002"] == "Phone 1002"


CSTA = "{http://www.ecma-international.org/standards/ecma-323/csta/ed3}"
KEY = ('<?xml version="1.0" encoding="UTF-8"?><{name} xmlns="http://www.ecma-international.org/standards/ecma-323/csta/ed3"><device/>{values}</{name}>')


def keys(notify):
    """do not disturb, and the forwarding that is on, of an as-feature-event document."""
    boundary = re.search(r'boundary="([^"]+)"', notify.get("Content-Type")).group(1)
    events = [XML.fromstring(part.partition("\r\n\r\n")[2].strip()) for part in notify.body.split(f"--{boundary}")[1:-1]]
    forwards = [event for event in events if event.tag == CSTA + "ForwardingEvent"]
    assert len(events) == 4 and len(forwards) == 3
    return events[0].findtext(CSTA + "doNotDisturbOn") == "true", {
        event.findtext(CSTA + "forwardingType"): event.findtext(CSTA + "forwardTo") for event in forwards
        if event.findtext(CSTA + "forwardStatus") == "true"}


def press(watch, name, **values):
    """A key of the phone, told to the server: the answer."""
    body = KEY.format(name=name, values="".join(f"<{tag}>{text}</{tag}>" for tag, text in values.items()))
    return watch.again(600, body=body, kind="application/x-as-feature-event+xml")


def shows(watch, before, after):
    """The keys go from one state to another and show nothing else on the way: a change is told at once, and again when it is stored unless that is one."""
    while (shown := keys(watch.notify())) == before:
        pass
    assert shown == after


def test_the_keys_of_a_phone_and_ours_are_one(house, watcher):
    phone = watcher("1017")
    watch = phone.watch("1017", "as-feature-event")
    assert keys(watch.notify()) == (False, {})

    assert press(watch, "SetDoNotDisturb", doNotDisturbOn="true").status == 200
    assert keys(watch.notify()) == (True, {})  # at once, though it is being stored still: the key's lamp does not blink
    house.wait_for(lambda: house.ctl("extension", "show", "1017")["dnd"], "the key to be obeyed")
    house.ctl("extension", "set", "1017", "dnd=false")
    shows(watch, (True, {}), (False, {}))

    pressed = press(watch, "SetForwarding", forwardingType="forwardBusy", activateForward="true", forwardDN="sip:1001@pbx.test")
    assert pressed.status == 200
    shows(watch, (False, {}), (False, {"forwardBusy": "1001"}))
    house.wait_for(lambda: house.ctl("extension", "show", "1017")["forwarding"]["busy"] == "1001", "the key to be obeyed")
    house.ctl("extension", "forward", "1017", "always=1002")
    shows(watch, (False, {"forwardBusy": "1001"}), (False, {"forwardBusy": "1001", "forwardImmediate": "1002"}))
    press(watch, "SetForwarding", forwardingType="forwardBusy", activateForward="false")
    shows(watch, (False, {"forwardBusy": "1001", "forwardImmediate": "1002"}), (False, {"forwardImmediate": "1002"}))

    press(watch, "SetForwarding", forwardingType="forwardNoAns", activateForward="true", forwardDN="1017")
    assert keys(watch.notify())[1] == {"forwardImmediate": "1002"}  # to itself: refused, and the key says so
    assert press(watch, "SetDoNotDisturb", doNotDisturbOn="perhaps").status == 400
    assert phone.ask_to_watch("1001", "as-feature-event").status == 403


def test_a_real_phone_shows_what_waits_and_how_a_friend_is(make_pbx, phones):
    pbx = make_pbx()
    pbx.account("1002")
    phone = phones(pbx, "1001", modules=("mwi.so", "contact.so", "presence.so"), account=";mwi=yes", contacts=['"Bob" <sip:1002@pbx.test>;presence=p2p'])
    pbx.ctl("mwi", "set", "1001", "new=2", "old=1")
    phone.wait("MWI_NOTIFY", where=lambda event: "Voice-Message: 2/1 (0/0)" in event["param"])

    def friend_is(shown):
        pbx.wait_for(lambda: re.search(rf"{shown}\S* Bob", phone.command("contacts")["data"]), f"the phone to show Bob as {shown}")

    pbx.ctl("presence", "set", "1002", "available")
    friend_is("Online")
    pbx.ctl("presence", "set", "1002", "busy")
    friend_is("Busy")


def test_subscriptions_of_every_kind_outlast_a_crash(make_pbx):
    pbx = make_pbx(LISTS)
    secrets = {number: pbx.account(number) for number in ("1001", "1002", "1009")}
    phone, caller, callee = (Watcher(pbx, number, secrets[number]) for number in ("1009", "1002", "1001"))
    watches = [phone.watch("desk", headers=["Supported: eventlist"]), phone.watch("1009", "message-summary"), phone.watch("1009", "reg")]
    first = [watch.notify() for watch in watches]
    pbx.ctl("mwi", "set", "1009", "new=4")
    first[1] = watches[1].notify()
    database = f"file:{pbx.directory / 'data' / 'pbx.db'}?mode=ro"

    def kept():
        connection = sqlite3.connect(database, uri=True)
        return (connection.execute("SELECT count(*) FROM subscriptions").fetchone()[0] == 3 and
                connection.execute("SELECT new_voice FROM presence_mailboxes").fetchall() == [(4,)])

    pbx.wait_for(kept, "the rows, written behind the answers")
    pbx.kill()
    pbx.start()
    again = [watch.notify() for watch in watches]
    assert all(cseq(new) > cseq(old) for new, old in zip(again, first))
    version, full, _, documents = page(again[0])
    assert version > 0 and full and sorted(documents) == ["1001", "1002"]
    assert summary(again[1])["Voice-Message"] == "4/0 (0/0)"
    assert contacts(again[2])[1] == "init"

    assert callee.register().status == 200
    invite = caller.ring("1001")
    callee.reply(callee.expect("INVITE"), 180, "Ringing")
    while "1001" not in documents or full:
        version, full, _, documents = page(watches[0].notify())
    assert documents["1001"].findtext("d:dialog/d:state", namespaces=DIALOG) == "early"
    caller.cancel(invite)
    callee.reply(callee.expect("CANCEL"), 200, "OK")
    for sip in (phone, caller, callee):
        sip.close()


def test_a_page_that_changes_keeps_its_watchers(make_pbx):
    pbx = make_pbx()
    phone = Watcher(pbx, "1009", pbx.account("1009"))
    pbx.account("1001")
    pbx.ctl("config", "set", "presence.lists", '[{"name": "row", "members": ["1001"]}]')
    watch = phone.watch("row", headers=["Supported: eventlist"])
    assert list(page(watch.notify())[3]) == ["1001"]
    pbx.ctl("config", "set", "presence.lists", '[{"name": "row", "members": ["1001", "1009"]}]')
    version, full, _, documents = page(watch.notify())
    assert (version, full, sorted(documents)) == (1, True, ["1001", "1009"])
    pbx.ctl("extension", "set", "1001", "name=Ada")
    assert page(watch.notify())[2]["1001"] == "Ada"
    pbx.ctl("config", "set", "presence.auto_away_s", "10")
    watch.quiet(0.3)  # nothing is another one
    with pytest.raises(Refused) as refused:
        pbx.ctl("config", "set", "presence.lists", '[{"name": "1001", "members": ["1009"]}]')
    assert "1001 is an extension" in str(refused.value)
    pbx.ctl("config", "unset", "presence.lists")
    assert watch.notify().get("Subscription-State") == "terminated;reason=deactivated"
    phone.close()
