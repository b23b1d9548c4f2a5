"""SIPp with a scenario of ours: exact messages on the wire, where a phone would be too polite."""
import re
import subprocess
import time
from pathlib import Path

from machine import PATIENCE_S
from ports import free_port, free_range

SCENARIOS = Path(__file__).parent / "scenarios"


def is_bound(port):
    """Whether anybody here has the port, on whatever address."""
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("udp", "udp6", "tcp", "tcp6")]
    return any(line.split()[1].endswith(f":{port:04X}") for table in tables for line in table)


class Sipp:
    """Starts a scenario; join() waits for its verdict."""

    def __init__(self, directory, pbx, scenario, service="1002", calls=1, keys=None, args=(), port=None, user=None, secret=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.name = scenario
        command = ["sipp", f"127.0.0.1:{pbx.sip_port}", "-sf", str(SCENARIOS / f"{scenario}.xml"), "-i", "127.0.0.1", "-p", str(self.port),
                   "-mi", "127.0.0.1", "-mp", str(free_range(40)), "-s", service, "-m", str(calls), "-nostdin", "-timeout", str(2 * PATIENCE_S), "-timeout_error",
                   "-trace_err", "-error_file", str(self.directory / f"{scenario}.errors"), "-trace_msg", "-message_file",
                   str(self.directory / f"{scenario}.messages"), "-cp", str(free_port())]
        for name, value in (keys or {}).items():
            command += ["-key", name, str(value)]
        if user:
            command += ["-au", user, "-ap", secret]
        self.process = subprocess.Popen(command + list(map(str, args)), cwd=self.directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        if self._answers():
            self._wait_until_bound()

    def _answers(self):
        scenario = re.sub("<!--.*?-->", "", (SCENARIOS / f"{self.name}.xml").read_text(), flags=re.S)
        return re.search("<(recv|send)\\b", scenario)[1] == "recv"

    def _wait_until_bound(self):
        """A request that comes earlier meets nobody."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and not is_bound(self.port):
            assert time.monotonic() < deadline, f"{self.name}: SIPp has not taken port {self.port}"
            time.sleep(0.01)

    def join(self, seconds=3 * PATIENCE_S):
        _, err = self.process.communicate(timeout=seconds)
        errors = self.directory / f"{self.name}.errors"
        assert self.process.returncode == 0, f"{self.name}: {err}\n{errors.read_text() if errors.exists() else ''}\n{self.messages()[-6000:]}"
        return self

    def messages(self):
        path = self.directory / f"{self.name}.messages"
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
