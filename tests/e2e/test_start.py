"""Starts that come to nothing, what systemd hears, and stops: whatever had begun is given back, calls may end, and the daemon says what was wrong."""
import os
import signal
import socket
import subprocess

import pytest
from machine import PATIENCE_S
from pbx import BUILD

CLEAN = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:exitcode=99:handle_segv=2:handle_abort=2", UBSAN_OPTIONS="halt_on_error=1:exitcode=98")


def daemon(pbx):
    return subprocess.Popen([str(BUILD / "pbxd"), "--config", str(pbx.config)], env=CLEAN, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


def taken(kind, port):
    """The port, in somebody else's hands."""
    holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    holder.bind(("127.0.0.1", port))
    if kind == "tcp":
        holder.listen()
    return holder


@pytest.mark.parametrize("kind,listen", [("udp", ("udp",)), ("tcp", ("udp", "tcp")), ("udp", ("tcp", "udp"))])
def test_a_taken_sip_port_ends_the_start_and_is_named(make_pbx, kind, listen):
    pbx = make_pbx(start=False, first_start=True, listen=listen)
    pbx.write_settings()
    with taken(kind, pbx.sip_port):
        for start in ("with the first user still to be made", "again"):
            process = daemon(pbx)
            log = process.communicate(timeout=60)[0]
            assert process.returncode == 78, f"{start}: {process.returncode}\n{log[-6000:]}"
            assert f"cannot listen on {kind}:127.0.0.1:{pbx.sip_port}" in log and "sip.listen" in log
    pbx.start()


def test_a_signal_while_it_starts_is_obeyed_at_every_step(make_pbx):
    """SIGTERM after so many lines of the log: during migrations, while plugins come up, while the first user is made."""
    for lines in (1, 4, 12, 18, 22, 26, 34, 42):
        pbx = make_pbx(start=False, first_start=True)
        pbx.write_settings()
        process = daemon(pbx)
        log = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGTERM)
        log.append(process.communicate(timeout=60)[0])
        assert process.returncode == 0, f"after {lines} lines: {process.returncode}\n{''.join(log)[-6000:]}"


class Systemd:
    """The receiving end of sd_notify(3)."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(PATIENCE_S)

    def hears(self, word):
        """Everything that was said before it, as words."""
        said = []
        while True:
            said.append(self.socket.recv(4096).decode().splitlines()[0])
            if said[-1] == word:
                return said[:-1]


def test_systemd_hears_of_the_start_the_watchdog_a_reload_and_the_stop(make_pbx, tmp_path):
    pbx = make_pbx(start=False)
    pbx.write_settings()
    systemd = Systemd(tmp_path / "notify")
    environment = dict(CLEAN, NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="300000")
    process = subprocess.Popen([str(BUILD / "pbxd"), "--config", str(pbx.config)], env=environment, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert systemd.hears("READY=1") == []
        for _ in range(3):
            assert systemd.hears("WATCHDOG=1") == []
        process.send_signal(signal.SIGHUP)
        assert set(systemd.hears("RELOADING=1")) <= {"WATCHDOG=1"}
        assert set(systemd.hears("READY=1")) <= {"WATCHDOG=1"}
        process.send_signal(signal.SIGTERM)
        assert set(systemd.hears("STOPPING=1")) <= {"WATCHDOG=1"}
        log = process.communicate(timeout=60)[0]
        assert process.returncode == 0, log[-6000:]
    finally:
        process.kill()
        systemd.socket.close()


def test_a_stop_takes_no_new_call_and_lets_those_in_progress_end(make_pbx, talk, talkers):
    pbx = make_pbx()
    alice, bob = talk(pbx, "1001", "1002")
    carol = talkers(pbx, "1003")
    assert alice.hears(bob.hertz)
    pbx.process.send_signal(signal.SIGTERM)
    pbx.wait_for(lambda: "stopping" in pbx.log(), "the stop to begin")
    assert pbx.ctl("status")["calls"]["draining"] is True
    assert pbx.http("GET", "//readyz")[0] == 503
    assert carol.invite("1001").status == 503
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
    assert pbx.process.poll() is None
    alice.hangup()
    bob.closed()
    assert pbx.process.wait(PATIENCE_S) == 0  # long before server.shutdown_drain_s is over
    pbx.restart()
    record, = [one for one in pbx.ctl("cdr", "list") if one["to_number"] == "1002"]
    assert record["disposition"] == "answered" and record["hangup_by"] == "caller"
