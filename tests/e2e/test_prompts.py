"""Prompts: as the build speaks them, and as a site replaces them."""
import array
import math
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
