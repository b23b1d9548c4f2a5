"""Many events: gathered into few requests, counted without a gap, in order, none lost over kill -9, and a slow receiver is nobody's burden."""
import json
import re
import sqlite3
import time
from datetime import datetime, timedelta, timezone

import pytest
from calling import Callers
from machine import stalls
from ports import free_range
from test_webhooks import fire, header, settings, standard_signature, subscribe


@pytest.fixture
def hooked(make_pbx, sink):
    return make_pbx(settings(sink))


def noted(pbx, made, state="delivered", **more):
    """All its deliveries are in this state."""
    def look():
        listed = pbx.ctl("webhook", "deliveries", made["id"], "limit=500")
        return listed and all(d["state"] == state and all(d[name] == value for name, value in more.items()) for d in listed) and listed
    return pbx.wait_for(look, f"deliveries to be {state} {more}")


def aors(events):
    return [event["data"]["aor"] for event in events]


def numbered(events):
    """Events that are about no call overtake each other."""
    return sorted((event["sequence"], event["data"]["aor"]) for event in events)


# ---- gathering ------------------------------------------------------------------------------

def test_as_many_as_wished_go_in_one_request(hooked, sink):
    made = subscribe(hooked, sink, ["registration.added"], batch_events=5, batch_ms=60000)
    for number in range(1003, 1007):
        fire(hooked, str(number))
    hooked.wait_for(lambda: hooked.http("GET", f"/webhooks/{made['id']}")[1]["waiting"] == 4, "four to wait")
    assert sink.requests == []
    fire(hooked, "1007")
    (request,) = sink.wait(lambda requests: requests, "the request")
    body = request["body"]
    assert body["type"] == "webhook.batch" == header(request, "X-Webhook-Event") and body["count"] == 5
    assert body["id"] == header(request, "webhook-id") and body["id"] not in {event["id"] for event in body["events"]}
    assert aors(body["events"]) == ["1003", "1004", "1005", "1006", "1007"]
    assert [event["sequence"] for event in body["events"]] == [1, 2, 3, 4, 5]
    assert standard_signature(request, made["secret"]) == header(request, "webhook-signature")
    noted(hooked, made, attempts=1)


def test_nobody_waits_longer_for_company_than_wished(hooked, sink):
    subscribe(hooked, sink, ["registration.added"], batch_events=100, batch_ms=700)
    fire(hooked)
    (request,) = sink.wait(lambda requests: requests, "the request")
    assert request["body"]["count"] == 1
    happened = datetime.fromisoformat(request["body"]["events"][0]["time"].replace("Z", "+00:00")).timestamp()
    assert 0.69 < request["wall"] - happened < 2 + stalls().lost_s(happened)


def test_a_request_is_not_longer_than_wished(hooked, sink):
    subscribe(hooked, sink, ["registration.added"], batch_events=100, batch_ms=2000, batch_bytes=1024)
    for number in range(1003, 1010):
        fire(hooked, str(number))
    sink.wait(lambda requests: len(sink.events()) == 7, "seven events")
    assert aors(sorted(sink.events(), key=lambda event: event["sequence"])) == [str(number) for number in range(1003, 1010)]
    assert len(sink.requests) > 1
    for request in sink.requests:
        assert sum(len(json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()) for event in request["body"]["events"]) <= 1024


def test_a_batch_that_failed_comes_again_as_it_was(hooked, sink):
    made = subscribe(hooked, sink, ["registration.added"], batch_events=2, batch_ms=60000)
    sink.statuses = [500]
    fire(hooked, "1003")
    fire(hooked, "1004")
    sink.wait(lambda requests: requests, "the first attempt")
    fire(hooked, "1005")  # joins no request that has been on its way
    first, second = sink.wait(lambda requests: len(requests) == 2, "the second attempt")
    assert first["raw"] == second["raw"] and header(first, "webhook-id") == header(second, "webhook-id")
    hooked.wait_for(lambda: [d["attempts"] for d in hooked.ctl("webhook", "deliveries", made["id"])] == [0, 2, 2], "two attempts to be noted")


def test_a_batch_that_a_kill_broke_up_reaches_the_receiver_whole(hooked, sink):
    made = subscribe(hooked, sink, ["registration.added"], batch_events=3, batch_ms=300)
    sink.down()
    for number in range(1003, 1006):
        fire(hooked, str(number))
    hooked.wait_for(lambda: [d["attempts"] > 0 for d in hooked.ctl("webhook", "deliveries", made["id"])] == [True] * 3, "the first attempt")
    hooked.kill()
    sink.up()
    hooked.restart()
    sink.wait(lambda requests: len(sink.events()) >= 3, "three events")
    assert aors(sink.events()) == ["1003", "1004", "1005"] and [event["sequence"] for event in sink.events()] == [1, 2, 3]


# ---- numbers and time -------------------------------------------------------------------------

def test_numbers_have_no_gap_over_kill_and_filter(hooked, sink):
    made = subscribe(hooked, sink, ["registration.added", "settings.changed"], match={"/transport": "udp"})
    for number in range(1003, 1007):
        fire(hooked, str(number))
        hooked.ctl("config", "set", "calls.ring_s", number - 950)  # an event that is not wanted
        if number % 2:
            hooked.kill()
            hooked.restart()
    sink.wait(lambda requests: len({event["id"] for event in sink.events()}) == 4, "four events")
    numbers = {event["id"]: event["sequence"] for event in sink.events()}
    assert sorted(numbers.values()) == [1, 2, 3, 4]
    assert {d["sequence"] for d in hooked.ctl("webhook", "deliveries", made["id"])} == set(numbers.values())


def test_what_has_arrived_comes_no_more_although_the_log_had_not_heard_of_it(hooked, sink):
    made = subscribe(hooked, sink, ["registration.added"])
    for number in ("1003", "1004"):
        fire(hooked, number)
    noted(hooked, made)
    hooked.kill()
    with sqlite3.connect(hooked.directory / "data" / "pbx.db") as database:  # as a kill leaves it between delivery and acknowledgement
        moved = database.execute("UPDATE event_followers SET seq = ? WHERE name = ?", (min(event["seq"] for event in sink.events()) - 1, f"to-{made['id']}"))
        assert moved.rowcount == 1
    database.close()
    hooked.restart()
    fire(hooked, "1005")
    sink.wait(lambda requests: "1005" in aors(sink.events()), "the event after them")
    assert numbered(sink.events()) == [(1, "1003"), (2, "1004"), (3, "1005")]
    noted(hooked, made)  # one that is under way would not be sent anew
    hooked.ctl("webhook", "replay", made["id"], f"from_seq={min(event['seq'] for event in sink.events())}")  # and comes again when it is asked for
    sink.wait(lambda requests: len(sink.events()) == 6, "all of them once more")
    assert numbered(sink.events()[3:]) == [(4, "1003"), (5, "1004"), (6, "1005")]


def test_a_replay_has_a_beginning_and_an_end(hooked, sink):
    made = subscribe(hooked, sink, ["registration.added"])
    times = []
    for number in ("1003", "1004", "1005"):
        fire(hooked, number)
        times.append(datetime.fromisoformat(hooked.wait_event("registration.added", where=lambda data: data["aor"] == number)["time"].replace("Z", "+00:00")))
    sink.wait(lambda requests: len(requests) == 3, "three events")
    noted(hooked, made)
    tick = timedelta(milliseconds=1)
    assert hooked.http("POST", f"/webhooks/{made['id']}:replay", {"from": (times[1] - tick).isoformat(), "to": (times[1] + tick).isoformat()})[0] == 202
    requests = sink.wait(lambda requests: len(requests) == 4, "the second event again")
    assert aors([requests[3]["body"]]) == ["1004"]
    assert [r["body"]["id"] for r in requests[:3] if r["body"]["data"]["aor"] == "1004"] == [requests[3]["body"]["id"]]
    fire(hooked, "1006")
    requests = sink.wait(lambda requests: len(requests) == 5, "a new event")
    assert aors([requests[4]["body"]]) == ["1006"], "what is younger than the end was not sent again"
    late = (datetime.now(timezone.utc) + timedelta(hours=1)).isoformat()
    assert hooked.http("POST", f"/webhooks/{made['id']}:replay", {"from": late})[0] == 404
    assert hooked.http("POST", f"/webhooks/{made['id']}:replay", {"from": late, "to": times[0].isoformat()})[0] == 422


def test_a_delivery_is_sent_again_by_its_id(hooked, sink):
    made = subscribe(hooked, sink, ["registration.added"])
    fire(hooked)
    sink.wait(lambda requests: requests, "an event")
    (delivery,) = noted(hooked, made)
    assert hooked.http("POST", f"/webhooks/deliveries/{delivery['id']}:redeliver")[0] == 202
    first, again = sink.wait(lambda requests: len(requests) == 2, "it again")
    assert again["raw"] == first["raw"]
    for stranger in (f"{made['id']}-999999", "rubbish", "-1"):
        assert hooked.http("POST", f"/webhooks/deliveries/{stranger}:redeliver")[0] == 404


# ---- many, and slowly --------------------------------------------------------------------------

def metric(pbx, name, **labels):
    status, text = pbx.http("GET", "//metrics", token=pbx.admin_token(), raw=True)
    assert status == 200, text
    found = [line for line in text.splitlines() if line.startswith(name + "{") and all(f'{key}="{value}"' in line for key, value in labels.items())]
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)


def resident_kib(pbx):
    with open(f"/proc/{pbx.process.pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


CALLS, RATE, PORTS = 120, 8, 600  # 100 events a second and more, for 15 s; a call's ports rest after it
KINDS = ["call.*", "leg.*", "bridge.*"]


def test_a_hundred_events_a_second_and_a_slow_receiver(make_pbx, sink, second_sink, sipp):
    """Alone, one receiver manages 13 a second, so that its queue overflows into the log; the other gets batches and keeps up. Then kill -9."""
    port = free_range(PORTS)
    pbx = make_pbx(settings(sink, second_sink) + f"media:\n  port_min: {port}\n  port_max: {port + PORTS - 1}\n",
                   environment={"ASAN_OPTIONS": "detect_leaks=1:exitcode=99:quarantine_size_mb=8"})  # what is freed does not count as kept
    slow = subscribe(pbx, sink, KINDS)
    batched = subscribe(pbx, second_sink, KINDS, batch_events=100, batch_ms=500)
    sink.delay_s, second_sink.delay_s = 0.3, 0.1
    callers = Callers(pbx, sipp, max_calls=100)
    callers.call(2)
    before_kib, began = resident_kib(pbx), time.monotonic()
    callers.call(CALLS, rate=RATE, talk_ms=50)
    took_s = time.monotonic() - began
    busy_s, grown_kib = metric(pbx, "pbx_plugin_loop_seconds_total", plugin="webhooks"), resident_kib(pbx) - before_kib
    waiting = {made["id"]: pbx.http("GET", f"/webhooks/{made['id']}")[1]["waiting"] for made in (slow, batched)}
    assert metric(pbx, "pbx_webhook_waiting", webhook=slow["id"]) > 500
    pbx.kill()
    pbx.restart()

    happened = sorted((event for kind in KINDS for event in pbx.events(kind)), key=lambda event: event["seq"])
    expected = {event["id"] for event in happened}
    print(f"\n{len(expected)} events, {len(expected) / took_s:.0f} a second; plugin {busy_s:.2f} s of {took_s:.1f} s on the loop; memory +{grown_kib} KiB; "
          f"waiting {list(waiting.values())}; requests {len(sink.requests)}, {len(second_sink.requests)}")
    assert len(expected) >= 100 * CALLS / RATE
    for receiver in (sink, second_sink):
        receiver.delay_s = 0.005
        receiver.wait(lambda _: {event["id"] for event in receiver.events()} >= expected, "every event", seconds=60)
        assert stories(receiver.events()) == stories(happened), "each call's story in its order"
    assert 1000 < waiting[slow["id"]] <= 1000 + 256 and waiting[batched["id"]] < 400
    assert grown_kib < 65536 and busy_s < took_s / 4
    assert len(second_sink.requests) < len(sink.requests) / 10


def stories(events):
    """Per call, its events in order; one that comes twice (what was under way at the kill) counts where it came first."""
    told, seen = {}, set()
    for event in events:
        if event["id"] not in seen:
            seen.add(event["id"])
            told.setdefault(event["linked_id"], []).append(event["type"])
    return told
