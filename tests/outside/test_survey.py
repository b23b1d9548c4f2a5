"""A plugin from outside the tree asks a question: free text that an engine speaks, keys that cut it short however they are pressed."""
import math
from datetime import datetime

import pytest
from pbx import Refused
from key_phone import WAYS, Party

DONE, HANGUP = 1, 7
QUESTION_S = 4  # at least, when nobody interrupts


@pytest.fixture
def house(make_pbx, build, tmp_path):
    folder = tmp_path / "dropped"
    build(folder, name="survey")
    return make_pbx(plugins=[folder])


@pytest.fixture
def asked(house):
    """asked("tones") has dialled *56 and presses keys that way."""
    made = []

    def ask(way):
        number = str(1800 + len(made))
        party = Party(house, number, house.account(number), way)
        made.append(party)
        assert party.register().status == 200
        party.dial("*56")
        return party

    yield ask
    for party in made:
        party.close()


def level_db(samples):
    return 10 * math.log10(max(sum(sample * sample for sample in samples) / len(samples) / (32768 ** 2 / 2), 1e-10))


def hears_speech(party):
    """Half a second in which somebody speaks as loud as prompts do."""
    samples = party.ear.samples()
    return len(samples) >= 4000 and level_db(samples[-4000:]) > -26


def spoken(pbx):
    """Files of texts that have been spoken, with what tells one writing from another."""
    return {path.name: path.stat().st_ino for path in (pbx.directory / "data" / "plugins" / "prompts" / "speech").glob("*")}


def answered(pbx, party):
    return pbx.wait_event("survey.answered", 0, lambda data: data["number"] == party.number)


def answer(pbx, party):
    return answered(pbx, party)["data"]


def heard_s(party, until):
    """How much it had heard when an event happened."""
    until = datetime.fromisoformat(until["time"].replace("Z", "+00:00")).timestamp()
    return sum(len(packet.payload) for packet in party.ear.packets if packet.at <= until) / 8000


def test_a_question_is_cut_short_by_keys_pressed_in_any_way(house, asked):
    for key, way in enumerate(WAYS, 1):
        party = asked(way)
        house.wait_for(lambda party=party: hears_speech(party), f"the question, by {way}")
        party.press(str(key))
        event = answered(house, party)
        told = event["data"]
        assert (told["keys"], told["reason"], told["wrong"]) == (str(key), DONE, 0), way
        assert heard_s(party, event) < QUESTION_S, way
        party.closed()  # when the thanks are over
    records = house.wait_for(lambda: len(found := house.ctl("cdr", "list", "field=survey")) == len(WAYS) and found, "the records")
    assert [record["fields"] for record in records] == [{"survey": str(key)} for key in range(len(WAYS), 0, -1)]
    assert {event["data"]["by"] for event in house.events("call.fields_set")} == {"survey"}


def test_a_text_is_spoken_once_and_then_heard_from_its_file(house, asked):
    first = asked("events")
    house.wait_for(lambda: first.is_left_alone(0.6), "the whole question")
    kept = spoken(house)
    assert len(kept) == 1
    spoken_for = len([at for at in range(0, len(first.ear.samples()) - 800, 800) if level_db(first.ear.samples()[at:at + 800]) > -35]) / 10
    assert QUESTION_S - 1 < spoken_for < 12, spoken_for
    first.press("9")  # is no answer: asked again
    first.press("5")
    assert answer(house, first) | {"number": ""} == {"number": "", "keys": "5", "reason": DONE, "wrong": 1}

    second = asked("info")
    house.wait_for(lambda: hears_speech(second), "the question")
    second.hangup()
    assert answer(house, second)["reason"] == HANGUP
    assert spoken(house)[next(iter(kept))] == next(iter(kept.values()))  # nobody has written it again


def test_where_nobody_speaks_the_caller_and_the_operator_learn_it(house, asked):
    house.ctl("config", "set", "prompts.speech", "off")
    with pytest.raises(Refused, match="prompts.speech is off"):
        house.ctl("prompts", "say", "Hello there.")
    with pytest.raises(Refused, match="auto, off, or a command with"):
        house.ctl("config", "set", "prompts.speech", "festival")
    party = asked("events")
    party.closed()
    house.ctl("config", "set", "prompts.speech", "auto")
    file = house.ctl("prompts", "say", "Guten Tag.", "language=de")["file"]
    assert file in {str(path) for path in (house.directory / "data" / "plugins" / "prompts" / "speech").glob("*.wav")}
