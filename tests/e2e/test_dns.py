"""A provider given by its domain: nsd says where its servers are, and calls go to those that answer."""
import pytest

from certificates import Authority
from machine import Watch
from names import Names, SecureServer, Server
from pbx import BUILD, Refused


@pytest.fixture
def servers():
    made = [Server(), Server()]
    yield made
    for server in made:
        server.stop()


@pytest.fixture
def carrier(make_pbx, talkers, servers, tmp_path):
    """carrier(priorities, …) gives names, a pbx whose numbers 77… go to carrier.test, and who calls."""
    made = []

    def make(records=None, ttl=60, settings="", **more):
        one, two = servers
        names = Names(tmp_path / "names", records or srv((10, one), (20, two)), ttl)
        made.append(names)
        pbx = make_pbx(f"dns_srv_failover:\n  servers: [\"127.0.0.1:{names.port}\"]\n  check_interval_s: 1\n  min_ttl_s: 1\n{settings}",
                       plugins=[BUILD / "tests" / "e2e"], **more)
        return names, pbx, talkers(pbx, "1001")

    yield make
    for names in made:
        names.stop()


def srv(*servers):
    return "\n".join(f"_sip._udp IN SRV {priority} 0 {server.port} {name}" for (priority, server), name in zip(servers, ("one", "two")))


def call(caller):
    """How it was answered, and after how long."""
    asked = Watch()
    answer = caller.invite("7712125551212", caller.session())
    return answer.status, asked.took_s()


def state(pbx, server):
    return [target["state"] for target in pbx.ctl("dns", "targets") if target["port"] == server.port]


def test_the_second_server_stands_in_while_the_first_is_silent(carrier, servers):
    one, two = servers
    _, pbx, caller = carrier()
    for _ in range(20):
        assert call(caller)[0] == 486
    assert (len(one.calls()), len(two.calls())) == (20, 0)
    one.silent = True
    status, took = call(caller)
    assert status == 486 and took < 4.5
    assert len(two.calls()) == 1
    for count in (2, 3, 4):
        status, took = call(caller)
        assert status == 486 and took < 1
        assert len(two.calls()) == count
    assert len(one.calls()) == 21
    pbx.wait_event("dns.target_down", where=lambda data: data["port"] == one.port)
    one.silent = False
    pbx.wait_event("dns.target_up", where=lambda data: data["port"] == one.port and data["seen_by"] == "probe")
    assert call(caller)[0] == 486
    assert (len(one.calls()), len(two.calls())) == (22, 4)


def test_a_server_that_answers_too_late_is_thanked_and_sent_away(carrier, servers):
    one, two = servers
    one.silent = True
    _, pbx, caller = carrier(settings="carrier:\n  silence_ms: 3000\n")  # longer than a machine stands still: the second one is not silent
    assert call(caller)[0] == 486 and len(two.calls()) == 1
    one.answer_late()
    pbx.wait_for(lambda: one.heard[-1] == "BYE", "the late call to be ended")
    assert [method for method in one.heard if method in ("ACK", "BYE")] == ["ACK", "BYE"]


def test_an_overloaded_server_hands_the_call_on_at_once(carrier, servers):
    one, two = servers
    one.answer = 503
    _, pbx, caller = carrier()
    status, took = call(caller)
    assert status == 486 and took < 1
    assert one.calls() == two.calls()
    assert one.branch() != two.branch()
    assert state(pbx, one) == ["up"]  # busy once is not gone


def test_a_changed_record_is_used_when_the_old_one_has_run_out(carrier, servers):
    one, two = servers
    names, pbx, caller = carrier(ttl=10)
    assert call(caller)[0] == 486 and len(one.calls()) == 1
    asked = Watch()
    names.change(srv((20, one), (10, two)), ttl=10)
    pbx.wait_for(lambda: call(caller)[0] == 486 and two.calls(), "the new server to be called")
    assert asked.took_s() < 11
    assert len(one.calls()) > 1  # as long as the old record held


def test_calls_go_on_when_dns_is_dead(carrier, servers):
    names, pbx, caller = carrier(ttl=1)
    assert call(caller)[0] == 486
    names.stop()
    pbx.wait_for(lambda: all(record["state"] == "stale" for record in pbx.ctl("dns", "show") if record["result"] == "found"), "answers to run out")
    for _ in range(3):
        assert call(caller)[0] == 486
    assert len(servers[0].calls()) == 4
    assert pbx.ctl("dns", "statistics")["stale_answers"] > 0


def test_what_a_call_would_try_is_shown(carrier, servers):
    one, two = servers
    _, pbx, _ = carrier(records=srv((10, one), (20, two)) + '\n@ IN NAPTR 10 10 "s" "SIP+D2U" "" _sip._udp')
    status, answer = pbx.http("POST", "/dns/lookup", {"domain": "carrier.test"})
    assert status == 200
    assert [(item["port"], item["transport"], item["target"]) for item in answer["items"]] == [
        (one.port, "udp", "one.carrier.test"), (two.port, "udp", "two.carrier.test")]
    assert {record["type"] for record in pbx.ctl("dns", "show", "carrier.test")} >= {"NAPTR", "SRV", "A"}
    status, answer = pbx.http("POST", "/dns/lookup", {"domain": "nobody.carrier.test"})
    assert (status, answer["code"]) == (404, "not_found")
    assert pbx.ctl("dns", "flush")["flushed"] > 0
    assert pbx.ctl("dns", "show") == []


def test_a_number_is_looked_up_by_enum(carrier):
    """Rules as a zone has them: the first is for mail, the second would take for ever."""
    _, pbx, _ = carrier(records='3.2.1.0.3.9.4 IN NAPTR 10 1 "u" "E2U+email" "!^.*$!mailto:info@carrier.test!" .\n'
                                '3.2.1.0.3.9.4 IN NAPTR 10 2 "u" "E2U+sip" "!^(.*)*$!sip:trap@carrier.test!" .\n'
                                '3.2.1.0.3.9.4 IN NAPTR 10 3 "u" "E2U+sip" "!^\\\\+49(.*)$!sip:\\\\1@one.carrier.test!" .\n',
                        settings="  enum_domains: [nowhere.carrier.test, carrier.test]\n")
    found = {"number": "+4930123", "domain": "carrier.test", "uri": "sip:30123@one.carrier.test"}
    assert pbx.ctl("dns", "enum", "+49 30 123") == found
    assert pbx.http("POST", "/dns/enum", {"number": "+4930123"}) == (200, found)
    with pytest.raises(Refused, match="ENUM has no SIP address"):
        pbx.ctl("dns", "enum", "+4930124")
    with pytest.raises(Refused, match="no number of E.164"):
        pbx.ctl("dns", "enum", "1001")


@pytest.fixture
def authority(tmp_path):
    made = Authority(tmp_path)
    for name in ("carrier.test", "one.carrier.test"):
        made.vouch(name, more=f"subjectAltName=DNS:{name}")
    return made


@pytest.mark.parametrize("certificate, taken", [("carrier.test", True), ("one.carrier.test", False)])
def test_a_domain_that_wants_tls_must_show_its_own_certificate(carrier, authority, certificate, taken):
    """The certificate is the domain's that was asked for (RFC 5922), not that of the host which DNS names for it."""
    server = SecureServer(authority, certificate)
    try:
        _, pbx, caller = carrier(records=f'@ IN NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp\n_sips._tcp IN SRV 10 0 {server.port} one',
                                 settings=f"carrier:\n  transport: \"\"\nsip:\n  tls_authorities: {authority.folder}/ca.pem\n", listen=("udp", "tls"))
        status, took = call(caller)
        assert status == (486 if taken else 503) and took < 3  # refused is not silent
        assert ("INVITE" in server.requests) == taken
        assert set(server.called) == {"carrier.test"}
        if taken:  # gone and back: the question whether it lives is asked of the same name
            server.stop()
            pbx.wait_for(lambda: call(caller)[0] == 503 and state(pbx, server) == ["down"], "the server to be missed")
            server = SecureServer(authority, certificate, server.port)
            up = pbx.wait_event("dns.target_up")["data"]
            assert (up["seen_by"], server.requests[0], server.called[0]) == ("probe", "OPTIONS", "carrier.test")
            assert call(caller)[0] == 486
    finally:
        server.stop()
