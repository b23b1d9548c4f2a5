"""What others say of a call: fields of their own, which end in its record, and events of their own in its history."""
import csv
import io
import json
import threading

import pytest
from pbx import Refused
from test_cdr import closed_records
from test_cdr_outputs import csv_rows, sent, set_to
from test_rest import Stream

ODD = 'Jörg "Q" O\'Neil \\ 😀, 100 %'


def noted(pbx, call_id, **fields):
    status, answer = pbx.http("PATCH", f"/calls/{call_id}", {"fields": fields})
    assert status == 200, answer
    return answer["fields"]


def told(pbx, call_id, name, **data):
    status, answer = pbx.http("POST", f"/calls/{call_id}/events", {"name": name, "data": data})
    assert status == 202, answer


def call_under_way(pbx):
    return pbx.ctl("calls", "list")[0]["call_id"]


def test_fields_and_events_of_others_end_in_the_records(pbx_on_each, talk, phones):
    pbx = pbx_on_each
    alice, bob = talk(pbx, "1001", "1002")
    carol = phones(pbx, "1003")
    call_id = call_under_way(pbx)
    assert noted(pbx, call_id, case="4711", mood="good", who=ODD) == {"case": "4711", "mood": "good", "who": ODD}
    told(pbx, call_id, "survey.done", score=5, words=ODD)
    bob.transfer("1003")
    carol.answer()
    pbx.wait_event("call.transfer")
    assert pbx.ctl("calls", "set", call_id, "case=4712", "mood=")["fields"] == {"case": "4712", "who": ODD}
    assert pbx.ctl("calls", "event", call_id, "wrap.up", "name=Carol", "done=yes")["data"] == {"name": "Carol", "done": "yes"}
    alice.hangup()
    carol.closed()

    second, first = closed_records(pbx, 2)
    assert first["fields"] == {"case": "4711", "mood": "good", "who": ODD}, "what it was when that conversation ended"
    assert second["fields"] == {"case": "4712", "who": ODD}
    events = [event for event in pbx.http("GET", f"/cdr/{first['id']}/events")[1]["items"] if event["type"] == "call.user_event"]
    assert [(event["data"]["name"], event["data"]["data"]) for event in events] == \
        [("survey.done", {"score": 5, "words": ODD}), ("wrap.up", {"name": "Carol", "done": "yes"})]
    assert {event["call_id"] for event in events} == {call_id} and events[1]["data"]["by"] == "root@local"
    assert [event["data"]["fields"] for event in pbx.events("call.fields_set")][1] == {"case": "4712", "mood": None}
    created = pbx.events("cdr.created")
    assert [event["data"]["fields"] for event in created] == [first["fields"], second["fields"]]

    def found(asked):
        return [record["id"] for record in pbx.ctl("cdr", "list", f"field={asked}")]
    assert found("case=4711") == [first["id"]] and found("case") == [second["id"], first["id"]]
    assert found(f"who={ODD}") == [second["id"], first["id"]]
    assert found("mood=good") == [first["id"]] and not found("mood=goo") and not found("case=%") and not found("cas")
    exported = list(csv.DictReader(io.StringIO(pbx.http("GET", "/cdr?field=mood", headers={"Accept": "text/csv"}, raw=True)[1])))
    assert [json.loads(row["fields"]) for row in exported] == [first["fields"]]
    assert pbx.http("GET", "/cdr?field=two%20words")[0] == 422


def test_who_listens_hears_of_them_at_once(make_pbx, sink, talk):
    pbx = make_pbx(f"webhooks:\n  allow_http: true\nfetch:\n  allow: [\"127.0.0.1:{sink.port}\"]\n")
    assert pbx.http("POST", "/webhooks", {"url": sink.url, "events": ["call.user_event"]})[0] == 201
    stream = Stream(pbx, "call.user_event,call.fields_set")
    alice, bob = talk(pbx, "1001", "1002")
    call_id = call_under_way(pbx)
    noted(pbx, call_id, case="4711")
    told(pbx, call_id, "survey.done", score=5)
    fields, event = stream.take(2)
    assert (fields["call_id"], fields["data"]["fields"]) == (call_id, {"case": "4711"})
    assert (event["call_id"], event["data"]["name"], event["data"]["data"]) == (call_id, "survey.done", {"score": 5})
    body, = [request["body"] for request in sink.wait(lambda requests: requests, "the event")]
    assert (body["type"], body["call_id"], body["data"]["data"]) == ("call.user_event", call_id, {"score": 5})
    stream.close()
    alice.hangup()
    bob.closed()


def test_a_crash_takes_nothing_back_that_was_noted(make_pbx, talk):
    pbx = make_pbx()
    alice, bob = talk(pbx, "1001", "1002")
    assert alice.hears(bob.hertz)
    call_id = call_under_way(pbx)
    noted(pbx, call_id, case="4711", account_code="K-17")
    told(pbx, call_id, "survey.done", score=5)
    pbx.await_log()
    pbx.kill()
    pbx.restart()
    record, = closed_records(pbx, 1)
    assert (record["cause"], record["fields"], record["account_code"]) == ("system_restart", {"case": "4711"}, "K-17")
    assert [event["data"]["name"] for event in pbx.events("call.user_event")] == ["survey.done"]
    assert pbx.http("POST", f"/calls/{call_id}/events", {"name": "too.late"})[0] == 404


def test_a_trusted_system_notes_by_headers(make_pbx, talkers, phones):
    pbx = make_pbx()
    with pytest.raises(Refused, match="write X-Case=case"):
        pbx.ctl("config", "set", "sip.field_headers", '["X-Case=two words"]')
    pbx.ctl("config", "set", "sip.field_headers", '["X-Case=case", "P-Charge-Info=account_code"]')
    phones.secrets[pbx, "1003"] = pbx.account("1003", trusted=True)
    stranger, callee, desk = talkers(pbx, "1001", "1002", "1003")
    for caller in (stranger, desk):
        refused = threading.Thread(target=lambda: (callee.reply(callee.expect("INVITE"), 486, "Busy Here"), callee.expect("ACK")))
        refused.start()
        assert caller.invite("1002", headers=[f"X-Case: {ODD}", "P-Charge-Info: K-17", "X-Other: 1"]).status == 486
        refused.join()
    trusted, other = closed_records(pbx, 2)
    assert (trusted["from_number"], trusted["fields"], trusted["account_code"]) == ("1003", {"case": ODD}, "K-17")
    assert (other["from_number"], other["fields"], other["account_code"]) == ("1001", {}, None)
    assert desk.invite("1999", headers=["X-Case: " + 300 * "x"]).status == 404
    assert closed_records(pbx, 3)[0]["fields"] == {}
    assert "at most 255 bytes" in pbx.log_lines("field_left_out")[0]


def test_a_field_has_a_column_where_a_template_says_so(make_pbx, talk, tmp_path):
    pbx = make_pbx(f"cdr:\n  csv: true\n  directory: {tmp_path / 'files'}\n")
    set_to(pbx, "csv_fields", '["id", "fields.case", "fields.none", "billsec_ms", "fields"]')
    with pytest.raises(Refused, match="there is no \"fields.two words\""):
        set_to(pbx, "csv_fields", '["fields.two words"]')
    alice, bob = talk(pbx, "1001", "1002")
    noted(pbx, call_under_way(pbx), case="=1+1", who=ODD)
    alice.hangup()
    bob.closed()
    sent(pbx, "csv", 1)
    row, = csv_rows(tmp_path / "files")
    assert list(row) == ["id", "fields.case", "fields.none", "billsec_ms", "fields"]
    assert (row["fields.case"], row["fields.none"]) == ("'=1+1", "") and json.loads(row["fields"]) == {"case": "=1+1", "who": ODD}


def test_people_note_in_their_own_calls_alone(make_pbx, talk):
    pbx = make_pbx("api:\n  user_scopes: [calls:read, calls:write]\n")
    alice, bob = talk(pbx, "1001", "1002")
    pbx.account("1004", password="four is not one")
    pbx.ctl("extension", "set", "1001", "password=one is not four")
    tokens = {number: pbx.http("POST", "/auth/login", {"extension": number, "password": password}, token="")[1]["token"]
              for number, password in (("1001", "one is not four"), ("1004", "four is not one"))}
    call_id = call_under_way(pbx)
    for number, status in (("1004", 404), ("1001", 200)):
        assert pbx.http("PATCH", f"/calls/{call_id}", {"fields": {"case": number}}, token=tokens[number])[0] == status
        assert pbx.http("POST", f"/calls/{call_id}/events", {"name": "mine"}, token=tokens[number])[0] == (404 if status == 404 else 202)
    event, = pbx.events("call.user_event")
    assert event["data"]["by"] == "1001"
    blind = pbx.ctl("token", "create", "blind", "calls:read")["token"]
    assert pbx.http("PATCH", f"/calls/{call_id}", {"fields": {"case": "x"}}, token=blind)[0] == 403
    assert pbx.http("POST", f"/calls/{call_id}/events", {"name": "x"}, token=blind)[0] == 403
    assert pbx.http("GET", f"/calls/{call_id}")[1]["fields"] == {"case": "1001"}
    alice.hangup()
    bob.closed()


def test_nonsense_is_refused_with_its_reason(pbx, talk):
    alice, bob = talk(pbx, "1001", "1002")
    call_id = call_under_way(pbx)
    fields, events = f"/calls/{call_id}", f"/calls/{call_id}/events"
    for method, path, body, status, says in (
            ("PATCH", fields, b"{\"fields\": {\"case\": ", 400, "JSON"),
            ("PATCH", fields, b"\xff\xfe", 400, "JSON"),
            ("PATCH", fields, {"fields": {'"; DROP TABLE cdr_segments; --': "x"}}, 422, "is no name of a field"),
            ("PATCH", fields, {"fields": {"😀": "x"}}, 422, "is no name of a field"),
            ("PATCH", fields, {"fields": {"x" * 300: "x"}}, 422, "at most 32"),
            ("PATCH", fields, {"fields": {"case": "x" * 300}}, 422, "at most 255 bytes"),
            ("PATCH", fields, {"fields": {"case": 4711}}, 422, "a field is a text"),
            ("PATCH", fields, {"fields": {f"f{i}": "x" for i in range(17)}}, 422, "at most 16 fields"),
            ("POST", events, {"name": "x" * 300}, 400, "length of 300"),
            ("POST", events, {"name": "a \"quoted\" 😀"}, 422, "is no name of an event"),
            ("POST", events, {"name": "long", "data": {"x": "y" * 5000}}, 422, "at most 4096"),
            ("POST", events, {"name": "x", "data": "text"}, 400, "object"),
            ("POST", "/calls/01AAAAAAAAAAAAAAAAAAAAAAAA/events", {"name": "x"}, 404, "there is no call")):
        got, answer = pbx.http(method, path, body)
        assert got == status and says in json.dumps(answer, ensure_ascii=False), (body, answer)
    assert pbx.http("GET", fields)[1]["fields"] == {} and not pbx.events("call.user_event") and not pbx.events("call.fields_set")
    with pytest.raises(Refused, match="is not of the form name=value"):
        pbx.ctl("calls", "set", call_id, "case")
    alice.hangup()
    bob.closed()
