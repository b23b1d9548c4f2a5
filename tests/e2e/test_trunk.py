"""Trunks against providers: SIPp with exact messages, and a second copy of ourselves. Providers live on 127.0.0.2, so that no phone is taken for one."""
import re

import pytest

from certificates import Authority
from names import SecureServer
from pbx import Refused
from ports import free_port
from sip_client import OFFER, SipClient
from tone import PROMPTS

QUIET = "sip_trunk:\n  register_jitter_s: 0\n"


def provider(sipp, pbx, scenario):
    """A provider of the scenario on 127.0.0.2."""
    return sipp(pbx, scenario, args=["-i", "127.0.0.2"])


def trunk(pbx, name, port, **values):
    values = {"host": "127.0.0.2", "port": port, "keep_alive_interval_s": 0, **values}
    return pbx.ctl("trunk", "add", name, *[f"{key}={value}" for key, value in values.items()])


def everything_out(pbx, **values):
    pbx.ctl("outbound-route", "add", "out", "pattern=1[2-9][0-9]{9}", *[f"{key}={value}" for key, value in values.items()])


def test_call_out_with_credentials_and_early_media(make_pbx, phones, sipp):
    pbx = make_pbx(QUIET)
    far = provider(sipp, pbx, "trunk_uas")
    trunk(pbx, "carrier", far.port, username="acct", password="geheim")
    everything_out(pbx)
    alice = phones(pbx, "1001")
    alice.dial("12125551212").established()
    assert pbx.ctl("trunk", "show", "carrier")["channels_in_use"] == 1
    alice.hangup()
    far.join()
    assert "INVITE sip:12125551212@127.0.0.2" in far.messages()
    pbx.wait_for(lambda: pbx.ctl("trunk", "show", "carrier")["channels_in_use"] == 0, "the channel to be free")
    ended = pbx.wait_event("call.ended")["data"]
    assert (ended["direction"], ended["disposition"]) == ("outbound", "answered")
    assert pbx.wait_event("leg.started", where=lambda data: data.get("trunk_id"))["data"]["trunk_id"] == "carrier"


def test_503_goes_on_to_the_next_trunk_and_486_does_not(make_pbx, phones, sipp):
    pbx = make_pbx(QUIET)
    first, second = provider(sipp, pbx, "trunk_503"), provider(sipp, pbx, "trunk_uas")
    trunk(pbx, "a", first.port, priority=1)
    trunk(pbx, "b", second.port, priority=2, username="acct", password="geheim")
    everything_out(pbx)
    alice = phones(pbx, "1001")
    alice.dial("12125551212").established()
    alice.hangup()
    first.join()
    second.join()
    assert pbx.ctl("trunk", "show", "a")["failover_count"] == 1
    assert pbx.wait_event("trunk.failover")["data"]["trunk_id"] == "a"


def test_486_is_the_callees_and_ends_it(make_pbx, phones, sipp):
    pbx = make_pbx(QUIET)
    first, second = provider(sipp, pbx, "trunk_486"), provider(sipp, pbx, "trunk_uas")
    trunk(pbx, "a", first.port, priority=1)
    trunk(pbx, "b", second.port, priority=2)
    everything_out(pbx)
    alice = phones(pbx, "1001")
    alice.dial("12125551212")
    assert "486" in alice.closed()["param"]
    first.join()
    assert second.messages() == ""


def test_registration_is_refreshed_in_time_with_the_same_nonce(make_pbx, sipp):
    pbx = make_pbx(QUIET)
    far = provider(sipp, pbx, "trunk_registrar")
    trunk(pbx, "carrier", far.port, registration_required="true", username="acct", password="geheim")
    pbx.wait_event("trunk.registered")
    assert pbx.ctl("trunk", "show", "carrier")["status"] == "registered"
    far.join()


def test_403_is_held_for_ten_minutes(make_pbx, sipp):
    pbx = make_pbx(QUIET)
    far = provider(sipp, pbx, "trunk_forbids")
    trunk(pbx, "carrier", far.port, registration_required="true", username="acct", password="geheim")
    assert pbx.wait_event("trunk.registration_failed")["data"]["sip_code"] == 403
    shown = pbx.ctl("trunk", "show", "carrier")
    assert (shown["status"], shown["health_status"]) == ("failed", "down")
    far.join()
    assert len(set(re.findall(r"^REGISTER sip:.*?branch=([^;\s]+)", far.messages(), re.M | re.S))) == 1  # sent again it is the same


def test_trunks_survive_a_crash_and_hide_their_password(make_pbx):
    pbx = make_pbx(QUIET)
    trunk(pbx, "carrier", 5060, username="acct", password="streng-geheim")
    everything_out(pbx, trunks="carrier")
    pbx.ctl("inbound-route", "add", "main", "did=12125550100", "destination=1001")
    pbx.kill()
    pbx.restart()
    shown = pbx.ctl("trunk", "show", "carrier")
    assert shown["has_password"] and "streng-geheim" not in str(shown)
    assert [route["trunks"] for route in pbx.ctl("outbound-route", "list")] == [["carrier"]]
    assert pbx.ctl("inbound-route", "list")[0]["destination"] == "1001"
    files = b"".join(path.read_bytes() for path in (pbx.directory / "data").rglob("*") if path.is_file())
    assert b"streng-geheim" not in files


def test_explain_shows_the_chain_and_permission(make_pbx):
    pbx = make_pbx(QUIET)
    pbx.account("1001")
    trunk(pbx, "carrier", 5060)
    everything_out(pbx)
    said = pbx.ctl("route", "explain", "1001", "12125551212")
    assert said["verdict"] == "targets" and "carrier as 12125551212" in said["sentence"]
    pbx.ctl("inbound-route", "add", "main", "did=12125550100", "destination=1001")
    said = pbx.ctl("route", "explain", "peer:carrier", "12125550100")
    assert said["verdict"] == "targets" and said["targets"] == ["aor:1001"]
    assert pbx.ctl("route", "explain", "peer:carrier", "1001")["sip_code"] == 404
    with pytest.raises(Refused):
        pbx.ctl("outbound-route", "add", "bad", "pattern=(")


def test_a_did_rings_from_the_providers_address_and_is_challenged_from_another(make_pbx, phones):
    pbx = make_pbx(QUIET)
    trunk(pbx, "carrier", 5060)
    pbx.ctl("inbound-route", "add", "main", "did=12125550100", "destination=1001")
    alice = phones(pbx, "1001")
    stranger, provider = (SipClient(pbx, "13125550000", host=host) for host in ("127.0.0.3", "127.0.0.2"))
    try:
        did, offer = "sip:12125550100@pbx.test", OFFER.format(port=free_port())
        assert stranger.ask("INVITE", did, body=offer).status == 407
        assert not alice.saw("CALL_INCOMING")
        invite = provider.text("INVITE", did, body=offer)
        provider.send(invite)
        assert provider.receive(lambda message: message.status == 180) is not None
        alice.wait("CALL_INCOMING")
        provider.cancel(invite)
        assert provider.receive(lambda message: message.status == 487) is not None
    finally:
        stranger.close()
        provider.close()


@pytest.mark.parametrize("certificate, asked", [("localhost", ["OPTIONS"]), ("elsewhere.test", [])])
def test_a_provider_by_tls_is_asked_for_its_certificate(make_pbx, tmp_path, certificate, asked):
    authority = Authority(tmp_path)
    authority.vouch(certificate, more=f"subjectAltName=DNS:{certificate}")
    provider = SecureServer(authority, certificate)
    try:
        pbx = make_pbx(f"{QUIET}sip:\n  tls_authorities: {authority.folder}/ca.pem\n", listen=("udp", "tls"))
        trunk(pbx, "carrier", provider.port, host="localhost", transport="tls", keep_alive_interval_s=60)
        pbx.wait_for(lambda: pbx.ctl("trunk", "health")[0]["last_health_check"], "the first OPTIONS to be over")
        assert provider.requests == asked
        assert (pbx.ctl("trunk", "show", "carrier")["status"] == "registered") == bool(asked)
        assert provider.called[0] == "localhost"
    finally:
        provider.stop()


@pytest.mark.parametrize("address, asked", [("127.0.0.1", ["OPTIONS"]), ("127.0.0.9", [])])
def test_a_provider_at_an_address_shows_a_certificate_of_that_address(make_pbx, tmp_path, address, asked):
    authority = Authority(tmp_path)
    authority.vouch("provider", more=f"subjectAltName=IP:{address}")
    provider = SecureServer(authority, "provider")
    try:
        pbx = make_pbx(f"{QUIET}sip:\n  tls_authorities: {authority.folder}/ca.pem\n", listen=("udp", "tls"))
        trunk(pbx, "carrier", provider.port, host="127.0.0.1", transport="tls", keep_alive_interval_s=60)
        pbx.wait_for(lambda: pbx.ctl("trunk", "health")[0]["last_health_check"], "the first OPTIONS to be over")
        assert provider.requests == asked
    finally:
        provider.stop()


@pytest.mark.parametrize("mode, expires, known", [("off", "", False), ("accept", "", True), ("always", "600", True)])
def test_a_provider_has_session_timers_of_its_own(make_pbx, mode, expires, known):
    """Other than those of the house, in calls to it and from it: a session of a minute is too short for who knows timers, and nothing to others."""
    pbx = make_pbx(f"sip_trunk:\n  register_jitter_s: 0\nsip:\n  session_timers: {'always' if mode == 'off' else 'accept'}\n")
    caller, far = SipClient(pbx, "1001", pbx.account("1001")), SipClient(pbx, "acct", host="127.0.0.2")
    try:
        trunk(pbx, "carrier", far.port, session_timers=mode, session_expires_s=600, keep_alive_interval_s=0)
        everything_out(pbx)
        caller.ring("13125551212")
        invite = far.expect("INVITE")
        assert invite.get("Session-Expires") == expires
        assert ("timer" in invite.get("Supported")) == known
        far.reply(invite, 486, "Busy Here")
        far.expect("ACK")
        refused = far.ask("INVITE", "sip:1999@pbx.test", ["Supported: timer", "Session-Expires: 60"], body=OFFER.format(port=free_port()))
        assert refused.status == (422 if known else 404)
    finally:
        caller.close()
        far.close()


def test_silent_providers_are_nobody_elses_matter(make_pbx):
    """While REGISTERs of ours wait for answers, each provider is asked, and phones are answered."""
    pbx = make_pbx(QUIET)
    providers = [SipClient(pbx, "acct", host=host) for host in ("127.0.0.2", "127.0.0.3")]
    phone = SipClient(pbx, "1001", pbx.account("1001"))
    try:
        for provider in providers:
            trunk(pbx, f"line-{provider.host}", provider.port, host=provider.host, registration_required="true", username="acct")
        asked = [provider.expect("REGISTER") for provider in providers]
        assert phone.register().status == 200
        for provider, register in zip(providers, asked):
            provider.reply(register, 403, "Forbidden")
        pbx.wait_for(lambda: len(pbx.events("trunk.registration_failed")) == 2, "both answers to be heard")
    finally:
        for each in (phone, *providers):
            each.close()


def test_a_trunk_that_is_down_is_told_and_comes_back(make_pbx):
    pbx = make_pbx(QUIET)
    provider, phone = SipClient(pbx, "acct", host="127.0.0.2"), SipClient(pbx, "1001", pbx.account("1001"))
    try:
        trunk(pbx, "carrier", provider.port, keep_alive_interval_s=1)
        everything_out(pbx)
        for status in (200, 503, 503, 503):
            provider.reply(provider.expect("OPTIONS"), status, "As it is")
        assert pbx.wait_event("trunk.down")["data"]["trunk_id"] == "carrier"
        refused = phone.invite("12125551212")
        assert refused.status == 503 and "Q.850" in refused.get("Reason") and "cause=38" in refused.get("Reason")
        last = pbx.last_seq()
        provider.reply(provider.expect("OPTIONS"), 200, "OK")
        assert pbx.wait_event("trunk.up", after=last)["data"]["trunk_id"] == "carrier"
    finally:
        phone.close(), provider.close()


def test_a_route_with_a_pin_wants_it_typed(make_pbx, phones, sipp):
    pbx = make_pbx(QUIET)
    far = provider(sipp, pbx, "trunk_486")
    trunk(pbx, "carrier", far.port)
    everything_out(pbx, pins="4711")
    alice = phones(pbx, "1001")
    alice.dial("12125551212").established()
    assert alice.hears(PROMPTS["enter_pin"])
    assert far.messages() == ""
    alice.press("4711#")
    far.join()
    alice.closed()
    assert "INVITE sip:12125551212@127.0.0.2" in far.messages()


def connected(caller, provider):
    """A call of 12125551212 that this provider has answered: the caller's 200."""
    caller.ring("12125551212")
    provider.reply(provider.expect("INVITE"), 200, "OK", body=OFFER.format(port=free_port()))
    answer = caller.receive(lambda message: message.status == 200 and "INVITE" in message.get("CSeq"))
    caller.acknowledge(answer, "sip:12125551212@pbx.test")
    provider.expect("ACK")
    return answer


def test_a_trunk_of_one_channel_hands_the_next_call_on_until_there_is_none(make_pbx, client):
    pbx = make_pbx(QUIET)
    providers = [client(pbx, "acct", host="127.0.0.2") for _ in "ab"]
    callers = [client(pbx, number, pbx.account(number)) for number in ("1001", "1002", "1003")]
    for priority, (name, provider) in enumerate(zip("ab", providers)):
        trunk(pbx, name, provider.port, max_channels=1, priority=priority + 1)
    everything_out(pbx)
    answers = [connected(caller, provider) for caller, provider in zip(callers, providers)]
    assert [pbx.ctl("trunk", "show", name)["channels_in_use"] for name in "ab"] == [1, 1]
    assert pbx.events("trunk.channels_exhausted") == []

    refused = callers[2].invite("12125551212")
    assert refused.status == 503 and "cause=34" in refused.get("Reason")
    assert pbx.wait_event("trunk.channels_exhausted")["data"]["reason"] == "all channels are in use"
    record = pbx.wait_for(lambda: [record for record in pbx.ctl("cdr", "list") if record["from_number"] == "1003"], "the record of the third call")[0]
    assert (record["disposition"], record["sip_code"], record["q850_cause"], record["cause"]) == ("failed", 503, 34, "congestion")
    assert "all channels are in use" in pbx.ctl("calls", "explain", record["call_id"])["sentence"]
    assert all(provider.receive(lambda message: message.method == "INVITE", seconds=0) is None for provider in providers)

    assert callers[0].bye(answers[0]).status == 200
    providers[0].reply(providers[0].expect("BYE"), 200, "OK")
    pbx.wait_for(lambda: pbx.ctl("trunk", "show", "a")["channels_in_use"] == 0, "the channel to be free")
    answers[0] = connected(callers[2], providers[0])
    for caller, answer, provider in zip((callers[2], callers[1]), answers, providers):
        assert caller.bye(answer).status == 200
        provider.reply(provider.expect("BYE"), 200, "OK")
