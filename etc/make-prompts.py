#!/usr/bin/env python3
"""Speaks the prompts of a language: make-prompts.py TEXT RULES OUT, as en.txt en.rules out/en.

Each line `id = words` of TEXT becomes OUT/id.wav (16 kHz) and OUT/8k/id.wav, cut to the words with a breath around them and as loud as every
other: -18 dBFS while somebody speaks (of a full-scale sine, as AES17 counts). RULES goes to OUT/say.rules. flite speaks English, espeak-ng all
else, as core/speech.c has it for texts at run time; sox shapes.
"""
import array
import concurrent.futures
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

ENGINES = {"en": "flite -voice slt -f /dev/stdin -o {file}"}
OTHER_ENGINE = "espeak-ng -v {language} -s 150 --stdin -w {file}"
LEVEL_DB, PEAK_DB = -18.0, -1.2
WINDOW_S = 0.02
CUT = ["silence", "1", "0.01", "0.4%", "reverse", "silence", "1", "0.01", "0.4%", "reverse", "pad", "0.03", "0.05"]


def read_text(path):
    lines = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"([a-z0-9_-]+) = (\S.*)", line)
        if not match or match[1] in lines:
            sys.exit(f"{path}:{number}: expected `id = words`, each id once; there is: {line}")
        lines[match[1]] = match[2]
    return lines


def gain_db(path):
    """Brings the RMS of the windows in which somebody speaks (those within 30 dB of the loudest) to the level, and no peak too high."""
    with wave.open(str(path)) as sound:
        samples, window = array.array("h", sound.readframes(sound.getnframes())), int(sound.getframerate() * WINDOW_S)
    powers = [sum(s * s for s in samples[at:at + window]) / window for at in range(0, len(samples) - window + 1, window)]
    speech = [power for power in powers if power > max(powers) / 1000]
    level, peak = 10 * math.log10(sum(speech) / len(speech) / (32768 ** 2 / 2)), 20 * math.log10(max(map(abs, samples)) / 32768)
    return min(LEVEL_DB - level, PEAK_DB - peak)


def speak(language, words, name, out, scratch):
    raw, cut = Path(scratch, f"{name}.wav"), Path(scratch, f"{name}-cut.wav")
    command = [word.format(language=language, file=raw) for word in ENGINES.get(language, OTHER_ENGINE).split()]
    subprocess.run(command, input=words, encoding="utf-8", check=True)
    for rate, file in ((16000, out / f"{name}.wav"), (8000, out / "8k" / f"{name}.wav")):
        subprocess.run(["sox", "-R", str(raw), str(cut), *CUT, "gain", "-6", "rate", "-m", str(rate)], check=True)
        subprocess.run(["sox", "-R", str(cut), str(file), "gain", f"{gain_db(cut):.2f}"], check=True)


def main(text, rules, out):
    language, made = text.stem, Path(f"{out}.new")
    shutil.rmtree(made, ignore_errors=True)
    (made / "8k").mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(speak, language, words, name, made, scratch) for name, words in read_text(text).items()]
        for job in jobs:
            job.result()
    shutil.copyfile(rules, made / "say.rules")
    shutil.rmtree(out, ignore_errors=True)
    made.rename(out)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
