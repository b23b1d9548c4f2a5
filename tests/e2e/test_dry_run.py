"""`route explain` says what a call would do; here the call is placed as well, and does it."""
from datetime import datetime, timedelta

import pytest
from pbx import Pbx
from sip_client import SipClient

PROVIDER = "127.0.0.2"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LATER = datetime.now() + timedelta(days=3)
ACCOUNTS = {"1001": {}, "1002": {}, "1003": {"allow_external": "false"}, "1004": {}, "1005": {"dnd": "true"}, "1006": {}}


class House:
    """Phones 1002 and 1004, providers near and far; everything that begins with 7 goes far, but 7555 near, and 8 only three days from now."""

    def __init__(self, pbx):
        self.pbx = pbx
        self.secrets = {number: pbx.account(number, **values) for number, values in ACCOUNTS.items()}
        self.places = {number: SipClient(pbx, number, self.secrets[number]) for number in ("1002", "1004")}
        for place in self.places.values():
            assert place.register().status == 200
        for name in ("near", "far"):
            self.places[name] = SipClient(pbx, name, host=PROVIDER)
            pbx.ctl("trunk", "add", name, f"host={PROVIDER}", f"port={self.places[name].port}", "keep_alive_interval_s=0")
        self.route("far", "7[0-9]+", 200)
        self.route("near", "7555[0-9]+", 100)
        self.route("far", "8[0-9]+", 300, name="later", hours=f"{DAYS[LATER.weekday()]} 00:00-23:59")
        caller = SipClient(pbx, "1006", self.secrets["1006"])
        assert caller.invite("*761004").status == 200
        pbx.wait_for(lambda: pbx.ctl("extension", "show", "1006")["forwarding"]["always"] == "1004", "the forwarding to be kept")
        caller.close()

    def route(self, trunk, pattern, priority, name=None, **values):
        self.pbx.ctl("outbound-route", "add", name or trunk, f"pattern={pattern}", f"trunks={trunk}", "failover=false", f"priority={priority}",
                     *[f"{key}={value}" for key, value in values.items()])


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    house = House(Pbx(tmp_path_factory.mktemp("dry")).start())
    yield house
    for place in house.places.values():
        place.close()
    house.pbx.stop()


def explained(house, caller, number, *words):
    code, said = house.pbx.says("route", "explain", caller, number, *words)
    assert code == 0
    return said


@pytest.mark.parametrize("caller, number, place, target", [("1001", "1002", "1002", "aor:1002"), ("1001", "1006", "1004", "aor:1004"), ("1001", "75551234", "near", "near"),
                                                           ("1001", "76661234", "far", "far"), ("1002", "1004", "1004", "aor:1004")])
def test_it_rings_where_the_dry_run_says(house, caller, number, place, target):
    said = explained(house, caller, number)
    assert said["verdict"] == "targets" and target in said["sentence"] + " ".join(said["targets"]), said
    party, there = SipClient(house.pbx, caller, house.secrets[caller]), house.places[place]
    party.ring(number)
    invite = there.expect("INVITE")
    assert invite.start.split()[1].startswith(f"sip:{there.number if target.startswith('aor:') else number}@")
    there.reply(invite, 486, "Busy Here")
    assert party.receive(lambda message: message.status == 486)
    assert not any(message.method == "INVITE" for other in house.places.values() for message in other.kept)
    party.close()


@pytest.mark.parametrize("caller, number", [("1001", "1999"), ("1001", "1005"), ("1003", "75551234"), ("1001", "81234567"), ("1001", "9")])
def test_it_is_refused_as_the_dry_run_says(house, caller, number):
    said = explained(house, caller, number)
    assert said["verdict"] == "reject", said
    party = SipClient(house.pbx, caller, house.secrets[caller])
    assert party.invite(number).status == said["sip_code"]
    refused = house.pbx.wait_event("call.refused", where=lambda data: data["number"] == number)["data"]
    assert (refused["sip_code"], refused["refused_by"], refused["reason"]) == (said["sip_code"], said["items"][-1]["owner"], said["items"][-1]["text"])
    assert not any(message.method == "INVITE" for place in house.places.values() for message in place.kept)
    party.close()


def test_another_time_has_another_way(house):
    now, later = explained(house, "1001", "81234567"), explained(house, "1001", "81234567", "--at", LATER.strftime("%Y-%m-%dT12:00"))
    assert now["verdict"] == "reject" and later["verdict"] == "targets" and "far" in later["sentence"]
