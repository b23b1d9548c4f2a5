"""Careless people on a bad line: they cancel, hang up and hold at any moment, packets are lost, and plugins are exchanged meanwhile."""
import asyncio
import collections
import threading

import pytest
from sip_client import SipClient
from storm import Storm

PEER = """
sip:
  peers: ["127.0.0.1"]
  flood_rate: 100000
  flood_burst: 100000
log:
  level: "notice"
extensions:
  max_calls: 1000
media:
  quarantine_s: 1
"""
PLUGINS = ["cdr", "call_parking", "extensions", "music_on_hold", "webhooks"]


def register(pbx, number, port):
    """The extension lives where the storm's callees are."""
    client = SipClient(pbx, number, pbx.account(number))
    answer = client.register(contact=f"<sip:{number}@127.0.0.1:{port}>")
    client.close()
    assert answer.status == 200, answer.start


async def blow(pbx, storm, rate, seconds):
    numbers = ["1001", "1002", "1003"]
    await storm.open()
    for number in numbers:
        await asyncio.to_thread(register, pbx, number, storm.callees.port)
    await storm.blow(rate, seconds, numbers)
    await asyncio.to_thread(pbx.assert_nothing_left)
    return storm.counts


def all_records(pbx):
    rows, cursor = [], ""
    while True:
        status, page = pbx.http("GET", f"/cdr?limit=500{cursor}")
        assert status == 200, page
        rows += page["items"]
        if not page.get("next_cursor"):
            return rows
        cursor = f"&cursor={page['next_cursor']}"


def told_once(pbx, made):
    """Every call begins once, ends once, and has one record with its true end, which was told once; no number is missing in the log."""
    events = pbx.events()
    seqs = [event["seq"] for event in events]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    started, ended = ([event["call_id"] for event in events if event["type"] == kind] for kind in ("call.started", "call.ended"))
    assert len(started) == made and sorted(started) == sorted(ended) and len(set(started)) == made
    rows = all_records(pbx)
    assert collections.Counter(row["call_id"] for row in rows) == collections.Counter(started)
    wrong = [row for row in rows if not row["ended_at"] or row["cause"] == "system_restart"]
    assert not wrong, wrong
    causes = {event["call_id"]: event["data"]["cause"] for event in events if event["type"] == "call.ended"}
    assert {row["call_id"]: row["cause"] for row in rows} == causes
    created = [event["data"]["call_id"] for event in events if event["type"] == "cdr.created"]
    assert sorted(created) == sorted(started)


def test_a_storm_leaves_nothing_behind(make_pbx):
    pbx = make_pbx(PEER)
    storm = Storm(("127.0.0.1", pbx.sip_port), seed=1, loss=0.04)
    counts = asyncio.run(blow(pbx, storm, rate=15, seconds=6))
    assert counts["200"] > 30 and counts["cancel"] > 10
    told_once(pbx, counts["made"])
    pbx.wait_for(lambda: pbx.ctl("media", "ports")["used"] == 0, "all ports to come back")


@pytest.mark.parametrize("exchanged", [["cdr"], PLUGINS], ids=["records", "every plugin"])
def test_plugins_are_exchanged_in_a_storm(make_pbx, exchanged):
    pbx = make_pbx(PEER)
    storm = Storm(("127.0.0.1", pbx.sip_port), seed=2, loss=0)
    over, reloads = threading.Event(), []

    def exchange():
        while not over.is_set():
            for plugin in exchanged:
                reloads.append(pbx.ctl("plugin", "reload", plugin))

    worker = threading.Thread(target=exchange)
    worker.start()
    try:
        counts = asyncio.run(blow(pbx, storm, rate=12, seconds=6))
    finally:
        over.set()
        worker.join()
    assert len(reloads) > 5
    told_once(pbx, counts["made"])
