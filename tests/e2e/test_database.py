"""The database on both engines, away, killed and full: calls go on, records arrive later, once."""
import shutil
import sqlite3

import pytest
from calling import CALL_EVENTS, Callers
from disk import fill, relieve
from pbx import Refused
from sip_client import SipClient


@pytest.fixture
def pbx_on(make_pbx, postgres):
    return make_pbx(f"store:\n  engine: postgresql\n  url: {postgres.url}\n  statement_timeout_ms: 2000")


def ready(pbx):
    return pbx.http("GET", "//readyz")[1]


def records(pbx):
    return pbx.ctl("cdr", "list", "limit=500")


def assert_whole(pbx, calls):
    """So many records, each call with all of its events, in order, numbers without a gap."""
    pbx.wait_for(lambda: len([record for record in records(pbx) if record["ended_at"]]) == calls, f"{calls} records; there are {len(records(pbx))}")
    assert len(records(pbx)) == calls
    assert len({record["call_id"] for record in records(pbx)}) == calls
    assert {record["disposition"] for record in records(pbx)} == {"answered"}
    events = pbx.events()
    assert [event["seq"] for event in events] == list(range(events[0]["seq"], events[0]["seq"] + len(events)))
    assert len({event["id"] for event in events}) == len(events)
    told = {}
    for event in events:
        if event["type"] in CALL_EVENTS:
            told.setdefault(event["call_id"], []).append(event["type"])
    assert list(told.values()) == [CALL_EVENTS] * calls


def test_two_phones_and_their_record_on_postgresql(pbx_on, talk, postgres):
    alice, bob = talk(pbx_on, "1001", "1002")
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
    alice.hangup()
    bob.closed()
    assert_whole(pbx_on, 1)
    assert postgres.query("SELECT count(*) FROM event_log WHERE type = 'call.ended'") == [["1"]]
    contacts = [contact["contact"] for contact in pbx_on.ctl("registrations", "list")]
    pbx_on.kill()
    pbx_on.restart()
    assert [contact["contact"] for contact in pbx_on.ctl("registrations", "list")] == contacts
    alice.dial("1002")
    bob.answer()
    alice.established()
    alice.hangup()
    bob.closed()
    assert_whole(pbx_on, 2)


def test_calls_go_on_while_the_database_is_away_and_records_come_later_once(pbx_on, postgres, sipp):
    callers = Callers(pbx_on, sipp)
    callers.call(2)
    assert_whole(pbx_on, 2)
    pbx_on.wait_for(lambda: ready(pbx_on)["status"] == "ready", "the first start to be over")
    postgres.stop()
    callers.call(10)
    status, answer = pbx_on.http("GET", "//readyz")
    assert (status, answer["status"], answer["store"]) == (200, "degraded", "away") and answer["journalled"] > 0
    assert len(pbx_on.log_lines("store_away")) == 1
    postgres.start()
    pbx_on.wait_for(lambda: ready(pbx_on)["status"] == "ready", "the store to be whole", seconds=40)
    assert_whole(pbx_on, 12)
    callers.call(1)
    assert_whole(pbx_on, 13)
    assert ready(pbx_on)["journalled"] == 0


def test_the_journal_outlives_a_kill_while_the_database_is_away(pbx_on, postgres, sipp):
    callers = Callers(pbx_on, sipp)
    callers.call(1)
    assert_whole(pbx_on, 1)
    postgres.stop()
    callers.call(10)
    pbx_on.wait_for(lambda: ready(pbx_on)["journalled"] >= 40, "the records to be in the journal")
    pbx_on.kill()
    postgres.start()
    pbx_on.restart()
    assert_whole(pbx_on, 11)
    callers.call(1)
    assert_whole(pbx_on, 12)


def test_changes_while_the_database_is_away_are_refused_and_not_lost_silently(pbx_on, postgres):
    postgres.stop()
    status, problem = pbx_on.http("POST", "/extensions", {"number": "1001"}, token=pbx_on.token or "")
    assert status in (401, 503), problem
    with pytest.raises(Refused):
        pbx_on.ctl("extension", "add", "1001")
    with pytest.raises(Refused):
        pbx_on.ctl("config", "set", "calls.ring_s", "40")
    assert pbx_on.ctl("config", "get", "calls.ring_s")["value"] == 30
    postgres.start()
    pbx_on.wait_for(lambda: ready(pbx_on)["store"] == "up", "the store", seconds=40)
    assert pbx_on.ctl("extension", "list") == []


def test_a_start_waits_for_the_database_and_says_so(make_pbx, postgres):
    """After a power cut the PBX may be up first."""
    postgres.stop()
    pbx = make_pbx(f"store:\n  engine: postgresql\n  url: {postgres.url}", start=False)
    pbx.start(wait=False)
    pbx.wait_for(lambda: pbx.log_lines("store_away"), "the reason why it waits")
    assert postgres.directory in pbx.log_lines("store_away")[0] and not pbx.log_lines("ready")
    postgres.start()
    pbx.wait_for(lambda: pbx.log_lines("ready"), "the start to be over", seconds=40)
    pbx.account("1001")


def test_both_engines_have_the_same_tables(make_pbx, pbx_on, postgres):
    lite = make_pbx()
    lite.stop()
    with sqlite3.connect(lite.directory / "data" / "pbx.db") as database:
        names = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")]
        here = {(name, row[1]) for name in names for row in database.execute(f"PRAGMA table_info({name})")}
    there = {tuple(row) for row in postgres.query("SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'")}
    assert here == there and len(names) > 10


# ---- a disk that is full ------------------------------------------------------------------


def test_a_full_disk_is_said_once_and_calls_go_on(make_pbx, small_disk, sipp):
    pbx = make_pbx(f"server:\n  data_dir: {small_disk}/data")
    callers = Callers(pbx, sipp)
    callers.call(1)
    assert_whole(pbx, 1)
    fill(small_disk)
    callers.call(10)
    answer = pbx.wait_for(lambda: (a := ready(pbx))["status"] == "degraded" and a, "readiness to say so")
    assert answer["store"] in ("disk_full", "away")
    loud = [line for line in pbx.log().splitlines() if " error " in line]
    assert 1 <= len(loud) <= 3 and any("full" in line or "No space" in line for line in loud), loud
    relieve(small_disk)
    pbx.wait_for(lambda: ready(pbx)["status"] == "ready", "the store to be whole", seconds=40)
    assert_whole(pbx, 11)
    assert loud == [line for line in pbx.log().splitlines() if " error " in line]


def test_keys_and_locks_are_kept_on_postgresql(pbx_on, postgres):
    def make(key):
        return pbx_on.http("POST", "/extensions", {"number": "1001", "name": "Ada"}, headers={"Idempotency-Key": key})
    first = make("ada")
    assert first[0] == 201 and make("ada") == first and make("other")[0] == 409
    statuses = [pbx_on.http("POST", "/auth/login", {"user": "admin", "password": "wrong"}, token="")[0] for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    pbx_on.kill()
    pbx_on.restart()
    assert make("ada") == first
    assert pbx_on.http("POST", "/auth/login", {"user": "admin", "password": "wrong"}, token="")[0] == 429
    assert first[1]["sip_secret"] not in str(postgres.query("SELECT body FROM idempotency_keys"))


def test_nodes_on_one_database_see_each_others_registrations(make_pbx, postgres):
    """What one has registered the other calls; the node a phone came to last has it, and what has ended has ended on both."""
    one, two = (make_pbx(f"store:\n  engine: postgresql\n  url: {postgres.url}\nsip:\n  node: {name}") for name in ("one", "two"))

    def seen(pbx):
        return [(found["contact"], found["node"]) for found in pbx.ctl("registrations", "list", "1001")]

    secret = one.account("1001")
    two.stop()
    for found in (one.directory / "data").glob("*.key"):  # an installation has one key, whatever its nodes
        shutil.copy(found, two.directory / "data" / found.name)
    two.restart()  # and accounts are read at the start
    phone = SipClient(one, "1001", secret)
    contact = f"sip:1001@127.0.0.1:{phone.port}"
    assert phone.register().status == 200
    assert seen(one) == [(contact, "")]
    two.wait_for(lambda: seen(two) == [(contact, "one")], "the registration to be seen by the other node")

    phone.pbx = two  # it goes to the other one
    assert phone.register().status == 200
    assert seen(two) == [(contact, "")]
    one.wait_for(lambda: seen(one) == [(contact, "two")], "the phone's move to be seen")
    caller = SipClient(one, "1003", one.account("1003"))
    caller.ring("1001")
    phone.pbx = one
    phone.reply(phone.expect("INVITE"), 486, "Busy Here")
    assert caller.receive(lambda message: message.status == 486)

    phone.pbx = two
    assert phone.register(expires=0).status == 200
    one.wait_for(lambda: seen(one) == [], "the end to be seen")
    two.stop(), two.restart()
    assert seen(two) == []
    phone.close(), caller.close()
