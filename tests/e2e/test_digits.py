"""Keys between parties who press and hear them in different ways: events of RFC 4733, tones in the sound, INFO; each comes once, as long as it was pressed."""
from concurrent.futures import ThreadPoolExecutor

import pytest

from key_phone import WAYS, Party

KEYS = "1122#"


@pytest.fixture
def parties(pbx):
    """parties("tones", "info") talk to each other."""
    made = []

    def talk(*ways):
        for way in ways:
            number = str(1700 + 10 * list(WAYS).index(way) + len(made))
            party = Party(pbx, number, pbx.account(number, dtmf=WAYS[way]), way)
            party.told = []
            made.append(party)
            assert party.register().status == 200
        caller, callee = made
        with ThreadPoolExecutor(1) as pool:
            answered = pool.submit(callee.answer)
            caller.dial(callee.number)
            answered.result(10)
        for party in made:
            pbx.wait_for(lambda party=party: len(party.ear.packets) > 5, f"{party.number} to hear the other")
        return made

    yield talk
    for party in made:
        party.close()


@pytest.mark.parametrize("there", WAYS)
@pytest.mark.parametrize("here", WAYS)
def test_keys_come_once_and_as_long_as_they_were_pressed(pbx, parties, here, there):
    caller, callee = parties(here, there)
    caller.press(KEYS)
    pbx.wait_for(lambda: len(callee.heard()) >= len(KEYS), f"keys by {there}: {callee.heard()}")
    mark = len(callee.ear.packets)
    pbx.wait_for(lambda: len(callee.ear.packets) > mark + 25, "half a second more")  # what came twice would come now
    heard = callee.heard()
    assert "".join(key for key, _ in heard) == KEYS, heard
    assert all(60 <= length <= 100 for _, length in heard), heard
    if there != "tones":
        assert callee.tones() == []  # cut out where they came another way
    caller.hangup()


def test_a_phone_that_presses_in_two_ways_at_once_presses_once(pbx, parties):
    caller, callee = parties("tones", "events")
    for key in KEYS:
        caller.press_tone(key)
        caller.press_info(key)
        pbx.wait_for(lambda: not caller.script, "the tone to end")
    pbx.wait_for(lambda: len(callee.events()) >= len(KEYS), f"keys: {callee.events()}")
    mark = len(callee.ear.packets)
    pbx.wait_for(lambda: len(callee.ear.packets) > mark + 25, "half a second more")
    assert "".join(key for key, _ in callee.events()) == KEYS
    caller.hangup()


def test_keys_are_pressed_by_request(pbx, parties):
    caller, callee = parties("info", "events")
    leg, = (leg for leg in pbx.ctl("calls", "legs", pbx.ctl("calls", "list")[0]["call_id"])["legs"] if leg["number"] == callee.number)
    call = f"/calls/{leg['leg_id'].rsplit('-', 1)[0]}:digits"
    assert pbx.http("POST", call, {"digits": "12#", "leg_id": leg["leg_id"], "duration_ms": 120})[0] == 202
    pbx.wait_for(lambda: len(callee.events()) >= 3, f"keys: {callee.events()}")
    assert "".join(key for key, _ in callee.events()) == "12#" and all(100 <= length <= 140 for _, length in callee.events())
    assert pbx.http("POST", call, {"digits": "12x"})[0] == 422
    assert not pbx.events("dtmf.received")  # keys of a conversation are nobody else's
    caller.hangup()
