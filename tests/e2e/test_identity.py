"""Who calls, as a callee is shown it, between phones: anonymous, by whom it was sent, with which headers; loops; how many calls at once."""
import re
import threading

import pytest

from sip_client import SipClient
from watcher import Watcher, dialogs


@pytest.fixture
def house(make_pbx, talkers):
    """1001 and 1002 with a list of headers that pass, 1003 an operator's desk that is trusted."""
    pbx = make_pbx("sip:\n  pass_headers: [Alert-Info]")
    return pbx, *talkers(pbx, "1001", "1002")


def invite_at(callee, status=486):
    """What reaches the callee, who refuses it."""
    invite = callee.expect("INVITE")
    callee.reply(invite, status, "No")
    callee.expect("ACK")
    return invite


def calls(caller, number, headers=(), **more):
    refused = []
    thread = threading.Thread(target=lambda: refused.append(caller.invite(number, headers=headers, **more)))
    thread.start()
    return thread, refused


def test_who_calls_anonymously_is_nowhere_to_be_seen(house, talkers, phones):
    pbx, alice, bob = house
    watcher = Watcher(pbx, "1004", pbx.account("1004"))
    watch = watcher.watch("1002")
    watch.notify()
    phones.secrets[pbx, "1003"] = pbx.account("1003", name="Desk", trusted=True)
    desk = talkers(pbx, "1003")
    for callee, number in ((bob, "1002"), (desk, "1003")):
        thread, _ = calls(alice, number, ["Privacy: id", "Alert-Info: <urn:alert:service:normal>", "X-Secret: 1"])
        invite = callee.expect("INVITE")
        callee.reply(invite, 180, "Ringing")
        if callee is bob:
            _, _, (lamp,) = dialogs(watch.notify())
            assert (lamp["state"], lamp["direction"], lamp["remote"]) == ("early", "recipient", None)
        shown = pbx.ctl("calls", "list")
        callee.reply(invite, 486, "No")
        callee.expect("ACK")
        thread.join()
        assert "anonymous.invalid" in invite.get("From") and invite.get("Privacy") == "id"
        assert invite.all("Alert-Info") == ["<urn:alert:service:normal>"] and not invite.all("X-Secret")
        assert ("1001" in invite.get("P-Asserted-Identity")) == (callee is desk)
        assert [call["from"] for call in shown] == [""]
    watcher.close()
    started = pbx.events("call.started")[-1]["data"]
    assert started["withheld"] and started["from"]["number"] == ""
    thread, _ = calls(alice, "1002")
    invite = invite_at(bob)
    thread.join()
    assert "sip:1001@" in invite.get("From") and "sip:1001@" in invite.get("P-Asserted-Identity") and not invite.all("Privacy")


def test_an_account_makes_no_more_calls_than_it_may(house, talkers, phones):
    pbx, alice, bob = house
    pbx.ctl("extension", "set", "1001", "max_outgoing=1")
    answering = threading.Thread(target=bob.answer)
    answering.start()
    alice.dial("1002")
    answering.join()
    second = SipClient(pbx, "1001", phones.secrets[pbx, "1001"])
    assert second.invite("1003").status == 403
    assert "1 of 1 calls that 1001 may have made at once" in str(pbx.says("route", "explain", "1001", "1002"))
    alice.hangup()
    bob.closed()
    assert second.invite("1999").status == 404
    second.close()


def forward(client, invite, number, hop):
    """As a proxy does: the same INVITE, with a Via of its own on top, for this number."""
    text = [f"INVITE sip:{number}@pbx.test SIP/2.0", f"Via: SIP/2.0/UDP {client.host}:{client.port};branch=z9hG4bKproxy{hop};rport"]
    text += [f"{name}: {value}" for name, value in invite.headers if name.lower() not in ("content-length", "record-route")]
    client.send("\r\n".join(text + [f"Content-Length: {len(invite.body)}", "", invite.body]))


def test_what_comes_round_is_a_loop_and_what_asks_for_another_is_not(make_pbx, talkers):
    pbx = make_pbx("sip:\n  peers: [127.0.0.9]")
    alice, bob, carol = talkers(pbx, "1001", "1002", "1003")
    proxy = SipClient(pbx, "1002", bob.secret, host="127.0.0.9")
    assert proxy.register().status == 200
    assert bob.register(expires=0).status == 200
    thread, refused = calls(alice, "1002")
    first = proxy.expect("INVITE")
    forward(proxy, first, "1002", 1)
    assert proxy.receive(lambda message: message.status >= 200).status == 482
    forward(proxy, first, "1003", 2)
    invite_at(carol, 480)
    assert proxy.receive(lambda message: message.status >= 200).status == 480
    proxy.reply(first, 482, "Loop Detected")
    thread.join()
    assert refused[0].status == 482
    pbx.assert_nothing_left()


def test_who_was_sent_here_says_by_whom(house, talkers):
    pbx, alice, bob = house
    carol = talkers(pbx, "1003")
    answering = threading.Thread(target=bob.answer)
    answering.start()
    alice.dial("1002")
    answering.join()
    told = []
    asking = threading.Thread(target=lambda: told.extend(bob.refer("1003")))
    asking.start()
    invite = invite_at(carol)
    asking.join()
    assert re.search(r"<sip:1002@", invite.get("Referred-By")) and told[-1] == 486
    alice.hangup()
    bob.closed()


def test_a_phone_is_shown_by_the_name_of_its_account_whatever_it_says(house):
    pbx, alice, bob = house
    for name in ("Phone 1001", "Ada Lovelace"):
        pbx.ctl("extension", "set", "1001", f"name={name}")
        for said in ("", "The Director"):
            thread, _ = calls(alice, "1002", shown=said)
            invite = invite_at(bob)
            thread.join()
            assert all(re.match(f'"{name}" <sip:1001@', invite.get(header)) for header in ("From", "P-Asserted-Identity"))
            assert pbx.events("call.started")[-1]["data"]["from"]["name"] == name
    thread, _ = calls(alice, "1002", ["Privacy: id"])
    invite = invite_at(bob)
    thread.join()
    assert "Ada" not in str(invite.headers)


def test_a_name_with_quotes_emoji_and_300_letters_arrives_in_one_piece(house):
    pbx, alice, bob = house
    pbx.ctl("extension", "set", "1001", "name=")
    said = 'Zoë \\"the\\" 🚀 ' + 300 * "x"
    thread, _ = calls(alice, "1002", shown=said)
    invite = invite_at(bob)
    thread.join()
    name = re.match(r'"((?:[^"\\]|\\.)*)" <sip:1001@pbx\.\w+>;tag=\w+$', invite.get("From")).group(1)
    assert said.startswith(name) and len(name.encode()) >= 120
    assert pbx.events("call.started")[-1]["data"]["from"]["name"].startswith('Zoë "the" 🚀 xxx')
