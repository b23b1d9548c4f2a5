"""Endpoints that want to know who calls: Ed25519 signatures, client certificates, access tokens."""
import base64
import json
import subprocess

import pytest
from certificates import Authority
from machine import stalls
from pbx import Refused
from sink import Sink
from test_webhooks import fire, header, standard_signature, subscribe
from token_server import TokenServer


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def servers():
    """servers(Sink(…)) closes what it was given."""
    made = []

    def keep(server):
        made.append(server)
        return server

    yield keep
    for server in made:
        if isinstance(server, Sink):
            server.hang.set()
            server.down()
        else:
            server.close()


def pbx_for(make_pbx, *servers, more=""):
    allowed = json.dumps([f"127.0.0.1:{server.port}" for server in servers])
    return make_pbx(f"webhooks:\n  http_hosts: [\"127.0.0.1\"]\n{more}fetch:\n  allow: {allowed}\n")


def refused_delivery(pbx, made, word):
    """The log of deliveries tells why."""
    def look():
        return next((d for d in pbx.ctl("webhook", "deliveries", made["id"]) if word in d["answer"].lower()), None)
    return pbx.wait_for(look, f"a delivery that failed because of {word}")


def nowhere_in_the_clear(pbx, *secrets):
    pbx.stop()
    for path in (pbx.directory / "data").rglob("*"):
        for secret in secrets:
            assert not path.is_file() or secret.encode() not in path.read_bytes(), path
    for secret in secrets:
        assert secret not in pbx.log()


# ---- signatures -----------------------------------------------------------------------------

def ed25519_verifies(folder, public_key, request, signature):
    """As openssl sees it: whpk_ is the base64 of the raw key, to which its ASN.1 frame (RFC 8410) is put."""
    assert public_key.startswith("whpk_")
    der = bytes.fromhex("302a300506032b6570032100") + base64.b64decode(public_key[5:], validate=True)
    (folder / "public.der").write_bytes(der)
    (folder / "signature").write_bytes(base64.b64decode(signature.removeprefix("v1a,"), validate=True))
    (folder / "signed").write_bytes(b".".join([header(request, "webhook-id").encode(), header(request, "webhook-timestamp").encode(), request["raw"]]))
    done = subprocess.run(["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "public.der", "-rawin", "-in", "signed",
                           "-sigfile", "signature"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode == 0


def test_ed25519_signs_beside_hmac_and_its_public_key_is_published(make_pbx, sink, tmp_path):
    pbx = pbx_for(make_pbx, sink)
    made = subscribe(pbx, sink, ["registration.added"], ed25519=True)
    status, keys = pbx.http("GET", f"//api/v1/webhooks/{made['id']}/keys")  # without a token
    assert status == 200 and [key["public_key"] for key in keys["items"]] == [made["public_key"]]
    fire(pbx)
    (request,) = sink.wait(lambda requests: requests, "an event")
    hmac_part, ed_part = header(request, "webhook-signature").split()
    assert hmac_part == standard_signature(request, made["secret"]) and ed25519_verifies(tmp_path, made["public_key"], request, ed_part)
    changed = dict(request, raw=request["raw"].replace(b"registration", b"registratiom"))
    assert not ed25519_verifies(tmp_path, made["public_key"], changed, ed_part)

    # For a day after a rotation, four signatures: each receiver finds the one of the key it has.
    _, rotated = pbx.http("POST", f"/webhooks/{made['id']}:rotate-secret", {})
    assert rotated["public_key"] != made["public_key"] and rotated["secret"] != made["secret"]
    items = pbx.http("GET", f"//api/v1/webhooks/{made['id']}/keys")[1]["items"]
    assert [key["public_key"] for key in items] == [rotated["public_key"], made["public_key"]] and items[0]["until"] is None and items[1]["until"]
    pbx.kill()
    pbx.restart()
    fire(pbx, "1004")
    request = sink.wait(lambda requests: len(requests) == 2, "the second event")[1]
    parts = header(request, "webhook-signature").split()
    assert parts[:2] == [standard_signature(request, secret) for secret in (rotated["secret"], made["secret"])]
    assert [ed25519_verifies(tmp_path, key, request, part) for key, part in zip((rotated["public_key"], made["public_key"]), parts[2:])] == [True, True]


def test_a_text_of_ones_own_may_be_the_secret(make_pbx, sink):
    import hashlib
    import hmac
    pbx = pbx_for(make_pbx, sink)
    made = subscribe(pbx, sink, ["registration.added"], secret="what the receiver insisted on")
    assert "secret" not in made
    fire(pbx)
    (request,) = sink.wait(lambda requests: requests, "an event")
    signed = b".".join([header(request, "webhook-id").encode(), header(request, "webhook-timestamp").encode(), request["raw"]])
    right = base64.b64encode(hmac.new(b"what the receiver insisted on", signed, hashlib.sha256).digest()).decode()
    assert header(request, "webhook-signature") == "v1," + right


# ---- client certificates --------------------------------------------------------------------

def test_a_client_certificate_is_shown_and_without_one_the_door_stays_shut(make_pbx, servers, authority):
    sink = servers(Sink(tls=authority.server_context(clients=authority)))
    pbx = pbx_for(make_pbx, sink)
    certificate, key = authority.vouch("warden")
    made = subscribe(pbx, sink, ["registration.added"], client_certificate=certificate, client_key=key, ca=authority.pem)
    assert made["client_certificate"] == certificate and made["client_certificate_until"] and "client_key" not in made
    fire(pbx)
    (request,) = sink.wait(lambda requests: requests, "an event")
    assert (("commonName", "warden"),) in request["certificate"]["subject"]
    assert standard_signature(request, made["secret"]) == header(request, "webhook-signature")

    status, bare = pbx.http("PATCH", f"/webhooks/{made['id']}", {"client_certificate": ""})
    assert status == 200 and bare["client_certificate"] is None
    fire(pbx, "1004")
    # The server's alert races with its closing of the connection: how TLS words the refusal is left to chance, that there was one is not.
    refused = pbx.wait_for(lambda: next((d for d in pbx.ctl("webhook", "deliveries", made["id"]) if d["attempts"] and d["state"] == "waiting"), None),
                           "the refusal to be noted")
    assert refused["http_code"] == 0 and refused["answer"] and len(sink.requests) == 1
    pbx.http("PATCH", f"/webhooks/{made['id']}", {"client_certificate": certificate, "client_key": key})
    sink.wait(lambda requests: len(requests) == 2, "what had waited")
    nowhere_in_the_clear(pbx, key.splitlines()[1], made["secret"])


def test_a_webhook_of_the_settings_shows_its_certificate_too(make_pbx, servers, authority):
    sink = servers(Sink(tls=authority.server_context(clients=authority)))
    certificate, key = authority.vouch("warden")
    row = {"name": "crm", "url": sink.url, "secret": "0123456789abcdef", "events": ["registration.added"], "match": ["/aor=1004"],
           "client_certificate": certificate, "client_key": key, "ca": authority.pem}
    pbx = pbx_for(make_pbx, sink, more=f"  subscriptions: {json.dumps([row])}\n")
    fire(pbx)
    fire(pbx, "1004")
    (request,) = sink.wait(lambda requests: requests, "an event")
    assert (("commonName", "warden"),) in request["certificate"]["subject"]
    assert [event["data"]["aor"] for event in pbx.events("registration.added")] == ["1003", "1004"]
    pbx.wait_for(lambda: [delivery["http_code"] for delivery in pbx.ctl("webhook", "deliveries", "crm")] == [200], "the delivery to be noted")
    pbx.config.unlink()  # it has the key in the clear, as its owner wants it
    nowhere_in_the_clear(pbx, key.splitlines()[1])


def test_a_server_of_another_authority_is_not_spoken_to(make_pbx, servers, authority, tmp_path):
    sink = servers(Sink(tls=authority.server_context()))
    pbx = pbx_for(make_pbx, sink)
    made = subscribe(pbx, sink, ["registration.added"])
    fire(pbx)
    refused_delivery(pbx, made, "certificate")
    pbx.http("PATCH", f"/webhooks/{made['id']}", {"ca": Authority(tmp_path, "Stranger").pem})
    assert "certificate" in pbx.ctl("webhook", "test", made["id"])["error"].lower()
    assert sink.requests == []
    pbx.http("PATCH", f"/webhooks/{made['id']}", {"ca": authority.pem})
    sink.wait(lambda requests: requests, "what had waited")


def test_certificates_that_cannot_work_are_refused_at_the_door(make_pbx, sink, authority):
    pbx = pbx_for(make_pbx, sink)
    certificate, key = authority.vouch("warden")
    other_key = authority.vouch("other")[1]
    expired, expired_key = authority.vouch("late", days=-1)
    locked = subprocess.run(["openssl", "pkcs8", "-topk8", "-passout", "pass:x"], input=key, stdout=subprocess.PIPE, text=True, check=True).stdout
    for status, field, values in ((422, "client_key", {"client_certificate": certificate, "client_key": other_key}),
                                  (422, "client_key", {"client_certificate": certificate, "client_key": locked}),
                                  (422, "client_certificate", {"client_certificate": expired, "client_key": expired_key}),
                                  (422, "client_certificate", {"client_certificate": "rubbish", "client_key": key}),
                                  (400, "client_key", {"client_certificate": certificate}),
                                  (400, "client_certificate", {"client_key": key}),
                                  (422, "ca", {"ca": "rubbish"})):
        got, problem = pbx.http("POST", "/webhooks", {"url": sink.url, **values})
        assert got == status and field in json.dumps(problem), problem
    assert pbx.ctl("webhook", "list") == []


# ---- access tokens --------------------------------------------------------------------------

def oauth(server, **more):
    return {"oauth_token_url": server.url, "oauth_client_id": server.client_id, "oauth_client_secret": server.secret, **more}


def only_with(server, valid):
    return lambda request: 200 if header(request, "Authorization").removeprefix("Bearer ") in valid(server) else 401


def accepted(number):
    return lambda requests: len([r for r in requests if r["status"] == 200]) >= number


@pytest.mark.parametrize("how", ["basic", "body"])
def test_one_access_token_serves_many_requests(make_pbx, sink, servers, how):
    tokens = servers(TokenServer())
    sink.decide = only_with(tokens, lambda server: server.granted)
    pbx = pbx_for(make_pbx, sink, tokens)
    made = subscribe(pbx, sink, ["registration.added"], **oauth(tokens, oauth_scope="events calls", oauth_audience="hooks", oauth_auth=how))
    assert made["oauth_token_url"] == tokens.url and "oauth_client_secret" not in made
    for number in range(1003, 1009):
        fire(pbx, str(number))
    sink.wait(accepted(6), "six events")
    assert tokens.validator.how == how and len(tokens.granted) == len(tokens.asked) == 1
    assert "scope=events%20calls" in tokens.asked[0] and "audience=hooks" in tokens.asked[0]
    assert ("client_secret" in tokens.asked[0]) == (how == "body")
    assert pbx.ctl("webhook", "test", made["id"])["http_code"] == 200
    assert pbx.http("GET", f"/webhooks/{made['id']}")[1].get("oauth_client_secret") is None
    nowhere_in_the_clear(pbx, tokens.secret, tokens.granted[0])


def test_a_token_is_renewed_when_the_endpoint_refuses_it(make_pbx, sink, servers):
    """A 401 costs no attempt when a fresh token helps; the delivery comes at once and not after 5 s."""
    tokens = servers(TokenServer())
    sink.decide = only_with(tokens, lambda server: server.granted[-1:] if len(server.granted) != 1 or not sink.requests else [])
    pbx = pbx_for(make_pbx, sink, tokens)
    made = subscribe(pbx, sink, ["registration.added"], **oauth(tokens))
    fire(pbx)
    sink.wait(accepted(1), "the first event")
    fire(pbx, "1004")
    requests = sink.wait(accepted(2), "the second event")
    assert [r["status"] for r in requests] == [200, 401, 200] and len(tokens.granted) == 2
    assert requests[2]["at"] - requests[1]["at"] < 3 + stalls().lost_s(requests[1]["wall"])
    delivered = pbx.wait_for(lambda: all(d["state"] == "delivered" for d in pbx.ctl("webhook", "deliveries", made["id"])) and
                             pbx.ctl("webhook", "deliveries", made["id"]), "both to be noted")
    assert [d["attempts"] for d in delivered] == [1, 1]


def test_an_endpoint_that_refuses_every_token_is_a_failure(make_pbx, sink, servers):
    tokens = servers(TokenServer())
    sink.decide = lambda request: 401
    pbx = pbx_for(make_pbx, sink, tokens)
    made = subscribe(pbx, sink, ["registration.added"], **oauth(tokens))
    fire(pbx)
    pbx.wait_for(lambda: pbx.ctl("webhook", "deliveries", made["id"])[0]["attempts"] == 1, "the attempt to be noted")
    assert len(sink.requests) == 2 and len(tokens.granted) == 2, "once more with a fresh token, then the usual pause"
    assert pbx.ctl("webhook", "deliveries", made["id"])[0]["http_code"] == 401


def test_a_token_is_renewed_before_it_expires(make_pbx, sink, servers):
    tokens = servers(TokenServer(expires_s=2))  # good for 1.5 s here
    sink.decide = only_with(tokens, lambda server: server.granted)
    pbx = pbx_for(make_pbx, sink, tokens)
    subscribe(pbx, sink, ["registration.added"], **oauth(tokens))
    number = 1003

    def another():
        nonlocal number
        fire(pbx, str(number))
        number += 1
        sink.wait(lambda requests: len(requests) == number - 1003, "the event")
        return len(tokens.granted) >= 3
    pbx.wait_for(another, "the third token")
    assert {r["status"] for r in sink.requests} == {200}, "no request went out with a token that had expired"


def test_without_a_token_nothing_is_sent_and_the_log_says_why(make_pbx, sink, servers):
    tokens = servers(TokenServer())
    pbx = pbx_for(make_pbx, sink, tokens)
    made = subscribe(pbx, sink, ["registration.added"], **oauth(tokens, oauth_client_secret="wrong"))
    fire(pbx)
    refused = refused_delivery(pbx, made, "invalid_client")
    assert refused["state"] == "waiting" and refused["attempts"] == 1 and sink.requests == []
    tokens.status = 500
    assert "no access token: 500" in pbx.ctl("webhook", "test", made["id"])["error"]
    tokens.status = None
    assert pbx.http("PATCH", f"/webhooks/{made['id']}", {"oauth_client_secret": tokens.secret})[0] == 200
    sink.wait(lambda requests: requests, "what had waited")
    assert header(sink.requests[0], "Authorization") == f"Bearer {tokens.granted[-1]}"
    nowhere_in_the_clear(pbx, tokens.secret, tokens.granted[-1])


def test_a_token_endpoint_inside_the_house_is_refused(make_pbx, sink, servers):
    tokens = servers(TokenServer())
    pbx = pbx_for(make_pbx, sink)
    status, problem = pbx.http("POST", "/webhooks", {"url": sink.url, **oauth(tokens)})
    assert status == 422 and "oauth_token_url" in json.dumps(problem)
    for field, values in (("oauth_client_secret", {"oauth_token_url": sink.url, "oauth_client_id": "x"}),
                          ("oauth_client_id", {"oauth_token_url": sink.url, "oauth_client_secret": "x"}),
                          ("Authorization", {**oauth(tokens), "oauth_token_url": sink.url, "headers": {"Authorization": "x"}})):
        status, problem = pbx.http("POST", "/webhooks", {"url": sink.url, **values})
        assert status in (400, 422) and field in json.dumps(problem), problem
    assert pbx.ctl("webhook", "list") == []


# ---- what else is kept to ourselves -----------------------------------------------------------

def test_headers_that_open_something_are_not_shown_and_stay(make_pbx, sink):
    pbx = pbx_for(make_pbx, sink)
    made = subscribe(pbx, sink, ["registration.added"], headers={"Authorization": "Basic c3VwZXI6c2VjcmV0", "X-Team": "night"})
    assert made["headers"] == {"Authorization": None, "X-Team": "night"}
    status, changed = pbx.http("PATCH", f"/webhooks/{made['id']}", {"headers": {"Authorization": None, "X-Team": "day"}})
    assert (status, changed["headers"]) == (200, {"Authorization": None, "X-Team": "day"})
    pbx.stop()
    pbx.restart()
    fire(pbx)
    (request,) = sink.wait(lambda requests: requests, "an event")
    assert header(request, "Authorization") == "Basic c3VwZXI6c2VjcmV0" and header(request, "X-Team") == "day"
    nowhere_in_the_clear(pbx, "c3VwZXI6c2VjcmV0")


def test_a_password_has_no_place_in_a_url(make_pbx, sink):
    pbx = pbx_for(make_pbx, sink)
    status, problem = pbx.http("POST", "/webhooks", {"url": sink.url.replace("//", "//user:pass@")})
    assert status == 422 and "headers" in json.dumps(problem)
    with pytest.raises(Refused):
        pbx.ctl("webhook", "add", sink.url.replace("//", "//user@"))
