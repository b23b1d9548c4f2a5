"""A trunk to a real provider: Kamailio with its registrar and digest, and a second copy of ourselves when that one dies."""
import pytest

from kamailio import Kamailio
from phone import Phone
from test_trunk import QUIET, everything_out, trunk

OUTSIDE = "12125551212"
NATIONAL = OUTSIDE[1:]


@pytest.fixture
def kamailio(tmp_path):
    provider = Kamailio(tmp_path / "kamailio")
    yield provider
    provider.stop()


@pytest.fixture
def outside(tmp_path):
    """outside(provider, number, secret, hertz): a phone of theirs."""
    made = []

    def make(provider, number, secret, hertz):
        made.append(Phone(tmp_path / f"outside{len(made)}", provider, number, secret, hertz))
        return made[-1].registered()

    yield make
    for phone in made:
        phone.stop()


def talk(a, b):
    assert a.hears(b.hertz, others=(a.hertz,)) and b.hears(a.hertz, others=(b.hertz,))


def registered_trunk(pbx, name, provider, username, secret, **more):
    """Phones are on the address of their provider too: only its own port is a trunk's."""
    trunk(pbx, name, provider.sip_port, host="127.0.0.1", allowed_ips=f"127.0.0.1:{provider.sip_port}", registration_required="true",
          username=username, password=secret, **more)
    pbx.wait_event("trunk.registered", where=lambda data: data["trunk_id"] == name)


def test_calls_by_kamailio_and_by_another_pbx_when_it_dies(make_pbx, phones, outside, kamailio):
    pbx, other = make_pbx(QUIET), make_pbx()
    registered_trunk(pbx, "kamailio", kamailio, "acct", kamailio.secret, priority=1, caller_id="12125550100", keep_alive_interval_s=1)
    registered_trunk(pbx, "other", other, "4711", other.account("4711", trusted="true"), priority=2, number_format="national", caller_format="plus_e164")
    pbx.ctl("inbound-route", "add", "alice", "did=12125550100", "destination=1001")
    pbx.ctl("inbound-route", "add", "other", "did=4711", "destination=1001", "trunk_id=other")
    everything_out(pbx)
    alice = phones(pbx, "1001")
    theirs = outside(kamailio, OUTSIDE, kamailio.secret, 660)

    # out, with digest
    alice.dial(OUTSIDE)
    theirs.answer()
    alice.established()
    talk(alice, theirs)
    alice.hangup()
    theirs.closed()
    kamailio.said("call of acct from 12125550100 asserted sip:12125550100@")
    # in, by the token we registered; the number is in To
    theirs.dial("12125550100")
    alice.answer()
    theirs.established()
    talk(alice, theirs)
    theirs.hangup()
    alice.closed()
    ended = pbx.wait_event("cdr.created", where=lambda data: data["direction"] == "inbound")["data"]
    assert (ended["trunk_id"], ended["trunk_from"], ended["trunk_to"], ended["to_number"]) == ("kamailio", OUTSIDE, "12125550100", "1001")
    assert pbx.ctl("trunk", "statistics", "kamailio")[0]["inbound"] == 1

    # the provider dies: the same call attempt finds the other one, before anybody has noticed
    kamailio.stop()
    theirs.stop()
    last = pbx.last_seq()
    theirs = outside(other, NATIONAL, other.account(NATIONAL), 880)
    alice.dial(OUTSIDE)
    theirs.answer()
    alice.established()
    talk(alice, theirs)
    alice.hangup()
    theirs.closed()
    made = pbx.wait_event("cdr.created", after=last)["data"]
    assert (made["trunk_id"], made["trunk_to"], made["direction"], made["disposition"]) == ("other", NATIONAL, "outbound", "answered")
    pbx.wait_event("trunk.down", where=lambda data: data["trunk_id"] == "kamailio")
    # and from the other PBX into ours, where all numbers look alike
    theirs.dial("4711")
    assert f"sip:+{OUTSIDE}@" in alice.wait("CALL_INCOMING")["peeruri"]
    alice.command("accept")
    alice.established()
    theirs.established()
    talk(alice, theirs)
    theirs.hangup()
    alice.closed()
    metrics = pbx.http("GET", "//metrics")[1]
    assert 'pbx_trunk_up{trunk="kamailio"} 0' in metrics and 'pbx_trunk_up{trunk="other"} 1' in metrics
    assert 'pbx_trunk_attempts_total{trunk="other",result="answered"} 1' in metrics and 'pbx_trunk_channels{trunk="other"} 0' in metrics
