"""Recorded calls of real phones: each party in a channel of its own, paused, carried over an upgrade, cut short by a full disk and by a crash."""
import hashlib
import io
import json
import re
import ssl
import struct
import subprocess
import urllib.request
import wave
import zipfile
from concurrent.futures import ThreadPoolExecutor

from disk import fill, relieve
from machine import Watch, stalls
from talker import Talker
from tone import hears, power_db, silent_at

ALWAYS = "call_recording:\n  rules: [{name: all, record: always}]\n  min_free_mb: 0\n"


def record_for(pbx, ms):
    """Until so much of the one call that lasts is in the file."""
    return pbx.wait_for(lambda: next((each for each in pbx.ctl("recording", "active") if each["duration_ms"] >= ms), None), f"{ms} ms of a recording")


def stored(pbx, count=1):
    return pbx.wait_for(lambda: len(rows := pbx.ctl("recording", "list")) == count and rows, f"{count} recordings")


def folder(pbx):
    return next((pbx.directory / "data").rglob("recordings"))


def channels(path):
    with wave.open(str(path)) as file:
        samples = struct.unpack(f"<{file.getnframes() * file.getnchannels()}h", file.readframes(file.getnframes()))
        return file.getframerate(), [samples[at::file.getnchannels()] for at in range(file.getnchannels())]


def file_of(pbx, recording):
    return next(folder(pbx).rglob(f"*_{recording['id'][-8:]}.wav"))


def fetch(pbx, path, **headers):
    """(status, headers, octets) of a file."""
    request = urllib.request.Request(f"https://127.0.0.1:{pbx.http_port}/api/v1{path}", headers=headers)
    request.add_header("Authorization", f"Bearer {pbx.admin_token()}")
    with urllib.request.urlopen(request, context=ssl._create_unverified_context(), timeout=30) as answer:
        return answer.status, answer.headers, answer.read()


def download(pbx, recording, octets=None, query="", **headers):
    if octets:
        headers["Range"] = f"bytes={octets}"
    return fetch(pbx, f"/recordings/{recording['id']}/audio{query}", **headers)


def chapters(path):
    """(ms, title) of each mark, as FFmpeg reads the file."""
    found = subprocess.run(["ffprobe", "-v", "error", "-show_chapters", "-of", "json", str(path)], stdout=subprocess.PIPE, check=True, timeout=20).stdout
    return [(float(each["start_time"]) * 1000, each["tags"]["title"]) for each in json.loads(found)["chapters"]]


def test_each_party_has_a_channel_and_the_call_stays_a_relayed_one(make_pbx, talk):
    """Acceptance 1, 3, 7, and an upgrade in the middle."""
    pbx, watch = make_pbx(ALWAYS), Watch()
    alice, bob = talk(pbx, "1001", "1002")
    call = record_for(pbx, 2000)
    legs = pbx.ctl("media", "streams")
    assert len(legs) == 2 and all(leg["peer"] and not leg["playing"] for leg in legs)
    pbx.ctl("plugin", "reload", "call_recording")
    assert record_for(pbx, 3000)["id"] == call["id"]
    pbx.ctl("recording", "call", call["call_id"], "pause")
    paused_at = record_for(pbx, 3000)["duration_ms"]
    record_for(pbx, paused_at + 1500)
    pbx.ctl("recording", "call", call["call_id"], "resume")
    resumed_at = record_for(pbx, 0)["duration_ms"]
    record_for(pbx, resumed_at + 2000)
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
    alice.hangup()
    bob.closed()

    recording, = stored(pbx)
    path = file_of(pbx, recording)
    rate, (left, right) = channels(path)
    assert abs(len(left) * 1000 / rate - recording["duration_ms"]) < 2 and recording["gaps_ms"] == 0
    spoken = slice(rate // 2, rate * 2)
    missed, kept_ms = stalls().tenths(watch.began_at), stalls().longest_ms(watch.began_at)  # what nobody could say
    assert rate == 8000 and hears(left[spoken], 440, missed=missed) and silent_at(left[spoken], 660)
    assert hears(right[spoken], 660, missed=missed) and silent_at(right[spoken], 440)
    assert hears(left[-rate * 3 // 2:-rate // 2], 440, missed=missed)

    pause, = pbx.ctl("recording", "show", recording["id"])["pauses"]
    (marked_ms, title), = chapters(path)
    silent, amid = bytes(not a and not b for a, b in zip(left, right)), round((marked_ms + recording["paused_ms"] / 2) * rate / 1000)
    begins, ends = silent.rindex(b"\0", 0, amid) + 1, silent.index(b"\0", amid)
    assert abs((ends - begins) * 1000 / rate - recording["paused_ms"]) < 40 + kept_ms
    assert abs(marked_ms - pause["at_ms"]) < 1 and abs(begins * 1000 / rate - marked_ms) < 40 + kept_ms
    assert title == f"paused {pause['for_ms'] // 1000}.{pause['for_ms'] % 1000:03} s" and pause["for_ms"] == recording["paused_ms"]

    status, headers, whole = download(pbx, recording)
    assert (status, headers["Content-Type"], whole) == (200, "audio/wav", path.read_bytes())
    status, headers, part = download(pbx, recording, "100-1099")
    assert (status, headers["Content-Range"], part) == (206, f"bytes 100-1099/{len(whole)}", whole[100:1100])
    assert pbx.ctl("recording", "verify", recording["id"])["intact"]
    forms_of(pbx, recording, whole, left, right, rate)
    exported(pbx, [recording], {recording["id"]: whole})


def forms_of(pbx, recording, whole, left, right, rate):
    """Other forms and sides of a recording, by REST and pbxctl."""
    for form, kind in (("flac", ("flac", 2, rate)), ("opus", ("opus", 2, 48000)), ("mp3", ("mp3", 2, rate))):
        status, headers, octets = download(pbx, recording, query=f"?format={form}")
        file = pbx.directory / f"form.{form}"
        file.write_bytes(octets)
        found, sides = probed(file)
        assert status == 200 and found == kind and headers["Content-Disposition"].endswith(f'.{form}"')
        for side, hertz, other in zip(sides, (440, 660), (660, 440)):
            assert power_db(side[8000:24000], hertz, 16000) > power_db(side[8000:24000], other, 16000) + 30
        part = download(pbx, recording, "-500", f"?format={form}")
        assert (part[0], part[2]) == (206, octets[-500:])
    for name, side in (("caller", left), ("right", right)):
        (pbx.directory / "side.wav").write_bytes(download(pbx, recording, query=f"?channel={name}")[2])
        assert channels(pbx.directory / "side.wav") == (rate, [side])
    tag = download(pbx, recording, query="?channel=mix")[1]["ETag"]
    assert download(pbx, recording, "0-9", "?channel=mix", **{"If-Range": tag})[0] == 206
    assert download(pbx, recording, "0-9", "?channel=mix", **{"If-Range": '"another"'})[0] == 200
    assert pbx.ctl_octets("recording", "audio", recording["id"]) == whole
    assert pbx.http("GET", f"/recordings/{recording['id']}/audio?format=aac")[0] == 400


def exported(pbx, recordings, files):
    """The ZIP file of these, by REST and by pbxctl; files: what is to be in it."""
    ids = ",".join(each["id"] for each in recordings)
    status, headers, octets = fetch(pbx, f"/recordings/export?ids={ids}")
    assert (status, headers["Content-Type"]) == (200, "application/zip")
    for octets in octets, pbx.ctl_octets("recording", "export", ids):
        with zipfile.ZipFile(io.BytesIO(octets)) as archive:
            assert archive.testzip() is None
            manifest = json.loads(archive.read("manifest.json"))
            rows = {row["id"]: row for row in manifest["recordings"]}
            assert set(rows) == set(files) and len(archive.namelist()) == len(files) + 1
            for key, whole in files.items():
                row = rows[key]
                assert archive.read(row["file"]) == whole and row["state"] == "exported"
                assert row["file_sha256"] == row["sha256"] == hashlib.sha256(whole).hexdigest() and row["file_bytes"] == len(whole)
    assert [each["action"] for each in pbx.ctl("recording", "accesses", recordings[0]["id"])].count("export") == 2


class Shows(Talker):
    """A phone that knows of recording (RFC 7866): it says so in its INVITE, and what it wishes in its SDP."""
    wish = ""

    def text(self, method, uri, headers=(), **more):
        return super().text(method, uri, [*headers, "Supported: record-aware"], **more)

    def session(self, *where, **more):
        return super().session(*where, **more) + f"a=recordpref:{self.wish}\r\n" * bool(self.wish)

    def shown(self):
        """What the next re-INVITE says of recording, which offers nothing new."""
        body = self.agree("sendrecv").body
        assert re.search(r"^m=audio \d+ RTP/AVP 0 101\r$", body, re.M), body
        return re.findall(r"^a=record:(\w+)\r$", body, re.M)

    def wishes(self, wish):
        self.wish = wish
        assert self.reinvite().status == 200


def test_a_phone_that_shows_recording_is_told_and_asked(make_pbx, talkers):
    pbx = make_pbx("call_recording:\n  rules: [{name: all, record: always, heed_wishes: true}]\n  min_free_mb: 0\n  min_duration_s: 0\n")
    bob = talkers(pbx, "1002")
    alice = Shows(pbx, "1001", pbx.account("1001"), 440)
    try:
        with ThreadPoolExecutor() as pool:
            answered = pool.submit(bob.answer)
            alice.dial("1002")
            answered.result()
        assert alice.shown() == ["on"]
        call_id = record_for(pbx, 500)["call_id"]
        for action, shown in (("pause", "paused"), ("resume", "on")):
            pbx.ctl("recording", "call", call_id, action)
            assert alice.shown() == [shown]
        for wish, shown in (("pause", "paused"), ("nopreference", "on"), ("off", "off")):
            alice.wishes(wish)
            assert alice.shown() == [shown]
        assert len(stored(pbx, 1)[0]) and not pbx.ctl("recording", "active")
        assert all(leg["peer"] for leg in pbx.ctl("media", "streams"))
        assert bob.receive(lambda message: message.method == "INVITE", 0.1) is None  # it knows nothing of that
        alice.hangup()
        bob.closed()
    finally:
        alice.close()


def test_a_full_disk_leaves_a_file_that_can_be_played(make_pbx, talk, small_disk):
    pbx, watch = make_pbx(ALWAYS + f"  storage_path: {small_disk}/calls\n"), Watch()
    alice, bob = talk(pbx, "1001", "1002")
    record_for(pbx, 3500)
    fill(small_disk)
    failed = pbx.wait_event("recording.failed")["data"]
    assert alice.hears(bob.hertz)
    recording, = stored(pbx)
    assert recording["outcome"] == "cut_short" and failed["recording_id"] == recording["id"]
    relieve(small_disk)
    rate, (left, right) = channels(next(small_disk.rglob("*.wav")))
    assert abs(len(left) * 1000 / rate - recording["duration_ms"]) < 2 and len(left) > 3 * rate
    missed = stalls().tenths(watch.began_at)
    assert hears(left[rate:3 * rate], 440, missed=missed) and hears(right[rate:3 * rate], 660, missed=missed)
    assert not list(small_disk.rglob("*.part"))
    alice.hangup()
    bob.closed()


def test_what_a_crash_interrupts_can_be_played(make_pbx, talk):
    """Acceptance 4."""
    pbx, watch = make_pbx(ALWAYS), Watch()
    talk(pbx, "1001", "1002")
    lasted = record_for(pbx, 6500)
    pbx.kill()
    pbx.restart()
    recording, = stored(pbx)
    assert recording["id"] == lasted["id"] and recording["ended_at"] and recording["duration_ms"] >= 5000
    rate, (left, right) = channels(file_of(pbx, recording))
    missed = stalls().tenths(watch.began_at)
    assert hears(left[rate:4 * rate], 440, missed=missed) and hears(right[rate:4 * rate], 660, missed=missed)
    assert pbx.ctl("recording", "verify", recording["id"])["intact"]


def probed(path):
    """(codec, channels, rate) as FFmpeg has them, and the channels at 16 kHz."""
    found = subprocess.run(["ffprobe", "-v", "error", "-show_streams", "-of", "json", str(path)], stdout=subprocess.PIPE, check=True, timeout=20).stdout
    stream, = json.loads(found)["streams"]
    octets = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", str(path), "-f", "s16le", "-ar", "16000", "-"], stdout=subprocess.PIPE, check=True,
                            timeout=20).stdout
    samples = memoryview(octets[:len(octets) // 4 * 4]).cast("h")
    return (stream["codec_name"], stream["channels"], int(stream["sample_rate"])), [list(samples[at::2]) for at in range(2)]


def test_wideband_calls_stay_wideband_in_every_format(make_pbx, phones):
    """What one says at 5 kHz is in the file, on its side alone, of relayed calls in G.722 and Opus."""
    pbx = make_pbx(ALWAYS)
    wide = {"G722": {"codecs": "G722/16000/1", "codec_module": "g722.so"}, "opus": {"codecs": "opus/48000/2", "codec_module": "opus.so"}}
    lines = {codec: (phones(pbx, a, hertz=5000, **how), phones(pbx, b, answer="auto", **how))
             for (codec, how), (a, b) in zip(wide.items(), (("1001", "1002"), ("1003", "1004")))}
    for number, (codec, form, kind) in enumerate([("G722", "wav", ("pcm_s16le", 2, 16000)), ("opus", "flac", ("flac", 2, 16000)),
                                                  ("G722", "ogg-opus", ("opus", 2, 48000))]):
        pbx.ctl("config", "set", "call_recording.format", form)
        alice, bob = lines[codec]
        alice.dial(bob.number)
        alice.established()
        record_for(pbx, 3200)
        alice.hangup()
        bob.closed()
        pbx.wait_for(lambda: not pbx.ctl("recording", "active"), "its end")
        row = max(stored(pbx, number + 1), key=lambda row: row["started_at"])
        found, (left, right) = probed(next(folder(pbx).rglob(f"*_{row['id'][-8:]}.*")))
        said = max((slice(at, at + 16000) for at in (16000, 32000)), key=lambda part: power_db(left[part], 5000, 16000))  # the machine may stand still amid one
        assert found == kind, (codec, form)
        levels = [[round(power_db(side[said], hertz, 16000)) for hertz in (5000, bob.hertz)] for side in (left, right)]
        assert levels[0][0] > -25 and levels[1][1] > -25, (codec, form, levels)
        assert levels[0][1] < levels[0][0] - 40 and levels[1][0] < levels[1][1] - 40, (codec, form, levels)
        assert pbx.ctl("recording", "verify", row["id"])["intact"]


def test_a_conference_is_recorded_by_the_number_of_its_room(make_pbx, phones):
    pbx = make_pbx('conference:\n  announce: false\ncall_recording:\n  min_free_mb: 0\n  rules: [{name: board, extensions: ["2000"], record: always}]\n')
    parties, watch = phones(pbx, "1001", "1002", "1003"), Watch()
    for phone in parties:
        phone.dial("2000").established()
    pbx.wait_for(lambda: [each["duration_ms"] > 3000 for each in pbx.ctl("recording", "active")] == [True] * 3, "three seconds of each party")
    for phone in parties:
        phone.hangup()
    recordings = {recording["from"]: recording for recording in stored(pbx, 3)}
    for phone in parties:
        rate, (said, heard) = channels(file_of(pbx, recordings[phone.number]))
        all_were_there, missed = slice(-2 * rate, -rate), stalls().tenths(watch.began_at)
        assert recordings[phone.number]["to"] == "2000" and hears(said[all_were_there], phone.hertz, missed=missed)
        assert silent_at(heard[all_were_there], phone.hertz)
        assert all(hears(heard[all_were_there], other.hertz, missed=missed) for other in parties if other is not phone)


def test_a_room_is_recorded_whole_whoever_leaves_first(make_pbx, phones):
    pbx = make_pbx('conference:\n  announce: false\n  rooms: [{number: "2000", record: true}]\ncall_recording:\n  min_free_mb: 0\n  min_duration_s: 0\n')

    def kept(count):
        return pbx.wait_for(lambda: len(rows := [row for row in pbx.ctl("recording", "list") if row["outcome"] == "stored"]) == count and rows, f"{count} parts")

    watch = Watch()
    first, second, third = parties = phones(pbx, "1001", "1002", "1003")
    for phone in parties:
        phone.dial("2000").established()
    assert len(pbx.ctl("recording", "active")) == 1
    record_for(pbx, pbx.ctl("recording", "active")[0]["duration_ms"] + 4000)
    first.hangup()
    row, = kept(1)
    rate, (said,) = channels(file_of(pbx, row))
    for phone in parties:
        assert hears(said[-2 * rate:-rate], phone.hertz, missed=stalls().tenths(watch.began_at))
    assert len(pbx.wait_for(lambda: pbx.ctl("recording", "active"), "the next part")) == 1
    assert pbx.http("POST", "/conferences/2000/record", {"on": False})[1]["recording"] is False
    assert len({(part["to"], pbx.ctl("recording", "show", part["id"])["group_id"]) for part in kept(2)}) == 1
    for phone in (second, third):
        phone.hangup()
