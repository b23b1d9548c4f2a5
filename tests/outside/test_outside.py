"""A plugin from outside the tree, built with the installed headers only: dropped in, used, upgraded and removed while calls run."""
import sqlite3
import subprocess

import pytest
from pbx import BUILD, Refused
from tone import RATE, hears


@pytest.fixture
def house(make_pbx, tmp_path):
    """A running PBX whose second plugin folder is empty, and that folder."""
    folder = tmp_path / "dropped"
    folder.mkdir()
    return make_pbx(plugins=[folder]), folder


def loaded(house, build, *flags):
    pbx, folder = house
    build(folder, *flags)
    pbx.ctl("plugin", "load", "milliwatt")
    return pbx


def plugin(pbx):
    return next(item for item in pbx.ctl("plugin", "list") if item["name"] == "milliwatt")


def commands(pbx):
    """What `pbxctl help` tells a person."""
    done = subprocess.run([str(BUILD / "api" / "pbxctl"), "--socket", str(pbx.control), "help"], capture_output=True, text=True, check=True)
    return done.stdout


def counted(pbx):
    """What /metrics says; None when the family is not there."""
    status, text = pbx.http("GET", "//metrics", raw=True)
    assert status == 200
    values = [line.split()[1] for line in text.splitlines() if line.startswith("pbx_milliwatt_tests_total ")]
    return float(values[0]) if values else None


def rows(pbx, columns="number, frequency_hz"):
    """The table as the database has it, oldest first."""
    database = next((pbx.directory / "data").glob("*.db"))
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
        return connection.execute(f"SELECT {columns} FROM milliwatt_tests ORDER BY id").fetchall()


def rows_soon(pbx, expected):
    """A record is written after its event: nothing tells of the row itself."""
    return pbx.wait_for(lambda: rows(pbx) == expected, f"rows {expected}, there are {rows(pbx)}")


def listen_to_it(pbx, phone, hertz, others=()):
    """A whole test of a line, from dialling to the event that tells of it."""
    after = pbx.last_seq()
    phone.dial("*55").established()
    assert phone.hears(hertz, others), f"{phone.number} hears {hertz} Hz with {phone.level(hertz):.0f} dBFS"
    phone.hangup()
    return pbx.wait_event("milliwatt.tested", after, lambda data: data["number"] == phone.number)["data"]


class Ear:
    """Everything a phone hears from now until stop(), and a second at least."""

    def __init__(self, phone):
        self.phone, self.before = phone, len(phone.heard())

    def stop(self):
        self.phone.pbx.wait_for(lambda: len(self.phone.heard()) >= self.before + RATE, "a second of sound")
        return self.phone.heard()[self.before:]


def test_dropped_into_a_running_pbx_it_is_as_if_it_had_always_been_there(house, build, phones):
    pbx, folder = house
    alice = phones(pbx, "1001")
    with pytest.raises(Refused, match="milliwatt.so"):
        pbx.ctl("plugin", "load", "milliwatt")
    alice.dial("*55")
    assert "404" in alice.closed()["param"]

    loaded(house, build)
    assert (plugin(pbx)["state"], plugin(pbx)["version"]) == ("running", "1.0.0")
    assert pbx.wait_event("plugin.started", where=lambda data: data["name"] == "milliwatt")["data"]["version"] == "1.0.0"
    heard = listen_to_it(pbx, alice, 1000)
    assert (heard["number"], heard["frequency_hz"]) == ("1001", 1000) and 900 < heard["heard_ms"] < 20000


def test_its_route_command_metric_and_table(house, build, phones):
    pbx = loaded(house, build)
    assert "milliwatt list" in commands(pbx)
    _, document = pbx.http("GET", "/openapi.json")
    route = next(path for path in document["paths"] if path.endswith("/milliwatt/tests"))
    assert document["paths"][route]["get"]["summary"] == "Lines tested, newest first"
    assert pbx.http("GET", "/milliwatt/tests") == (200, {"items": []})
    assert pbx.http("GET", "/milliwatt/tests", token="nobody")[0] == 401
    status, refusal = pbx.http("GET", "/milliwatt/tests?limit=501")
    assert (status, refusal["errors"][0]["pointer"]) == (400, "/limit"), refusal
    assert counted(pbx) in (None, 0)

    alice = phones(pbx, "1001")
    heard = listen_to_it(pbx, alice, 1000)
    assert counted(pbx) == 1
    assert rows_soon(pbx, [("1001", 1000)])
    status, answer = pbx.http("GET", "/milliwatt/tests")
    listed = pbx.ctl("milliwatt", "list")
    assert status == 200 and answer["items"] == listed and len(listed) == 1
    assert (listed[0]["number"], listed[0]["heard_ms"]) == ("1001", heard["heard_ms"])
    assert listed[0]["ended_at"].endswith("Z")


def test_its_setting_changes_what_the_next_caller_hears(house, build, phones):
    pbx = loaded(house, build)
    alice, bob = phones(pbx, "1001", "1002")
    alice.dial("*55").established()
    assert alice.hears(1000)
    ear = Ear(alice)
    with pytest.raises(Refused, match="frequency_hz"):
        pbx.ctl("config", "set", "milliwatt.frequency_hz", 5000)
    with pytest.raises(Refused, match="frequency_hz"):
        pbx.ctl("config", "set", "milliwatt.frequency_hz", "high")
    pbx.ctl("config", "set", "milliwatt.frequency_hz", 1300)
    pbx.wait_event("milliwatt.tuned", where=lambda data: data["frequency_hz"] == 1300)
    assert pbx.ctl("config", "get", "milliwatt.frequency_hz")["value"] == 1300
    assert listen_to_it(pbx, bob, 1300, others=(1000,))["frequency_hz"] == 1300
    assert hears(ear.stop(), 1000, others=(1300,), share=1), "the call that was there heard of it"
    alice.hangup()
    rows_soon(pbx, [("1002", 1300), ("1001", 1000)])

    pbx.stop()
    pbx.restart()  # now it is found at start, like any other, and the setting is kept
    assert listen_to_it(pbx, bob, 1300)["frequency_hz"] == 1300


def test_upgraded_while_a_call_is_on_the_old_version(house, build, phones):
    pbx = loaded(house, build)
    alice, bob = phones(pbx, "1001", "1002")
    alice.dial("*55").established()
    assert alice.hears(1000, others=(2000,))
    ear = Ear(alice)

    build(house[1], "-DVERSION_2")
    pbx.ctl("plugin", "reload", "milliwatt")
    assert plugin(pbx)["version"] == "2.0.0"
    bob.dial("*55").established()
    assert bob.hears(2000, others=(3000,)) and bob.hears(1000, others=(3000,)), "the new version sounds the octave too"
    assert hears(ear.stop(), 1000, others=(2000,), share=1), "the upgrade was heard on the old version"
    bob.hangup()
    pbx.wait_event("milliwatt.tested", where=lambda data: data["number"] == "1002")
    assert not pbx.log_lines("predecessor_left"), "the old version left while its caller listened"

    alice.hangup()
    pbx.wait_event("milliwatt.tested", where=lambda data: data["number"] == "1001")
    pbx.wait_for(lambda: pbx.log_lines("predecessor_left"), "the old version to leave")
    pbx.wait_for(lambda: rows(pbx, "number, octave") == [("1002", 1), ("1001", 0)], "a row of each version")
    assert counted(pbx) == 2, "the counter goes on over the upgrade"


def test_an_upgrade_that_fails_leaves_the_old_version_running(house, build, phones):
    pbx = loaded(house, build)
    alice = phones(pbx, "1001")
    (house[1] / "milliwatt.so").unlink()
    (house[1] / "milliwatt.so").write_text("not a shared object at all, but long enough to have a header")
    with pytest.raises(Refused, match="not a shared object"):
        pbx.ctl("plugin", "reload", "milliwatt")
    assert (plugin(pbx)["state"], plugin(pbx)["version"]) == ("running", "1.0.0")
    listen_to_it(pbx, alice, 1000)


def test_removed_while_calls_of_others_run(house, build, talk, phones):
    pbx = loaded(house, build)
    alice, bob = talk(pbx, "1001", "1002")
    carol = phones(pbx, "1003")
    carol.dial("*55").established()
    assert carol.hears(1000)
    with pytest.raises(Refused, match="in use by .*leg"):
        pbx.ctl("plugin", "unload", "milliwatt")
    assert carol.hears(1000), "a refused removal disturbs nobody"
    carol.hangup()
    pbx.wait_event("milliwatt.tested")

    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
    ears = Ear(alice), Ear(bob)
    pbx.ctl("plugin", "unload", "milliwatt")
    (house[1] / "milliwatt.so").unlink()
    carol.closed()
    carol.dial("*55")
    assert "404" in carol.closed()["param"]
    assert "milliwatt list" not in commands(pbx)
    assert pbx.http("GET", "/milliwatt/tests")[0] == 404
    assert not any("milliwatt" in path for path in pbx.http("GET", "/openapi.json")[1]["paths"])
    assert counted(pbx) is None
    with pytest.raises(Refused, match="milliwatt"):
        pbx.ctl("config", "set", "milliwatt.frequency_hz", 900)
    for ear, other in zip(ears, (bob, alice)):
        assert hears(ear.stop(), other.hertz, share=1), f"the removal was heard by {ear.phone.number}"

    loaded(house, build)  # and back: what it kept is still there
    assert [row["number"] for row in pbx.ctl("milliwatt", "list")] == ["1003"]
    listen_to_it(pbx, carol, 1000)
    alice.hangup()
    bob.closed()
