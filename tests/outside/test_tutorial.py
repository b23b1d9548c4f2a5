"""core/include/pbx/README.md, pasted: its plugin is built by its own command, loaded, dialled and asked as it says there. The commands of README.md, too."""
import os
import re
import subprocess

import pytest
from pbx import ROOT, Refused

HEADERS = ROOT / "core" / "include" / "pbx"
TEXT = (HEADERS / "README.md").read_text()


def block(kind):
    found = re.findall(rf"^```{kind}\n(.*?)^```", TEXT, re.M | re.S)
    assert len(found) == 1, f"{len(found)} blocks of {kind}"
    return found[0]


@pytest.fixture
def folder(build, stage, tmp_path):
    build(tmp_path / "staged", name="milliwatt")  # fills the stage
    made = tmp_path / "plugins"
    made.mkdir()
    (made / "speaking_clock.c").write_text(block("c"))
    paste(block("sh"), made, stage)
    return made


def paste(line, folder, stage=None):
    """A command of a README in a shell, which is to say nothing. stage: what is installed."""
    environment = dict(os.environ)
    if stage:
        environment.update({"PKG_CONFIG_PATH": str(next(stage.rglob("pbx-plugin.pc")).parent), "PKG_CONFIG_SYSROOT_DIR": str(stage)})
    done = subprocess.run(["sh", "-ec", line], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_plugin_of_the_tutorial_works_when_pasted(folder, make_pbx, phones):
    pbx = make_pbx(plugins=[folder])
    pbx.ctl("plugin", "unload", "speaking_clock")  # found at the start; now by hand
    alice = phones(pbx, "1001")
    lines = [line.split() for line in block("pbxctl").splitlines()]
    answers = {}
    for at, line in enumerate(lines):
        answers[" ".join(line[:2])] = pbx.ctl(*line)
        if at == 0:
            alice.dial("*58").established()
            assert pbx.wait_event("speaking_clock.asked")["data"] == {"number": "1001"}
            assert pbx.http("GET", "/speaking-clock") == (200, {"callers": 1})
            assert "pbx_speaking_clock_callers_total 1" in pbx.http("GET", "//metrics", raw=True)[1]
            alice.closed(30)
    assert answers["clock callers"] == {"callers": 1}


def lines_of_readme(start):
    return [line.strip() for line in (ROOT / "README.md").read_text().splitlines() if line.startswith(f"    {start}")]


def test_the_hotline_is_built_and_loaded_as_the_readme_says(build, stage, make_pbx, phones, tmp_path):
    """Its folder is added while the PBX runs; who names the file is told to name the plugin."""
    build(tmp_path / "staged", name="milliwatt")  # fills the stage
    (tmp_path / "hotline.c").write_text((ROOT / "tests" / "outside" / "hotline.c").read_text())
    (installed,) = lines_of_readme("cc $(pkg-config")
    paste(installed, tmp_path, stage)
    folder = tmp_path / "own"
    folder.mkdir()
    pbx = make_pbx()
    with pytest.raises(Refused, match=f"hotline: a plugin is called by its name, hotline; {tmp_path} is no folder of plugins.path: add it there"):
        pbx.ctl("plugin", "load", tmp_path / "hotline.so")
    (tmp_path / "hotline.so").rename(folder / "hotline.so")
    with pytest.raises(Refused, match="no folder of plugins.path has hotline.so$"):
        pbx.ctl("plugin", "load", "hotline")
    text = pbx.config.read_text()
    assert "plugins:\n  path: [" in text, text
    pbx.config.write_text(text.replace("plugins:\n  path: [", f"plugins:\n  path: [{folder}, "))
    pbx.ctl("config", "reload")
    pbx.ctl("plugin", "load", "hotline.so")
    assert pbx.ctl("plugin", "show", "hotline")["state"] == "running"
    alice = phones(pbx, "1001")
    alice.dial("*57").established()
    alice.hangup()
    pbx.ctl("plugin", "reload", "hotline")


def test_in_a_checkout_the_readmes_command_needs_nothing_installed(tmp_path):
    (line,) = lines_of_readme("cc -Icore")
    paste(line.replace("run/plugins/", f"{tmp_path}/"), ROOT)
    assert (tmp_path / "hotline.so").exists()


def test_the_tutorial_names_every_service_there_is():
    declared = {found for header in HEADERS.glob("*.h") for found in re.findall(r'"(pbx\.[a-z_]+/\d)"', header.read_text())}
    named = set(re.findall(r"`(pbx\.[a-z_]+/\d)`", TEXT.split("## Services")[1]))
    assert named == declared
