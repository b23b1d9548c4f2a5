"""Clients of the gateway: requests with and without a token, people who log in, a stream of events."""
import http.client
import json
import ssl
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from pbx import Pbx  # noqa: E402

SETTINGS = """
api:
  requests_per_minute: 60000
  requests_burst: 10000
  max_body_bytes: 65536
  threads: 8
"""


def awake(daemon):
    """Once the first user has been made."""
    Pbx.wait_for(lambda: ask(daemon, "GET", "/readyz").status == 200, "readiness")
    return daemon


class Answer:
    def __init__(self, answer):
        self.status, self.headers, self.body = answer.status, answer.headers, answer.read()

    @property
    def json(self):
        return json.loads(self.body)


def connect(pbx, **tls):
    if "plain_http: true" in pbx.settings:
        return http.client.HTTPConnection("127.0.0.1", pbx.http_port, timeout=40)
    context = ssl._create_unverified_context()
    for name, value in tls.items():
        setattr(context, name, value)
    return http.client.HTTPSConnection("127.0.0.1", pbx.http_port, context=context, timeout=40)


def ask(pbx, method, path, body=None, token=None, **headers):
    connection = connect(pbx)
    all_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        all_headers["Authorization"] = f"Bearer {token}"
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
        all_headers.setdefault("Content-Type", "application/json")
    connection.request(method, path, body=body, headers=all_headers)
    answer = Answer(connection.getresponse())
    connection.close()
    return answer


def login(pbx, **who):
    return ask(pbx, "POST", "/api/v1/auth/login", who)


def first_password(pbx):
    path = pbx.directory / "data" / "first-login"
    return Pbx.wait_for(lambda: path.exists() and path.read_text().strip(), "the one-time password")


def new_user(pbx, name, *scopes):
    """A user with a password of their own, and a token."""
    once = pbx.ctl("user", "add", name, *scopes)["one_time_password"]
    return login(pbx, user=name, password=once, new_password="correct horse").json["token"]


class Stream:
    """An EventSource: events by number."""

    def __init__(self, pbx, token, topics="*", last=None):
        self.connection = connect(pbx)
        headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        self.connection.request("GET", f"/api/v1/events?topics={topics}", headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200, self.answer.read()
        assert self.answer.headers["Content-Type"] == "text/event-stream"
        assert self.answer.readline() == b"retry: 2000\n" and self.answer.readline() == b"\n"

    def next(self):
        """(id, event); None when the stream has ended."""
        number = None
        while True:
            line = self.answer.readline()
            if not line:
                return None
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name == "id":
                number = int(value)
            elif name == "data":
                return number, json.loads(value)

    def close(self):
        self.connection.close()


def make_event(pbx):
    """Something that publishes settings.changed."""
    pbx.ctl("config", "set", "server.name", f"name {time.monotonic_ns()}")
