"""A pbxd that is asked by HTTPS."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from gateway import SETTINGS, Pbx, awake  # noqa: E402


@pytest.fixture(scope="session")
def pbx(tmp_path_factory):
    """One for all that leaves it as it was: users of its own, no setting that others would notice."""
    daemon = awake(Pbx(tmp_path_factory.mktemp("gateway"), SETTINGS).start())
    yield daemon
    daemon.stop()


@pytest.fixture
def fresh(tmp_path):
    """One that nobody has logged in to yet; `fresh(settings)` starts it."""
    started = []

    def start(settings=SETTINGS, **more):
        started.append(Pbx(tmp_path / str(len(started)), settings, **more).start())
        return awake(started[-1])
    yield start
    for daemon in started:
        daemon.stop()
