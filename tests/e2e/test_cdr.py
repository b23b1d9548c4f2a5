"""Call records: every kind of call leaves the right one, a crash loses none, and everybody sees what is theirs to see."""
import csv
import io
import json
import sqlite3
import subprocess
import threading
import time
import uuid
from datetime import datetime

import pytest
from calling import CALL_EVENTS, Callers
from clock import Clock
from machine import PATIENCE_S, Watch, stalls
from pbx import BUILD, Refused
from talker import Talker


def closed_records(pbx, count, **more):
    """All records, newest first, when `count` are complete."""
    def look():
        records = pbx.ctl("cdr", "list", "limit=500")
        return len([record for record in records if record["ended_at"]]) >= count and records
    return pbx.wait_for(look, f"{count} records", **more)


def when(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def between_ms(earlier, later):
    return round((when(later) - when(earlier)) * 1000)


def round_ms(since):
    """A round of the loop: durations are counted from its beginning, the time of day is read amid it. What the machine keeps back makes it longer."""
    return 20 + stalls().longest_ms(when(since))


def refuses(callee, status, phrase):
    """The callee takes its next call so; join() it."""
    def run():
        callee.reply(callee.expect("INVITE"), status, phrase)
        callee.expect("ACK")
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def ten_calls(pbx, sipp, talkers, phones):
    """5 answered, 2 busy, 1 that rings out, 1 cancelled, 1 unknown: the card's first acceptance."""
    sources = Callers(pbx, sipp)
    phones.secrets[pbx, "1001"] = sources.secret
    phones.secrets[pbx, "1004"] = pbx.account("1004", ring_s=2)
    caller, busy, rings = talkers(pbx, "1001", "1003", "1004")
    sources.call(5, rate=2, talk_ms=1500)
    for _ in range(2):
        refusal = refuses(busy, 486, "Busy Here")
        caller.call_id = uuid.uuid4().hex
        assert caller.invite("1003").status == 486
        refusal.join()

    def rings_only():
        for _ in range(2):
            invite = rings.expect("INVITE")
            rings.reply(invite, 180, "Ringing")
            rings.reply(rings.expect("CANCEL"), 200, "OK")
            rings.reply(invite, 487, "Request Terminated")
            rings.expect("ACK")
    ringing = threading.Thread(target=rings_only)
    ringing.start()
    caller.call_id = uuid.uuid4().hex
    assert caller.invite("1004").status in (408, 480)
    caller.call_id = uuid.uuid4().hex
    invite = caller.ring("1004")
    caller.receive(lambda message: message.status == 180)
    caller.cancel(invite)
    ended = caller.receive(lambda message: message.status == 487)
    caller.acknowledge(ended, "sip:1004@pbx.test")
    ringing.join()
    caller.call_id = uuid.uuid4().hex
    assert caller.invite("1999").status == 404
    return closed_records(pbx, 10)


def test_ten_calls_leave_ten_records(pbx, sipp, talkers, phones):
    """Acceptance 1, then what is asked of them: pages, filters, CSV."""
    records = ten_calls(pbx, sipp, talkers, phones)
    assert len(records) == 10
    by = {kind: [record for record in records if record["disposition"] == kind] for kind in {record["disposition"] for record in records}}
    assert {kind: len(those) for kind, those in by.items()} == {"answered": 5, "busy": 2, "no_answer": 1, "cancelled": 1, "failed": 1}
    for record in by["answered"]:
        assert record["billsec_ms"] >= 1490, "SIPp talks for 1.5 s"
        assert abs(between_ms(record["answered_at"], record["ended_at"]) - record["billsec_ms"]) <= round_ms(record["started_at"])
        assert abs(between_ms(record["started_at"], record["ended_at"]) - record["duration_ms"]) <= round_ms(record["started_at"])
        assert (record["from_number"], record["to_number"], record["hangup_by"], record["sip_code"]) == ("1001", "1002", "caller", 200)
    assert all((record["sip_code"], record["billsec_ms"], record["to_number"]) == (486, 0, "1003") for record in by["busy"])
    assert by["no_answer"][0]["ring_ms"] >= 1900
    assert by["cancelled"][0]["hangup_by"] == "caller"
    assert (by["failed"][0]["sip_code"], by["failed"][0]["cause"], by["failed"][0]["dialled"]) == (404, "not_found", "1999")
    assert all(record["answered_at"] is None for record in records if record["disposition"] != "answered")

    the_pages(pbx, records)
    the_filters(pbx)
    the_csv(pbx, records)


def the_pages(pbx, records):
    ids = [record["id"] for record in records]
    assert ids == sorted(ids, reverse=True)
    seen, cursor = [], ""
    for pages in range(1, 10):
        status, page = pbx.http("GET", f"/cdr?limit=3{cursor}")
        assert status == 200 and len(page["items"]) <= 3
        seen += [record["id"] for record in page["items"]]
        if not page["next_cursor"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ids and pages == 4


def the_filters(pbx):
    def count(query):
        status, page = pbx.http("GET", f"/cdr?{query}")
        assert status == 200, page
        return len(page["items"])
    assert count("disposition=busy") == 2
    assert count("extension=1002") == 5
    assert count("extension=100") == 0 and count("number=100") == 10
    assert count("number=1999") == 1
    assert count("min_duration_s=1") == 5
    assert count("direction=internal&disposition=answered") == 5
    assert count("from=2020-01-01&to=2020-01-02") == 0
    assert pbx.http("GET", "/cdr?disposition=sleepy")[0] in (400, 422)
    assert pbx.http("GET", "/cdr?from=yesterday")[0] in (400, 422)


def the_csv(pbx, records):
    status, text = pbx.http("GET", "/cdr", headers={"Accept": "text/csv"}, raw=True)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert status == 200 and len(rows) == 10
    assert {row["id"] for row in rows} == {record["id"] for record in records}
    busy = pbx.http("GET", "/cdr?disposition=busy", headers={"Accept": "text/csv"}, raw=True)[1]
    assert len(list(csv.DictReader(io.StringIO(busy)))) == 2
    by_ctl = subprocess.run([str(BUILD / "api" / "pbxctl"), "--socket", str(pbx.control), "cdr", "export"], stdout=subprocess.PIPE, timeout=30,
                            check=True).stdout.decode()
    assert by_ctl == text


def test_a_record_with_its_legs_events_and_notes(pbx_on_each, sipp):
    pbx = pbx_on_each
    Callers(pbx, sipp).call(1)
    record = closed_records(pbx, 1)[0]
    path = f"/cdr/{record['id']}"
    status, legs = pbx.http("GET", path + "/legs")
    assert status == 200 and len(legs["items"]) == 2
    status, events = pbx.http("GET", path + "/events")
    kinds = [event["type"] for event in events["items"]]
    assert [kind for kind in kinds if kind.startswith("call.")] == ["call.started", "call.ringing", "call.answered", "call.ended"]
    call_id = record["call_id"]
    for words in (["cdr", "show"], ["cdr", "legs"], ["cdr", "events"], ["calls", "show"], ["calls", "explain"], ["qos", "call"]):
        by_call, by_record = pbx.ctl(*words, call_id), pbx.ctl(*words, record["id"])
        assert by_call == by_record and by_call, words
    status, changed = pbx.http("PATCH", path, {"account_code": "K-17", "notes": 'Ünïcode, "quotes" and, commas'})
    assert status == 200 and changed["account_code"] == "K-17"
    assert pbx.ctl("cdr", "show", record["id"])["notes"] == 'Ünïcode, "quotes" and, commas'
    assert pbx.http("PATCH", path, {"billsec_ms": 1})[0] in (400, 422)
    assert pbx.http("PATCH", path, {"legal_hold": True})[1]["legal_hold"] is True
    assert pbx.ctl("cdr", "set", record["id"], "user_field=+1+1")["account_code"] == "K-17"
    text = pbx.http("GET", "/cdr", headers={"Accept": "text/csv"}, raw=True)[1]
    assert [row["user_field"] for row in csv.DictReader(io.StringIO(text))] == ["'+1+1"]
    assert [row["id"] for row in pbx.ctl("cdr", "list", "sort=started_at")] == [record["id"]]
    assert [row["id"] for row in pbx.http("GET", "/cdr?sort=started_at")[1]["items"]] == [record["id"]]
    assert pbx.http("GET", "/cdr/01AAAAAAAAAAAAAAAAAAAAAAAA-1")[0] == 404


def test_records_are_watched_as_calls_end(make_pbx, sipp):
    pbx = make_pbx()
    watch = [str(BUILD / "api" / "pbxctl"), "--socket", str(pbx.control), "--json", "cdr", "tail"]
    watching, leaving = (subprocess.Popen(watch, stdout=subprocess.PIPE, text=True) for _ in range(2))
    try:
        callers = Callers(pbx, sipp)
        callers.call()
        first = json.loads(leaving.stdout.readline())
        assert (first["from_number"], first["to_number"], first["disposition"]) == ("1001", "1002", "answered")
        leaving.kill()
        callers.call()
        told = [json.loads(watching.stdout.readline()) for _ in range(2)]
        assert [(record["id"], record["billsec_ms"]) for record in told] == [(record["id"], record["billsec_ms"]) for record in closed_records(pbx, 2)[::-1]]
        pbx.ctl("plugin", "reload", "cdr")  # whoever watched the old copy is let go
        assert watching.communicate(timeout=PATIENCE_S)[0] == "" and watching.returncode == 0
    finally:
        watching.kill()
        leaving.kill()


def test_a_transfer_makes_two_records(pbx, talk, phones):
    """Acceptance 2: no second is counted twice, and the ringing in between is nobody's."""
    alice, bob = talk(pbx, "1001", "1002")
    carol = phones(pbx, "1003")
    assert alice.hears(bob.hertz)
    bob.transfer("1003")
    carol.answer()
    assert alice.hears(carol.hertz)
    alice.hangup()
    carol.closed()
    second, first = closed_records(pbx, 2)
    assert first["linked_id"] == second["linked_id"] and (first["sequence"], second["sequence"]) == (1, 2)
    assert pbx.ctl("cdr", "events", first["call_id"]) == pbx.ctl("cdr", "events", second["id"])
    with pytest.raises(Refused, match="several records"):
        pbx.ctl("cdr", "show", first["call_id"])
    assert (first["from_number"], first["to_number"]) == ("1001", "1002") and (second["from_number"], second["to_number"]) == ("1001", "1003")
    assert first["disposition"] == second["disposition"] == "answered"
    assert first["billsec_ms"] >= 1000 and second["billsec_ms"] >= 1000
    assert second["started_at"] == first["ended_at"]
    whole_ms, rang_ms = between_ms(first["answered_at"], second["ended_at"]), between_ms(second["started_at"], second["answered_at"])
    assert abs(first["billsec_ms"] + second["billsec_ms"] - (whole_ms - rang_ms)) <= round_ms(first["started_at"])
    # The times themselves, by the kernel's clock: what alice hears begins when she is answered and ends with the call, but for what the machine kept back.
    stall_s = stalls().longest_ms(when(first["answered_at"])) / 1000
    assert -0.002 <= alice.ear.packets[0].at - when(first["answered_at"]) < 0.1 + stall_s
    assert -0.1 - stall_s < alice.ear.packets[-1].at - when(second["ended_at"]) < 0.02 + stall_s


def test_an_attended_transfer_makes_three_records(pbx, phones, talkers):
    """Two conversations of the caller and the word in between, no second of the caller's twice."""
    alice, (bob, second), carol = phones(pbx, "1001"), talkers(pbx, "1002", "1002"), phones(pbx, "1003")
    alice.dial("1002")
    bob.answer()
    alice.established()
    bob.reinvite("sendonly")
    assert alice.hears(520)
    asking = threading.Thread(target=carol.answer)
    asking.start()
    second.dial("1003")
    asking.join()
    replaces = f"{second.call_id}%3Bto-tag%3D{second.remote_tag}%3Bfrom-tag%3D{second.tag}"
    assert bob.refer("1003", replaces)[-1] == 200
    bob.closed()
    second.closed()
    assert alice.hears(carol.hertz, others=(520, 660))
    alice.hangup()
    carol.closed()
    records = {(record["from_number"], record["to_number"]): record for record in closed_records(pbx, 3)}
    assert set(records) == {("1001", "1002"), ("1002", "1003"), ("1001", "1003")}
    first, asked, merged = records["1001", "1002"], records["1002", "1003"], records["1001", "1003"]
    assert (first["sequence"], merged["sequence"], first["call_id"]) == (1, 2, merged["call_id"])
    assert len({record["linked_id"] for record in records.values()}) == 1
    assert all(record["disposition"] == "answered" for record in records.values())
    whole = [event for event in pbx.events("call.ended") if event["call_id"] == first["call_id"]][0]["data"]
    assert abs(first["billsec_ms"] + merged["billsec_ms"] - whole["billsec_ms"]) <= 2
    assert when(asked["started_at"]) >= when(first["answered_at"]) and asked["call_id"] != first["call_id"]
    assert asked["cause"] == first["cause"] == "transferred" and abs(between_ms(asked["ended_at"], merged["started_at"])) <= round_ms(first["started_at"])


def test_what_others_say_when_the_caller_has_gone_is_a_record_of_theirs(pbx, talk, phones):
    """The caller transfers the called party: theirs ends then, and who is left is billed for the rest."""
    alice, bob = talk(pbx, "1001", "1002")
    carol = phones(pbx, "1003")
    alice.transfer("1003")
    carol.answer()
    alice.closed()
    assert bob.hears(carol.hertz)
    bob.hangup()
    carol.closed()
    second, first = closed_records(pbx, 2)
    assert (first["from_number"], first["to_number"], first["cause"]) == ("1001", "1002", "transferred")
    assert (second["from_number"], second["to_number"], second["sequence"], second["linked_id"]) == ("1002", "1003", 2, first["linked_id"])
    assert second["started_at"] == first["ended_at"] and first["billsec_ms"] > 0 and second["billsec_ms"] > 0


def test_a_call_that_comes_in_amid_another_and_is_passed_on(pbx, phones, talkers):
    """Attended, the other way round: bob has called carol, holds her, takes alice's call and joins the two."""
    alice, (bob, second), carol = phones(pbx, "1001"), talkers(pbx, "1002", "1002"), phones(pbx, "1003")
    asking = threading.Thread(target=carol.answer)
    asking.start()
    bob.dial("1003")
    asking.join()
    bob.reinvite("sendonly")
    assert carol.hears(520)
    alice.dial("1002")
    second.answer()
    alice.established()
    replaces = f"{bob.call_id}%3Bto-tag%3D{bob.remote_tag}%3Bfrom-tag%3D{bob.tag}"
    assert second.refer("1003", replaces)[-1] == 200
    bob.closed()
    second.closed()
    assert alice.hears(carol.hertz, others=(520, 660))
    alice.hangup()
    carol.closed()
    records = {(record["from_number"], record["to_number"]): record for record in closed_records(pbx, 3)}
    assert set(records) == {("1002", "1003"), ("1001", "1002"), ("1001", "1003")}
    asked, first, merged = records["1002", "1003"], records["1001", "1002"], records["1001", "1003"]
    assert first["call_id"] == merged["call_id"] != asked["call_id"] and len({record["linked_id"] for record in records.values()}) == 1
    assert asked["cause"] == first["cause"] == "transferred" and asked["hold_ms"] > 0 and merged["hold_ms"] == 0
    for before in (asked, first):
        assert abs(between_ms(before["ended_at"], merged["started_at"])) <= round_ms(first["started_at"])


def test_a_forwarded_call_says_who_was_dialled_and_who_answered(pbx, phones):
    alice, carol = phones(pbx, "1001"), phones(pbx, "1003")
    pbx.account("1002")
    assert pbx.http("PUT", "/extensions/1002/forwarding", {"always": "1003"})[0] == 200
    alice.dial("1002")
    carol.answer()
    alice.established()
    carol.hangup()
    alice.closed()
    record, = closed_records(pbx, 1)
    assert (record["from_number"], record["dialled"], record["to_number"]) == ("1001", "1002", "1003")
    assert (record["disposition"], record["hangup_by"], record["sequence"]) == ("answered", "callee", 1)
    kinds = [event["type"] for event in pbx.http("GET", f"/cdr/{record['id']}/events")[1]["items"]]
    assert kinds.count("call.forwarded") == 1


def test_hold_and_park_count_in_the_record_they_belong_to(pbx, talk, phones):
    carol, alice = talk(pbx, "1003", "1001")
    bob = phones(pbx, "1002")
    alice.hold()
    assert carol.hears(520, others=(alice.hertz,))
    alice.resume()
    assert carol.hears(alice.hertz, others=(520,))
    alice.transfer("*74")
    pbx.wait_event("call.parked")
    assert carol.hears(520, others=(alice.hertz,))
    bob.dial("70").established()
    assert carol.hears(bob.hertz)
    carol.hangup()
    bob.closed()
    second, first = closed_records(pbx, 2)
    assert (first["to_number"], second["to_number"], first["linked_id"]) == ("1001", "1002", second["linked_id"])
    assert (first["cause"], second["cause"]) == ("parked", "normal_clearing")
    hold_ms, = [event["data"]["hold_ms"] for event in pbx.events("call.resume")]
    assert first["hold_ms"] == hold_ms > 0 and second["hold_ms"] == 0
    parked, fetched = pbx.wait_event("call.parked"), pbx.wait_event("call.retrieved")
    assert abs(first["park_ms"] - between_ms(parked["time"], fetched["time"])) <= round_ms(first["started_at"]) and second["park_ms"] == 0
    whole = [event for event in pbx.events("call.ended") if event["call_id"] == first["call_id"]][0]["data"]
    assert abs(first["billsec_ms"] + second["billsec_ms"] - whole["billsec_ms"]) <= 2


def test_a_crash_loses_no_record(pbx, talk):
    """Acceptance 3: the open row is closed with the time up to which the call is known to have lasted."""
    alice, bob = talk(pbx, "1001", "1002")
    assert alice.hears(bob.hertz)
    pbx.wait_for(lambda: pbx.ctl("cdr", "list")[0]["disposition"] == "answered", "the open row")
    assert not pbx.ctl("cdr", "list")[0]["ended_at"]
    pbx.kill()
    killed_at = time.time()
    pbx.restart()
    records = closed_records(pbx, 1)
    assert len(records) == 1
    assert (records[0]["cause"], records[0]["hangup_by"], records[0]["disposition"]) == ("system_restart", "system", "answered")
    assert 0 <= killed_at - when(records[0]["ended_at"]) < 10 + stalls().lost_s(when(records[0]["ended_at"]), killed_at)
    assert when(records[0]["started_at"]) <= when(records[0]["ended_at"])


def test_the_clock_that_is_set_back_changes_no_duration(make_pbx, tmp_path, talk):
    """Acceptance 4: an hour back in the midst of a call."""
    clock = Clock(tmp_path, wall_alone=True)
    pbx = make_pbx(environment=clock.environment)
    called = Watch()
    alice, bob = talk(pbx, "1001", "1002")
    answered = pbx.wait_event("call.answered")
    talked = Watch()
    bob.listen(1)
    clock.move(-3600)
    bob.listen(1)
    least_ms = talked.elapsed_s() * 1000
    alice.hangup()
    bob.closed()
    most_ms = called.elapsed_s() * 1000
    record = closed_records(pbx, 1)[0]
    ended = pbx.wait_event("call.ended")
    assert when(ended["time"]) < when(answered["time"]) - 3500, "the clock was not set back"
    assert least_ms <= record["billsec_ms"] <= record["duration_ms"] <= most_ms


def test_of_many_calls_each_leaves_one_record_and_no_event_is_missing(make_pbx, sipp):
    """Acceptance 6 with 100 calls; tests/bench/records.py makes 2,000."""
    pbx = make_pbx("media:\n  quarantine_s: 1\n")
    Callers(pbx, sipp, max_calls=100).call(100, rate=25, talk_ms=100)
    records = closed_records(pbx, 100)
    assert len(records) == 100 and len({record["linked_id"] for record in records}) == 100
    exported = pbx.http("GET", "/cdr", headers={"Accept": "text/csv"}, raw=True)[1].splitlines()
    assert len(exported) == 101
    events = pbx.events("call.*")
    for record in records:
        told = [event for event in events if event["linked_id"] == record["linked_id"]]
        assert [event["type"] for event in told] == CALL_EVENTS and [event["seq"] for event in told] == sorted(event["seq"] for event in told)
    seqs = [event["seq"] for event in pbx.events()]
    assert seqs == list(range(seqs[0], seqs[-1] + 1))


def test_who_follows_hears_of_the_end_that_a_crash_took(make_pbx, sink, talk):
    """kill -9 in a call: after the next start, everybody who waits for its end hears of it, once, with an honest time."""
    pbx = make_pbx(f"webhooks:\n  allow_http: true\nfetch:\n  allow: [\"127.0.0.1:{sink.port}\"]\n")
    assert pbx.http("POST", "/webhooks", {"url": sink.url, "events": ["call.*"]})[0] == 201
    alice, bob = talk(pbx, "1001", "1002")
    assert alice.hears(bob.hertz)
    sink.wait(lambda requests: "call.answered" in [r["body"]["type"] for r in requests], "call.answered")
    call_id = pbx.ctl("calls", "list")[0]["call_id"]

    def is_listed():
        with sqlite3.connect(pbx.directory / "data" / "pbx.db") as database:
            return database.execute("SELECT 1 FROM calls_open WHERE calls LIKE ?", (f"%{call_id}%",)).fetchall()
    pbx.wait_for(is_listed, "the list of calls that last")
    pbx.kill()
    killed_at = time.time()
    pbx.restart()

    def ended(requests):
        return [r["body"] for r in requests if r["body"]["type"] == "call.ended"]
    event = ended(sink.wait(ended, "call.ended"))[0]
    data = event["data"]
    assert event["call_id"] == call_id
    assert (data["disposition"], data["cause"], data["hangup_by"]) == ("answered", "system_restart", "system")
    assert (data["from"]["number"], data["to"]["number"], data["dialled"]) == ("1001", "1002", "1002")
    assert 0 <= killed_at - when(event["time"]) < 6 + stalls().lost_s(when(event["time"]), killed_at)
    assert 0 < data["billsec_ms"] <= data["duration_ms"]
    assert sorted(e["type"] for e in pbx.events() if e["call_id"] == call_id and e["type"] in ("bridge.left", "leg.ended", "call.ended")) == \
        ["bridge.left"] * 2 + ["call.ended"] + ["leg.ended"] * 2
    record = closed_records(pbx, 1)[0]
    assert (record["cause"], record["billsec_ms"], record["duration_ms"]) == ("system_restart", data["billsec_ms"], data["duration_ms"])
    assert when(record["ended_at"]) == when(event["time"])

    # Once: not at another start either.
    pbx.kill()
    pbx.restart()
    assert len([e for e in pbx.events("call.ended") if e["call_id"] == call_id]) == 1
    assert {body["id"] for body in ended(sink.requests)} == {event["id"]}, "what was on its way when the power went may come again, as itself"
    assert len(closed_records(pbx, 1)) == 1


def test_who_withholds_its_number_sees_its_own_records_and_nobody_learns_it_from_them(make_pbx, talkers):
    pbx = make_pbx("api:\n  user_scopes: [cdr:read]\n")
    alice, bob = talkers(pbx, "1001", "1002")
    password = "nobody is to know it"
    pbx.account("1004", password=password)
    tokens = {}
    for number in ("1001", "1002", "1004"):
        pbx.ctl("extension", "set", number, f"password={password}")
        status, answer = pbx.http("POST", "/auth/login", {"extension": number, "password": password}, token="")
        assert status == 200, answer
        tokens[number] = answer["token"]
    refuses = threading.Thread(target=lambda: bob.reply(bob.expect("INVITE"), 486, "Busy Here"))
    refuses.start()
    assert alice.invite("1002", headers=["Privacy: id"]).status == 486
    refuses.join()
    record = closed_records(pbx, 1)[0]
    assert (record["from_number"], record["to_number"]) == ("", "1002") and "1001" not in json.dumps(record)
    for number, seen in (("1001", 1), ("1002", 1), ("1004", 0)):
        items = pbx.http("GET", "/cdr", token=tokens[number])[1]["items"]
        assert len(items) == seen and "1001" not in json.dumps(items), number
        assert pbx.http("GET", f"/cdr/{record['id']}", token=tokens[number])[0] == (200 if seen else 404), number
    for parts in ("legs", "events"):  # which name the account
        assert [pbx.http("GET", f"/cdr/{record['id']}/{parts}", token=tokens[number])[0] for number in tokens] == [200, 403, 404]


def test_who_cannot_prove_who_they_are_leave_a_record_as_often_as_they_may_try(pbx):
    pbx.account("1001")
    stranger = Talker(pbx, "1001", "guess", 440)
    for status in (407,) * 5 + (403,) * 2:
        stranger.call_id = uuid.uuid4().hex
        assert stranger.invite("1002").status == status
    stranger.close()
    records = closed_records(pbx, 5)
    assert len(records) == 5
    for record in records:
        assert (record["disposition"], record["cause"], record["sip_code"], record["from_number"], record["to_number"], record["legs"]
                if "legs" in record else 0) == ("failed", "auth_failed", 407, "1001", "1002", 0)
    started, ended = pbx.http("GET", f"/cdr/{records[0]['id']}/events")[1]["items"]
    assert started["data"]["address"] == f"127.0.0.1:{stranger.port}" and ended["data"]["billsec_ms"] == 0


def test_people_see_their_own_records_only(make_pbx, sipp):
    """Acceptance 5."""
    pbx = make_pbx("api:\n  user_scopes: [cdr:read]\n")
    Callers(pbx, sipp).call(1)
    record = closed_records(pbx, 1)[0]
    pbx.account("1004", password="four is not one")
    pbx.ctl("extension", "set", "1001", "password=one is not four")

    def log_in(number, password):
        status, answer = pbx.http("POST", "/auth/login", {"extension": number, "password": password}, token="")
        assert status == 200, answer
        return answer["token"]
    own, stranger = log_in("1001", "one is not four"), log_in("1004", "four is not one")
    path = f"/cdr/{record['id']}"
    assert pbx.http("GET", path, token=own)[0] == 200
    for below in ("", "/legs", "/events"):
        assert pbx.http("GET", path + below, token=stranger)[0] == 404, below
    assert pbx.http("GET", "/cdr", token=stranger)[1]["items"] == []
    assert pbx.http("GET", "/cdr?extension=1001", token=stranger)[1]["items"] == []
    assert len(pbx.http("GET", "/cdr", token=own)[1]["items"]) == 1
    text = pbx.http("GET", "/cdr", token=stranger, headers={"Accept": "text/csv"}, raw=True)[1]
    assert list(csv.DictReader(io.StringIO(text))) == []
    assert pbx.http("PATCH", path, {"notes": "mine"}, token=own)[0] == 403
    reporting = pbx.ctl("token", "create", "reporting", "cdr:read")["token"]
    assert pbx.http("GET", path, token=reporting)[0] == 200
    blind = pbx.ctl("token", "create", "blind", "calls:read")["token"]
    assert pbx.http("GET", path, token=blind)[0] == 403
