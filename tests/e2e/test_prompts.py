"""Prompts: as the build speaks them, and as a site replaces them."""
import array
import math
import subprocess
import wave

import pytest
from pbx import BUILD, Refused

PROMPTS = BUILD / "etc" / "prompts"
SPOKEN = PROMPTS / "en"


def speech_level_db(path):
    """While somebody speaks, in dBFS of a full-scale sine; and the peak, in dBFS."""
    with wave.open(str(path)) as sound:
        samples, window = array.array("h", sound.readframes(sound.getnframes())), sound.getframerate() // 50
    powers = [sum(s * s for s in samples[at:at + window]) / window for at in range(0, len(samples) - window + 1, window)]
    speech = [power for power in powers if power > max(powers) / 1000]
    return 10 * math.log10(sum(speech) / len(speech) / (32768 ** 2 / 2)), 20 * math.log10(max(map(abs, samples)) / 32768)


@pytest.mark.parametrize("language", ["en", "de", "fr"])
def test_each_prompt_is_spoken_as_loud_as_every_other(language):
    folder = PROMPTS / language
    wide = sorted(folder.glob("*.wav"))
    assert len(wide) > 100
    assert [path.name for path in wide] == [path.name for path in sorted((folder / "8k").glob("*.wav"))]
    for path in wide:
        for rate, file in ((16000, path), (8000, folder / "8k" / path.name)):
            with wave.open(str(file)) as sound:
                assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (rate, 1, 2), file
                assert 0.1 < sound.getnframes() / rate < 20, file
            level, peak = speech_level_db(file)
            assert -18.5 < level < -17.5, (file, level)
            assert peak < -1, (file, peak)


def test_a_site_s_own_recording_wins_and_languages_fall_back(pbx):
    own = pbx.directory / "data" / "sounds"
    assert pbx.ctl("prompts", "find", "slot_empty")["file"] == str(own / "en" / "slot_empty.wav")
    assert pbx.ctl("prompts", "find", "hundred", "language=nl-BE")["file"] == str(SPOKEN / "hundred.wav")
    (own / "nl").mkdir()
    (own / "nl" / "hundred.wav").write_bytes((SPOKEN / "hundred.wav").read_bytes())
    assert pbx.ctl("prompts", "find", "hundred", "language=nl-BE")["file"] == str(own / "nl" / "hundred.wav")
    assert pbx.ctl("prompts", "find", "hundred", "language=de-AT")["file"] == str(PROMPTS / "de" / "hundred.wav")
    with pytest.raises(Refused, match="no folder of prompts.folders has a file"):
        pbx.ctl("prompts", "find", "no_such")


def test_a_site_changes_its_prompts_by_rest_and_pbxctl(pbx, tmp_path):
    recording, words = tmp_path / "own.flac", tmp_path / "said.wav"
    subprocess.run(["sox", "-n", "-r", "44100", "-c", "2", recording, "synth", "1.5", "sine", "440", "vol", "0.02", "pad", "0.5", "0.5"], check=True)
    delivered, own = SPOKEN / "slot_empty.wav", pbx.directory / "data" / "sounds" / "de" / "slot_empty.wav"
    status, answer = pbx.http("PUT", "/prompts/de/slot_empty", recording.read_bytes(), headers={"Content-Type": "audio/flac"})
    assert (status, answer["file"]) == (200, str(own))
    with wave.open(str(own)) as sound:
        assert (sound.getframerate(), sound.getnchannels()) == (16000, 1) and 1.5 < sound.getnframes() / 16000 < 1.6
    assert -18.2 < speech_level_db(own)[0] < -17.8
    listed = {prompt["id"]: prompt for prompt in pbx.http("GET", "/prompts?language=de")[1]}
    assert len(listed) > 100 and listed["slot_empty"] == {"id": "slot_empty", "file": str(own), "own": True} and not listed["hundred"]["own"]
    assert pbx.http("GET", "/prompts/de/slot_empty/audio", raw=True)[1].startswith("RIFF")

    assert pbx.http("POST", "/prompts/de/slot_empty/speak", {"text": "Niemand da"})[0] == 200
    assert -18.5 < speech_level_db(own)[0] < -17.5
    assert pbx.http("POST", "/prompts/1e400/slot_empty/speak", {"text": "Nobody"})[0] == 404
    assert pbx.http("DELETE", "/prompts/de/slot_empty")[0] == 204
    assert pbx.http("DELETE", "/prompts/de/slot_empty")[0] == 404
    assert pbx.ctl("prompts", "find", "slot_empty", "language=de")["file"] == str(PROMPTS / "de" / "slot_empty.wav")
    assert [event["data"]["how"] for event in pbx.events("prompt.changed")] == ["recorded", "spoken", "restored"]

    assert pbx.http("PUT", "/prompts/de/slot_empty", b"no sound at all", headers={"Content-Type": "audio/wav"})[0] == 415
    assert pbx.http("PUT", "/prompts/de/Slot", delivered.read_bytes(), headers={"Content-Type": "audio/wav"})[0] == 422
    pbx.ctl("prompts", "put", "welcome_here", str(delivered), "language=en")
    assert pbx.ctl("prompts", "find", "welcome_here")["file"] == str(own.parent.parent / "en" / "welcome_here.wav")
    assert pbx.ctl("prompts", "say", "Good morning", f"file={words}")["file"] == str(words)
    assert -18.5 < speech_level_db(words)[0] < -17.5
