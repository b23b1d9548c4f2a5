"""Calls of a web page: Chromium with JsSIP over a secure WebSocket, its sound over ICE and DTLS-SRTP, talking with phones that know neither."""
import re
import socket
import subprocess

import pytest
from browser import FOLDER, Browser, jssip
from pbx import Pbx
from phone import Phone
from ports import free_port, free_range
from sip_client import SipClient

SETTINGS = """\
media:
  consent_s: 4
api:
  sip_origins: ["{origin}"]
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    folder = tmp_path_factory.mktemp("webrtc")
    browser = Browser(folder / "www", [FOLDER / "page.html", jssip()])
    pbx = Pbx(folder / "pbx", SETTINGS.format(origin=browser.origin)).start()
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
    house.browser.show("page.html")
    house.browser.run(f"start('wss://127.0.0.1:{house.http_port}/sip', '1001', '{house.secrets['1001']}')")
    assert house.browser.run("first('registered', 'registrationFailed', 'disconnected')")["name"] == "registered"
    yield house.browser
    house.browser.run("window.phone && void phone.stop()")
    house.wait_for(lambda: house.ctl("registrations", "list", "1001") == [], "the page's registration to go")
    house.wait_for(lambda: house.ctl("media", "streams") == [], "the streams to close")


@pytest.fixture
def desk(house):
    return house.desk


def page_hears(house, hertz):
    house.wait_for(lambda: (heard := house.browser.run("hears()"))["level"] > -50 and abs(heard["hertz"] - hertz) < 12,
                   f"the page to hear {hertz} Hz")


def talk(house, page, desk):
    """Both hear each other."""
    page_hears(house, desk.hertz)
    assert desk.hears(page.hertz)


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


def test_ice_begins_anew(house, page, desk):
    page_calls(page, desk)
    talk(house, page, desk)
    name = "call.connection.localDescription.sdp.match(/a=ice-ufrag:(.*)/)[1]"
    before = page.run(name)
    mark = desk.ear.mark()
    page.run("new Promise(done => call.renegotiate({rtcOfferConstraints: {iceRestart: true}}, done))")
    assert page.run(name) != before
    house.wait_for(lambda: desk.hears(page.hertz, seconds=0.3), "the page to be heard by its new candidates", 2)  # card webrtc: within 2 s
    talk(house, page, desk)
    assert desk.ear.breaks(mark) == []
    page.run("void call.terminate()")
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
    folder = tmp_path_factory.mktemp("turn")
    with open(folder / "log", "wb") as log:
        server = subprocess.Popen(["turnserver", "-n", "-L", "127.0.0.1", "-E", "127.0.0.1", "-p", str(port), "--lt-cred-mech", "-u", "page:secret",
                                   "-r", "pbx.test", "--allow-loopback-peers", "--no-tls", "--no-dtls", "--no-cli", "--min-port", str(first),
                                   "--max-port", str(first + 19), "--pidfile", str(folder / "pid"), "--log-file", "stdout",
                                   "--userdb", str(folder / "users")], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    yield port, "page", "secret"
    server.terminate()
    server.wait()


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
    way.settimeout(5)
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
