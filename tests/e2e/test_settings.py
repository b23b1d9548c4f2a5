"""Settings and plugin files as people get them wrong: each mistake is one clear line with its cure, and the PBX goes on."""
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from pbx import BUILD, ROOT, Refused

EX_CONFIG = 78

# What is appended to a good file, and what must be said of it: place from the end of the file, and the words of the cure.
MISTAKES = [
    ("calls:\n  ring_s: many\n", 2, 11, "calls.ring_s: expected a whole number"),
    ("calls:\n  ring_s: 100000\n", 2, 11, "from 5 to 600"),
    ("calls:\n  rings_s: 20\n", 2, 3, "did you mean ring_s"),
    ("calls:\n ring_s: 20\n   limit: 3\n", 3, None, ""),
    ("calls:\n\tring_s: 20\n", 2, None, ""),
    ("calls: [1, 2\n", None, None, ""),
    ("calls:\n  ring_s: ${NO_SUCH_VARIABLE_HERE}\n", 2, None, "NO_SUCH_VARIABLE_HERE"),
    ("calls:\n  ring_s: 20\n  ring_s: 30\n", 3, None, "ring_s"),
]


def check(pbx):
    done = subprocess.run([str(BUILD / "pbxd"), "--check", "--config", str(pbx.config)], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stderr + done.stdout


def started(pbx):
    """Runs pbxd on a file that is as it is: exit code and what it said."""
    done = subprocess.run([str(BUILD / "pbxd"), "--config", str(pbx.config)], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stderr + done.stdout


@pytest.mark.parametrize("text, line, column, words", MISTAKES)
def test_a_mistake_is_told_with_its_place_and_stops_a_start(make_pbx, text, line, column, words):
    pbx = make_pbx(start=False)
    pbx.write_settings()
    good = pbx.config.read_text()
    assert check(pbx)[0] == 0
    pbx.config.write_text(good + text)
    before = len(good.splitlines())
    for ask in (check, started):
        code, said = ask(pbx)
        assert code == EX_CONFIG, said
        assert words in said
        place = re.search(re.escape(str(pbx.config)) + r":(\d+):(\d+)", said)
        assert place, said
        if line:
            assert int(place.group(1)) == before + line, said
        if column:
            assert int(place.group(2)) == column, said


PLUGIN_MISTAKES = [
    ("call_parking:\n  timeout_s: soon\n", 2, 14, "call_parking.timeout_s: expected a whole number"),
    ("webhooks:\n  alow_http: true\n", 2, 3, "did you mean allow_http"),
    ("call_parkin:\n  timeout_s: 60\n", 1, 1, "did you mean call_parking"),
    ("hotline:\n  number: 1001\n", 1, 1, "no plugin of plugins.path"),
]


@pytest.mark.parametrize("text, line, column, words", PLUGIN_MISTAKES)
def test_a_mistake_in_a_section_of_a_plugin_is_told_before_a_start(make_pbx, text, line, column, words):
    pbx = make_pbx(start=False)
    pbx.write_settings()
    before = len(pbx.config.read_text().splitlines())
    pbx.config.write_text(pbx.config.read_text() + text)
    code, said = check(pbx)
    assert code == EX_CONFIG and f"{pbx.config}:{before + line}:{column}:" in said and words in said, said


def test_a_broken_plugin_whose_section_is_checked_is_told(make_pbx, tmp_path):
    """Its file is loaded by a child: a crash is one line, and what else is wrong is told as well."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "cracked.c").write_text("__attribute__((constructor)) static void crash(void) { __builtin_trap(); }\n")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", folder / "cracked.so", folder / "cracked.c"], check=True)
    (folder / "hollow.so").write_text("not a library")
    pbx = make_pbx(start=False, plugins=[folder])
    pbx.write_settings()
    assert check(pbx)[0] == 0, "who has no section is not loaded"
    pbx.config.write_text(pbx.config.read_text() + "cracked:\n  a: 1\nhollow:\n  a: 1\ncall_parking:\n  timeout_s: soon\n")
    code, said = check(pbx)
    assert code == EX_CONFIG
    assert "cracked.so: it ended with signal" in said and "hollow.so: " in said and "call_parking.timeout_s" in said, said


def test_a_missing_file_and_an_unknown_option_are_told(make_pbx):
    pbx = make_pbx(start=False)
    code, said = started(pbx)
    assert code == EX_CONFIG and str(pbx.config) in said
    done = subprocess.run([str(BUILD / "pbxd"), "--chekc"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 64 and "usage: pbxd" in done.stderr


def test_a_misspelt_section_is_told_and_does_not_stop_a_start(make_pbx):
    pbx = make_pbx("webhoks:\n  allow_http: true")
    (line,) = pbx.log_lines("setting_ignored")
    assert "webhoks" in line and "did you mean webhooks" in line and f"{pbx.config}:" in line
    code, found = pbx.says("config", "check")
    assert code == 1 and found["ok"] is False and "webhoks" in found["problems"][0]
    pbx.config.write_text(pbx.config.read_text().replace("webhoks:", "webhooks:"))
    assert pbx.says("config", "check") == (0, {"ok": True, "problems": []})


def test_a_reload_is_all_or_nothing_and_the_call_goes_on(pbx, talk):
    alice, bob = talk(pbx, "1001", "1002")
    good = pbx.config.read_text()
    for text, *_ in MISTAKES:
        if "calls:" in good:
            break
        pbx.config.write_text(good.replace('"level": "debug"', '"level": "info"') + "extensions:\n  code_dnd_on: '*61'\n" + text)
        with pytest.raises(Refused) as refused:
            pbx.ctl("config", "reload")
        assert f"{pbx.config}:" in refused.value.text
        assert pbx.ctl("config", "get", "calls.ring_s")["value"] == 30
    code, found = pbx.says("config", "check")
    assert code == 1 and found["ok"] is False
    pbx.config.write_text(good + "calls:\n  ring_s: 45\n  limit: 77\n")
    assert {change["path"]: change["to"] for change in pbx.ctl("config", "diff")} == {"calls.ring_s": 45, "calls.limit": 77}
    pbx.ctl("config", "reload")
    assert pbx.ctl("config", "get", "calls.ring_s")["value"] == 45 and pbx.ctl("config", "diff") == []
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
    alice.hangup()
    bob.closed()


def test_a_misspelt_section_is_refused_by_a_reload_and_a_restart_that_is_needed_is_told(pbx):
    good = pbx.config.read_text()
    pbx.config.write_text(good + "webhoks:\n  allow_http: true\n")
    with pytest.raises(Refused) as refused:
        pbx.ctl("config", "reload")
    assert refused.value.code == 1 and "did you mean webhooks" in refused.value.text
    pbx.config.write_text(good)
    told = pbx.ctl("config", "set", "log.ring_lines", "128")
    (waiting,) = told["waiting"]
    assert (waiting["path"], waiting["value"], waiting["in_force"]) == ("log.ring_lines", 128, 4096) and told["changed"][0]["restart"] is True
    shown = pbx.ctl("config", "get", "log.ring_lines")
    assert (shown["value"], shown["in_force"]) == (128, 4096)
    assert pbx.ctl("status")["waiting_for_restart"] == [waiting]
    assert "log.ring_lines (4096 is in force" in pbx.ctl("config", "reload")["sentence"]
    pbx.ctl("config", "unset", "log.ring_lines")
    assert pbx.ctl("status")["waiting_for_restart"] == [] and pbx.ctl("config", "reload")["sentence"] == "nothing has changed"
    assert "is running" in pbx.ctl("plugin", "reload", "cdr")["sentence"]


def test_sighup_with_a_bad_file_keeps_what_was(pbx):
    import signal
    good = pbx.config.read_text()
    pbx.config.write_text(good + "calls:\n  ring_s: many\n")
    pbx.process.send_signal(signal.SIGHUP)
    pbx.wait_for(lambda: pbx.log_lines("settings_refused"), "the refusal")
    assert f"{pbx.config}:" in pbx.log_lines("settings_refused")[0]
    assert pbx.ctl("config", "get", "calls.ring_s")["value"] == 30
    pbx.config.write_text(good + "calls:\n  ring_s: 50\n")
    pbx.process.send_signal(signal.SIGHUP)
    pbx.wait_for(lambda: pbx.ctl("config", "get", "calls.ring_s")["value"] == 50, "the good file")


def test_a_plugin_that_refuses_keeps_all_of_them_as_they_were(pbx):
    """call_parking refuses its section; calls, which comes with it, must not change either."""
    good = pbx.config.read_text()
    pbx.config.write_text(good + "calls:\n  ring_s: 44\ncall_parking:\n  nonsense: 1\n")
    with pytest.raises(Refused) as refused:
        pbx.ctl("config", "reload")
    assert "call_parking" in refused.value.text or "nonsense" in refused.value.text
    assert pbx.ctl("config", "get", "calls.ring_s")["value"] == 30


def test_settings_are_set_kept_over_a_restart_and_taken_back(pbx):
    first = pbx.ctl("config", "set", "calls.ring_s", "40")["revision"]
    second = pbx.ctl("config", "set", "calls.ring_s", "50")["revision"]
    assert second == first + 1
    pbx.wait_event("settings.changed", where=lambda data: data["paths"] == ["calls.ring_s"])
    pbx.stop()
    pbx.restart()
    shown = pbx.ctl("config", "get", "calls.ring_s")
    assert (shown["value"], shown["origin"]) == (50, "store")
    pbx.ctl("config", "undo", second)
    assert pbx.ctl("config", "get", "calls.ring_s")["value"] == 40
    pbx.ctl("config", "unset", "calls.ring_s")
    assert pbx.ctl("config", "get", "calls.ring_s")["origin"] == "default"
    assert [change["revision"] for change in pbx.ctl("config", "revisions")] == [4, 3, 2, 1]


@pytest.mark.parametrize("path, value, words", [("sip.domain", "x.test", "pinned by"), ("calls.rings", "3", "did you mean calls.ring_s"),
                                                ("calls.ring_s", "3", "from 5 to 600"), ("calls.ring_s", "soon", "whole number"),
                                                ("nothing.at_all", "1", "unknown"), ("log.format", "xml", "json")])
def test_a_setting_that_cannot_be_is_refused_with_the_cure(pbx, path, value, words):
    with pytest.raises(Refused) as refused:
        pbx.ctl("config", "set", path, value)
    assert words in refused.value.text and refused.value.code == 1
    assert pbx.ctl("config", "revisions") == []


def test_a_set_and_a_pin_over_rest(pbx):
    assert pbx.http("PATCH", "/config/calls.ring_s", {"value": "41"})[0] == 200
    assert pbx.http("GET", "/config/calls.ring_s")[1]["value"] == 41
    status, problem = pbx.http("PATCH", "/config/sip.domain", {"value": "x.test"})
    assert status == 403 and "pinned" in str(problem)


def test_secrets_are_not_shown(make_pbx):
    pbx = make_pbx('store:\n  url: "postgresql://u:very-secret-word@h/n"')
    assert "very-secret-word" not in str(pbx.ctl("config", "show")) + str(pbx.http("GET", "/config")[1]) + pbx.log()


# ---- plugins ------------------------------------------------------------------------------


def test_a_disabled_plugin_is_not_there(make_pbx):
    pbx = make_pbx("plugins:\n  disable: [webhooks]")
    states = {plugin["name"]: plugin["state"] for plugin in pbx.ctl("plugin", "list")}
    assert states["webhooks"] == "disabled" and states["cdr"] == "running"
    with pytest.raises(Refused):
        pbx.ctl("webhook", "list")
    assert pbx.http("GET", "/webhooks")[0] == 404


BAD_PLUGINS = {
    "wrong_abi": (["-DMAJOR=7"], "ABI 7"),
    "no_symbol": (["-DSYMBOL=something_else"], "exports no symbol pbx_plugin"),
    "unresolved": (["-DUNDEFINED_SYMBOL"], "nobody_has_this"),
    "crasher": (["-DCHECK_CRASHES"], "check"),
    "explosive": (["-DCRASHES_WHEN_LOADED"], "loaded"),
    "lonely": (['-DNEEDS="pbx.nobody/1",'], "pbx.nobody/1"),
}


@pytest.fixture(scope="module")
def bad_plugins(tmp_path_factory):
    """A folder of shared objects, each with one thing wrong."""
    folder = tmp_path_factory.mktemp("bad")
    source = ROOT / "tests" / "core" / "plugins" / "bare.c"
    for name, (defines, _) in BAD_PLUGINS.items():
        needs = [] if any("NEEDS" in define for define in defines) else ["-DNEEDS="]
        subprocess.run(["cc", "-shared", "-fPIC", "-std=gnu17", f"-I{ROOT / 'core' / 'include'}",
                        f"-I{BUILD / 'core' / 'include'}", f'-DNAME="{name}"', *defines, *needs, "-o",
                        str(folder / f"{name}.so"), str(source)], check=True)
    (folder / "letter.so").write_text("Dear PBX, this is no shared object.\n")
    (folder / "empty.so").write_bytes(b"")
    shutil.copy(folder / "crasher.so", folder / "half.so")
    whole = (folder / "half.so").read_bytes()
    (folder / "half.so").write_bytes(whole[:len(whole) // 2])
    return folder


def test_bad_plugin_files_are_one_line_each_and_the_pbx_starts(make_pbx, bad_plugins, phones):
    pbx = make_pbx(plugins=[bad_plugins])
    expected = {name: words for name, (_, words) in BAD_PLUGINS.items()}
    expected.update(letter="not a shared object", empty="not a shared object", half="")
    lines = pbx.log_lines("plugin_refused")
    for name, words in expected.items():
        (line,) = [line for line in lines if f"{Path(bad_plugins) / name}.so" in line]
        assert words in line and re.search(r'cure="[^"]+"', line), line
    assert len(lines) == len(expected)
    plugins = {plugin["name"]: plugin for plugin in pbx.ctl("plugin", "list")}
    assert all(plugins[name]["state"] == "failed" and plugins[name]["reason"] and plugins[name]["cure"] for name in expected)
    assert all(plugins[name]["state"] == "running" for name in ("extensions", "cdr", "webhooks", "music_on_hold", "call_parking"))
    phones(pbx, "1001")


def test_a_bad_file_does_not_replace_the_plugin_that_runs(make_pbx, tmp_path, talk):
    """An upgrade to a broken file, during a call: refused, and the old plugin goes on."""
    folder = tmp_path / "mine"
    folder.mkdir()
    shutil.copy(BUILD / "plugins" / "cdr" / "cdr.so", folder / "cdr.so")
    pbx = make_pbx(plugins=[folder])
    alice, bob = talk(pbx, "1001", "1002")
    (folder / "cdr.so").write_text("half an upload")
    with pytest.raises(Refused) as refused:
        pbx.ctl("plugin", "reload", "cdr")
    assert "not a shared object" in refused.value.text
    assert next(plugin for plugin in pbx.ctl("plugin", "list") if plugin["name"] == "cdr")["state"] == "running"
    alice.hangup()
    bob.closed()
    pbx.wait_for(lambda: len(pbx.ctl("cdr", "list")) == 1, "the record")
