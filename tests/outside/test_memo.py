"""A plugin from outside the tree plays a recording as a mailbox does: back, on, paused, softer. What is heard tells where it is."""
import math
import struct
import wave

import pytest
from key_phone import Party
from machine import Watch, stalls
from tone import RATE, WINDOW, power_db, windows

STEPS = [400, 500, 600, 700, 800, 900, 1000, 1100, 1200, 1300, 1400, 1500]  # Hz, a second each
AHEAD_MS = 3000


@pytest.fixture
def house(make_pbx, build, tmp_path):
    folder = tmp_path / "dropped"
    build(folder, name="memo")
    path = tmp_path / "memo.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(b"".join(struct.pack("<h", round(8000 * math.sin(2 * math.pi * hertz * n / RATE))) for hertz in STEPS for n in range(RATE)))
    return make_pbx(f"memo:\n  file: {path}\n  step_ms: {AHEAD_MS}\n", plugins=[folder])


def second_of(samples):
    """Which second of the recording is in a tenth of a second; None: silence, or two of them."""
    loud = [second for second, hertz in enumerate(STEPS) if len(samples) == WINDOW and power_db(samples, hertz) > -30]
    return loud[0] if len(loud) == 1 else None


def heard_now(party):
    return second_of(party.ear.samples()[-WINDOW:])


def heard_since(party, at):
    """The seconds that came from some sample on, in their order."""
    seconds = [second_of(part) for part in windows(party.ear.samples()[at:])]
    return [second for second, before in zip(seconds, [None, *seconds]) if second not in (None, before)]


def level_now(party):
    """How loud that is, when it is so all through the tenth; None: it has just begun, or changed."""
    samples, second = party.ear.samples()[-WINDOW:], heard_now(party)
    if second is None:
        return None
    first, last = (power_db(half, STEPS[second]) for half in (samples[:WINDOW // 2], samples[WINDOW // 2:]))
    return last if abs(first - last) < 0.3 else None


def test_a_recording_is_steered_by_keys(house):
    party = Party(house, "1801", house.account("1801"), "events")
    try:
        assert party.register().status == 200
        party.dial("*58")
        house.wait_for(lambda: heard_now(party) == 0, "its beginning")

        def press(key):
            after = house.last_seq()
            party.press(key)
            return house.wait_event("memo.steered", after, lambda data: data["key"] == key)["data"]

        watch, here = Watch(), len(party.ear.samples())
        at = press("9")["position_ms"]
        house.wait_for(lambda: heard_since(party, here)[-1:] >= [(at + AHEAD_MS) // 1000], "three seconds later")
        told = press("0")
        assert at + AHEAD_MS <= told["position_ms"] < at + AHEAD_MS + watch.elapsed_s() * 1000 and not told["paused"] and told["length_ms"] == 1000 * len(STEPS)
        house.wait_for(lambda: heard_now(party) is None and max(map(abs, party.ear.samples()[-WINDOW:])) == 0, "silence")
        here = len(party.ear.samples())
        stands = press("0")  # and on from there
        assert stands["paused"] and told["position_ms"] <= stands["position_ms"] <= told["position_ms"] + 100 + stalls().longest_ms(watch.began_at)
        first = house.wait_for(lambda: heard_since(party, here), "it to go on")[0]
        assert stands["position_ms"] // 1000 <= first <= (stands["position_ms"] + 200) // 1000, "the same second, unless that was as good as over"
        here = len(party.ear.samples())
        press("7")
        press("7")  # not further back than its beginning
        house.wait_for(lambda: 0 in heard_since(party, here), "its beginning again")
        before = house.wait_for(lambda: level_now(party), "a steady tone")
        press("4")
        house.wait_for(lambda: (now := level_now(party)) and abs(before - now - 6) < 0.5, "half as loud")
        path = f"/calls/{house.ctl('calls', 'list')[0]['call_id']}/playback"  # the same by REST, which the plugin knows nothing of
        status, told = house.http("POST", path, {"action": "pause", "seek_ms": -60000})
        assert status == 200 and told["paused"] and told["length_ms"] == 1000 * len(STEPS), told
        house.wait_for(lambda: heard_now(party) is None and max(map(abs, party.ear.samples()[-WINDOW:])) == 0, "silence")
        stands, here = house.http("GET", path)[1], len(party.ear.samples())
        assert house.http("POST", path, {"action": "resume"})[0] == 200
        house.wait_for(lambda: stands["position_ms"] // 1000 in heard_since(party, here), "the same second")
        for _ in range(4):
            press("9")
        party.closed()  # beyond the end it is over
    finally:
        party.close()
