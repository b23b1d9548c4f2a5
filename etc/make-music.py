#!/usr/bin/env python3
"""Makes the hold music that ships with the PBX: a slow round of soft chords, computed, so that nobody owns it.

make-music.py OUT.wav: 16-bit mono at 16 kHz, 48 s, -20 dBFS, and it loops without a click.
"""
import functools
import math
import struct
import sys
import wave

RATE = 16000
BAR_S = 4.0
# A minor seventh walk, as semitones above A3 (220 Hz); each chord is a bar.
CHORDS = [(0, 3, 7, 10), (-4, 0, 3, 7), (-2, 2, 5, 8), (3, 7, 10, 14), (-5, -1, 2, 5), (-7, -4, 0, 5),
          (0, 3, 7, 12), (-4, 0, 3, 8), (-9, -5, 0, 3), (-2, 2, 5, 10), (-5, -1, 2, 7), (-5, -2, 2, 5)]


def note(semitone):
    return 220.0 * 2 ** (semitone / 12)


@functools.lru_cache(maxsize=None)
def bell(seconds, hertz):
    """A soft bell: the fundamental and two quiet partials, faded in and out."""
    count = int(seconds * RATE)
    samples = []
    for n in range(count):
        t = n / RATE
        fade = math.sin(math.pi * n / count) ** 2 * math.exp(-t / 2.2)
        samples.append(fade * sum(part * math.sin(2 * math.pi * hertz * ratio * t) for ratio, part in ((1, 1.0), (2, 0.22), (3, 0.06))))
    return samples


def add_tone(track, start_s, seconds, hertz, level):
    """Wraps around the end of the track."""
    first = int(start_s * RATE)
    for n, sample in enumerate(bell(seconds, hertz), first):
        track[n % len(track)] += level * sample


def main(path):
    track = [0.0] * int(len(CHORDS) * BAR_S * RATE)
    for bar, chord in enumerate(CHORDS):
        for semitone in chord:
            add_tone(track, bar * BAR_S, 5.5, note(semitone), 0.16)
        for beat in range(8):
            add_tone(track, bar * BAR_S + beat * BAR_S / 8, 1.6, note(chord[(beat * 3) % 4] + 12), 0.10)
    loudness = math.sqrt(sum(sample * sample for sample in track) / len(track))
    gain = 10 ** (-20 / 20) / math.sqrt(2) / loudness
    with wave.open(path, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(b"".join(struct.pack("<h", max(-32767, min(32767, round(32767 * gain * sample)))) for sample in track))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make-music.py OUT.wav")
    main(sys.argv[1])
