"""Call records in files, at an HTTP service and in syslog: whoever was away, full or killed, each record arrives."""
import csv
import json

import pytest
from calling import Callers
from disk import fill, relieve
from pbx import Refused
from ports import free_port
from postgres import Postgres
from receivers import RFC5424, Rsyslog, TcpReceiver
from sink import Sink


@pytest.fixture
def receiver():
    made = TcpReceiver()
    yield made
    made.down()


@pytest.fixture
def rsyslog(tmp_path):
    server = Rsyslog(tmp_path / "rsyslog")
    yield server.start()
    server.stop()


@pytest.fixture
def postgres():
    server = Postgres()
    yield server.start()
    server.remove()


def closed(pbx, count):
    def look():
        found = [record for record in pbx.ctl("cdr", "list", "limit=500") if record["ended_at"]]
        return len(found) >= count and found
    return pbx.wait_for(look, f"{count} records")


def ids(records):
    return sorted(record["id"] for record in records)


def set_to(pbx, setting, value):
    pbx.ctl("config", "set", f"cdr.{setting}", value)


def output(pbx, name):
    return next(each for each in pbx.ctl("cdr", "outputs") if each["output"] == name)


def sent(pbx, name, count):
    return pbx.wait_for(lambda: output(pbx, name)["sent"] >= count, f"{count} records in {name}; it is {output(pbx, name)}")


def failing(pbx, name):
    return pbx.wait_for(lambda: (now := output(pbx, name))["state"] == "failing" and now, f"{name} to fail")


def json_lines(folder):
    return [json.loads(line) for path in sorted(folder.glob("cdr_*.jsonl")) for line in path.read_text().splitlines()]


def are_whole(folder, records):
    """Whether a line of each is there, and nothing else."""
    try:
        return {told["id"] for told in json_lines(folder)} == set(ids(records))
    except json.JSONDecodeError:
        return False  # a torn one is still there


def csv_rows(folder):
    return [row for path in sorted(folder.glob("cdr_*.csv")) for row in csv.DictReader(path.open(newline=""))]


# ---- daily files -----------------------------------------------------------------------------------------


def test_a_file_a_day_says_what_the_records_say(make_pbx, sipp, tmp_path):
    folder = tmp_path / "files"
    pbx = make_pbx(f"cdr:\n  csv: true\n  jsonl: true\n  directory: {folder}")
    set_to(pbx, "csv_fields", '["id", "from_number", "to_number", "billsec_ms"]')
    callers = Callers(pbx, sipp)
    callers.call(3)
    records = closed(pbx, 3)
    sent(pbx, "csv", 3)
    sent(pbx, "jsonl", 3)
    days = {record["started_at"][:10] for record in records}
    assert {path.name for path in folder.iterdir()} == {f"cdr_{day}.{kind}" for day in days for kind in ("csv", "jsonl")}
    by_id = {record["id"]: record for record in records}
    for told in json_lines(folder):
        assert told == {name: by_id[told["id"]][name] for name in told}
    rows = csv_rows(folder)
    assert ids(rows) == ids(json_lines(folder)) == ids(records)
    assert all(list(row) == ["id", "from_number", "to_number", "billsec_ms"] for row in rows)
    assert all(int(row["billsec_ms"]) == by_id[row["id"]]["billsec_ms"] for row in rows)

    pbx.stop()
    pbx.restart()
    callers.call(2)
    sent(pbx, "csv", 2)
    sent(pbx, "jsonl", 2)
    assert ids(csv_rows(folder)) == ids(json_lines(folder)) == ids(closed(pbx, 5))
    set_to(pbx, "csv_fields", '["id", "cause"]')
    callers.call(1)
    sent(pbx, "csv", 3)
    begun_anew = [path for path in folder.glob("cdr_*-2.csv")]
    assert len(begun_anew) == 1 and begun_anew[0].read_bytes().startswith(b"id,cause\r\n")
    assert ids(csv_rows(folder)) == ids(closed(pbx, 6))


def test_a_full_disk_is_said_once_and_its_records_are_caught_up(make_pbx, small_disk, sipp):
    pbx = make_pbx(f"cdr:\n  csv: true\n  jsonl: true\n  directory: {small_disk}")
    callers = Callers(pbx, sipp)
    callers.call(1)
    sent(pbx, "csv", 1)
    sent(pbx, "jsonl", 1)
    fill(small_disk)
    callers.call(16)  # some find room in the last page of their file
    closed(pbx, 17)
    for name in ("csv", "jsonl"):
        assert "No space left" in failing(pbx, name)["reason"]
    for kind in ("csv", "jsonl"):
        assert all(path.read_bytes().endswith(b"\n") for path in small_disk.glob(f"*.{kind}"))
    relieve(small_disk)
    sent(pbx, "csv", 17)
    sent(pbx, "jsonl", 17)
    records = closed(pbx, 17)
    assert ids(csv_rows(small_disk)) == ids(json_lines(small_disk)) == ids(records)
    for name in ("csv", "jsonl"):
        assert len([line for line in pbx.log_lines("output_failing") if f"output={name}" in line]) == 1
        assert len([line for line in pbx.log_lines("output_recovered") if f"output={name}" in line]) == 1


def test_a_line_torn_by_a_power_cut_is_whole_afterwards(make_pbx, sipp, tmp_path):
    folder = tmp_path / "files"
    pbx = make_pbx(f"cdr:\n  jsonl: true\n  directory: {folder}")
    callers = Callers(pbx, sipp)
    callers.call(2)
    sent(pbx, "jsonl", 2)
    pbx.kill()
    path, = folder.glob("*.jsonl")
    with path.open("a") as file:
        file.write('{"id": "01TORN')
    pbx.restart()
    callers.call(1)
    records = closed(pbx, 3)

    pbx.wait_for(lambda: are_whole(folder, records), "three whole lines")


# ---- HTTP ------------------------------------------------------------------------------------------------


def http_settings(sink, more=""):
    return f"fetch:\n  allow: [\"127.0.0.1:{sink.port}\"]\ncdr:\n  http_url: {sink.url}\n{more}"


def told(sink):
    """Ids the service has taken."""
    return [request["body"]["id"] for request in sink.requests if request["status"] < 300]


def test_a_service_gets_each_record_once(make_pbx, sipp, sink):
    pbx = make_pbx(http_settings(sink, "  http_token: open-sesame"))
    Callers(pbx, sipp).call(3)
    sink.wait(lambda requests: len(requests) >= 3)
    records = {record["id"]: record for record in closed(pbx, 3)}
    assert sorted(told(sink)) == sorted(records)
    for request in sink.requests:
        assert request["body"] == {name: records[request["body"]["id"]][name] for name in request["body"]}
        headers = {name.lower(): value for name, value in request["headers"].items()}
        assert headers["idempotency-key"] == request["body"]["id"] and headers["authorization"] == "Bearer open-sesame"
    assert "open-sesame" not in json.dumps(pbx.ctl("config", "show", "cdr")) and "open-sesame" not in pbx.log()


def away_over_a_restart(pbx, sipp, sink):
    sink.headers = {"Connection": "close"}  # else it goes on to serve an open connection when it is down
    callers = Callers(pbx, sipp)
    callers.call(2)
    sent(pbx, "http", 2)
    sink.down()
    callers.call(3)
    closed(pbx, 5)
    pbx.wait_for(lambda: (now := output(pbx, "http"))["state"] == "failing" and now["waiting"] == 3, "three to wait")
    pbx.kill()
    pbx.restart()
    callers.call(2)
    records = closed(pbx, 7)
    failing(pbx, "http")
    sink.up()
    sink.wait(lambda requests: len(set(told(sink))) == 7, "seven records")
    sent(pbx, "http", 5)
    assert sorted(set(told(sink))) == ids(records)
    assert len(told(sink)) == 7  # nothing was on its way when the power went: nothing comes twice
    pbx.stop()
    pbx.restart()
    callers.call(1)
    sent(pbx, "http", 1)
    assert len(told(sink)) == 8


def test_a_service_that_was_away_over_a_power_cut_gets_all(make_pbx, sipp, sink):
    away_over_a_restart(make_pbx(http_settings(sink)), sipp, sink)


def test_the_same_on_postgresql(make_pbx, sipp, sink, postgres):
    away_over_a_restart(make_pbx(http_settings(sink) + f"store:\n  engine: postgresql\n  url: {postgres.url}\n"), sipp, sink)


def test_a_record_that_the_service_finds_wrong_does_not_stop_the_others(make_pbx, sipp, sink):
    sink.statuses = [422, 422, 422]
    pbx = make_pbx(http_settings(sink, "  http_parallel: 1"))
    callers = Callers(pbx, sipp)
    callers.call(1)
    refused = closed(pbx, 1)[0]["id"]
    pbx.wait_for(lambda: pbx.log_lines("record_refused"), "the refusal to be named")
    callers.call(1)
    sent(pbx, "http", 1)
    assert refused in pbx.log_lines("record_refused")[0] and refused not in told(sink) and len(told(sink)) == 1


def test_switched_on_and_off_while_calls_go_on(make_pbx, sipp, sink):
    other = Sink()
    pbx = make_pbx(f"fetch:\n  allow: [\"127.0.0.1:{sink.port}\", \"127.0.0.1:{other.port}\"]\n")
    callers = Callers(pbx, sipp)
    callers.call(1)
    closed(pbx, 1)
    set_to(pbx, "http_url", sink.url)
    callers.call(1)
    sink.wait(lambda requests: len(requests) == 1)
    assert told(sink)[0] == closed(pbx, 2)[0]["id"]  # not what was before
    set_to(pbx, "http_url", other.url)
    callers.call(1)
    other.wait(lambda requests: len(requests) == 1)
    set_to(pbx, "http_url", "")
    callers.call(1)
    closed(pbx, 4)
    assert output(pbx, "http")["state"] == "off"
    assert (len(told(sink)), len(told(other))) == (1, 1)
    other.down()


# ---- syslog ----------------------------------------------------------------------------------------------


def syslog_records(messages):
    return [json.loads(RFC5424.fullmatch(message)["text"]) for message in messages]


def test_rfc_5424_messages_over_tcp_and_a_server_that_was_away(make_pbx, sipp, receiver):
    pbx = make_pbx(f"cdr:\n  syslog: tcp:127.0.0.1:{receiver.port}\n  syslog_facility: local3")
    callers = Callers(pbx, sipp)
    callers.call(2)
    first = RFC5424.fullmatch(receiver.wait(lambda messages: len(messages) == 2, "two records")[0])
    assert (first["priority"], first["app"], first["id"]) == (str(19 * 8 + 6), "pbx-cdr", "cdr")
    assert first["time"].endswith("Z") and first["time"][:16] == json.loads(first["text"])["ended_at"][:16]
    receiver.down()
    callers.call(3)
    closed(pbx, 5)
    failing(pbx, "syslog")
    pbx.kill()
    pbx.restart()
    failing(pbx, "syslog")
    receiver.up()
    receiver.wait(lambda messages: len({record["id"] for record in syslog_records(messages)}) == 5, "five records")
    assert ids({record["id"]: record for record in syslog_records(receiver.messages)}.values()) == ids(closed(pbx, 5))


@pytest.mark.parametrize("way", ["tcp", "udp", "local"])
def test_a_real_rsyslog_reads_them(make_pbx, sipp, rsyslog, way):
    target = f"local:{rsyslog.socket}" if way == "local" else f"{way}:127.0.0.1:{rsyslog.port}"
    pbx = make_pbx(f"cdr:\n  syslog: {target}")
    Callers(pbx, sipp).call(3)
    records = closed(pbx, 3)
    pbx.wait_for(lambda: len(rsyslog.lines()) == 3, "three lines")
    heads, texts = zip(*[line.split("|", 1) for line in rsyslog.lines()])
    assert all(head.startswith("local0.info pbx-cdr") for head in heads)
    assert ids([json.loads(text) for text in texts]) == ids(records)


def test_a_setting_that_cannot_be_is_refused_with_its_cure(pbx):
    for setting, value, hint in (("syslog", f"tcp:{free_port()}", "tcp:host:601"), ("csv_fields", '["id", "price"]', "price"), ("directory", "files", "absolute"),
                                 ("http_url", "billing.example", "https://")):
        with pytest.raises(Refused, match=hint):
            set_to(pbx, setting, value)


def test_a_power_cut_in_the_middle_of_traffic_leaves_no_record_untold(make_pbx, sipp, sink, tmp_path):
    """Whatever was half done, at the receiver are the ids of the table, and each file line is whole."""
    folder = tmp_path / "files"
    pbx = make_pbx(http_settings(sink, f"  jsonl: true\n  directory: {folder}"))
    callers = Callers(pbx, sipp)
    for _ in range(2):
        before = len(sink.requests)
        callee = callers.sipp(pbx, "uas_answers", calls=100, port=callers.callee_port)
        caller = callers.sipp(pbx, "uac_calls", calls=100, keys={"number": "1001"}, user="1001", secret=callers.secret, args=callers.pace(20, 50))
        sink.wait(lambda requests: len(requests) >= before + 15, "fifteen records in the middle of it")
        pbx.kill()
        caller.stop()
        callee.stop()
        pbx.restart()

    def all_told():
        records = pbx.ctl("cdr", "list", "limit=500")
        return records if all(record["ended_at"] for record in records) and set(told(sink)) == {record["id"] for record in records} else None
    records = pbx.wait_for(all_told, "every record to be told")
    assert len(records) >= 30
    pbx.wait_for(lambda: are_whole(folder, records), "every record to be in the file")
    last = {}
    for request in sink.requests:
        last[request["body"]["id"]] = request["body"]
    for record in records:  # what is told last is what is kept
        assert all(record[name] == value for name, value in last[record["id"]].items())
