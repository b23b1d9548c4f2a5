"""The phones and daemons of tests/e2e, and a plugin that is built like a stranger's."""
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
E2E = HERE.parent / "e2e"
sys.path.insert(0, str(E2E))

_spec = importlib.util.spec_from_file_location("e2e_fixtures", E2E / "conftest.py")
_e2e = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_e2e)
make_pbx, phones, talk = _e2e.make_pbx, _e2e.phones, _e2e.talk


@pytest.fixture(scope="session")
def stage(tmp_path_factory):
    """What `meson install` puts on a machine for those who write plugins, under a folder that stands for /."""
    return tmp_path_factory.mktemp("stage") / "root"


@pytest.fixture
def build(stage):
    """build(folder, *flags) puts milliwatt.so there, or the plugin of another name."""
    from pbx import BUILD

    def make(folder, *flags, name="milliwatt"):
        done = subprocess.run([str(HERE / "build.sh"), str(BUILD), str(stage), str(folder), name, *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        assert done.returncode == 0, done.stdout

    return make
