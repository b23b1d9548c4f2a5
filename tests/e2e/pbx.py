"""A pbxd of one's own: started on free ports, asked by pbxctl and HTTP, and checked for leftovers when it stops."""
import http.client
import json
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import begun
from machine import PATIENCE_S, stalls, wait_for
from ports import free_port, free_range

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("PBX_BUILD", ROOT / "build-asan"))


class Refused(Exception):
    """pbxctl said no."""

    def __init__(self, code, text):
        super().__init__(f"exit code {code}: {text}")
        self.code, self.text = code, text


class Pbx:
    """One daemon and its data directory. `settings` are YAML lines added to what every test needs."""

    def __init__(self, directory, settings="", plugins=(), environment=None, listen=("udp", "tcp"), first_start=False):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.sip_port, self.http_port, self.tls_port = free_port(), free_port(), free_port()
        self.listen = listen  # transports, on IPv4; "udp6" and its like on IPv6
        self.rtp_port = free_range(200)
        self.settings, self.plugins = settings, list(plugins)
        self.environment = environment or {}
        self.process = self.token = None
        self.expect_clean = True
        self.first_start = first_start  # with nothing there; else with the data that a first start has left
        self._log = None

    # ---- life ----------------------------------------------------------------------------

    def write_settings(self):
        folders = [str(folder) for folder in sorted((BUILD / "plugins").iterdir()) if any(folder.glob("*.so"))]
        sections = {
            "server": {"data_dir": str(self.directory / "data"), "run_dir": str(self.directory / "run")},
            "log": {"level": "debug"},
            "plugins": {"path": folders + [str(path) for path in self.plugins]},
            "sip": {"listen": [self._listener(transport) for transport in self.listen], "domain": "pbx.test"},
            "media": {"bind": "127.0.0.1", "port_min": self.rtp_port, "port_max": self.rtp_port + 199, "workers": 2},
            "api": {"listen": f"127.0.0.1:{self.http_port}"},
            "music_on_hold": {"directory": str(self.music())},
            "prompts": {"folders": [str(self.prompts()), str(BUILD / "etc" / "prompts")]},
        }
        for section, values in _parse(self.settings).items():
            sections.setdefault(section, {}).update(values)
        lines = []
        for section, values in sections.items():
            lines.append(f"{section}:")
            lines += [f"  {name}: {value if isinstance(value, Raw) else json.dumps(value)}" for name, value in values.items()]
        self.config.write_text("\n".join(lines) + "\n")

    def _listener(self, transport):
        host = "[::1]" if transport.endswith("6") else "127.0.0.1"
        return f"{transport[:3]}:{host}:{self.port_of(transport)}"

    def port_of(self, transport):
        return self.tls_port if transport.startswith("tls") else self.sip_port

    @property
    def config(self):
        return self.directory / "pbx.yml"

    @property
    def log_path(self):
        return self.directory / "pbxd.log"

    def music(self):
        """Music class `default` is a 520 Hz tone, `sales` 740 Hz: who hears music hears exactly that."""
        from tone import write_tone
        folder = self.directory / "music"
        for name, hertz in (("default", 520), ("sales", 740)):
            if not (folder / name / "tone.wav").exists():
                (folder / name).mkdir(parents=True, exist_ok=True)
                write_tone(folder / name / "tone.wav", hertz, seconds=5)
        return folder

    def prompts(self):
        """A site's own prompts, before those of the build: each is a second of a tone of its own, so who hears a prompt hears exactly that."""
        from tone import PROMPTS, write_tone
        folder = self.directory / "data" / "sounds"
        (folder / "en").mkdir(parents=True, exist_ok=True)
        for prompt, hertz in PROMPTS.items():
            if not (folder / "en" / f"{prompt}.wav").exists():
                write_tone(folder / "en" / f"{prompt}.wav", hertz, seconds=1)
        return folder

    def _begin(self):
        settings = _parse(self.settings)
        if self.first_start or "store" in settings or "data_dir" in settings.get("server", {}) or (self.directory / "data" / "pbx.db").exists():
            return
        begun.give(BUILD, self.directory / "data", lambda folder: Pbx(folder, first_start=True).start().stop())

    def start(self, wait=True):
        self._begin()
        self.write_settings()
        notify_path = self.directory / "notify"
        notify_path.unlink(missing_ok=True)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(str(notify_path))
        self._log = open(self.log_path, "ab")
        environment = {**os.environ, "NOTIFY_SOCKET": str(notify_path),
                       "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99:quarantine_size_mb=64:malloc_context_size=10",
                       "UBSAN_OPTIONS": "halt_on_error=1:exitcode=98:print_stacktrace=1", **self.environment}
        self.process = subprocess.Popen([str(BUILD / "pbxd"), "--config", str(self.config)], stdin=subprocess.DEVNULL,
                                        stdout=self._log, stderr=self._log, env=environment)
        try:
            if wait:
                self._await_ready(notify)
                stalls().heed(self.process.pid, "media-")
        except BaseException:
            self.kill()  # nobody has been given it, so nobody would stop it
            raise
        finally:
            notify.close()
        return self

    def _await_ready(self, notify):
        notify.settimeout(0.2)
        deadline = time.monotonic() + 2 * PATIENCE_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"pbxd ended with {self.process.returncode}:\n{self.log()[-4000:]}")
            try:
                if b"READY=1" in notify.recv(4096):
                    return
            except socket.timeout:
                pass
        raise RuntimeError(f"pbxd is not ready:\n{self.log()[-4000:]}")

    def stop(self):
        """SIGTERM; nothing may be left, the exit code is 0 and the sanitizers have said nothing."""
        if not self.process or self.process.poll() is not None:
            return
        if self.expect_clean:
            self.assert_nothing_left()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(2 * PATIENCE_S)
        self._log.close()
        log = self.log()
        assert "ERROR: AddressSanitizer" not in log and "runtime error:" not in log and "LeakSanitizer" not in log, log[-8000:]
        assert code == 0, f"pbxd ended with {code}:\n{log[-4000:]}"

    def kill(self):
        """kill -9, as a power cut would."""
        self.process.kill()
        self.process.wait()
        self._log.close()

    def restart(self):
        self.token = None
        return self.start()

    def assert_nothing_left(self):
        """When everybody has hung up no leg, bridge, dial or stream may remain."""
        def idle():
            calls = self.ctl("status")["calls"]
            return not any(calls[kind] for kind in ("calls", "legs", "bridges"))
        self.wait_for(idle, "all calls to end")
        self.wait_for(lambda: self.ctl("media", "streams") == [], "all streams to close")

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_lines(self, event):
        return [line for line in self.log().splitlines() if f" {event} " in line + " "]

    # ---- asking --------------------------------------------------------------------------

    @property
    def control(self):
        return self.directory / "run" / "pbxd.sock"

    def ctl(self, *words):
        """A command, as pbxctl gives it over its socket (core/control.h), without what it costs to start one some thirty times a test: the answer as
        Python values; Refused when it says no."""
        answer = self._command([str(word) for word in words])
        body = json.loads(answer["text"]) if "text" in answer else answer.get("body")
        if not 200 <= answer["status"] < 300:
            told = dict.fromkeys([body.get("detail") or body["title"], *(error["detail"] for error in body.get("errors", []))])
            raise Refused(64 if answer["status"] == 400 or body.get("code") == "unknown_command" else 1, "\n".join(told))
        if isinstance(body, dict) and set(body) <= {"items", "next_cursor", "total"} and "items" in body:
            body = body["items"]
        if any(isinstance(row, dict) and row.get("ok") is False for row in (body if isinstance(body, list) else [body])):
            raise Refused(1, json.dumps(body))
        return body

    def _command(self, words):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(40)
            try:
                connection.connect(str(self.control))
            except OSError as problem:
                raise Refused(69, f"the PBX cannot be reached: {problem}") from problem
            connection.sendall(json.dumps({"words": words}).encode() + b"\n")
            with connection.makefile("rb") as lines:
                answer = json.loads(lines.readline() or b'{"status": 0, "body": {"title": "the daemon hung up without an answer"}}')
                if "stream" in answer:
                    answer["text"] = ""
                    while not (piece := json.loads(lines.readline())).get("end"):
                        answer["text"] += piece["data"]
        return answer

    def ctl_octets(self, *words):
        """What a command writes for a file."""
        return subprocess.run([str(BUILD / "api" / "pbxctl"), "--socket", str(self.control), *map(str, words)], stdout=subprocess.PIPE, check=True, timeout=40).stdout

    def says(self, *words):
        """(exit code, answer) of pbxctl --json, for answers that are no success."""
        done = subprocess.run([str(BUILD / "api" / "pbxctl"), "--socket", str(self.control), "--json", *map(str, words)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=40)
        return done.returncode, json.loads(done.stdout) if done.stdout.strip() else None

    def http(self, method, path, body=None, token=None, headers=None, raw=False):
        """(status, answer) of a REST request below /api/v1, or of a whole path that begins with //."""
        url = f"https://127.0.0.1:{self.http_port}" + (path[1:] if path.startswith("//") else "/api/v1" + path)
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(url, data=data, method=method, headers=dict(headers or {}))
        if data is not None and "Content-type" not in request.headers:
            request.add_header("Content-Type", "application/json")
        if token is None:
            token = self.admin_token() if not path.startswith("//") else ""
        if token:
            request.add_header("Authorization", f"Bearer {token}")
        context = ssl._create_unverified_context()
        try:
            with urllib.request.urlopen(request, context=context, timeout=30) as answer:
                text, status, kind = answer.read(), answer.status, answer.headers.get("Content-Type", "")
        except urllib.error.HTTPError as refused:
            text, status, kind = refused.read(), refused.code, refused.headers.get("Content-Type", "")
        if raw or "json" not in kind:
            return status, text.decode(errors="replace")
        return status, json.loads(text) if text else None

    def admin_token(self):
        """Logs in with the one-time password of the first start, once; later through a token made by pbxctl."""
        if not self.token:
            self.token = self.ctl("token", "create", f"test-{time.monotonic_ns()}", "*")["token"]
        return self.token

    # ---- what tests ask for over and over ---------------------------------------------------

    def account(self, number, **values):
        """An extension; returns its SIP secret."""
        words = [f"{name}={value}" for name, value in values.items()]
        return self.ctl("extension", "add", number, *words)["sip_secret"]

    def await_log(self):
        """Until all that has happened by now is in the event log, which is written some milliseconds behind."""
        last_seq = self.ctl("status")["events"]["last_seq"]

        def is_there():
            status = self.ctl("status")
            return status["events"]["stored_seq"] >= last_seq or not status["store"]["up"] or status["store"]["disk_full"]
        self.wait_for(is_there, f"event {last_seq} to be stored")

    def events(self, pattern="*"):
        self.await_log()
        found, after = [], 0
        while True:
            page = self.ctl("events", "list", f"types={pattern}", f"after={after}", "limit=500")
            found += page
            if len(page) < 500:
                return found
            after = page[-1]["seq"]

    def wait_event(self, kind, after=0, where=lambda data: True, seconds=PATIENCE_S):
        def look():
            for event in self.events(kind):
                if event["seq"] > after and where(event["data"]):
                    return event
        return self.wait_for(look, f"event {kind}", seconds)

    def last_seq(self):
        return self.ctl("status")["events"]["last_seq"]

    wait_for = staticmethod(wait_for)


class KeptConnection:
    """REST for who has a thousand questions: without a handshake each time."""

    def __init__(self, pbx, token):
        self._token = token
        self._connection = http.client.HTTPSConnection("127.0.0.1", pbx.http_port, context=ssl._create_unverified_context(), timeout=PATIENCE_S)

    def ask(self, method, path, body=None):
        """(status, answer), as Pbx.http."""
        if self._connection.sock and select.select([self._connection.sock], [], [], 0)[0]:
            self._connection.close()  # the other side has ended it; the next request opens another
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        if body is not None:
            headers["Content-Type"], body = "application/json", body if isinstance(body, bytes) else json.dumps(body).encode()
        self._connection.request(method, "/api/v1" + path, body, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text and "json" in answer.headers.get("Content-Type", "") else text

    def close(self):
        self._connection.close()


class Raw(str):
    """YAML as it is."""


def _parse(text):
    """Two levels of `section:` and `  name: value`; the values stay YAML."""
    sections, section = {}, None
    for line in text.splitlines():
        if re.match(r"^\w+:\s*$", line):
            section = sections.setdefault(line.strip()[:-1], {})
        elif line.strip():
            name, _, value = line.strip().partition(":")
            section[name] = Raw(value.strip())
    return sections
