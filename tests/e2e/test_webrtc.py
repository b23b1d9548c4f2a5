"""Calls of a web page: Chromium with JsSIP over a secure WebSocket, its sound over ICE and DTLS-SRTP, talking with phones that know neither."""
import re
import socket

import pytest
from browser import FOLDER, Browser, jssip
from machine import PATIENCE_S, wait_for
from pbx import Pbx
from phone import Phone
from ports import free_port, free_range
from sip_client import SipClient
from sipp import is_bound
from turn import Turn

SETTINGS = """\
media:
  consent_s: 4
  ice_tcp_port: {tcp}
api:
  sip_origins: ["{origin}"]
qos_monitoring:
  sample_s: 1
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("webrtc")
    browser = Browser(folder / "www", [FOLDER / "page.html", jssip()])
    pbx = Pbx(folder / "pbx", SETTINGS.format(origin=browser.origin, tcp=free_port())).start()
    desk = None
    try:
        pbx.browser = browser.start()
        pbx.secrets = {number: pbx.account(number) for number in ("1001", "1002")}
        desk = pbx.desk = Phone(folder / "desk", pbx, "1002", pbx.secrets["1002"], 660).registered()
        yield pbx
    finally:
        if desk:
            desk.stop()
        browser.close()
        pbx.stop()


@pytest.fixture
def page(house):
    """The page, registered as 1001."""
    yield house.browser.phone(house, "1001", house.secrets["1001"])
    house.browser.run("window.phone && void phone.stop()")
    house.wait_for(lambda: house.ctl("registrations", "list", "1001") == [], "the page's registration to go")
    house.wait_for(lambda: house.ctl("media", "streams") == [], "the streams to close")


@pytest.fixture
def desk(house):
    return house.desk


@pytest.fixture(scope="module")
def lab(house, tmp_path_factory):
    phone = Phone(tmp_path_factory.mktemp("lab"), house, "1003", house.account("1003"), 820).registered()
    yield phone
    phone.stop()


def desk_and_lab_talk(desk, lab):
    assert desk.hears(lab.hertz)
    assert lab.hears(desk.hertz)


def page_hears(house, hertz):
    house.wait_for(lambda: (heard := house.browser.run("hears()"))["level"] > -50 and abs(heard["hertz"] - hertz) < 12,
                   f"the page to hear {hertz} Hz")


def talk(house, page, desk):
    """Both hear each other."""
    page_hears(house, desk.hertz)
    assert desk.hears(page.hertz)


def levels(house):
    """How loud each leg says it is, where it does (RFC 6464)."""
    return [leg["level_dbov"] for leg in house.ctl("media", "streams") if "level_dbov" in leg]


def page_holds(house, page):
    mark = house.last_seq()
    page.run("void call.hold()")
    house.wait_event("call.hold", after=mark)


def page_calls(page, desk):
    page.run("dial('1002')")
    desk.answer()
    assert page.run("first('accepted', 'call over')")["name"] == "accepted"


def test_a_page_calls_a_phone(house, page, desk):
    page_calls(page, desk)
    talk(house, page, desk)
    way = page.run("way()")
    assert way["dtls"] == "connected" and way["remote"] in ("host", "prflx"), way
    assert sorted(leg["srtp"] for leg in house.ctl("media", "streams")) == ["", "AES_CM_128_HMAC_SHA1_80"]
    page.run("void call.terminate()")
    desk.closed()


def test_a_page_says_how_loud_it_is_and_is_told_how_loud_others_are(house, page, desk):
    page_calls(page, desk)
    talk(house, page, desk)
    house.wait_for(lambda: [-40 < level < 0 for level in levels(house)] == [True], "the level of the page's tone")
    told = page.run("call.connection.getReceivers()[0].getSynchronizationSources()[0].audioLevel")
    assert told and told > 0.01, "of what it hears"
    page.run("call.connection.getSenders()[0].track.enabled = false")
    house.wait_for(lambda: levels(house) == [-127], "the level of a microphone that is off")
    page.run("void call.terminate()")
    desk.closed()


def test_a_phone_calls_a_page_and_they_hold_each_other(house, page, desk):
    desk.dial("1001")
    assert page.run("first('call')")["from"] == "1002"
    page.run("void call.answer(media)")
    desk.established()
    talk(house, page, desk)
    page.run("void call.hold()")
    house.wait_event("call.hold")
    assert desk.hears(520)
    page.run("void call.unhold()")
    house.wait_event("call.resume")
    talk(house, page, desk)
    desk.hold()
    house.wait_event("call.hold")
    page_hears(house, 520)
    desk.resume()
    house.wait_event("call.resume")
    talk(house, page, desk)
    desk.hangup()
    assert page.run("first('call over')")["cause"] == "Terminated"
    desk.closed()


def test_a_page_sends_a_held_call_on(house, page, desk, lab):
    """A blind transfer by JsSIP's own REFER; it is told how it went, and its call is over."""
    page_calls(page, desk)
    page_holds(house, page)
    page.run("refer(call, '1003')")
    lab.answer()
    desk_and_lab_talk(desk, lab)
    assert page.run("first('transferred', 'not transferred')") == {"name": "transferred", "status": 200}
    assert page.run("first('call over')")["cause"] == "Terminated"
    assert house.wait_event("call.transfer", where=lambda data: data["transfer_type"] == "blind")["data"]["result"] == "ok"
    desk.hangup()
    lab.closed()


def test_a_page_asks_before_it_sends_a_call_on(house, page, desk, lab):
    """An attended transfer: the page holds the first, asks the second, and JsSIP's REFER with Replaces joins them."""
    page_calls(page, desk)
    page_holds(house, page)
    page.run("window.waiting = call; forget(); dial('1003')")
    lab.answer()
    assert page.run("first('accepted', 'call over')")["name"] == "accepted"
    talk(house, page, lab)
    assert desk.hears(520), "music, while it waits"
    page_holds(house, page)
    page.run("forget(); refer(waiting, '1003', {replaces: call})")
    desk_and_lab_talk(desk, lab)
    assert page.run("first('transferred', 'not transferred')") == {"name": "transferred", "status": 200}
    assert page.run("over(2)") == ["Terminated", "Terminated"]
    assert house.wait_event("call.transfer", where=lambda data: data["transfer_type"] == "attended")["data"]["result"] == "ok"
    lab.hangup()
    desk.closed()


def test_a_page_keeps_a_call_that_nobody_takes(house, page, desk):
    page_calls(page, desk)
    page_holds(house, page)
    page.run("refer(call, '7999')")
    assert page.run("first('transferred', 'not transferred')") == {"name": "not transferred", "status": 404}
    mark = house.last_seq()
    page.run("void call.unhold()")
    house.wait_event("call.resume", after=mark)
    talk(house, page, desk)
    page.run("void call.terminate()")
    desk.closed()


def test_ice_begins_anew(house, page, desk):
    page_calls(page, desk)
    talk(house, page, desk)
    name = "call.connection.localDescription.sdp.match(/a=ice-ufrag:(.*)/)[1]"
    before = page.run(name)
    mark = desk.ear.mark()
    page.run("new Promise(done => call.renegotiate({rtcOfferConstraints: {iceRestart: true}}, done))")
    assert page.run(name) != before
    assert desk.hears(page.hertz, seconds=0.3, within=2), "the page is heard by its new candidates (card webrtc)"
    talk(house, page, desk)
    assert desk.ear.breaks(mark) == []
    page.run("void call.terminate()")
    desk.closed()


def check_they_talk_by_tcp(house, page, desk):
    talk(house, page, desk)
    assert page.run("way()")["protocol"] == "tcp"
    assert sorted(leg["transport"] for leg in house.ctl("media", "streams")) == ["tcp", "udp"]


def test_a_page_that_gets_no_udp_out_calls_and_begins_ice_anew(house, page, desk):
    page.run("withoutUdp()")
    page_calls(page, desk)
    check_they_talk_by_tcp(house, page, desk)
    mark = desk.ear.mark()
    page.run("new Promise(done => call.renegotiate({rtcOfferConstraints: {iceRestart: true}}, done))")
    check_they_talk_by_tcp(house, page, desk)
    assert desk.ear.breaks(mark) == []
    house.wait_for(lambda: {leg["transport"] for leg in house.ctl("qos", "live")["items"]} == {"tcp", "udp"}, "a look at both legs")
    page.run("void call.terminate()")
    desk.closed()
    house.wait_for(lambda: {"tcp", "udp"} <= {leg["transport"] for leg in house.ctl("qos", "history")["items"]}, "the records of both legs")


def test_a_page_that_gets_no_udp_out_is_called(house, page, desk):
    """Its check comes before its answer: who it is has to be known by then."""
    page.run("withoutUdp()")
    desk.dial("1001")
    assert page.run("first('call')")["from"] == "1002"
    page.run("void call.answer(media)")
    desk.established()
    check_they_talk_by_tcp(house, page, desk)
    desk.hangup()
    assert page.run("first('call over')")["cause"] == "Terminated"
    desk.closed()


def test_a_page_with_another_certificate_than_it_says_is_not_heard(house, page, desk):
    """Somebody between the page and us, say, who has the page's signalling pass as it is."""
    page.run("window.bend = sdp => sdp.originator !== 'local' ? sdp.sdp : sdp.sdp.replace(/(a=fingerprint:sha-256 )(..)/, "
             "(all, name, first) => name + (first === '00' ? '11' : '00'))")
    page_calls(page, desk)
    house.wait_event("media.failed", where=lambda data: data["reason"] == "dtls_wrong_certificate")
    house.wait_event("call.ended", where=lambda data: data["cause"] == "dtls_wrong_certificate")
    assert desk.hears_nothing_of(page.hertz, seconds=0.1)
    desk.closed()
    page.run("first('call over')")


@pytest.fixture(scope="module")
def turn(tmp_path_factory):
    """A TURN server with one user: (port, name, secret)."""
    port, first = free_port(), free_range(20)
    server = Turn(tmp_path_factory.mktemp("turn"), ("127.0.0.1",), port, "-E", "127.0.0.1", "--lt-cred-mech", "-u", "page:secret", "-r", "pbx.test",
                  "--allow-loopback-peers", "--min-port", first, "--max-port", first + 19)
    wait_for(lambda: is_bound(port), "the TURN server to listen")
    yield port, "page", "secret"
    server.stop()


def test_a_page_behind_a_relay(house, page, desk, turn):
    port, name, secret = turn
    page.run(f"dial('1002', {{pcConfig: {{iceTransportPolicy: 'relay', iceServers: "
             f"[{{urls: 'turn:127.0.0.1:{port}', username: '{name}', credential: '{secret}'}}]}}}})")
    desk.answer()
    assert page.run("first('accepted', 'call over')")["name"] == "accepted"
    talk(house, page, desk)
    assert page.run("way()")["local"] == "relay"
    page.run("void call.terminate()")
    desk.closed()


def test_a_tab_that_dies_loses_its_consent(house, page, desk):
    page_calls(page, desk)
    talk(house, page, desk)
    page.crash()
    desk.closed()
    house.wait_event("call.ended", where=lambda data: data["cause"] == "consent_lost")
    page.show("page.html")
    desk.dial("1001")
    desk.closed()  # nobody is there: the registration has gone with the tab


OFFER = ("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\na=ice-ufrag:them\r\n"
         "a=ice-pwd:themthemthemthemthemth\r\na=ice-options:trickle\r\na=rtcp-mux\r\n")


def test_candidates_that_come_late_are_asked(house, desk):
    """RFC 8840: by INFO. Strangers at the same port are counted, and get no answer."""
    caller, way, stranger = SipClient(house, "1001", house.secrets["1001"]), socket.socket(type=socket.SOCK_DGRAM), socket.socket(type=socket.SOCK_DGRAM)
    way.bind(("127.0.0.1", 0))
    way.settimeout(PATIENCE_S)
    caller.ring("1002", OFFER)
    desk.answer()
    answer = caller.receive(lambda message: message.status == 200)
    caller.acknowledge(answer, "sip:1002@pbx.test")
    target = re.search(r"<([^>]+)>", answer.get("Contact")).group(1)
    to, to_tag = re.search(r"<([^>]+)>.*;tag=([^;]+)", answer.get("To")).groups()
    more = f"a=ice-ufrag:them\r\na=ice-pwd:themthemthemthemthemth\r\nm=audio 9 RTP/AVP 0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 {way.getsockname()[1]} typ host\r\n"
    assert caller.request("INFO", target, ["Info-Package: trickle-ice"], to=to, to_tag=to_tag, body=more,
                          kind="application/trickle-ice-sdpfrag").status == 200
    check, sender = way.recvfrom(2048)
    assert check[:2] == b"\x00\x01" and b"them:" in check
    for noise in (check, b"\x16\xfe\xfd" + bytes(60)):  # its own request sent back, and something like DTLS
        stranger.sendto(noise, sender)
    house.wait_for(lambda: sum(leg["foreign"] + leg["malformed"] for leg in house.ctl("media", "streams")) >= 2, "the stranger to be counted")
    caller.bye(answer)
    desk.closed()
    for one in (caller, way, stranger):
        one.close()


def test_a_phone_with_dtls_and_ice_of_another_make(pbx, phones):
    """baresip, by libre's ICE and with RTP and RTCP on two ports."""
    hidden, plain = phones(pbx, "1001", media="dtls_srtp", ice=True), phones(pbx, "1002")
    hidden.dial("1002")
    plain.answer()
    hidden.established()
    assert plain.hears(hidden.hertz)
    assert hidden.hears(plain.hertz)
    assert "AES_CM_128_HMAC_SHA1_80" in [leg["srtp"] for leg in pbx.ctl("media", "streams")]
    hidden.hangup()
    plain.closed()
    pbx.ctl("extension", "set", "1001", "srtp=dtls")
    plain.dial("1001")
    hidden.answer()
    plain.established()
    assert plain.hears(hidden.hertz)
    plain.hangup()
    hidden.closed()
