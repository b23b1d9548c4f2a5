"""Music for those who wait: what people upload, a station from the network, announcements, and how little it costs when many listen."""
import re

import pytest
from station import Station
from tone import write_tone

MUSIC, SALES = 520, 740


@pytest.fixture
def station():
    station = Station(610).open()
    yield station
    station.close()


def upload(pbx, music_class, name, content):
    """As a browser's form does."""
    body = (b'--b0undary\r\nContent-Disposition: form-data; name="file"; filename="' + name.encode() + b'"\r\n'
            b"Content-Type: application/octet-stream\r\n\r\n" + content + b"\r\n--b0undary--\r\n")
    return pbx.http("POST", f"/moh/classes/{music_class}/files", body, headers={"Content-Type": "multipart/form-data; boundary=b0undary"})


def tone(tmp_path, hertz, **more):
    write_tone(tmp_path / "tone.wav", hertz, **more)
    return (tmp_path / "tone.wav").read_bytes()


def metric(pbx, name):
    return float(re.search(rf"^{name} (\S+)$", pbx.http("GET", "//metrics")[1], re.M).group(1))


def hold_with_class(pbx, phones, talk, music_class):
    phones.secrets[pbx, "1002"] = pbx.account("1002", music_class=music_class)
    alice, bob = talk(pbx, "1001", "1002")
    bob.hold()
    return alice, bob


def test_an_uploaded_tune_is_heard_at_its_own_pitch(pbx, phones, talk, tmp_path):
    """Acceptance 5."""
    status, made = pbx.http("POST", "/moh/classes", {"class": "own"})
    assert (status, made["mode"], made["file_count"]) == (201, "files", 0)
    assert pbx.http("POST", "/moh/classes", {"class": "own"})[0] == 409
    assert upload(pbx, "own", "tune.wav", tone(tmp_path, 1000, rate=44100, channels=2))[0] == 201
    status, why = upload(pbx, "own", "text.wav", b"this is not music\n" * 100)
    assert status == 400 and why["code"] == "not_playable"
    assert upload(pbx, "own", "short.wav", tone(tmp_path, 1000, seconds=0.5))[0] == 400
    assert pbx.http("POST", "/moh/classes/own/files", b"", headers={"Content-Type": "multipart/form-data; boundary=x"})[0] == 400
    pbx.wait_for(lambda: pbx.ctl("moh", "show", "own")["files"] == ["tune.wav"], "the class to have the file")

    alice, bob = hold_with_class(pbx, phones, talk, "own")
    assert alice.hears(1000, others=(990, 1010, MUSIC))  # a tone off by 5 Hz is no 20 dB above its neighbours
    bob.hangup()
    alice.closed()


def test_one_decoder_however_many_listen(pbx, phones):
    """Acceptance 4, with the codecs there are."""
    for number in ("1001", "1002", "1003", "1004"):
        phones.secrets[pbx, number] = pbx.account(number)
    held = [phones(pbx, "1001", codecs="PCMU"), phones(pbx, "1003", codecs="PCMA")]
    holders = [phones(pbx, "1002", codecs="PCMU"), phones(pbx, "1004", codecs="PCMA")]
    for caller, callee in zip(held, holders):
        caller.dial(callee.number)
        callee.answer()
        caller.established()
        callee.hold()
    for phone in held:
        assert phone.hears(MUSIC)
    assert metric(pbx, "pbx_media_listeners") == 2 and metric(pbx, "pbx_media_decoders") == 1
    for phone in held:
        phone.hangup()
    for phone in holders:
        phone.closed()


def test_announcements_come_between_the_music(pbx, phones, talk, tmp_path):
    assert upload(pbx, "default", "announce-wait.wav", tone(tmp_path, 1900, seconds=1.5))[0] == 201
    assert pbx.http("PUT", "/moh/classes/default", {"announce_every_s": 3})[0] == 200
    alice, bob = talk(pbx, "1001", "1002")
    bob.hold()
    for _ in range(2):
        assert alice.hears(MUSIC, others=(1900,), within=6)
        assert alice.hears(1900, others=(MUSIC,), within=8, seconds=0.8)
    status, why = pbx.http("PUT", "/moh/classes/default", {"announcement": "welcome", "announce_every_s": 0})
    assert (status, why["code"]) == (422, "no_interval")
    alice.hangup()
    bob.closed()


def test_a_change_of_the_class_is_not_heard_as_a_gap(pbx, talk, tmp_path):
    alice, bob = talk(pbx, "1001", "1002")
    bob.hold()
    assert alice.hears(MUSIC)
    here = alice.ear.mark()
    assert upload(pbx, "default", "second.wav", tone(tmp_path, MUSIC))[0] == 201
    pbx.ctl("moh", "set", "default", "sort=alpha", "gain_db=0")
    pbx.ctl("moh", "rescan")
    pbx.ctl("config", "set", "music_on_hold.rescan_s", "5")
    assert alice.hears(MUSIC, seconds=6, within=0.5)
    assert alice.ear.breaks(here) == [] and not any(packet.marker for packet in alice.ear.packets[here:])
    alice.hangup()
    bob.closed()


def test_a_station_is_heard_and_the_files_while_it_is_silent(make_pbx, phones, talk, station):
    pbx = make_pbx(f'fetch:\n  allow: ["127.0.0.1:{station.port}"]\n')
    station.sing()
    assert pbx.http("PUT", "/moh/classes/radio", {"mode": "stream"})[1]["code"] == "no_source"
    assert pbx.http("PUT", "/moh/classes/radio", {"mode": "stream", "source": "ftp://x/y"})[1]["code"] == "bad_url"
    assert pbx.http("PUT", "/moh/classes/radio", {"mode": "stream", "source": station.url})[0] == 200
    alice, bob = hold_with_class(pbx, phones, talk, "radio")
    assert alice.hears(610, others=(MUSIC,), within=10, seconds=4), "\n".join(pbx.log_lines("stream_lost"))
    assert pbx.ctl("moh", "show", "radio")["streaming"] is True

    here = alice.ear.mark()
    station.hush()
    assert alice.hears(MUSIC, others=(610,), within=20)  # the default class's files: it has none of its own
    assert pbx.ctl("moh", "show", "radio")["streaming"] is False and pbx.log_lines("stream_lost")
    station.sing()
    assert alice.hears(610, others=(MUSIC,), within=20)
    assert alice.ear.breaks(here) == [] and not any(packet.marker for packet in alice.ear.packets[here:])
    alice.hangup()
    bob.closed()


def test_a_station_behind_the_firewall_is_not_listened_to(pbx, phones, talk, station):
    station.sing()
    assert pbx.http("PUT", "/moh/classes/radio", {"mode": "stream", "source": station.url})[0] == 200
    alice, bob = hold_with_class(pbx, phones, talk, "radio")
    assert alice.hears(MUSIC, within=8)
    lost = pbx.wait_for(lambda: pbx.log_lines("stream_lost"), "the reason")
    assert "fetch.allow" in lost[0]
    alice.hangup()
    bob.closed()
