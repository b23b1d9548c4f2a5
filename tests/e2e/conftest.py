"""Every test gets a pbxd of its own and phones of its own; what they leave behind fails the test."""
import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from pbx import Pbx          # noqa: E402
from phone import Phone      # noqa: E402
from postgres import Postgres  # noqa: E402
from sink import Sink        # noqa: E402
from sip_client import SipClient  # noqa: E402
from sipp import Sipp        # noqa: E402
from talker import Talker    # noqa: E402
from tone import TONES       # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "alone: takes a core by itself; tests/run.sh runs it when no other test does")


@pytest.fixture
def make_pbx(tmp_path):
    """make_pbx(settings="", …) starts a daemon."""
    made = []

    def make(settings="", start=True, **more):
        pbx = Pbx(tmp_path / f"pbx{len(made)}", settings, **more)
        made.append(pbx)
        return pbx.start() if start else pbx

    yield make
    problems = []
    for pbx in made:
        try:
            pbx.stop()
        except Exception as problem:  # the others are to be stopped all the same
            if pbx.process and pbx.process.poll() is None:
                pbx.kill()
            problems.append(problem)
    if problems:
        raise problems[0]


@pytest.fixture
def pbx(make_pbx):
    return make_pbx()


@pytest.fixture
def phones(tmp_path):
    """phones(pbx, "1001", "1002") makes accounts where needed and gives registered phones, each with its tone of the cards."""
    made, secrets = [], {}

    def make(pbx, *numbers, **more):
        given = []
        for number in numbers:
            if (pbx, number) not in secrets:
                secrets[pbx, number] = pbx.account(number, name=f"Phone {number}")
            phone = Phone(tmp_path / f"phone{len(made)}-{number}", pbx, number, secrets[pbx, number], **{"hertz": TONES[number], **more})
            made.append(phone)
            given.append(phone.registered())
        return given if len(given) > 1 else given[0]

    make.secrets = secrets
    yield make
    for phone in made:
        phone.stop()


@pytest.fixture
def talk(phones):
    """talk(pbx, "1001", "1002") gives two phones in a call, both heard by the other."""
    def make(pbx, a, b):
        caller, callee = phones(pbx, a, b)
        caller.dial(b)
        callee.answer()
        caller.established()
        return caller, callee
    return make


@pytest.fixture
def talkers(phones):
    """talkers(pbx, "1001", …): the same as phones, but of our own making, for what real phones never say."""
    made = []

    def make(pbx, *numbers):
        given = []
        for number in numbers:
            if (pbx, number) not in phones.secrets:
                phones.secrets[pbx, number] = pbx.account(number, name=f"Phone {number}")
            given.append(Talker(pbx, number, phones.secrets[pbx, number], TONES[number]))
            made.append(given[-1])
            assert given[-1].register().status == 200
        return given if len(given) > 1 else given[0]

    yield make
    for talker in made:
        talker.close()


@pytest.fixture
def client(request):
    """client(pbx, "1001", secret, …): SIP as we write it ourselves, closed at the end."""
    def make(*args, **more):
        made = SipClient(*args, **more)
        request.addfinalizer(made.close)
        return made
    return make


@contextlib.contextmanager
def listening_sink():
    sink = Sink()
    yield sink
    sink.hang.set()
    sink.down()


@pytest.fixture
def sink():
    with listening_sink() as sink:
        yield sink


@pytest.fixture
def second_sink():
    with listening_sink() as sink:
        yield sink


@pytest.fixture
def postgres():
    server = Postgres()
    yield server.start()
    server.remove()


@pytest.fixture(params=["sqlite", "postgresql"])
def pbx_on_each(request, make_pbx):
    """On both databases."""
    if request.param == "sqlite":
        return make_pbx()
    return make_pbx(f"store:\n  engine: postgresql\n  url: {request.getfixturevalue('postgres').url}")


@pytest.fixture
def sipp(tmp_path):
    made = []

    def make(pbx, scenario, **more):
        made.append(Sipp(tmp_path / f"sipp{len(made)}", pbx, scenario, **more))
        return made[-1]

    yield make
    for process in made:
        process.stop()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of four megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, f"a disk that fills up needs the right to mount: run the tests as root ({done.stderr.strip()})"
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)
