"""The house stands: what a newcomer does in the first five minutes, in one story, from `make run` to the call's record."""
import base64
import hashlib
import hmac
import os
import re
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from pbx import BUILD, ROOT
from phone import Phone

MUSIC = 520
STORY = ["call.started", "call.ringing", "call.answered", "call.hold", "call.resume", "call.parked", "call.retrieved", "call.ended"]


class FrontDoor:
    """What `make run` starts when everything is built, and what it prints."""

    def __init__(self, pbx):
        pbx.write_settings()
        environment = dict(os.environ, PBX_HOME=str(pbx.directory), UBSAN_OPTIONS="halt_on_error=1", ASAN_OPTIONS="exitcode=99")
        self.process = subprocess.Popen([str(ROOT / "packaging" / "run-here.sh"), str(BUILD)], env=environment, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.text = ""
        for line in self.process.stdout:
            self.text += line
            if "Dial 1002" in line:
                break
        assert "Dial 1002" in self.text, f"it ended with {self.process.wait()}:\n{self.text}\n{pbx.log()[-3000:]}"

    def printed(self, pattern):
        found = re.search(pattern, self.text)
        assert found, f"nothing like {pattern} in:\n{self.text}"
        return found[1]

    def pbxd(self):
        """The daemon's process id."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return next(int(child) for child in children if Path(f"/proc/{child}/comm").read_text().strip() == "pbxd")

    def power_cut(self):
        os.kill(self.pbxd(), signal.SIGKILL)
        self.close()

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.communicate(timeout=60)


@pytest.fixture
def front_door():
    doors = []

    def make(pbx):
        doors.append(FrontDoor(pbx))
        return doors[-1]

    yield make
    for door in doors:
        door.close()


def log_in(pbx, password):
    """With the one-time password, which is good for nothing but to be replaced."""
    status, answer = pbx.http("POST", "/auth/login", {"user": "admin", "password": password}, token="")
    assert status == 200, answer
    assert pbx.http("GET", "/cdr", token=answer["token"])[0] == 403
    status, answer = pbx.http("POST", "/auth/login", {"user": "admin", "password": password, "new_password": "a better one, 2026"}, token="")
    assert status == 200, answer
    return answer["token"]


def is_signed(request, secret):
    """As a receiver would check it: Standard Webhooks, by Python's hmac and nothing of ours."""
    headers = {name.lower(): value for name, value in request["headers"].items()}
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + request["raw"]
    right = "v1," + base64.b64encode(hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()).decode()
    return headers["webhook-id"] == request["body"]["id"] and any(hmac.compare_digest(right, given) for given in headers["webhook-signature"].split())


def both_hear(a, b):
    assert a.hears(b.hertz, others=(a.hertz, MUSIC)), f"{a.number} does not hear {b.number}: {a.level(b.hertz):.0f} dBFS"
    assert b.hears(a.hertz, others=(b.hertz, MUSIC)), f"{b.number} does not hear {a.number}: {b.level(a.hertz):.0f} dBFS"


def test_the_house_stands(make_pbx, front_door, sink, tmp_path):
    pbx = make_pbx(f"webhooks:\n  allow_http: true\nfetch:\n  allow: [\"127.0.0.1:{sink.port}\"]\n", start=False)
    door = front_door(pbx)
    assert door.printed(r"Control socket\s+(\S+)") == str(pbx.control)
    assert door.printed(r"REST\s+(https://\S+)").endswith("/api/v1/openapi.json")
    token = log_in(pbx, door.printed(r"one-time password (\S+)"))

    status, hook = pbx.http("POST", "/webhooks", {"url": sink.url, "events": ["call.*"]}, token=token)
    assert status == 201, hook

    # Two phones register with what `make run` printed; one calls the other, both hear.
    phones = [Phone(tmp_path / f"phone{number}", pbx, number, door.printed(rf"user {number}, password (\S+)"), hertz)
              for number, hertz in (("1001", 440), ("1002", 660))]
    try:
        the_story(pbx, door, token, hook["secret"], sink, *phones)
    finally:
        for phone in phones:
            phone.stop()


def the_story(pbx, door, token, secret, sink, alice, bob):
    alice.registered(), bob.registered()
    alice.dial("1002")
    bob.answer()
    alice.established()
    both_hear(alice, bob)
    call_id = pbx.ctl("calls", "list")[0]["call_id"]

    # 1002 holds: 1001 hears music, and goes on hearing it while the music's plugin is exchanged.
    bob.hold()
    pbx.wait_event("call.hold")
    assert alice.hears(MUSIC, others=(bob.hertz,))
    here = alice.ear.mark()
    pbx.ctl("plugin", "reload", "music_on_hold")
    assert alice.hears(MUSIC, others=(bob.hertz,))
    assert alice.ear.breaks(here) == [] and alice.ear.gaps(here) == []
    bob.resume()
    pbx.wait_event("call.resume")
    both_hear(alice, bob)

    # 1001's call is parked and fetched from 1002.
    parked = pbx.ctl("parking", "park", call_id)
    assert (parked["slot"], parked["caller"], parked["parker"]) == (70, "1001", "1002")
    bob.closed()
    assert alice.hears(MUSIC, others=(bob.hertz,))
    status, listed = pbx.http("GET", "/parking", token=token)
    assert status == 200 and [(slot["slot"], slot["caller"]) for slot in listed["items"]] == [(70, "1001")]
    bob.dial("70").established()
    both_hear(alice, bob)
    assert pbx.ctl("parking", "list") == []

    # Hang-up: one call record, and it is right.
    alice.hangup()
    bob.closed()
    pbx.wait_event("cdr.created")
    check_the_record(pbx, token, call_id)
    check_the_hook(sink, secret, call_id)

    # A power cut: the phones do not notice.
    before = {number: pbx.ctl("registrations", "list", number) for number in ("1001", "1002")}
    door.power_cut()
    pbx.restart()
    for number, contacts in before.items():
        again = pbx.ctl("registrations", "list", number)
        assert [contact["contact"] for contact in again] == [contact["contact"] for contact in contacts]
    bob.dial("1001")
    alice.answer()
    bob.established()
    both_hear(alice, bob)
    bob.hangup()
    alice.closed()
    assert len(pbx.wait_for(lambda: [r for r in pbx.ctl("cdr", "list") if r["ended_at"]][1:] and pbx.ctl("cdr", "list"), "the second record")) == 2


def check_the_record(pbx, token, call_id):
    records = pbx.wait_for(lambda: [record for record in pbx.ctl("cdr", "list") if record["ended_at"]], "the record")
    assert len(pbx.ctl("cdr", "list")) == 1
    record = records[0]
    assert record["call_id"] == call_id and record["sequence"] == 1
    assert (record["from_number"], record["to_number"], record["dialled"]) == ("1001", "1002", "1002")
    assert (record["disposition"], record["hangup_by"], record["cause"], record["direction"]) == ("answered", "caller", "normal_clearing", "internal")
    assert record["hold_ms"] >= 1000 and record["park_ms"] >= 1000
    assert record["hold_ms"] + record["park_ms"] < record["billsec_ms"] <= record["duration_ms"]
    status, page = pbx.http("GET", "/cdr", token=token)
    assert status == 200 and page["items"] == records
    assert pbx.http("GET", f"/cdr/{record['id']}", token=token) == (200, pbx.ctl("cdr", "show", record["id"]))


def check_the_hook(sink, secret, call_id):
    requests = sink.wait(lambda requests: any(r["body"]["type"] == "call.ended" and r["body"]["call_id"] == call_id for r in requests), "call.ended")
    assert all(is_signed(request, secret) for request in requests)
    assert not is_signed(dict(requests[0], raw=requests[0]["raw"] + b" "), secret)
    seqs = [request["body"]["seq"] for request in requests if request["body"]["linked_id"] == call_id]
    assert seqs == sorted(set(seqs)), "events of calls that met came out of order or twice"
    assert [request["body"]["type"] for request in requests if request["body"]["call_id"] == call_id] == STORY


def test_a_port_that_is_taken_is_named_with_who_has_it_and_the_cure(make_pbx):
    pbx = make_pbx(start=False)
    pbx.write_settings()
    with socket.create_server(("127.0.0.1", pbx.http_port)):
        done = subprocess.run([str(ROOT / "packaging" / "run-here.sh"), str(BUILD)], env=dict(os.environ, PBX_HOME=str(pbx.directory)),
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "pbxd did not start" in done.stderr
    assert f"Port {pbx.http_port} is taken" in done.stderr and f"pid={os.getpid()}" in done.stderr
    assert "api.listen" in done.stderr and str(pbx.config) in done.stderr


def test_a_house_that_runs_is_not_started_twice_and_tells_what_it_is_without(make_pbx, front_door):
    pbx = make_pbx("call_parking:\n  timeout_s: five", start=False)
    door = front_door(pbx)
    assert re.search(r"Without call_parking: .*pbx.yml:\d+:\d+: call_parking.timeout_s: .*'five'", door.text), door.text
    log = pbx.log()
    again = subprocess.run([str(ROOT / "packaging" / "run-here.sh"), str(BUILD)], env=dict(os.environ, PBX_HOME=str(pbx.directory)),
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert again.returncode == 1 and again.stdout == "" and f"kill {door.pbxd()}" in again.stderr
    assert pbx.log().startswith(log), "the log of the one that runs was touched"
