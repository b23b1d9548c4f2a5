"""Calls of a web page: Chromium with JsSIP over a secure WebSocket, its sound over ICE and DTLS-SRTP, talking with phones that know neither."""
import pytest
from browser import FOLDER, Browser, jssip
from pbx import Pbx
from phone import Phone

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
