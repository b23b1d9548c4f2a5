"""The gateway as its clients meet it: a real pbxd, HTTPS, and what happens to those who are wrong, slow, many or gone."""
import http.client
import json
import os
import socket
import ssl
import stat
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from pbx import Pbx  # noqa: E402

SETTINGS = """
api:
  requests_per_minute: 60000
  requests_burst: 10000
  max_body_bytes: 65536
  threads: 8
"""


@pytest.fixture(scope="module")
def pbx(tmp_path_factory):
    daemon = awake(Pbx(tmp_path_factory.mktemp("gateway"), SETTINGS).start())
    yield daemon
    daemon.stop()


@pytest.fixture
def fresh(tmp_path):
    """One that nobody has logged in to yet; `fresh(settings)` starts it."""
    started = []

    def start(settings=SETTINGS, **more):
        started.append(Pbx(tmp_path / str(len(started)), settings, **more).start())
        return awake(started[-1])
    yield start
    for daemon in started:
        daemon.stop()


def awake(daemon):
    """Once the first user has been made."""
    Pbx.wait_for(lambda: ask(daemon, "GET", "/readyz").status == 200, "readiness", 30)
    return daemon


class Answer:
    def __init__(self, answer):
        self.status, self.headers, self.body = answer.status, answer.headers, answer.read()

    @property
    def json(self):
        return json.loads(self.body)


def connect(pbx, **tls):
    context = ssl._create_unverified_context()
    for name, value in tls.items():
        setattr(context, name, value)
    return http.client.HTTPSConnection("127.0.0.1", pbx.http_port, context=context, timeout=40)


def ask(pbx, method, path, body=None, token=None, **headers):
    connection = connect(pbx)
    all_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        all_headers["Authorization"] = f"Bearer {token}"
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
        all_headers.setdefault("Content-Type", "application/json")
    connection.request(method, path, body=body, headers=all_headers)
    answer = Answer(connection.getresponse())
    connection.close()
    return answer


def login(pbx, **who):
    return ask(pbx, "POST", "/api/v1/auth/login", who)


def first_password(pbx):
    path = pbx.directory / "data" / "first-login"
    return Pbx.wait_for(lambda: path.exists() and path.read_text().strip(), "the one-time password")


def new_user(pbx, name, *scopes):
    """A user with a password of their own, and a token."""
    once = pbx.ctl("user", "add", name, *scopes)["one_time_password"]
    return login(pbx, user=name, password=once, new_password="correct horse").json["token"]


# ---- transport --------------------------------------------------------------------------------------------


def test_speaks_tls_13_and_12_but_not_11(pbx):
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        connection = connect(pbx, maximum_version=version)
        connection.connect()
        assert connection.sock.version() == version.name.replace("_", ".")
        connection.close()
    old = ssl._create_unverified_context()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        old.wrap_socket(socket.create_connection(("127.0.0.1", pbx.http_port)))


def test_its_own_certificate_names_this_machine_and_its_key_is_private(pbx):
    data = pbx.directory / "data"
    assert stat.S_IMODE(os.stat(data / "api.key").st_mode) == 0o600
    context = ssl.create_default_context(cafile=str(data / "api.crt"))  # who pins it may check the name
    for name in ("localhost", "127.0.0.1", socket.gethostname()):
        with context.wrap_socket(socket.create_connection(("127.0.0.1", pbx.http_port)), server_hostname=name) as secure:
            assert secure.version()


def test_the_certificate_outlives_a_restart(fresh):
    daemon = fresh(first_start=True)
    before = (daemon.directory / "data" / "api.crt").read_bytes()
    daemon.stop()
    daemon.restart()
    assert (daemon.directory / "data" / "api.crt").read_bytes() == before
    assert ask(daemon, "GET", "/healthz").status == 200


def test_plain_http_on_a_tls_port_gets_no_answer(pbx):
    with socket.create_connection(("127.0.0.1", pbx.http_port), timeout=20) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in plain.recv(1000)


def test_every_answer_carries_the_safe_headers(pbx):
    for path in ("/healthz", "/api/v1/auth/me", "/nothing"):
        headers = ask(pbx, "GET", path, Origin="https://evil.example").headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "max-age=" in headers["Strict-Transport-Security"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert len(headers["X-Request-Id"]) == 32
        assert not [name for name in headers if name.lower().startswith("access-control")]


def test_a_preflight_is_no_invitation(pbx):
    answer = ask(pbx, "OPTIONS", "/api/v1/users", Origin="https://evil.example", Access_Control_Request_Method="POST")
    assert answer.status == 405
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


# ---- errors -----------------------------------------------------------------------------------------------


def test_refusals_are_problems_with_a_request_id(pbx):
    admin = pbx.admin_token()
    limited = new_user(pbx, "limited", "calls:read")
    cases = [
        (ask(pbx, "GET", "/api/v1/users"), 401),
        (ask(pbx, "GET", "/api/v1/users", token="pbx_wrong"), 401),
        (ask(pbx, "GET", "/api/v1/users", token=limited), 403),
        (ask(pbx, "GET", "/api/v1/nothing", token=admin), 404),
        (ask(pbx, "GET", "/nothing"), 404),
        (ask(pbx, "PUT", "/api/v1/users", {}, token=admin), 405),
        (ask(pbx, "POST", "/api/v1/users", "{broken", token=admin, Content_Type="application/json"), 400),
        (ask(pbx, "POST", "/api/v1/users", {"name": "x", "scopes": ["calls:read"], "nam": 1}, token=admin), 400),
        (ask(pbx, "POST", "/api/v1/users", "name=x", token=admin, Content_Type="application/x-www-form-urlencoded"), 415),
    ]
    for answer, status in cases:
        assert answer.status == status, answer.body
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json["status"] == status
        assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    assert cases[0][0].headers["WWW-Authenticate"].startswith("Bearer")
    assert cases[5][0].headers["Allow"]


def test_a_wrong_field_is_named(pbx):
    answer = ask(pbx, "POST", "/api/v1/users", {"name": "x", "scopes": "calls:read"}, token=pbx.admin_token())
    assert answer.status == 400
    assert [error["pointer"] for error in answer.json["errors"]] == ["/scopes"]


def test_a_body_that_is_too_large_is_refused_without_being_read(pbx):
    connection = connect(pbx)
    connection.putrequest("POST", "/api/v1/auth/login")
    connection.putheader("Content-Length", "999999999")
    connection.endheaders()
    answer = Answer(connection.getresponse())
    assert answer.status == 413 and answer.headers["Connection"].lower() == "close"


def test_a_chunked_body_is_limited_too(pbx):
    connection = connect(pbx)
    pieces = (b"x" * 8192 for _ in range(16))
    try:
        connection.request("POST", "/api/v1/auth/login", body=pieces, headers={"Content-Type": "application/json"}, encode_chunked=True)
    except OSError:
        pass  # refused while we were still sending
    assert connection.getresponse().status == 413


def test_a_head_has_no_body_but_its_length(pbx):
    answer = ask(pbx, "HEAD", "/api/v1/openapi.json")
    assert answer.status == 200 and answer.body == b"" and int(answer.headers["Content-Length"]) > 1000


def test_two_requests_share_a_connection(pbx):
    connection = connect(pbx)
    for _ in range(2):
        connection.request("GET", "/healthz")
        assert Answer(connection.getresponse()).status == 200
        assert connection.sock is not None


# ---- health -----------------------------------------------------------------------------------------------


def test_health_readiness_metrics_and_the_document_need_no_token_here(pbx):
    assert ask(pbx, "GET", "/healthz").json == {"status": "ok"}
    assert ask(pbx, "GET", "/readyz").json["status"] == "ready"
    metrics = ask(pbx, "GET", "/metrics")
    assert metrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert metrics.body.decode().rstrip().endswith("# EOF")
    document = ask(pbx, "GET", "/api/v1/openapi.json").json
    assert document["openapi"].startswith("3.1")
    assert {"/auth/login", "/users/{name}", "/events"} <= set(document["paths"])


# ---- log-in -----------------------------------------------------------------------------------------------


def test_the_first_password_serves_once_and_must_be_changed(fresh):
    daemon = fresh(first_start=True)
    password = first_password(daemon)
    assert stat.S_IMODE(os.stat(daemon.directory / "data" / "first-login").st_mode) == 0o600
    assert password not in daemon.log()
    first = login(daemon, user="admin", password=password)
    assert first.json["must_change"] is True and first.json["scopes"] == ""
    assert not (daemon.directory / "data" / "first-login").exists()

    token = first.json["token"]
    assert ask(daemon, "GET", "/api/v1/users", token=token).status == 403
    assert ask(daemon, "GET", "/api/v1/auth/me", token=token).json["user"] == "admin"
    wrong = ask(daemon, "POST", "/api/v1/auth/password", {"password": "no", "new_password": "correct horse"}, token=token)
    assert wrong.status == 422 and wrong.json["errors"][0]["pointer"] == "/password"
    changed = ask(daemon, "POST", "/api/v1/auth/password", {"password": password, "new_password": "correct horse"}, token=token)
    assert changed.status == 200 and changed.json["scopes"] == "*"

    assert ask(daemon, "GET", "/api/v1/auth/me", token=token).status == 401, "a password change ends other sessions"
    assert ask(daemon, "GET", "/api/v1/users", token=changed.json["token"]).status == 200
    assert login(daemon, user="admin", password=password).status == 401
    assert login(daemon, user="admin", password="correct horse").json["must_change"] is False


def test_a_restart_makes_no_second_admin_and_keeps_tokens(fresh):
    daemon = fresh(first_start=True)
    token = daemon.admin_token()
    daemon.stop()
    daemon.start()
    assert ask(daemon, "GET", "/api/v1/users", token=token).status == 200
    assert len(daemon.log_lines("first_user_made")) == 1


def test_the_sixth_try_is_not_judged_any_more(fresh):
    daemon = fresh()
    right = daemon.ctl("user", "passwd", "admin")["one_time_password"]
    statuses = [login(daemon, user="admin", password="wrong").status for _ in range(5)]
    assert statuses == [401] * 5
    locked = login(daemon, user="admin", password=right)
    assert locked.status == 429 and 890 <= int(locked.headers["Retry-After"]) <= 900
    daemon.ctl("user", "add", "other", "calls:read")
    assert login(daemon, user="other", password="wrong").status == 401, "only that user is locked"


def test_a_lock_outlives_kill_minus_nine(fresh):
    daemon = fresh()
    assert [login(daemon, user="admin", password="wrong").status for _ in range(6)] == [401] * 5 + [429]
    daemon.kill()
    daemon.restart()
    locked = login(daemon, user="admin", password="wrong")
    assert locked.status == 429 and 600 <= int(locked.headers["Retry-After"]) <= 900
    daemon.ctl("user", "add", "other", "calls:read")
    assert login(daemon, user="other", password="wrong").status == 401, "only that user is locked"


def test_ready_means_that_people_can_log_in(tmp_path):
    daemon = Pbx(tmp_path, SETTINGS, first_start=True).start()  # returns at READY=1
    assert ask(daemon, "GET", "/readyz").status == 200
    assert login(daemon, user="admin", password=first_password(daemon)).status == 200
    daemon.stop()


def test_tries_at_the_same_time_count_each(fresh):
    daemon = fresh()
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(login(daemon, user="admin", password="wrong").status)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [401] * 5 + [429] * 3


def test_a_right_password_forgives_the_wrong_ones(pbx):
    once = pbx.ctl("user", "add", "clumsy", "calls:read")["one_time_password"]
    for _ in range(2):
        for _ in range(4):
            assert login(pbx, user="clumsy", password="wrong").status == 401
        assert login(pbx, user="clumsy", password=once).status == 200


def test_who_does_not_exist_is_refused_in_the_same_words(pbx):
    once = pbx.ctl("user", "add", "known", "calls:read")
    known, unknown = login(pbx, user="known", password="wrong"), login(pbx, user="nobody", password="wrong")
    assert once and known.status == unknown.status == 401
    assert known.json["detail"] == unknown.json["detail"] and known.json["code"] == unknown.json["code"]


def test_an_extension_logs_in_for_its_own_account_only(fresh):
    daemon = fresh(SETTINGS + '  user_scopes: ["extensions:read"]\n')
    daemon.ctl("extension", "add", "1001", "name=One", "password=correct horse")
    answer = login(daemon, extension="1001", password="correct horse")
    assert answer.status == 200 and answer.json["scopes"] == "extensions:read"
    token = answer.json["token"]
    assert ask(daemon, "GET", "/api/v1/auth/me", token=token).json["extension"] == "1001"
    assert ask(daemon, "GET", "/api/v1/users", token=token).status == 403
    daemon.ctl("extension", "remove", "1001")
    assert ask(daemon, "GET", "/api/v1/auth/me", token=token).status == 401, "an account that has gone takes its tokens along"


# ---- tokens and users -------------------------------------------------------------------------------------


def test_logging_out_ends_a_token_at_once(pbx):
    token = new_user(pbx, "leaving", "calls:read")
    assert ask(pbx, "POST", "/api/v1/auth/logout", token=token).status == 204
    assert ask(pbx, "GET", "/api/v1/auth/me", token=token).status == 401


def test_a_named_token_is_shown_once_kept_hashed_and_revoked(pbx):
    admin = pbx.admin_token()
    made = ask(pbx, "POST", "/api/v1/tokens", {"name": "grafana", "scopes": ["metrics:read"]}, token=admin)
    assert made.status == 201 and made.headers["Location"] == f"/api/v1/tokens/{made.json['id']}"
    token = made.json["token"]
    assert ask(pbx, "GET", "/api/v1/metrics", token=token).status == 200
    listed = ask(pbx, "GET", "/api/v1/tokens", token=admin).json["items"]
    assert token not in json.dumps(listed) and made.json["id"] in [item["id"] for item in listed]
    for path in (pbx.directory / "data").glob("pbx.db*"):
        assert token.encode() not in path.read_bytes()
    assert ask(pbx, "DELETE", f"/api/v1/tokens/{made.json['id']}", token=admin).status == 204
    assert ask(pbx, "GET", "/api/v1/metrics", token=token).status == 401
    assert ask(pbx, "DELETE", f"/api/v1/tokens/{made.json['id']}", token=admin).status == 404


def test_nobody_gives_what_they_have_not_got(pbx):
    token = new_user(pbx, "clerk", "users:write", "users:read", "tokens:write", "calls:read")
    for scopes in (["admin"], ["*"], ["calls:*"], ["cdr:read"]):
        assert ask(pbx, "POST", "/api/v1/tokens", {"name": "t", "scopes": scopes}, token=token).status == 403
        assert ask(pbx, "POST", "/api/v1/users", {"name": "puppet", "scopes": scopes}, token=token).status == 403
    assert ask(pbx, "POST", "/api/v1/tokens", {"name": "t", "scopes": ["calls:read"]}, token=token).status == 201
    assert ask(pbx, "POST", "/api/v1/users/admin:passwd", {}, token=token).status == 403, "a clerk cannot become the administrator"
    assert ask(pbx, "DELETE", "/api/v1/users/admin", token=token).status == 403


def test_the_last_administrator_stays(pbx):
    admin = pbx.admin_token()
    assert ask(pbx, "DELETE", "/api/v1/users/admin", token=admin).json["code"] == "last_admin"
    assert ask(pbx, "PATCH", "/api/v1/users/admin", {"scopes": ["calls:read"]}, token=admin).status == 409
    pbx.ctl("user", "add", "second", "admin")
    assert ask(pbx, "PATCH", "/api/v1/users/admin", {"scopes": ["calls:read"]}, token=admin).status == 200
    assert ask(pbx, "DELETE", "/api/v1/users/second", token=admin).status == 409
    assert ask(pbx, "PATCH", "/api/v1/users/admin", {"scopes": ["admin"]}, token=admin).status == 200
    assert ask(pbx, "DELETE", "/api/v1/users/second", token=admin).status == 204
    assert ask(pbx, "GET", "/api/v1/users/second", token=admin).status == 404


def test_a_user_who_is_removed_is_out(pbx):
    token = new_user(pbx, "fired", "calls:read")
    assert ask(pbx, "GET", "/api/v1/auth/me", token=token).status == 200
    pbx.ctl("user", "remove", "fired")
    assert ask(pbx, "GET", "/api/v1/auth/me", token=token).status == 401


def test_a_name_that_could_break_a_path_is_refused(pbx):
    for name in ("a/b", "a b", "a\nb", "ü", "x" * 65):
        refused = ask(pbx, "POST", "/api/v1/users", {"name": name, "scopes": ["calls:read"]}, token=pbx.admin_token())
        assert refused.status == (400 if len(name) > 64 else 422)
        assert refused.json["errors"][0]["pointer"] == "/name"


# ---- what every route promises ------------------------------------------------------------------------------


def test_what_has_not_changed_is_304_and_what_has_changed_is_not_overwritten(pbx):
    admin = pbx.admin_token()
    pbx.ctl("user", "add", "seen", "calls:read")
    seen = ask(pbx, "GET", "/api/v1/users/seen", token=admin)
    tag = seen.headers["ETag"]
    again = ask(pbx, "GET", "/api/v1/users/seen", token=admin, If_None_Match=tag)
    assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    answers = []
    threads = [threading.Thread(target=lambda scope=scope: answers.append(
        ask(pbx, "PATCH", "/api/v1/users/seen", {"scopes": [scope]}, token=admin, If_Match=tag).status)) for scope in ("cdr:read", "calls:*")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 412]
    assert ask(pbx, "GET", "/api/v1/users/seen", token=admin, If_None_Match=tag).status == 200
    assert ask(pbx, "DELETE", "/api/v1/users/seen", token=admin, If_Match='"stale"').status == 412
    assert ask(pbx, "DELETE", "/api/v1/users/seen", token=admin, If_Match="*").status == 204
    assert ask(pbx, "DELETE", "/api/v1/users/seen", token=admin, If_Match="*").status == 404


def test_if_match_can_be_made_a_duty(fresh):
    daemon = fresh(SETTINGS + "  require_if_match: true\n")
    admin = daemon.admin_token()
    daemon.ctl("user", "add", "guarded", "calls:read")
    assert ask(daemon, "DELETE", "/api/v1/users/guarded", token=admin).status == 428
    tag = ask(daemon, "GET", "/api/v1/users/guarded", token=admin).headers["ETag"]
    assert ask(daemon, "DELETE", "/api/v1/users/guarded", token=admin, If_Match=tag).status == 204


def test_a_key_makes_two_requests_one(fresh):
    daemon = fresh()
    admin = daemon.admin_token()

    def make(body, key="first-try", token=admin):
        return ask(daemon, "POST", "/api/v1/tokens", body, token=token, Idempotency_Key=key)
    wanted = {"name": "once", "scopes": ["calls:read"]}
    first, second = make(wanted), make(wanted)
    assert first.status == second.status == 201 and first.json == second.json
    assert first.headers["Location"] == second.headers["Location"]
    assert second.headers["Idempotency-Replayed"] == "true" and not first.headers["Idempotency-Replayed"]
    names = [item["name"] for item in ask(daemon, "GET", "/api/v1/tokens", token=admin).json["items"]]
    assert names.count("once") == 1
    other = make({"name": "twice", "scopes": ["calls:read"]})
    assert (other.status, other.json["code"]) == (422, "key_reused")
    other_user = new_user(daemon, "clerk", "tokens:write", "calls:read")
    assert make(wanted, token=other_user).json["id"] != first.json["id"], "a key belongs to who sent it"
    assert make(wanted, key="second-try").json["id"] != first.json["id"]
    assert make(wanted, key="a b").status == 400
    for path in (daemon.directory / "data").glob("pbx.db*"):
        assert first.json["token"].encode() not in path.read_bytes(), "a kept answer shows no secret"
    daemon.kill()
    daemon.restart()
    assert make(wanted).json == first.json, "a restart changes nothing"


def test_a_key_that_was_refused_can_be_used_again_and_a_refusal_is_an_answer(pbx):
    admin = pbx.admin_token()

    def make(body):
        return ask(pbx, "POST", "/api/v1/users", body, token=admin, Idempotency_Key="refused-first")
    assert make({"name": "late"}).status == 400
    assert make({"name": "late", "scopes": ["calls:read"]}).status == 201, "what never reached its handler has used no key"
    twice = ask(pbx, "POST", "/api/v1/users", {"name": "late", "scopes": ["calls:read"]}, token=admin, Idempotency_Key="exists")
    pbx.ctl("user", "remove", "late")
    again = ask(pbx, "POST", "/api/v1/users", {"name": "late", "scopes": ["calls:read"]}, token=admin, Idempotency_Key="exists")
    assert twice.status == again.status == 409 and again.headers["Idempotency-Replayed"] == "true"


def test_ten_at_once_with_one_key_do_it_once(pbx):
    admin, answers = pbx.admin_token(), []
    threads = [threading.Thread(target=lambda: answers.append(
        ask(pbx, "POST", "/api/v1/users", {"name": "crowd", "scopes": ["calls:read"]}, token=admin, Idempotency_Key="crowd"))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = [answer.status for answer in answers]
    assert set(statuses) <= {201, 409} and 201 in statuses
    assert {answer.json["code"] for answer in answers if answer.status == 409} <= {"in_progress"}
    assert len({answer.body for answer in answers if answer.status == 201}) == 1
    assert len([answer for answer in answers if answer.status == 201 and not answer.headers["Idempotency-Replayed"]]) == 1


def test_a_list_comes_in_pages(pbx):
    admin = pbx.admin_token()
    for number in range(5):
        pbx.ctl("token", "create", f"paged{number}", "calls:read")
    whole = [item["name"] for item in ask(pbx, "GET", "/api/v1/tokens?sort=name", token=admin).json["items"]]
    seen, path = [], "/api/v1/tokens?sort=name&limit=2&fields=name"
    while path:
        page = ask(pbx, "GET", path, token=admin)
        assert page.status == 200 and all(list(item) == ["name"] for item in page.json["items"])
        seen += [item["name"] for item in page.json["items"]]
        link = page.headers["Link"]
        assert bool(link) == bool(page.json["next_cursor"])
        path = "/api/v1/tokens" + link.split(">")[0].strip("<") if link else None
    assert seen == whole and len(seen) >= 6


def test_the_document_says_what_every_route_promises(pbx):
    document = ask(pbx, "GET", "/api/v1/openapi.json").json
    users = document["paths"]["/users"]
    assert {"$ref": "#/components/parameters/idempotency_key"} in users["post"]["parameters"]
    assert {"$ref": "#/components/parameters/sort"} in users["get"]["parameters"]
    assert {"$ref": "#/components/parameters/if_match"} in document["paths"]["/users/{name}"]["patch"]["parameters"]
    assert {"400", "412", "422", "429", "default"} <= set(document["paths"]["/users/{name}"]["patch"]["responses"])

    def references(value):
        if isinstance(value, dict):
            yield from ([value["$ref"]] if "$ref" in value else [])
            value = list(value.values())
        for item in value if isinstance(value, list) else []:
            yield from references(item)
    for reference in set(references(document)):
        at = document
        for step in reference.removeprefix("#/").split("/"):
            at = at[step]


# ---- limits -----------------------------------------------------------------------------------------------


def test_who_asks_too_often_waits(fresh):
    daemon = fresh("api:\n  requests_per_minute: 60\n  requests_burst: 5\n")
    token = daemon.admin_token()
    answers = [ask(daemon, "GET", "/api/v1/auth/me", token=token) for _ in range(8)]
    assert [answer.status for answer in answers[:5]] == [200] * 5
    assert [answer.headers["RateLimit-Limit"] for answer in answers] == ["5"] * 8
    assert answers[0].headers["RateLimit-Remaining"] == "4" and int(answers[0].headers["RateLimit-Reset"]) in (1, 2)
    refused = [answer for answer in answers[5:] if answer.status == 429]
    assert refused[0].headers["RateLimit-Remaining"] == "0"
    assert refused and 1 <= int(refused[0].headers["Retry-After"]) <= 2
    assert ask(daemon, "GET", "/healthz").status == 200, "health is not limited"


def test_slow_clients_do_not_keep_others_out(pbx):
    """Seven of eight threads get a request that never ends; a normal one is served at once, and the slow are cut off."""
    context, slow = ssl._create_unverified_context(), []
    for _ in range(6):
        secure = context.wrap_socket(socket.create_connection(("127.0.0.1", pbx.http_port), timeout=40))
        secure.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        slow.append(secure)
    assert ask(pbx, "GET", "/healthz").status == 200
    began = time.monotonic()
    for secure in slow:
        try:
            assert secure.recv(1) in (b"", b"H")  # closed, or told why
        except OSError:
            pass
        secure.close()
    assert time.monotonic() - began < 25


def test_a_body_that_trickles_is_given_up(pbx):
    connection = connect(pbx)
    connection.putrequest("POST", "/api/v1/auth/login")
    connection.putheader("Content-Length", "1000")
    connection.putheader("Content-Type", "application/json")
    connection.endheaders(b"{")
    began = time.monotonic()
    try:
        assert connection.getresponse().status == 408
    except (OSError, http.client.HTTPException):
        pass  # cut off is fine, too
    assert time.monotonic() - began < 35


def test_many_at_once_are_all_answered(pbx):
    token, statuses = pbx.admin_token(), []

    def work():
        for _ in range(10):
            statuses.append(ask(pbx, "GET", "/api/v1/auth/me", token=token).status)
    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 120


# ---- events -----------------------------------------------------------------------------------------------


class Stream:
    """An EventSource: events by number."""

    def __init__(self, pbx, token, topics="*", last=None):
        self.connection = connect(pbx)
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        self.connection.request("GET", f"/api/v1/events?topics={topics}", headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        assert self.answer.headers["Content-Type"] == "text/event-stream"
        assert self.answer.readline() == b"retry: 2000\n" and self.answer.readline() == b"\n"

    def next(self):
        """(id, event); None when the stream has ended."""
        number = None
        while True:
            line = self.answer.readline()
            if not line:
                return None
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                number = int(value)
            elif name == "data":
                return number, json.loads(value)

    def close(self):
        self.connection.close()


def make_event(pbx):
    """Something that publishes settings.changed."""
    pbx.ctl("config", "set", "server.name", f"name {time.monotonic_ns()}")


def test_events_come_as_they_happen_and_are_filtered(pbx):
    stream = Stream(pbx, pbx.admin_token(), "settings.*")
    make_event(pbx)
    number, event = stream.next()
    assert event["type"] == "settings.changed" and event["seq"] == number and event["id"] and event["time"].endswith("Z")
    stream.close()


def test_a_client_that_was_away_misses_nothing_and_gets_nothing_twice(pbx):
    token = pbx.admin_token()
    stream = Stream(pbx, token, "settings.*")
    make_event(pbx)
    seen = [stream.next()[0]]
    stream.close()
    for _ in range(150):  # more than two pages of the log
        make_event(pbx)
    stream = Stream(pbx, token, "settings.*", last=seen[-1])
    for _ in range(75):
        seen.append(stream.next()[0])
    make_event(pbx)  # while it catches up
    for _ in range(76):
        seen.append(stream.next()[0])
    stream.close()
    logged = [event["seq"] for event in pbx.events("settings.changed")]
    assert seen == logged[logged.index(seen[0]):]


def test_a_revoked_token_ends_its_stream(pbx):
    token = new_user(pbx, "watcher", "events:read")
    stream = Stream(pbx, token)
    assert ask(pbx, "POST", "/api/v1/auth/logout", token=token).status == 204
    while stream.next() is not None:
        pass  # what happened until then
    stream.close()


def test_streams_leave_threads_for_others(fresh):
    pbx = fresh()
    token = pbx.admin_token()
    streams = [Stream(pbx, token) for _ in range(4)]
    refused = ask(pbx, "GET", "/api/v1/events", token=token)
    assert refused.status == 503 and refused.headers["Retry-After"]
    assert ask(pbx, "GET", "/healthz").status == 200
    for stream in streams:
        stream.close()

    def can_stream_again():
        make_event(pbx)  # who has gone is noticed when something is written
        try:
            Stream(pbx, token).close()
            return True
        except AssertionError:
            return False
    Pbx.wait_for(can_stream_again, "a place for a stream", 30)


def test_a_stop_ends_streams_and_does_not_wait_for_idle_connections(fresh):
    daemon = fresh()
    stream = Stream(daemon, daemon.admin_token())
    idle = connect(daemon)
    idle.connect()
    started, began = len(daemon.log()), time.monotonic()
    daemon.stop()
    assert time.monotonic() - began < 10
    while stream.next() is not None:
        pass
    assert "loop_hangs" not in daemon.log()[started:]  # loading plugins may take long on a busy machine; stopping may not


# ---- settings ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lines, told", [
    ("  listen: \"0.0.0.0:0\"\n  plain_http: true\n", "plain_http"),
    ("  listen: \"[::1]:9000\"\n", "IPv4"),
    ("  certificate: /nowhere.pem\n", "certificate and key go together"),
    ("  certificate: /nowhere.pem\n  key: /nowhere.key\n", "/nowhere.pem"),
])
def test_settings_that_cannot_work_are_refused_with_the_cure(tmp_path, lines, told):
    daemon = Pbx(tmp_path, "api:\n" + lines)
    with pytest.raises(RuntimeError):
        daemon.start()
    daemon.process.wait(20)
    assert told in daemon.log()
    assert daemon.process.returncode not in (0, 98, 99)


def test_a_port_that_is_taken_is_named(tmp_path):
    daemon = Pbx(tmp_path)
    with socket.create_server(("127.0.0.1", daemon.http_port)):
        with pytest.raises(RuntimeError):
            daemon.start()
    assert str(daemon.http_port) in "".join(daemon.log_lines("api_not_started"))


# ---- pbxctl -----------------------------------------------------------------------------------------------


def pbxctl(pbx, *words, socket_path=None, **environment):
    binary = Path(os.environ.get("PBX_BUILD", Path(__file__).resolve().parents[2] / "build-asan")) / "api" / "pbxctl"
    return subprocess.run([str(binary), "--socket", str(socket_path or pbx.control), *words], capture_output=True, text=True, timeout=30,
                          env={**os.environ, **environment})


def test_pbxctl_tells_by_its_exit_code_what_happened(pbx, tmp_path):
    assert pbxctl(pbx, "status").returncode == 0
    assert pbxctl(pbx, "user", "remove", "nobody-here").returncode == 1
    unknown = pbxctl(pbx, "statsu")
    assert unknown.returncode == 64 and "status" in unknown.stderr
    assert pbxctl(pbx, "user", "add").returncode == 64
    away = pbxctl(pbx, "status", socket_path=tmp_path / "nothing.sock")
    assert away.returncode == 69 and "systemctl start" in away.stderr


def test_pbxctl_aligns_its_tables(pbx):
    lines = pbxctl(pbx, "user", "list").stdout.splitlines()
    column = lines[0].index("scopes")
    assert lines[0].startswith("name") and all(line[column - 1] == " " and line[column] != " " for line in lines)


def test_pbxctl_fits_its_tables_to_the_terminal_and_pipes_them_whole(pbx):
    whole = pbxctl(pbx, "config", "show", "server").stdout
    assert "…" not in whole and str(pbx.directory / "data") in whole
    for width in (60, 100):
        lines = pbxctl(pbx, "config", "show", "server", COLUMNS=str(width)).stdout.splitlines()
        assert max(len(line) for line in lines) <= width and any("…" in line for line in lines)
        assert len(lines) == len(whole.splitlines())


def test_pbxctl_alone_helps_shortly(pbx, tmp_path):
    alone = pbxctl(pbx)
    assert alone.returncode == 64 and alone.stdout == "" and alone.stderr.startswith("usage: pbxctl")
    assert {"calls", "config", "plugin", "route", "status"} <= set(alone.stderr.splitlines()[-1].split())
    assert len(alone.stderr.splitlines()) < 20
    away = pbxctl(pbx, socket_path=tmp_path / "nothing.sock")
    assert away.returncode == 64 and away.stderr.startswith("usage: pbxctl") and "cannot be reached" not in away.stderr


def test_pbxctl_tells_what_was_probably_meant(pbx):
    for words, meant in ((["calls", "lsit"], "calls list"), (["plugn", "list"], "plugin list"), (["events", "list", "--limt", "3"], "--limit")):
        said = pbxctl(pbx, *words)
        assert said.returncode == 64 and f"did you mean" in said.stderr and meant in said.stderr


def test_status_says_who_listens_and_who_is_there(pbx):
    status = pbx.ctl("status")
    assert status["api"]["listeners"] == [f"https://127.0.0.1:{pbx.http_port}"] and status["api"]["ready"] is True
    assert status["sip"]["listeners"] == [f"udp:127.0.0.1:{pbx.sip_port}", f"tcp:127.0.0.1:{pbx.sip_port}"]
    assert (status["sip"]["registrations"], status["calls"]["calls"], status["store"]["up"], status["plugins"]["failed"]) == (0, 0, True, [])
    assert status["plugins"]["running"] >= 5
    shown = pbxctl(pbx, "status").stdout
    assert "listeners" in shown and str(pbx.http_port) in shown


def test_every_command_answers_as_json(pbx):
    """Those that only look; each either answers with JSON or says what it misses."""
    looking = [command for command in pbx.ctl("help") if command["words"].split()[-1] in ("list", "show", "status", "plan", "types", "schema", "diff", "revisions")]
    assert len(looking) >= 10
    for command in looking:
        said = pbxctl(pbx, "--json", *command["words"].split())
        assert said.returncode in (0, 64), (command["words"], said.stderr)
        if said.returncode == 0:
            json.loads(said.stdout)


def test_the_reference_and_the_schema_have_every_setting_of_every_owner(pbx):
    schema = json.loads(pbxctl(pbx, "config", "schema").stdout)
    manual = pbxctl(pbx, "config", "manual").stdout
    paths = [item["path"] for item in pbx.ctl("config", "show")]
    assert {"server", "sip", "api", "media", "calls", "extensions", "webhooks", "cdr"} <= {path.split(".")[0] for path in paths}
    for path in paths:
        at = schema
        for step in path.split("."):
            at = at["properties"][step]
        assert at.get("description"), f"{path} has no help"
        section, _, name = path.partition(".")
        assert section in manual and name.split(".")[-1] in manual, path


def test_pbxctl_helps_and_completes_from_the_daemons_table(pbx):
    assert "user passwd" in pbxctl(pbx, "help").stdout
    assert "usage: pbxctl user add NAME SCOPES" in pbxctl(pbx, "user", "add", "--help").stdout
    assert "passwd" in pbxctl(pbx, "__complete", "user", "").stdout.split()
    assert "admin" in pbxctl(pbx, "__complete", "user", "passwd", "").stdout.split()
    script = pbxctl(pbx, "completion", "bash").stdout
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0


def test_pbxctl_follows_until_interrupted(pbx):
    binary = pbxctl(pbx, "status").args[0]
    with subprocess.Popen([binary, "--socket", str(pbx.control), "events", "follow"], stdout=subprocess.PIPE, text=True) as following:
        def look():
            make_event(pbx)
            return True
        threading.Timer(1, look).start()
        line = following.stdout.readline()
        assert "settings.changed" in line
        following.terminate()


def test_pbxctl_does_not_obey_control_characters(pbx):
    pbx.ctl("config", "set", "server.name", "evil \x1b[2J\x07 name")
    shown = pbxctl(pbx, "config", "show", "server.name").stdout
    assert "evil" in shown and "\x1b" not in shown and "\x07" not in shown
