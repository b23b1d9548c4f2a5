"""pbxctl beside a real pbxd: exit codes, tables, help and completion, what it makes of control characters."""
import json
import os
import subprocess
import threading
from pathlib import Path

from gateway import make_event


def pbxctl(pbx, *words, socket_path=None, **environment):
    binary = Path(os.environ.get("PBX_BUILD", Path(__file__).resolve().parents[2] / "build-asan")) / "api" / "pbxctl"
    return subprocess.run([str(binary), "--socket", str(socket_path or pbx.control), *words], capture_output=True, text=True, timeout=30,
                          env={**os.environ, **environment})


def test_pbxctl_tells_by_its_exit_code_what_happened(pbx, tmp_path):
    assert pbxctl(pbx, "status").returncode == 0
    assert pbxctl(pbx, "user", "remove", "nobody-here").returncode == 1
    unknown = pbxctl(pbx, "statsu")
    assert unknown.returncode == 64 and "status" in unknown.stderr
    assert pbxctl(pbx, "user", "add").returncode == 64
    away = pbxctl(pbx, "status", socket_path=tmp_path / "nothing.sock")
    assert away.returncode == 69 and "nothing.sock was asked for" in away.stderr and "systemctl" not in away.stderr


def test_pbxctl_aligns_its_tables(pbx):
    lines = pbxctl(pbx, "user", "list").stdout.splitlines()
    column = lines[0].index("scopes")
    assert lines[0].startswith("name") and all(line[column - 1] == " " and line[column] != " " for line in lines)


def test_pbxctl_fits_its_tables_to_the_terminal_and_pipes_them_whole(pbx):
    whole = pbxctl(pbx, "config", "show", "server").stdout
    assert "…" not in whole and str(pbx.directory / "data") in whole
    for width in (60, 100):
        lines = pbxctl(pbx, "config", "show", "server", COLUMNS=str(width)).stdout.splitlines()
        assert max(len(line) for line in lines) <= width and any("…" in line for line in lines)
        assert len(lines) == len(whole.splitlines())


def test_pbxctl_alone_helps_shortly(pbx, tmp_path):
    alone = pbxctl(pbx)
    assert alone.returncode == 64 and alone.stdout == "" and alone.stderr.startswith("usage: pbxctl")
    assert {"calls", "config", "plugin", "route", "status"} <= set(alone.stderr.splitlines()[-1].split())
    assert len(alone.stderr.splitlines()) < 20
    away = pbxctl(pbx, socket_path=tmp_path / "nothing.sock")
    assert away.returncode == 64 and away.stderr.startswith("usage: pbxctl") and "cannot be reached" not in away.stderr


def test_pbxctl_tells_what_was_probably_meant(pbx):
    for words, meant in ((["calls", "lsit"], "calls list"), (["plugn", "list"], "plugin list"), (["events", "list", "--limt", "3"], "--limit")):
        said = pbxctl(pbx, *words)
        assert said.returncode == 64 and "did you mean" in said.stderr and meant in said.stderr


def test_status_says_who_listens_and_who_is_there(pbx):
    status = pbx.ctl("status")
    assert status["api"]["listeners"] == [f"https://127.0.0.1:{pbx.http_port}"] and status["api"]["ready"] is True
    assert status["sip"]["listeners"] == [f"udp:127.0.0.1:{pbx.sip_port}", f"tcp:127.0.0.1:{pbx.sip_port}"]
    assert (status["sip"]["registrations"], status["calls"]["calls"], status["store"]["up"], status["plugins"]["failed"]) == (0, 0, True, [])
    assert status["plugins"]["running"] >= 5
    shown = pbxctl(pbx, "status").stdout
    assert "listeners" in shown and str(pbx.http_port) in shown


def test_every_command_answers_as_json(pbx):
    """Those that only look; each either answers with JSON or says what it misses."""
    looking = [command for command in pbx.ctl("help") if command["words"].split()[-1] in ("list", "show", "status", "plan", "types", "schema", "diff", "revisions")]
    assert len(looking) >= 10
    for command in looking:
        said = pbxctl(pbx, "--json", *command["words"].split())
        assert said.returncode in (0, 64), (command["words"], said.stderr)
        if said.returncode == 0:
            json.loads(said.stdout)


def test_an_empty_list_says_so_beside_its_head(pbx):
    shown = pbxctl(pbx, "calls", "list")
    assert (shown.returncode, shown.stdout.split()[0], len(shown.stdout.splitlines()), shown.stderr) == (0, "call_id", 1, "there are none\n")
    assert pbxctl(pbx, "--json", "calls", "list").stderr == pbxctl(pbx, "user", "list").stderr == ""


def test_the_reference_and_the_schema_have_every_setting_of_every_owner(pbx):
    schema = json.loads(pbxctl(pbx, "config", "schema").stdout)
    manual = pbxctl(pbx, "config", "manual").stdout
    paths = [item["path"] for item in pbx.ctl("config", "show")]
    assert {"server", "sip", "api", "media", "calls", "extensions", "webhooks", "cdr"} <= {path.split(".")[0] for path in paths}
    for path in paths:
        at = schema
        for step in path.split("."):
            at = at["properties"][step]
        assert at.get("description"), f"{path} has no help"
        section, _, name = path.partition(".")
        assert section in manual and name.split(".")[-1] in manual, path


def test_pbxctl_helps_and_completes_from_the_daemons_table(pbx):
    assert "user passwd" in pbxctl(pbx, "help").stdout
    assert "usage: pbxctl user add NAME SCOPES" in pbxctl(pbx, "user", "add", "--help").stdout
    assert "passwd" in pbxctl(pbx, "__complete", "user", "").stdout.split()
    assert "admin" in pbxctl(pbx, "__complete", "user", "passwd", "").stdout.split()
    assert pbxctl(pbx, "help", "cal").stdout == pbxctl(pbx, "help", "calls").stdout != "" and pbxctl(pbx, "help", "xyz").returncode == 64
    assert "--name VALUE" in pbxctl(pbx, "trace", "--help").stdout and "--name" not in pbxctl(pbx, "calls", "hangup", "--help").stdout
    script = pbxctl(pbx, "completion", "bash").stdout
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0


def test_pbxctl_follows_until_interrupted(pbx):
    binary = pbxctl(pbx, "status").args[0]
    with subprocess.Popen([binary, "--socket", str(pbx.control), "events", "follow"], stdout=subprocess.PIPE, text=True) as following:
        seen = threading.Event()

        def happen():  # until it follows: nothing tells when it has begun to
            while not seen.wait(0.2):
                make_event(pbx)
        happening = threading.Thread(target=happen)
        happening.start()
        try:
            assert "settings.changed" in following.stdout.readline()
        finally:
            seen.set()
            happening.join()
            following.terminate()


def test_pbxctl_does_not_obey_control_characters(pbx):
    shown = pbxctl(pbx, "evil \x1b[2J\x07 name").stderr  # which the daemon says again
    assert "evil" in shown and "\x1b" not in shown and "\x07" not in shown


def test_empty_is_a_dash_everywhere(pbx):
    for words in (("status",), ("plugin", "show", "cdr")):
        assert all(len(line.split()) > 1 for line in pbxctl(pbx, *words).stdout.splitlines() if line[:1] == " "), words
    assert ["reason", "-"] in [line.split() for line in pbxctl(pbx, "plugin", "show", "cdr").stdout.splitlines()]
