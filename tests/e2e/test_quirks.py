"""Phones that want their SDP otherwise than the book says: known by User-Agent, when they are called and when they call."""
import re

import pytest
from pbx import Refused
from ports import free_port
from sip_client import OFFER, SipClient

ZIP = "User-Agent: Zultys ZIP 37G 5.3.1"


@pytest.fixture
def client():
    made = []

    def make(pbx, number):
        made.append(SipClient(pbx, number, pbx.account(number)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def register(phone, agent):
    return phone.request("REGISTER", "sip:pbx.test", [f"Contact: <sip:{phone.number}@{phone.host}:{phone.port}>", agent], to=f"sip:{phone.number}@pbx.test")


def lines(message, name):
    return re.findall(rf"^a={name}:(.*?)\r?$", message.body, re.M)


def types(message):
    return re.search(r"^m=audio \d+ \S+ (.+?)\r?$", message.body, re.M).group(1).split()


def called(pbx, caller, phone):
    """The INVITE that a phone gets, which declines."""
    text = caller.ring(phone.number)
    invite = phone.expect("INVITE")
    phone.reply(invite, 486, "Busy Here")
    caller.acknowledge(caller.receive(lambda message: message.status == 486), text.split()[1])
    return invite


def test_a_phone_that_goes_by_numbers_sees_no_names_of_them(pbx, client):
    """Brought along for two models: static types have no rtpmap, nothing is offered that they do not speak, keys keep their line."""
    odd, plain = client(pbx, "1001"), client(pbx, "1002")
    assert register(odd, ZIP).status == register(plain, "User-Agent: Other 1.0").status == 200
    offer = called(pbx, plain, odd)
    assert {name.split()[0] for name in lines(offer, "rtpmap")} == {number for number in types(offer) if int(number) >= 96}
    assert {"0", "8", "9"} <= set(types(offer)) and any("telephone-event" in name for name in lines(offer, "rtpmap"))
    assert not any("opus" in name for name in lines(offer, "rtpmap"))
    usual = called(pbx, odd, plain)
    assert any(name.startswith("0 PCMU") for name in lines(usual, "rtpmap")) and any("opus" in name for name in lines(usual, "rtpmap"))


def test_who_calls_is_answered_as_it_wants(make_pbx, client):
    """By rows of the settings, which win over those that we bring along: codecs and the length of packets, whatever the phone says."""
    pbx = make_pbx('sip:\n  phone_quirks: [{agent: "acme-3*", codecs: [PCMA], ptime_ms: 40}, {agent: "*ZIP*37G*"}]\n')
    caller, callee = client(pbx, "1001"), client(pbx, "1002")
    assert register(callee, "User-Agent: Other 1.0").status == 200
    caller.ask("REGISTER", "sip:pbx.test")
    uri, body = "sip:1002@pbx.test", OFFER.format(port=free_port()) + "a=ptime:20\r\n"
    refused = caller.ask("INVITE", uri, body=body)
    caller.acknowledge(refused, uri)
    caller.cseq += 1
    caller.send(caller.text("INVITE", uri, [caller.credentials(refused, "INVITE", uri), "User-Agent: Acme-3000/2.1"], body=body))
    invite = callee.expect("INVITE")
    callee.reply(invite, 200, "OK", body=OFFER.format(port=free_port()))
    callee.expect("ACK")
    accepted = caller.receive(lambda message: message.status == 200 and "INVITE" in message.get("CSeq"))
    caller.acknowledge(accepted, uri)
    assert types(accepted) == ["8", "101"] and lines(accepted, "ptime") == ["40"]
    pbx.ctl("calls", "hangup", pbx.ctl("calls", "list")[0]["call_id"])
    for one in (caller, callee):
        one.reply(one.expect("BYE"), 200, "OK")

    assert register(callee, ZIP).status == 200
    assert any(name.startswith("0 PCMU") for name in lines(called(pbx, caller, callee), "rtpmap")), "a row with nothing in it takes it out"


def test_quirks_are_listed_and_changed(pbx):
    listed = pbx.http("GET", "/phone-quirks")[1]
    assert {row["agent"] for row in listed if row["skip_static_rtpmap"]} == {"*ZIP*33G*", "*ZIP*37G*"} and all(row["brought_along"] for row in listed)
    pbx.ctl("config", "set", "sip.phone_quirks", '[{"agent": "Acme*", "codecs": ["PCMU"], "ptime_ms": 30}]')
    first = pbx.ctl("phones", "quirks")[0]
    assert (first["agent"], first["codecs"], first["ptime_ms"], first["brought_along"]) == ("Acme*", ["PCMU"], 30, False)
    rest = "/config/sip.phone_quirks"
    changed = {"value": '[{"agent": "Acme*"}, {"agent": "Other*", "skip_static_rtpmap": true}]'}
    assert pbx.http("PATCH", rest, changed, headers={"If-Match": '"of-yesterday"'})[0] == 412
    assert pbx.http("PATCH", rest, changed)[0] == 200
    assert [row["agent"] for row in pbx.http("GET", "/phone-quirks")[1] if not row["brought_along"]] == ["Acme*", "Other*"]
    assert pbx.http("DELETE", rest)[0] == 200 and all(row["brought_along"] for row in pbx.http("GET", "/phone-quirks")[1])
    with pytest.raises(Refused, match="no multiple of 10"):
        pbx.ctl("config", "set", "sip.phone_quirks", '[{"agent": "Acme*", "ptime_ms": 25}]')
