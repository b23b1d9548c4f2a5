"""Making tones and hearing them: Goertzel over windows of 100 ms, as the cards define "X hears F"."""
import math
import struct
import wave

RATE = 8000
WINDOW = RATE // 10
# What each account says, so that everybody can be told from everybody.
TONES = {"1001": 440, "1002": 660, "1003": 880, "1004": 1100, "1005": 1320, "1006": 1540}
# The prompts of a test's site (Pbx.prompts): no phone and no music sounds like them, nor any like another.
PROMPTS = {"slot": 310, "slot_empty": 330, "lot_full": 350, "not_allowed": 370, "leave_message": 390, "enter_pin": 410,
           "invalid_pin": 430, "conference_full": 450, "muted": 470, "unmuted": 490, "kicked": 540, "conference_invitation": 560,
           "conference_name": 580, "conference_has_joined": 600, "conference_has_left": 620, "recording_unavailable": 640} | {str(d): 1600 + 30 * d for d in range(10)}


def write_tone(path, hertz, seconds=5.0, rate=RATE, level_db=-12.0, channels=1):
    """A sine as 16-bit WAV; level in dBFS of a full-scale sine."""
    peak = 32767 * 10 ** (level_db / 20)
    frames = bytearray()
    for n in range(int(seconds * rate)):
        frames += struct.pack("<h", round(peak * math.sin(2 * math.pi * hertz * n / rate))) * channels
    with wave.open(str(path), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(bytes(frames))


def power_db(samples, hertz, rate=RATE):
    """Power of one frequency in dBFS of a full-scale sine."""
    if not samples:
        return -120.0
    coefficient = 2 * math.cos(2 * math.pi * hertz / rate)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    power = last * last + before * before - coefficient * last * before
    return 10 * math.log10(max(power, 1e-9) / (len(samples) * 32768 / 2) ** 2)


def windows_db(samples, hertz):
    """The power of one frequency in each tenth of a second."""
    return [power_db(samples[at:at + RATE // 10], hertz) for at in range(0, len(samples) - RATE // 10, RATE // 10)]


def windows(samples):
    return [samples[at:at + WINDOW] for at in range(0, len(samples) - WINDOW + 1, WINDOW)]


def is_heard_in(window, hertz, others=()):
    """Above -30 dBFS and 20 dB above the other tones."""
    own = power_db(window, hertz)
    return own > -30 and all(power_db(window, other) < own - 20 for other in others)


def hears(samples, hertz, others=(), share=0.9, missed=0):
    """That, in 90 % of the windows. missed: so many of them the machine has cost (Stalls.tenths)."""
    parts = windows(samples)
    return bool(parts) and sum(is_heard_in(part, hertz, others) for part in parts) >= share * len(parts) - missed


def _stands_out(part, hertz):
    """From what lies beside it: a tone that breaks off is heard at every frequency for a moment. Two of the eight may be other tones."""
    beside = sorted(power_db(part, hertz + away) for away in (-40, -30, -20, -10, 10, 20, 30, 40))
    return power_db(part, hertz) > beside[-3] + 6


def silent_at(samples, hertz):
    """Below -50 dBFS in every window, or nothing but the crackle of other tones that break off. True of an empty recording."""
    return not any(power_db(part, hertz) >= -50 and _stands_out(part, hertz) for part in windows(samples))


def snr_db(samples, hertz, rate=RATE):
    """What of a stretch of sound is this tone, over what is not: the median of windows of 100 ms."""
    found = []
    for part in windows(samples):
        step = 2 * math.pi * hertz / rate
        real = sum(sample * math.cos(step * n) for n, sample in enumerate(part))
        imaginary = sum(sample * math.sin(step * n) for n, sample in enumerate(part))
        kept = 2 * (real * real + imaginary * imaginary) / len(part)
        left = sum(sample * sample for sample in part) - kept
        found.append(10 * math.log10(max(kept, 1e-9) / max(left, 1e-9)))
    return sorted(found)[len(found) // 2] if found else -120.0
