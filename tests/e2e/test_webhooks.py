"""Events reach other systems: signed, in order, once more when need be, and never at another's expense."""
import base64
import hashlib
import hmac
import json
import time
from datetime import datetime
from email.utils import formatdate

import pytest
from calling import CALL_EVENTS, Callers
from clock import Clock
from machine import Watch, stalls, waited_s
from pbx import Refused


def settings(*sinks):
    return f"api:\n  requests_per_minute: 100000\n  requests_burst: 100000\nwebhooks:\n  allow_http: true\nfetch:\n  allow: {json.dumps([f'127.0.0.1:{sink.port}' for sink in sinks])}\n"


@pytest.fixture
def hooked(make_pbx, sink):
    """A PBX that may speak to the sink."""
    return make_pbx(settings(sink))


def subscribe(pbx, sink, events=("call.*",), **more):
    status, made = pbx.http("POST", "/webhooks", {"url": sink.url, "events": list(events), **more})
    assert status == 201, made
    return made


def header(request, name):
    return {key.lower(): value for key, value in request["headers"].items()}[name.lower()]


def secret_bytes(secret):
    """As the libraries of Standard Webhooks read a secret."""
    assert secret.startswith("whsec_")
    return base64.b64decode(secret[len("whsec_"):], validate=True)


def standard_signature(request, secret):
    signed = b".".join([header(request, "webhook-id").encode(), header(request, "webhook-timestamp").encode(), request["raw"]])
    return "v1," + base64.b64encode(hmac.new(secret_bytes(secret), signed, hashlib.sha256).digest()).decode()


def have(number, types=CALL_EVENTS):
    """Whether as many events of these types have been accepted."""
    return lambda requests: len({r["body"]["seq"] for r in requests if r["body"]["type"] in types and r["status"] < 300}) >= number


def fire(pbx, number="1003"):
    """An event without a call: a registration comes and goes."""
    from sip_client import SipClient
    phone = SipClient(pbx, number, pbx.account(number))
    assert phone.register().status == 200
    phone.close()


def test_a_call_is_told_in_order_and_signed(hooked, sink, phones):
    made = subscribe(hooked, sink)
    alice, bob = phones(hooked, "1001", "1002")
    alice.dial("1002")
    bob.wait("CALL_INCOMING")
    longest = Watch()
    bob.command("accept")
    bob.established(), alice.established()
    least = Watch()
    bob.listen(3)
    least_ms = least.elapsed_s() * 1000
    alice.hangup()
    bob.closed()
    most_ms = longest.elapsed_s() * 1000
    requests = sink.wait(lambda requests: any(r["body"]["type"] == "call.ended" for r in requests), "call.ended")
    told = [r["body"] for r in requests if r["body"]["type"] in CALL_EVENTS]
    assert [body["type"] for body in told] == CALL_EVENTS
    assert len({body["linked_id"] for body in told}) == 1 and told[0]["linked_id"]
    assert least_ms - 1 <= told[-1]["data"]["billsec_ms"] <= most_ms + 1, "no longer than phones and test took to act"
    answered, ended = (hooked.wait_event(kind) for kind in ("call.answered", "call.ended"))
    assert {body["type"]: body["id"] for body in told}["call.answered"] == answered["id"] and told[-1]["id"] == ended["id"]
    for request in requests:
        assert standard_signature(request, made["secret"]) == header(request, "webhook-signature")
        plain = hmac.new(made["secret"].encode(), request["raw"], hashlib.sha256).hexdigest()
        assert header(request, "X-Webhook-Signature") == "sha256=" + plain
        assert header(request, "webhook-id") == request["body"]["id"] == header(request, "X-Webhook-ID")
        assert header(request, "X-Webhook-Event") == request["body"]["type"]
        assert header(request, "User-Agent") == "PBX-Webhook/1.0" and header(request, "Content-Type") == "application/json"
        assert abs(int(header(request, "webhook-timestamp")) - time.time()) < 60


def test_what_is_told_is_as_the_schemas_say(hooked, sink, sipp):
    import jsonschema
    schemas = {kind["name"]: kind["schema"] for kind in hooked.http("GET", "/event-types")[1]["items"]}
    assert all(schema["properties"] for name, schema in schemas.items() if name.startswith(("call.", "registration.", "webhook.")))
    subscribe(hooked, sink, ["*"])
    Callers(hooked, sipp).call(1)
    requests = sink.wait(lambda requests: any(r["body"]["type"] == "call.ended" for r in requests), "call.ended")
    told = [r["body"] for r in requests]
    assert {"registration.added", *CALL_EVENTS} <= {body["type"] for body in told}
    for body in told:
        jsonschema.Draft202012Validator.check_schema(schemas[body["type"]])
        jsonschema.Draft202012Validator(schemas[body["type"]]).validate(body["data"])
        assert set(body["data"]) <= set(schemas[body["type"]]["properties"]), body


def test_a_refused_event_comes_again_after_5_and_30_seconds(make_pbx, sink, tmp_path):
    """Seconds of the daemon's clock. When an attempt began it tells by itself: noted, less what it took."""
    clock = Clock(tmp_path)
    pbx = make_pbx(settings(sink), environment=clock.environment)
    made = subscribe(pbx, sink, ["registration.added"])
    sink.statuses = [500, 500, 200]
    fire(pbx)

    def noted(attempts):
        def look():
            listed = pbx.ctl("webhook", "deliveries", made["id"])
            return listed and listed[0]["attempts"] == attempts and listed[0]
        return pbx.wait_for(look, f"attempt {attempts} to be noted")

    def at_s(delivery):
        return datetime.fromisoformat(delivery["updated_at"].replace("Z", "+00:00")).timestamp()

    failed = noted(1)
    for attempts, wait_s in ((2, 5), (3, 30)):
        since, steps = time.time(), [0.75] + [0.05] * 9  # what is due too early begins too early
        while len(sink.requests) < attempts and steps:
            clock.move(steps.pop(0) * wait_s)
            pbx.ctl("status")  # the loop has been round
        tried = noted(attempts)
        began_s = at_s(tried) - tried["took_ms"] / 1000
        assert 0.8 * wait_s <= began_s - at_s(failed) <= 1.2 * wait_s + stalls().lost_s(since)
        failed = tried
    assert len({r["body"]["id"] for r in sink.requests}) == 1 and len({r["raw"] for r in sink.requests}) == 1
    assert (tried["state"], tried["attempts"], tried["http_code"], len(sink.requests)) == ("delivered", 3, 200, 3)


def test_nothing_is_missing_after_a_kill_while_the_sink_was_down(hooked, sink, sipp):
    subscribe(hooked, sink)
    callers = Callers(hooked, sipp)
    sink.down()
    callers.call(10)
    ended = hooked.wait_for(lambda: len(hooked.events("call.ended")) == 10 and hooked.events("call.*"), "ten calls to end")
    hooked.kill()
    sink.up()
    hooked.restart()
    requests = sink.wait(have(40), "40 events", seconds=60)
    got = [r["body"]["id"] for r in requests if r["body"]["type"] in CALL_EVENTS]
    assert set(got) == {event["id"] for event in ended if event["type"] in CALL_EVENTS} and len(set(got)) == 40
    assert len(got) == 40, "nothing had been accepted before the kill, so nothing comes twice"
    for linked_id in {event["linked_id"] for event in ended}:
        assert [r["body"]["type"] for r in requests if r["body"]["linked_id"] == linked_id and r["body"]["type"] in CALL_EVENTS] == CALL_EVENTS


def test_a_hanging_endpoint_delays_nobody_else(make_pbx, sink, second_sink, sipp):
    """Acceptance 4: 200 calls."""
    pbx = make_pbx(settings(sink, second_sink) + "media:\n  quarantine_s: 1\n")
    subscribe(pbx, sink)
    subscribe(pbx, second_sink)
    callers = Callers(pbx, sipp, max_calls=100)
    sink.hang.clear()
    waited = waited_s(pbx.process.pid, "")
    callers.call(200, rate=25, talk_ms=100)
    requests = second_sink.wait(have(800), "800 events")
    waited = waited_s(pbx.process.pid, "") - waited  # for a core
    times = [(datetime.fromisoformat(request["body"]["time"].replace("Z", "+00:00")).timestamp(), request["wall"]) for request in requests]
    late_s = [came - happened - stalls().lost_s(happened, came) for happened, came in times]
    assert max(late_s) < 0.5 + waited, f"of {len(late_s)} events some came late: {sorted(late_s)[-5:]}"
    assert sink.requests == []
    sink.hang.set()
    sink.wait(have(800), "the sink to get them, too", seconds=60)


@pytest.mark.parametrize("url", ["http://169.254.169.254/latest", "http://127.0.0.1:5432/", "http://[::1]:80/", "http://10.0.0.1/hook",
                                 "https://192.168.0.1/", "http://localhost:80/", "ftp://127.0.0.1/", "file:///etc/passwd", "http://0x7f000001/"])
def test_addresses_inside_the_house_are_refused(hooked, url):
    status, problem = hooked.http("POST", "/webhooks", {"url": url})
    assert status == 422 and "url" in json.dumps(problem), problem
    assert hooked.ctl("webhook", "list") == []


def test_http_needs_to_be_allowed(make_pbx, sink):
    pbx = make_pbx(f'fetch:\n  allow: ["127.0.0.1:{sink.port}"]')
    status, problem = pbx.http("POST", "/webhooks", {"url": sink.url})
    assert status == 422 and "https" in json.dumps(problem)


def test_an_address_is_judged_again_at_each_delivery(hooked, sink):
    """What was allowed when the webhook was made is not any more; as with a name that points elsewhere since."""
    subscribe(hooked, sink, ["registration.added"])
    hooked.config.write_text(hooked.config.read_text().replace(f'"127.0.0.1:{sink.port}"', '"127.0.0.1:1"'))
    hooked.ctl("config", "reload")
    fire(hooked)
    hooked.wait_for(lambda: any("address_not_allowed" in line for line in hooked.log_lines("delivery_failed")), "the refusal")
    assert sink.requests == []


def test_a_redirect_is_not_followed(hooked, sink):
    made = subscribe(hooked, sink, ["registration.added"])
    sink.statuses, sink.headers = [302], {"Location": f"http://127.0.0.1:{sink.port}/elsewhere"}
    fire(hooked)

    def tried():
        deliveries = hooked.ctl("webhook", "deliveries", made["id"])
        return deliveries and deliveries[0]["attempts"] == 1 and deliveries[0]
    delivery = hooked.wait_for(tried, "the first attempt")
    assert (delivery["http_code"], delivery["state"]) == (302, "waiting")
    sink.wait(lambda requests: len(requests) == 2, "the second attempt")
    assert [r["path"] for r in sink.requests] == ["/hook", "/hook"]


def test_410_switches_a_webhook_off_and_tells_why(hooked, sink):
    made = subscribe(hooked, sink, ["registration.*"])
    sink.statuses = [410]
    fire(hooked)
    hooked.wait_event("webhook.disabled", where=lambda data: data["webhook_id"] == made["id"])
    status, shown = hooked.http("GET", f"/webhooks/{made['id']}")
    assert (status, shown["state"]) == (200, "disabled") and "410" in shown["reason"]
    dead = hooked.wait_event("webhook.dead_letter")["data"]
    assert dead["webhook_id"] == made["id"] and dead["event_id"] == sink.requests[0]["body"]["id"]
    fire(hooked, "1004")
    hooked.wait_event("registration.added", where=lambda data: data["aor"] == "1004")
    assert len(sink.requests) == 1
    hooked.ctl("webhook", "resume", made["id"])
    sink.wait(lambda requests: any(r["body"]["data"].get("aor") == "1004" for r in requests), "what happened meanwhile")


def test_retry_after_is_obeyed(hooked, sink):
    subscribe(hooked, sink, ["registration.added"])
    sink.statuses, sink.headers = [503, 200], {"Retry-After": "9"}
    fire(hooked)
    first, second = sink.wait(lambda requests: len(requests) == 2, "the second attempt")
    assert 9 <= second["at"] - first["at"] <= 10.5 + stalls().lost_s(first["wall"])


def test_retry_after_may_be_a_date_and_holds_the_whole_endpoint(hooked, sink):
    made = subscribe(hooked, sink, ["registration.added"])
    until = int(time.time()) + 6
    sink.statuses, sink.headers = [429], {"Retry-After": formatdate(until, usegmt=True)}
    fire(hooked)
    sink.wait(lambda requests: requests, "the first attempt")
    hooked.wait_for(lambda: hooked.ctl("webhook", "deliveries", made["id"])[0]["attempts"] == 1, "it to be noted")
    fire(hooked, "1004")
    requests = sink.wait(lambda requests: len(requests) == 3, "both events")
    assert all(request["wall"] >= until - 0.01 for request in requests[1:])


def test_filters_and_patterns(hooked, sink):
    subscribe(hooked, sink, ["queue.*", "registration.added"], match={"/aor": "1004"}, omit=["contact"])
    fire(hooked, "1003")
    fire(hooked, "1004")
    (request,) = sink.wait(lambda requests: requests, "an event")
    assert request["body"]["data"]["aor"] == "1004" and "contact" not in request["body"]["data"]
    fire(hooked, "1005")
    hooked.wait_event("registration.added", where=lambda data: data["aor"] == "1005")
    hooked.wait_for(lambda: hooked.ctl("webhook", "list")[0]["waiting"] == 0, "nothing to wait")
    assert sink.types() == ["registration.added"]


def test_own_headers_are_sent_and_dangerous_ones_refused(hooked, sink):
    subscribe(hooked, sink, ["registration.added"], headers={"X-Team": "night shift"})
    fire(hooked)
    (request,) = sink.wait(lambda requests: requests, "an event")
    assert header(request, "X-Team") == "night shift"
    for name, value in (("Host", "elsewhere"), ("Content-Length", "0"), ("Connection", "close"), ("Bad Name", "x"), ("X-Split", "a\r\nHost: b")):
        status, problem = hooked.http("POST", "/webhooks", {"url": sink.url, "headers": {name: value}})
        assert status == 400 and "headers" in json.dumps(problem), name


def test_replay_and_redeliver_send_again(hooked, sink):
    made = subscribe(hooked, sink, ["registration.added"])
    fire(hooked, "1003")
    fire(hooked, "1004")
    first, second = sink.wait(lambda requests: len(requests) == 2, "two events")
    first, second = sorted((first, second), key=lambda request: request["body"]["seq"])  # of two phones: they may come side by side
    hooked.wait_for(lambda: all(d["state"] == "delivered" for d in hooked.ctl("webhook", "deliveries", made["id"])), "both to be noted")
    assert hooked.http("POST", f"/webhooks/{made['id']}:redeliver", {"seq": first["body"]["seq"]})[0] == 202
    requests = sink.wait(lambda requests: len(requests) == 3, "it again")
    assert requests[2]["raw"] == first["raw"]
    assert hooked.http("POST", f"/webhooks/{made['id']}:replay", {"from_seq": first["body"]["seq"]})[0] == 202
    requests = sink.wait(lambda requests: len(requests) == 5, "both again")
    assert {r["body"]["id"] for r in requests[3:]} == {first["body"]["id"], second["body"]["id"]}
    assert hooked.http("POST", f"/webhooks/{made['id']}:replay", {"last_s": 600})[0] == 202
    sink.wait(lambda requests: len(requests) == 7, "both once more")
    assert hooked.http("POST", f"/webhooks/{made['id']}:redeliver", {"seq": 999999})[0] == 404


def test_more_events_than_are_out_at_once_pass_and_are_not_sent_again(hooked, sink):
    """The log shows 256 ahead of what is acknowledged; three events in four are not wanted."""
    made = subscribe(hooked, sink, ["settings.changed"], match={"/paths/0": "calls.ring_s"})
    token = hooked.admin_token()
    for number in range(300):
        path = "calls.limit" if number % 4 else "calls.ring_s"
        assert hooked.http("PATCH", f"/config/{path}", {"value": str(100 + number)}, token=token)[0] == 200
    sink.wait(lambda requests: len(requests) == 75, "75 events")
    hooked.wait_for(lambda: all(d["state"] == "delivered" for d in hooked.ctl("webhook", "deliveries", made["id"], "limit=500")), "all to be noted")
    hooked.stop()
    hooked.restart()
    fire(hooked)
    hooked.wait_event("registration.added")
    assert len(sink.requests) == 75


def test_both_secrets_sign_after_a_rotation(hooked, sink):
    made = subscribe(hooked, sink, ["registration.added"])
    status, rotated = hooked.http("POST", f"/webhooks/{made['id']}:rotate-secret", {})
    assert status == 200 and rotated["secret"] != made["secret"]
    fire(hooked)
    (request,) = sink.wait(lambda requests: requests, "an event")
    assert header(request, "webhook-signature").split() == [standard_signature(request, secret) for secret in (rotated["secret"], made["secret"])]
    assert "secret" not in hooked.http("GET", f"/webhooks/{made['id']}")[1]


def test_a_paused_webhook_loses_nothing(hooked, sink):
    made = subscribe(hooked, sink, ["registration.added"])
    hooked.ctl("webhook", "pause", made["id"])
    fire(hooked, "1003")
    hooked.wait_event("registration.added")
    hooked.kill()
    hooked.restart()
    fire(hooked, "1004")
    assert sink.requests == []
    hooked.ctl("webhook", "resume", made["id"])
    requests = sink.wait(lambda requests: len(requests) == 2, "both events")
    assert sorted(r["body"]["data"]["aor"] for r in requests) == ["1003", "1004"], "two phones: no order is promised"


def test_a_removed_webhook_is_gone_and_a_test_tells_what_came_back(hooked, sink):
    made = subscribe(hooked, sink)
    answer = hooked.ctl("webhook", "test", made["id"])
    assert answer["http_code"] == 200 and len(sink.requests) == 1
    sink.statuses = [418]
    assert hooked.ctl("webhook", "test", made["id"])["http_code"] == 418
    assert hooked.http("DELETE", f"/webhooks/{made['id']}")[0] == 204
    assert hooked.http("GET", f"/webhooks/{made['id']}")[0] == 404
    with pytest.raises(Refused):
        hooked.ctl("webhook", "test", made["id"])


def test_a_webhook_of_the_settings_is_signed_and_follows_a_reload(make_pbx, sink, second_sink, monkeypatch):
    secret = "whsec_" + base64.b64encode(b"of the settings file, 32 bytes..").decode()
    monkeypatch.setenv("CRM_SECRET", secret)

    def said(to, secret="${CRM_SECRET}"):
        row = {"name": "crm", "url": to.url, "events": ["registration.added"], "secret": secret}
        return settings(sink, second_sink).replace("allow_http: true", f"allow_http: true\n  subscriptions: [{json.dumps(row)}]")
    pbx = make_pbx(said(sink))
    shown = pbx.wait_for(lambda: pbx.ctl("webhook", "list"), "the webhook")[0]
    assert (shown["name"], shown["pinned"], shown["url"]) == ("crm", True, sink.url)
    fire(pbx)
    (request,) = sink.wait(lambda requests: requests, "an event")
    assert header(request, "webhook-signature") == standard_signature(request, secret)
    status, problem = pbx.http("PATCH", "/webhooks/crm", {"url": second_sink.url})
    assert status == 409 and "webhooks.subscriptions" in json.dumps(problem)
    assert pbx.http("DELETE", f"/webhooks/{shown['id']}")[0] == 409
    fresh = "whsec_" + base64.b64encode(b"another one of the settings file").decode()
    pbx.settings = said(second_sink, fresh)
    pbx.write_settings()
    pbx.ctl("config", "reload")
    pbx.wait_for(lambda: pbx.ctl("webhook", "show", "crm")["url"] == second_sink.url, "the change")
    fire(pbx, "1004")
    (request,) = second_sink.wait(lambda requests: requests, "an event at the other endpoint")
    assert request["body"]["data"]["aor"] == "1004"
    assert header(request, "webhook-signature").split() == [standard_signature(request, key) for key in (fresh, secret)]
    assert request["body"]["sequence"] == 2 and len(sink.requests) == 1
    assert secret not in pbx.log()


def test_secrets_stand_nowhere_in_the_clear(hooked, sink):
    made = subscribe(hooked, sink)
    hooked.stop()
    for path in (hooked.directory / "data").rglob("*"):
        if path.is_file():
            assert made["secret"].encode() not in path.read_bytes(), path
    assert made["secret"] not in hooked.log()
