"""The gateway as its clients meet it: a real pbxd, HTTPS, and what happens to those who are wrong, slow or many."""
import contextlib
import http.client
import json
import os
import socket
import ssl
import stat
import threading
import warnings

import pytest

from clock import Clock
from gateway import SETTINGS, Answer, Pbx, ask, connect, new_user
from machine import PATIENCE_S, Watch


# ---- transport ------------------------------------------------------------------------------------------


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


# ---- errors ---------------------------------------------------------------------------------------------


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


def test_json_has_a_limit_of_its_own_and_the_connection_goes_on(fresh):
    daemon = fresh(SETTINGS + "  max_json_bytes: 2048\n")
    connection = connect(daemon)
    for length, status in ((2049, 413), (2000, 400), (2049, 413)):
        body = json.dumps({"user": "x" * (length - 12)}).encode()
        connection.request("POST", "/api/v1/auth/login", body=body, headers={"Content-Type": "application/json"})
        answer = Answer(connection.getresponse())
        assert len(body) == length and answer.status == status, answer.body
        assert status != 413 or (answer.json["code"] == "too_large" and "api.max_json_bytes" in answer.json["errors"][0]["detail"])


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


# ---- health ---------------------------------------------------------------------------------------------


def test_health_readiness_metrics_and_the_document_need_no_token_here(pbx):
    assert ask(pbx, "GET", "/healthz").json == {"status": "ok"}
    assert ask(pbx, "GET", "/readyz").json["status"] == "ready"
    metrics = ask(pbx, "GET", "/metrics")
    assert metrics.headers["Content-Type"].startswith("application/openmetrics-text")
    assert metrics.body.decode().rstrip().endswith("# EOF")
    document = ask(pbx, "GET", "/api/v1/openapi.json").json
    assert document["openapi"].startswith("3.1")
    assert {"/auth/login", "/users/{name}", "/events"} <= set(document["paths"])


# ---- limits ---------------------------------------------------------------------------------------------


def test_who_asks_too_often_waits(fresh):
    daemon = fresh("api:\n  requests_per_minute: 60\n  requests_burst: 5\n")
    token = daemon.admin_token()
    answers = [ask(daemon, "GET", "/api/v1/auth/me", token=token) for _ in range(5)]
    assert [answer.status for answer in answers] == [200] * 5
    while answers[-1].status == 200 and len(answers) < 100:  # each second that the machine stands still allows one more
        answers.append(ask(daemon, "GET", "/api/v1/auth/me", token=token))
    refused = answers[-1]
    assert {answer.headers["RateLimit-Limit"] for answer in answers} == {"5"}
    assert answers[0].headers["RateLimit-Remaining"] == "4" and int(answers[0].headers["RateLimit-Reset"]) in (1, 2)
    assert refused.status == 429 and refused.headers["RateLimit-Remaining"] == "0" and 1 <= int(refused.headers["Retry-After"]) <= 2
    assert ask(daemon, "GET", "/healthz").status == 200, "health is not limited"


def test_an_address_pays_for_its_wrong_tokens(fresh):
    daemon = fresh("api:\n  requests_per_minute: 1\n  requests_burst: 5\n")
    token = daemon.admin_token()
    guesses = [ask(daemon, "GET", "/api/v1/auth/me", token=f"pbx_wrong{guess}") for guess in range(8)]
    assert [answer.status for answer in guesses[:5]] == [401] * 5
    assert guesses[-1].status == 429 and int(guesses[-1].headers["Retry-After"]) > 0
    assert ask(daemon, "GET", "/api/v1/auth/me", token=token).status == 200, "a right one has requests of its own"


def test_slow_clients_do_not_keep_others_out(pbx):
    """Seven of eight threads get a request that never ends; a normal one is served at once, and the slow are cut off."""
    context, slow = ssl._create_unverified_context(), []
    for _ in range(6):
        secure = context.wrap_socket(socket.create_connection(("127.0.0.1", pbx.http_port), timeout=40))
        secure.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
        slow.append(secure)
    assert ask(pbx, "GET", "/healthz").status == 200
    watch = Watch()
    for secure in slow:
        try:
            assert secure.recv(1) in (b"", b"H")  # closed, or told why
        except OSError:
            pass
        secure.close()
    assert watch.took_s() < 25


def hello():
    """The first octets of a TLS connection, as a client of ours would send them."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        ssl._create_unverified_context().wrap_bio(incoming, outgoing).do_handshake()
    return outgoing.read()


def crowd_of(pbx, count, say, source="127.0.0.1"):
    """So many connections of one address, each with its first words."""
    crowd = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", pbx.http_port), timeout=20, source_address=(source, 0))
        crowd.append(one)
        say(one)
    return crowd


def answered_in_s(pbx, source):
    watch = Watch()
    connection = connect(pbx)
    connection.source_address = (source, 0)
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200
    connection.close()
    return watch.took_s()


def nothing(one):
    pass


def half_a_hello(one):
    one.sendall(hello()[:100])


def a_hello(one):
    one.sendall(hello())


@pytest.mark.parametrize("say", [nothing, half_a_hello, a_hello])
def test_a_thousand_that_shake_no_hands_keep_nobody_out(fresh, say):
    daemon = fresh()
    crowd = crowd_of(daemon, 1000, say)
    assert answered_in_s(daemon, "127.0.0.2") < 2, "another address"
    assert answered_in_s(daemon, "127.0.0.1") < 2, "the same address"
    assert daemon.ctl("status")["api"]["waiting"] > 500
    for one in crowd:
        one.close()


def test_heads_and_bodies_that_trickle_keep_nobody_out(fresh):
    """More of them than threads, api.threads and api.sip_clients together: those that stand still have to go, when somebody waits."""
    daemon, context = fresh(SETTINGS + "  sip_clients: 0\n"), ssl._create_unverified_context()

    def secured(one, words):
        secure = context.wrap_socket(one)
        secure.sendall(words)
        slow.append(secure)
    for words, within_s in ((b"GET /healthz HTTP/1.1\r\nX-Slow: ", 2), (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 2),
                            (b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{", 4)):
        slow = []
        crowd_of(daemon, 8, lambda one: secured(one, words))
        assert answered_in_s(daemon, "127.0.0.2") < within_s, words
        for secure in slow:
            secure.close()
    assert daemon.ctl("status")["api"]["sent_away"] >= 3


def test_without_tls_who_has_not_asked_waits_without_a_thread(fresh):
    daemon = fresh(SETTINGS + "  plain_http: true\n  sip_clients: 0\n")
    crowd = crowd_of(daemon, 1000, lambda one: one.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: "))
    watch = Watch()
    assert ask(daemon, "GET", "/healthz").status == 200
    assert watch.took_s() < 2
    for one in crowd:
        one.close()


def test_a_body_that_trickles_is_given_up_and_so_is_who_says_nothing(fresh, tmp_path):
    pbx = fresh(environment=Clock(tmp_path, speed=10).environment)
    silent = socket.create_connection(("127.0.0.1", pbx.http_port), timeout=PATIENCE_S)
    connection = connect(pbx)
    connection.putrequest("POST", "/api/v1/auth/login")
    connection.putheader("Content-Length", "1000")
    connection.putheader("Content-Type", "application/json")
    connection.endheaders(b"{")
    watch = Watch()
    try:
        assert connection.getresponse().status == 408
    except (OSError, http.client.HTTPException):
        pass  # cut off is fine, too
    assert 0.5 < watch.elapsed_s() and watch.took_s() < 3.5, "thirty seconds, of which ten go by in one"
    assert silent.recv(1) == b"", "after ten seconds"
    silent.close()


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


# ---- settings -------------------------------------------------------------------------------------------


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
    daemon.process.wait(PATIENCE_S)
    assert told in daemon.log()
    assert daemon.process.returncode not in (0, 98, 99)


def test_a_port_that_is_taken_is_named(tmp_path):
    daemon = Pbx(tmp_path)
    with socket.create_server(("127.0.0.1", daemon.http_port)):
        with pytest.raises(RuntimeError):
            daemon.start()
    assert str(daemon.http_port) in "".join(daemon.log_lines("api_not_started"))
