"""Starts that come to nothing: a port that is taken, a signal before all is up. Whatever had begun is given back, and the daemon says what was wrong."""
import os
import signal
import socket
import subprocess

import pytest
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
