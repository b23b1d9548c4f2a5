"""A plugin from outside the tree that takes most of what there is: PIN, recording, play-back, room, tap, detector, table, REST, pbxctl, and an upgrade amid it all."""
import pytest
from ear import DECODE, PCMU
from key_phone import FRAME, SILENCE, Party
from machine import Watch, stalls
from pbx import Refused
from talker import _tone
from tone import power_db, windows

MESSAGES = "/hotline/messages"


@pytest.fixture
def house(make_pbx, build, tmp_path):
    folder = tmp_path / "dropped"
    build(folder, name="hotline")
    pbx = make_pbx(plugins=[folder])
    pbx.folder = folder
    return pbx


class Caller(Party):
    def say(self, hertz, seconds):
        whole = _tone(PCMU, hertz)
        self.script.extend((PCMU, (2 * whole)[at % len(whole):at % len(whole) + FRAME], 0) for at in range(0, int(seconds * 8000), FRAME))

        self.script.extend([(PCMU, SILENCE, 0)] * 30)  # a beep is one when it has been over for a while

    def has_heard(self, hertz, since):
        """In some tenth of a second since a mark."""
        heard = [DECODE[PCMU][octet] for packet in self.ear.packets[since:] if packet.kind == PCMU for octet in packet.payload]
        return any(power_db(part, hertz) > -30 for part in windows(heard))


@pytest.fixture
def call(house):
    made = []

    def make(number):
        party = Caller(house, number, house.account(number), "events")
        made.append(party)
        assert party.register().status == 200
        return party.dial("*57")

    yield make
    for party in made:
        party.close()


def leave(pbx, caller, hertz=1000):
    """A message, from the PIN to the room: what the event says of it."""
    after = pbx.last_seq()
    caller.press("1234#")
    pbx.wait_event("hotline.recording", after, lambda data: data["number"] == caller.number)
    caller.say(hertz, 1)
    pbx.wait_for(lambda: not caller.script, "the message to be said")
    here = caller.ear.mark()
    caller.press("#")
    left = pbx.wait_event("hotline.left", after, lambda data: data["number"] == caller.number)["data"]
    pbx.wait_for(lambda: caller.has_heard(hertz, here), "the message to be played back")
    pbx.wait_event("room.entered", after, lambda data: data["number"] == caller.number)
    return left


def test_a_message_is_left_heard_and_looked_after(house, call):
    caller = call("1001")
    watch = Watch()
    left = leave(house, caller)
    assert 900 < left["duration_ms"] < 3000 + 1000 * stalls().lost_s(watch.began_at) and left["beeps"] == 1 and -20 < left["loudness_db"] < -10
    caller.hangup()
    house.wait_for(lambda: house.ctl("hotline", "list"), "the row")
    item = house.ctl("hotline", "list")[0]
    assert (item["id"], item["number"], item["note"]) == (left["message_id"], "1001", "")
    assert house.http("GET", MESSAGES) == (200, {"items": [item]})

    one = f"{MESSAGES}/{item['id']}"
    assert house.http("PUT", one, {"note": "x"}, headers={"If-Match": '"another"'})[0] == 412
    assert house.http("PUT", one, {"note": "called back"})[1]["note"] == "called back"
    assert house.ctl("hotline", "note", item["id"], "called", "back", "twice")["note"] == "called back twice"
    status, refusal = house.http("PUT", f"{MESSAGES}/nobody", {"note": "x"})
    assert (status, refusal["errors"][0]["in"]) == (404, "path")
    file = next((house.directory / "data").rglob(f"{item['id']}.wav"))
    assert house.http("DELETE", one)[0] == 204 and not file.exists()
    assert house.http("GET", one)[0] == 404
    for line in ("pbx_hotline_messages_total 1", "pbx_hotline_callers 0"):
        assert line in house.http("GET", "//metrics", raw=True)[1]
    with pytest.raises(Refused, match="digits only"):
        house.ctl("config", "set", "hotline.pin", "12ab")


def test_a_wrong_pin_and_a_caller_who_hangs_up_amid_a_message(house, call):
    wrong = call("1001")
    wrong.press("9999#8888#7777#")
    wrong.closed()
    gone = call("1002")
    after = house.last_seq()
    gone.press("1234#")
    house.wait_event("hotline.recording", after)
    gone.say(1000, 0.5)
    house.wait_for(lambda: not gone.script, "half a second")
    gone.hangup()
    assert house.wait_event("hotline.left", after)["data"]["number"] == "1002"
    assert house.ctl("plugin", "show", "hotline")["holds"] == ""


def test_upgraded_while_one_records_and_one_talks(house, build, call):
    talks, records = call("1001"), call("1002")
    leave(house, talks)
    after = house.last_seq()
    records.press("1234#")
    house.wait_event("hotline.recording", after)
    build(house.folder, '-DVERSION="2.0.0"', name="hotline")
    house.ctl("plugin", "reload", "hotline")
    assert house.ctl("plugin", "show", "hotline")["version"] == "2.0.0"
    records.say(1200, 1)
    house.wait_for(lambda: not records.script, "the message to be said")
    records.press("#")
    house.wait_event("hotline.left", after)
    house.wait_event("room.entered", after, lambda data: data["number"] == "1002")
    here = talks.ear.mark()
    records.say(1200, 3)
    house.wait_for(lambda: talks.has_heard(1200, here), "the old version's room")
    later = call("1003")
    leave(house, later, 800)
    for party in (talks, records, later):
        party.hangup()
    house.wait_for(lambda: house.log_lines("predecessor_left"), "the old version to leave")
    house.wait_for(lambda: len(house.ctl("hotline", "list")) == 3, "a row of each message")
