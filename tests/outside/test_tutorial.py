"""core/include/pbx/README.md, pasted: its plugin is built by its own command, loaded, dialled and asked as it says there."""
import os
import re
import subprocess

import pytest
from pbx import ROOT

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
    environment = {**os.environ, "PKG_CONFIG_PATH": str(next(stage.rglob("pbx-plugin.pc")).parent), "PKG_CONFIG_SYSROOT_DIR": str(stage)}
    done = subprocess.run(["sh", "-ec", block("sh")], cwd=made, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    return made


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


def test_the_tutorial_names_every_service_there_is():
    declared = {found for header in HEADERS.glob("*.h") for found in re.findall(r'"(pbx\.[a-z_]+/\d)"', header.read_text())}
    named = set(re.findall(r"`(pbx\.[a-z_]+/\d)`", TEXT.split("## Services")[1]))
    assert named == declared
