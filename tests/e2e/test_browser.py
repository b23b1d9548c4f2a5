"""A real browser with the library that web pages use (JsSIP): it registers over a WebSocket, writes and reads messages, and is called. Media are not its
matter here: browsers want DTLS."""
import pytest
from browser import FOLDER, Browser, jssip
from pbx import Pbx
from sip_client import SipClient

@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A PBX and a browser whose page it lets in."""
    folder = tmp_path_factory.mktemp("browser")
    browser = Browser(folder / "www", [FOLDER / "page.html", jssip()])
    pbx = Pbx(folder / "pbx", f"api:\n  sip_origins: [\"{browser.origin}\"]\n").start()
    try:
        pbx.browser = browser.start()
        pbx.secrets = {number: pbx.account(number) for number in ("1001", "1002")}
        yield pbx
    finally:
        browser.close()
        pbx.stop()


@pytest.fixture
def page(house):
    """The page, registered as 1001."""
    yield house.browser.phone(house, "1001", house.secrets["1001"])
    house.browser.run("window.phone && void phone.unregister({all: true})")
    house.wait_for(lambda: house.ctl("registrations", "list", "1001") == [], "the page's registration to go")


@pytest.fixture
def desk(house):
    phone = SipClient(house, "1002", house.secrets["1002"])
    assert phone.register().status == 200
    yield phone
    phone.close()


def test_a_page_registers_with_jssip(house, page):
    contact, = house.ctl("registrations", "list", "1001")
    assert contact["transport"] == "wss" and contact["user_agent"].startswith("JsSIP ") and ".invalid;transport=ws" in contact["contact"]


def test_a_wrong_password_is_told_to_the_page(house):
    house.browser.show("page.html")
    house.browser.run(f"start('wss://127.0.0.1:{house.http_port}/sip', '1001', 'wrong')")
    failed = house.browser.run("first('registered', 'registrationFailed')")
    assert failed["name"] == "registrationFailed" and failed["status"] == 401
    house.browser.run("void phone.stop()")


def test_messages_go_both_ways(page, desk):
    assert desk.request("MESSAGE", "sip:1001@pbx.test", body="good morning", kind="text/plain").status in (200, 202)
    assert page.run("first('message remote')")["body"] == "good morning"
    page.run("void phone.sendMessage('sip:1002@pbx.test', 'to you too')")
    message = desk.expect("MESSAGE")
    assert message.body == "to you too"
    desk.reply(message, 200, "OK")


def test_a_page_is_called_and_declines(page, desk):
    text = desk.ring("1001")
    assert page.run("first('call')")["from"] == "1002"
    assert desk.receive(lambda message: message.status == 180)
    page.run("void call.terminate({status_code: 486, reason_phrase: 'Busy Here'})")
    refused = desk.receive(lambda message: message.status >= 300 and message.status != 407)
    desk.acknowledge(refused, text.split()[1])
    assert refused.status == 486


def test_a_caller_who_thinks_better_of_it_stops_the_ringing(page, desk):
    text = desk.ring("1001")
    page.run("first('call')")
    assert desk.receive(lambda message: message.status == 180)
    desk.cancel(text)
    assert page.run("first('call over')")["cause"] == "Canceled"
    desk.acknowledge(desk.receive(lambda message: message.status == 487), text.split()[1])


def test_a_page_that_was_closed_is_gone_at_the_next_call(house, page, desk):
    page.show("page.html")
    text = desk.ring("1001")
    refused = desk.receive(lambda message: message.status >= 300 and message.status != 407)
    desk.acknowledge(refused, text.split()[1])
    assert refused.status == 480 and house.ctl("registrations", "list", "1001") == []
    assert house.wait_event("registration.removed", where=lambda data: data["reason"] == "flow_failed")
