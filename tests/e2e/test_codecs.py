"""Each codec against µ-law on the other leg: tones heard on both ends, as clean as the codec lets them be. FFmpeg judges what is on the wire."""
import struct
import subprocess
import time

import pytest
from machine import PATIENCE_S
from mirror import Mirror, judged, ogg
from pbx import Refused
from tone import snr_db

OFFERED = "media:\n  codecs: [opus, G722, PCMU, G726-32, G726-24, GSM, G729, iLBC, speex/8000]"
SPEEX_HEAD = b"Speex   1.2.1" + bytes(15) + struct.pack("<13I", 1, 80, 8000, 0, 4, 1, 0xffffffff, 160, 0, 1, 0, 0, 0)
OPUS_HEAD = b"OpusHead\1\1\0\0" + struct.pack("<IHB", 48000, 0, 0)
OPUS_TAGS = b"OpusTags" + bytes(8)


def ffmpeg(*words):
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, words)], check=True, timeout=20)


def payloads(pbx, listener):
    """Of the next 45 packets, in the order of their numbers."""
    here = listener.ear.mark()
    pbx.wait_for(lambda: listener.ear.mark() >= here + 45, f"packets at {listener.number}")
    return [packet.payload for packet in sorted(listener.ear.packets[here:], key=lambda packet: packet.seq)]


def clearest_db(least_db, measure):
    """Of a second that is as clear as it should be, or the clearest: what a busy machine keeps back breaks some, but not all."""
    best_db, deadline = measure(), time.monotonic() + PATIENCE_S
    while best_db < least_db and time.monotonic() < deadline:
        best_db = max(best_db, measure())
    return best_db


def test_real_phones(make_pbx, phones, tmp_path):
    """baresip's own libopus, spandsp and libgsm, and what is on its wire decoded by FFmpeg."""
    cases = [("opus/48000/2", "opus.so", 18, lambda found: (ogg([OPUS_HEAD, OPUS_TAGS, *found], 960), ["-c:a", "opus"])),
             ("G726-32/8000/1", "g726.so", 25, lambda found: (b"".join(found), ["-f", "g726", "-code_size", "4", "-ar", "8000"])),
             ("G726-24/8000/1", "g726.so", 20, lambda found: (b"".join(found), ["-f", "g726", "-code_size", "3", "-ar", "8000"])),
             ("GSM/8000/1", "gsm.so", 15, lambda found: (b"".join(found), ["-f", "gsm", "-ar", "8000"]))]
    pbx = make_pbx(f"{OFFERED}\ncodec_g726:\n  all_aal2: true")  # as baresip packs
    bob = phones(pbx, "1002", codecs="PCMU", answer="auto")
    alice = {codec: phones(pbx, "1001", codecs=codec, codec_module=module) for codec, module, _, _ in cases}
    for codec, _, least_db, file_of in cases:
        alice[codec].dial("1002").established()
        assert bob.hears(440, others=(660,)), f"{codec}: {bob.level(440):.0f} dBFS"
        said = clearest_db(least_db, lambda: snr_db(bob.listen(1), 440))
        heard = clearest_db(least_db, lambda: snr_db(judged(tmp_path, *file_of(payloads(pbx, alice[codec])))[4000:12000], 660))
        assert said >= least_db and heard >= least_db, f"{codec}: {said:.1f} dB from it, {heard:.1f} dB to it"
        alice[codec].hangup()
        bob.closed()


def test_codecs_test_themselves(pbx):
    """`codec test`: every codec there is, with figures that can be; the library that somebody has put in the place of ours would show."""
    names = [codec["name"] for codec in pbx.ctl("codec", "list")]
    assert {codec["name"]: codec["licence"] for codec in pbx.ctl("codec", "list") if codec["licence"]} == {"G729": "GPL-3.0-or-later"}
    assert {"opus", "G722", "PCMA", "PCMU", "G726-32", "GSM", "G729", "iLBC", "speex/8000", "L16/16000"} <= set(names)
    tested = pbx.ctl("codec", "test")
    assert [codec["name"] for codec in tested] == names
    assert all(codec["ok"] and codec["snr_db"] > 15 and codec["encode_ms"] > 0 for codec in tested), tested
    only, = pbx.ctl("codec", "test", "g722")
    assert 44 < only["snr_db"] < 50 and only["bytes"] == 160
    with pytest.raises(Refused, match="codec list"):
        pbx.ctl("codec", "test", "g723")
    assert pbx.http("GET", "/media/codecs")[1][0]["plugin"] == "codec_opus"
    assert pbx.http("POST", "/media/codecs:test", {"name": "PCMU"})[1][0]["ok"]


def test_a_codec_is_compared_with_another_implementation(pbx, tmp_path):
    """Vectors of FFmpeg: octets and samples are the same, and one that is not is told, by the exit status too."""
    sound, octets = tmp_path / "speech.in", tmp_path / "SPEECH.BIT"
    ffmpeg("-f", "lavfi", "-i", "sine=440:duration=2,volume=0.4", "-ar", "16000", "-ac", "1", "-f", "s16le", sound)
    ffmpeg("-f", "s16le", "-ar", "16000", "-ac", "1", "-i", sound, "-c:a", "g722", "-f", "g722", octets)
    ffmpeg("-f", "g722", "-i", octets, "-f", "s16le", tmp_path / "speech.out")
    tmp_path.chmod(0o755)
    tested = pbx.ctl("codec", "test", "G722", str(tmp_path))
    assert [(row["vector"], row["ok"], row["reason"]) for row in tested] == [("speech.out", True, ""), ("SPEECH.BIT", True, "")]
    octets.write_bytes(octets.read_bytes()[:1000] + b"\x55" + octets.read_bytes()[1001:])
    with pytest.raises(Refused, match="octets differ, from number 1000 on"):
        pbx.ctl("codec", "test", "G722", str(tmp_path))
    with pytest.raises(Refused, match="has no vectors"):
        pbx.ctl("codec", "test", "G722", str(tmp_path / "nothing"))


def test_what_a_codec_makes_of_a_file_another_program_reads(pbx, tmp_path):
    tone, made = tmp_path / "tone.flac", tmp_path / "tone.g722"
    ffmpeg("-f", "lavfi", "-i", "sine=1000:duration=2,volume=0.4", "-ar", "44100", "-ac", "1", tone)
    assert pbx.ctl("codec", "transcode", "G722", tone, made) == {"packets": 100, "octets": 16000, "ms": 2000}
    assert snr_db(judged(tmp_path, made.read_bytes(), ["-f", "g722"])[4000:12000], 1000) >= 30
    with pytest.raises(Refused, match="there already"):
        pbx.ctl("codec", "transcode", "G722", tone, made)
    with pytest.raises(Refused, match="no sound"):
        pbx.ctl("codec", "transcode", "G722", made, tmp_path / "other")
    with pytest.raises(Refused, match="cannot write"):
        pbx.ctl("codec", "transcode", "G722", tone, tmp_path / "nowhere" / "tone")


def test_codecs_that_no_phone_has(make_pbx, phones, tmp_path):
    """A mirror sends back what it gets: bob hears himself as the codec has him."""
    cases = [("G729/8000", 18, "annexb=no", 14, 20, lambda found: (b"".join(found), ["-f", "g729"])),
             ("iLBC/8000", 97, "mode=20", 18, 38, lambda found: (b"#!iLBC20\n" + b"".join(found), ["-f", "ilbc"])),
             ("iLBC/8000", 97, "", 18, 50, lambda found: (b"#!iLBC30\n" + b"".join(found), ["-f", "ilbc"])),
             ("speex/8000", 111, "vbr=off", 10, 38, lambda found: (ogg([SPEEX_HEAD, bytes(8), *found], 160), ["-c:a", "speex"]))]
    pbx = make_pbx(OFFERED)
    bob = phones(pbx, "1002", codecs="PCMU", answer="auto")
    secret = pbx.account("1003", name="Mirror")
    for codec, kind, fmtp, least_db, octets, file_of in cases:
        mirror = Mirror(pbx, "1003", secret, codec, kind, fmtp)
        try:
            mirror.dial("1002")
            assert bob.hears(660), f"{codec} {fmtp}: {bob.level(660):.0f} dBFS"

            def there_db():
                found = payloads(pbx, mirror)
                assert {len(payload) for payload in found} == {octets}, f"{codec} {fmtp}: {sorted({len(payload) for payload in found})} octets"
                return snr_db(judged(tmp_path, *file_of(found))[4000:12000], 660)

            back = clearest_db(least_db, lambda: snr_db(bob.listen(1), 660))
            heard = clearest_db(least_db, there_db)
            assert back >= least_db and heard >= least_db, f"{codec} {fmtp}: {back:.1f} dB there and back, {heard:.1f} dB there"
            mirror.hangup()
            bob.closed()
        finally:
            mirror.close()
