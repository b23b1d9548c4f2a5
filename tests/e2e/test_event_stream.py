"""The events of a real call by text/event-stream and by WebSocket: one list. A page of a real browser follows them, too."""
import pytest
from browser import Browser
from calling import CALL_EVENTS, Callers
from event_streams import EventSocket, Stream


def test_a_call_is_told_by_both_as_the_same_list(pbx, phones):
    plain, web = Stream(pbx, "*"), EventSocket(pbx, pbx.admin_token())
    alice, bob = phones(pbx, "1001", "1002")
    alice.dial("1002")
    bob.answer()
    alice.established()
    alice.hangup()
    bob.closed()
    last = pbx.wait_event("call.ended")["seq"]
    told = []
    while not told or told[-1]["seq"] < last:
        told += web.take(1)
    assert plain.take(len(told)) == told
    assert [event["type"] for event in told if event["type"] in CALL_EVENTS] == CALL_EVENTS
    assert [(event["seq"], event["id"]) for event in told] == [(event["seq"], event["id"]) for event in pbx.events() if told[0]["seq"] <= event["seq"] <= last]
    plain.close()
    web.close()


def test_it_goes_on_after_kill_minus_nine_without_gap_or_double(pbx, sipp):
    callers = Callers(pbx, sipp)
    web = EventSocket(pbx, pbx.admin_token(), "call.*")
    callers.call(1)
    first = web.take(4)
    assert [event["type"] for event in first] == CALL_EVENTS
    web.close()
    callers.call(2)
    pbx.wait_for(lambda: len(pbx.events("call.ended")) == 3, "the calls to be in the log")
    pbx.kill()
    pbx.restart()
    callers.call(1)
    web = EventSocket(pbx, pbx.admin_token(), "call.*", after=first[1]["seq"])
    rest = web.take(14)
    logged = [event["seq"] for event in pbx.events("call.*")]
    assert [event["seq"] for event in first[:2] + rest] == logged and len(logged) == 16
    web.close()


def test_what_was_told_is_in_the_log_after_a_power_cut(pbx, sipp):
    callers = Callers(pbx, sipp)
    web = EventSocket(pbx, pbx.admin_token())
    callee = sipp(pbx, "uas_answers", calls=200, port=callers.callee_port)
    caller = sipp(pbx, "uac_calls", calls=200, keys={"number": "1001"}, user="1001", secret=callers.secret, args=["-r", 40, "-d", 50])
    told = web.take(300)
    pbx.kill()
    try:
        while event := web.next():
            told.append(event)
    except (OSError, web.gone):
        pass  # what was on its way has arrived
    web.web.shutdown()
    caller.stop()
    callee.stop()
    pbx.restart()
    logged = {event["seq"]: event["id"] for event in pbx.events()}
    assert [event for event in told if logged.get(event["seq"]) != event["id"]] == []


# ---- a page ----------------------------------------------------------------------------------------

PAGE = """<!doctype html><title>wall</title><script>
function follow(url, token) {
	window.told = []; window.over = null;
	window.web = new WebSocket(url, ["pbx.events", "pbx.bearer." + token]);
	web.onmessage = (message) => told.push(JSON.parse(message.data));
	return new Promise((done) => {
		web.onopen = () => done("open");
		web.onclose = (end) => { over = {code: end.code, reason: end.reason, clean: end.wasClean}; done("closed"); };
	});
}
const until = async (what) => { while (!what()) await new Promise((next) => setTimeout(next, 20)); return true; };
</script>"""


@pytest.fixture
def page(tmp_path):
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "wall.html").write_text(PAGE)
    browser = Browser(folder, [])
    try:
        browser.start().show("wall.html")
        yield browser
    finally:
        browser.close()


def test_a_page_follows_calls_changes_its_types_and_hears_why_it_ends(make_pbx, page, sipp):
    pbx = make_pbx(f"api:\n  event_origins: [\"{page.origin}\"]\n")
    callers = Callers(pbx, sipp)
    made = pbx.ctl("token", "create", "wall", "events:read")
    url = f"wss://127.0.0.1:{pbx.http_port}/api/v1/events"
    assert page.run(f"follow('{url}?topics=registration.*', '{made['token']}')") == "open"
    page.run("web.send(JSON.stringify({types: ['call.*']})); until(() => told.length > 0)")
    callers.call(1)
    page.run("until(() => told.length > 4)")
    answer, *events = page.run("told")
    assert answer["types"] == ["call.*"] and [event["type"] for event in events] == CALL_EVENTS and events[0]["seq"] > answer["after"]
    pbx.ctl("token", "revoke", made["id"])
    page.run("until(() => over)")
    assert page.run("over") == {"code": 1008, "reason": "the token was revoked", "clean": True}
    assert page.run(f"follow('{url}?topics=call.*&after={events[1]['seq']}', '{made['token']}')") == "closed", "it is good for nothing any more"
    fresh = pbx.ctl("token", "create", "wall", "events:read")["token"]
    assert page.run(f"follow('{url}?topics=call.*&after={events[1]['seq']}', '{fresh}')") == "open"
    page.run("until(() => told.length == 2)")
    assert page.run("told") == events[2:]
    page.run("web.close(1000); until(() => over)")
    assert page.run("[over.code, over.clean]") == [1000, True]


def test_a_page_of_another_site_is_not_let_in(pbx, page):
    assert page.run(f"follow('wss://127.0.0.1:{pbx.http_port}/api/v1/events', '{pbx.admin_token()}')") == "closed"
