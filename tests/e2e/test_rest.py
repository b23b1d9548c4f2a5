"""REST as programs use it: the whole house through its front door, and every route with what nobody should send."""
import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import stat

import pytest
from calling import CALL_EVENTS, Callers
from event_streams import Stream
from machine import PATIENCE_S
from pbx import ROOT, KeptConnection

FREE = "api:\n  requests_per_minute: 1000000\n  requests_burst: 1000000"  # who asks thousands of things waits otherwise


@pytest.fixture
def house(make_pbx):
    """A PBX whose first start is over."""
    pbx = make_pbx(FREE)
    pbx.wait_for(lambda: pbx.http("GET", "//readyz")[0] == 200, "readiness")
    return pbx


def login(pbx, **who):
    return pbx.http("POST", "/auth/login", who, token="")


# ---- who may ---------------------------------------------------------------------------------


def test_the_first_password_opens_the_house_once(house):
    path = house.directory / "data" / "first-login"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    password = path.read_text().strip()
    assert password not in house.log()
    status, session = login(house, user="admin", password=password)
    assert (status, session["must_change"]) == (200, True) and not path.exists()
    assert house.http("GET", "/extensions", token=session["token"])[0] == 403, "first the password is changed"
    status, session = house.http("POST", "/auth/password", {"password": password, "new_password": "correct horse battery"}, token=session["token"])
    assert status == 200
    token = session["token"]
    status, made = house.http("POST", "/extensions", {"number": "1001", "name": "Ada"}, token=token)
    assert status == 201 and len(made["sip_secret"]) >= 20
    assert "sip_secret" not in house.http("GET", "/extensions/1001", token=token)[1]
    assert house.http("POST", "/auth/logout", token=token)[0] == 204
    assert house.http("GET", "/extensions", token=token)[0] == 401
    assert login(house, user="admin", password=password)[0] == 401


def test_wrong_passwords_are_stopped_at_the_sixth(house):
    assert [login(house, user="admin", password="wrong")[0] for _ in range(6)] == [401] * 5 + [429]


def test_a_token_opens_what_it_was_made_for(house):
    reader = house.ctl("token", "create", "reader", "extensions:read")["token"]
    assert house.http("GET", "/extensions", token=reader)[0] == 200
    assert house.http("POST", "/extensions", {"number": "1001"}, token=reader)[0] == 403
    assert house.http("GET", "/webhooks", token=reader)[0] == 403
    assert house.http("GET", "/extensions", token="no such token")[0] == 401
    assert house.ctl("extension", "list") == []


# ---- what may be asked -------------------------------------------------------------------------


def operations(pbx):
    status, document = pbx.http("GET", "/openapi.json", token="")
    assert status == 200 and document["openapi"].startswith("3.")
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if method in ("get", "post", "put", "patch", "delete"):
                yield method.upper(), path, operation


def without_base(path):
    return re.sub(r"^/api/v1(?=/)", "", path)


def filled(path, value):
    return re.sub(r"\{\w+\}", value, without_base(path))


PUBLIC = {"/auth/login", "/openapi.json", "/webhooks/{id}/keys"}  # the last: receivers have no token of ours
STREAMS = {"/events"}


def test_every_route_wants_a_token(house):
    routes = list(operations(house))
    assert len(routes) > 60
    paths = {without_base(path) for _, path, _ in routes}
    assert {"/extensions", "/webhooks", "/cdr", "/config", "/plugins", "/registrations", "/events", "/media/legs"} <= paths
    for token in ("", "0" * 43):
        with contextlib.closing(KeptConnection(house, token)) as stranger:
            for method, path, operation in routes:
                if without_base(path) in PUBLIC:
                    continue
                status, problem = stranger.ask(method, filled(path, "x"), {} if method != "GET" else None)
                assert status == 401, f"{method} {path}: {status} {problem}"


JUNK_PATHS = ["x", "0", "%00", "..%2f..%2fetc", "%F0%9F%98%80", "9" * 300, "'%20OR%201=1--", "01M826C5R437RQQYJWS4Q1HZX3"]
JUNK_BODIES = [b"", b"{", b"[]", b"null", b'"text"', b"{}", b'{"number": [1]}', b'{"a":' * 2000, b'{"\\ud800": 1}', b"\xff\xfe", b'{"url": {"a": null}}',
               b'{"number": "1' + b"0" * 5000 + b'"}', b'{"number": null, "events": 5, "url": true, "value": {}, "seq": 1e400}']


def test_no_route_falls_over_junk(house):
    """Whatever is sent, the answer is the asker's fault or a result, never ours."""
    with contextlib.closing(KeptConnection(house, house.admin_token())) as asker:
        bring_junk(house, asker)
    assert house.http("GET", "//healthz")[0] == 200


def bring_junk(house, asker):
    for method, path, operation in operations(house):
        if without_base(path) in STREAMS or without_base(path) in ("/auth/logout", "/auth/login"):
            continue
        if method == "GET" or "{" in path:
            for value in JUNK_PATHS if "{" in path else ["x"]:
                query = "?limit=x&after=-1&since=never&from=%00&cursor=zzz&types=%FF&status=odd" if method == "GET" else ""
                for tail in ("", query) if query else ("",):
                    status, answer = asker.ask(method, filled(path, value) + tail, None if method == "GET" else {})
                    assert status < 500, f"{method} {path} with {value}{tail}: {status} {answer}"
        if method in ("POST", "PUT", "PATCH"):
            for body in JUNK_BODIES:
                status, answer = asker.ask(method, filled(path, "1001"), body)
                assert status < 500, f"{method} {path} with {body[:40]}: {status} {answer}"


def test_refusals_name_what_is_wrong(house):
    for body, status, words in ((b"{", 400, "JSON"), (b'{"number": "1001", "nmae": "Ada"}', 400, "nmae"), (b"{}", 400, "number"),
                                (b'{"number": ["1001"]}', 400, "number"), (b'{"number": "no number"}', 400, "number")):
        given, problem = house.http("POST", "/extensions", body)
        assert given == status and words in json.dumps(problem), problem
        assert problem["status"] == status and problem["title"] and problem["type"]
    assert house.http("POST", "/extensions", b"number=1001", headers={"Content-Type": "application/x-www-form-urlencoded"})[0] == 415
    assert house.http("GET", "/nothing/of/the/kind")[0] == 404
    assert house.http("PUT", "/auth/login", {})[0] == 405
    assert house.http("GET", "/extensions/1999")[0] == 404


def test_a_method_that_is_not_there_names_those_that_are(house):
    connection = http.client.HTTPSConnection("127.0.0.1", house.http_port, context=ssl._create_unverified_context(), timeout=PATIENCE_S)
    connection.request("PUT", "/api/v1/extensions", headers={"Authorization": f"Bearer {house.admin_token()}", "Content-Length": "0"})
    answer = connection.getresponse()
    assert answer.status == 405 and {"GET", "POST"} <= {word.strip() for word in answer.headers["Allow"].split(",")}
    connection.close()


def test_a_body_that_is_too_large_is_413(make_pbx):
    pbx = make_pbx("api:\n  max_body_bytes: 2000")
    assert pbx.http("POST", "/extensions", {"number": "1001", "name": "A" * 3000})[0] == 413
    assert pbx.http("POST", "/extensions", {"number": "1001"})[0] == 201


def test_broken_http_harms_nobody(house):
    context = ssl._create_unverified_context()
    for junk in (b"", b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST /api/v1/extensions HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                 b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 5000 + b"\r\n", b"\x16\x03\x01" * 50):
        with socket.create_connection(("127.0.0.1", house.http_port), PATIENCE_S) as plain:
            plain.sendall(junk)
        with context.wrap_socket(socket.create_connection(("127.0.0.1", house.http_port), PATIENCE_S)) as secure:
            try:
                secure.sendall(junk)
                secure.settimeout(0.3)
                secure.recv(100)
            except OSError:
                pass  # it may hang up on us
    assert house.http("GET", "//healthz") == (200, {"status": "ok"})


# ---- numbers and health ------------------------------------------------------------------------


def declared_families():
    """Every metric family in the source: those of the core and of each plugin that is loaded."""
    for folder in ("core", "sip", "rtp", "api", "plugins"):
        for path in (ROOT / folder).rglob("*.c"):
            if path.name.startswith("test_"):
                continue
            for name, kind in re.findall(r'"(pbx_[a-z0-9_]+)",\s*(?:\.kind = )?PBX_METRIC_(\w+)', path.read_text()):
                yield name, kind.lower()


def test_a_scrape_has_every_family_that_is_declared(house, sipp):
    Callers(house, sipp).call(1)
    status, text = house.http("GET", "//metrics")
    assert status == 200 and text.endswith("# EOF\n")
    families = set(declared_families())
    assert len(families) > 20
    for name, kind in families:
        bare = name.removesuffix("_total") if kind == "counter" else name
        assert re.search(rf"^# TYPE {bare} {kind}$", text, re.M), f"{name} ({kind}) is not in the scrape"
    for line in text.splitlines():
        assert line.startswith("# ") or re.match(r'^[a-z_:][a-z0-9_:]*(\{([a-z_]+="[^"]*",?)*\})? [-+0-9.einfa]+$', line), line
    assert re.search(r'^pbx_sip_requests_total\{method="INVITE",dir="in"\} [1-9]', text, re.M)


def test_health_and_readiness(house):
    assert house.http("GET", "//healthz") == (200, {"status": "ok"})
    assert house.http("GET", "//readyz") == (200, {"status": "ready", "store": "up", "journalled": 0, "draining": False})


# ---- events and records ----------------------------------------------------------------------------


def test_a_stream_goes_on_after_kill_minus_nine_without_gap_or_double(house, sipp):
    callers = Callers(house, sipp)
    stream = Stream(house, "call.*")
    callers.call(1)
    first = stream.take(4)
    assert [event["type"] for event in first] == CALL_EVENTS
    stream.close()
    callers.call(2)
    house.wait_for(lambda: len(house.events("call.ended")) == 3, "the calls to be in the log")
    house.kill()
    house.restart()
    callers.call(1)
    stream = Stream(house, "call.*", last=first[1]["seq"])
    rest = stream.take(14)
    logged = [event["seq"] for event in house.events("call.*")]
    assert [event["seq"] for event in first[:2] + rest] == logged and len(logged) == 16
    stream.close()


def test_what_a_stream_has_told_is_in_the_log_after_a_power_cut(house, sipp):
    callers = Callers(house, sipp)
    stream = Stream(house, "*")
    callee = sipp(house, "uas_answers", calls=200, port=callers.callee_port)
    caller = sipp(house, "uac_calls", calls=200, keys={"number": "1001"}, user="1001", secret=callers.secret, args=callers.pace(40, 50))
    told = stream.take(300)
    house.kill()
    try:
        while True:
            told += stream.take(1)
    except (AssertionError, OSError, http.client.HTTPException):
        pass  # what was on its way has arrived
    stream.close()
    caller.stop()
    callee.stop()
    house.restart()
    logged = {event["seq"]: event["id"] for event in house.events("*")}
    assert [event for event in told if logged.get(event["seq"]) != event["id"]] == []


def test_records_page_filter_and_export(house, sipp):
    callers = Callers(house, sipp)
    callers.call(5)
    house.wait_for(lambda: [bool(record["ended_at"]) for record in house.ctl("cdr", "list")] == [True] * 5, "five records")
    status, page = house.http("GET", "/cdr?limit=2")
    assert status == 200 and len(page["items"]) == 2 and page["next_cursor"]
    seen = [item["id"] for item in page["items"]]
    while page.get("next_cursor"):
        page = house.http("GET", f"/cdr?limit=2&cursor={page['next_cursor']}")[1]
        seen += [item["id"] for item in page["items"]]
    assert len(seen) == len(set(seen)) == 5
    assert house.http("GET", "/cdr?extension=1999")[1]["items"] == []
    assert len(house.http("GET", "/cdr?disposition=answered&extension=1002")[1]["items"]) == 5
    status, problem = house.http("GET", "/cdr?disposition=maybe")
    assert status in (400, 422) and "disposition" in json.dumps(problem)
