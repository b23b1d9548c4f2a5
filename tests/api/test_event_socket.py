"""Events by WebSocket: the same stream as text/event-stream, refused in the same words, and closed with a reason."""
import contextlib
import os
import re
import socket
import struct
import time

import pytest
from clock import Clock
from event_streams import ABNF, EventSocket, Refused
from gateway import SETTINGS, Stream, ask, connect, make_event, new_user

TYPE = "settings.changed"


def numbers(events):
    return [event["seq"] for event in events]


def logged(pbx, after=0):
    return [number for number in numbers(pbx.events(TYPE)) if number > after]


def streams(pbx):
    return next(part for part in pbx.ctl("status").values() if isinstance(part, dict) and "streams" in part and "listeners" in part)["streams"]


def connections(pbx):
    """The daemon's descriptors at the API's port: 1 is who listens."""
    ours = set()
    for link in os.scandir(f"/proc/{pbx.process.pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed since the folder was read
            ours.add(os.readlink(link.path))
    rows = (row.split() for row in open("/proc/net/tcp").read().splitlines()[1:])
    return sum(row[1].endswith(f":{pbx.http_port:04X}") and f"socket:[{row[9]}]" in ours for row in rows)


# ---- who may --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["page", "program"])
def test_events_come_as_objects_by_themselves(pbx, how):
    stream = EventSocket(pbx, pbx.admin_token(), "settings.*", how=how)
    assert stream.web.getsubprotocol() == ("pbx.events" if how == "page" else None)
    make_event(pbx)
    event = stream.next()
    assert event["type"] == TYPE and event["seq"] and event["id"] and event["time"].endswith("Z") and event["data"]
    stream.close()


def test_it_is_refused_as_the_stream_is(pbx):
    """Before it stands, with the status and the problem that any request gets."""
    token, reader = pbx.admin_token(), new_user(pbx, "no.listener", "calls:read")
    for status, refused in [(401, lambda: EventSocket(pbx, "wrong")), (401, lambda: EventSocket(pbx, "wrong", how="program")),
                            (401, lambda: EventSocket(pbx, token, how=None)), (403, lambda: EventSocket(pbx, reader)),
                            (422, lambda: EventSocket(pbx, token, "what's%20that")), (400, lambda: EventSocket(pbx, token, after="yesterday")),
                            (400, lambda: EventSocket(pbx, token, subprotocols=[f"pbx.bearer.{token}"])),
                            (403, lambda: EventSocket(pbx, token, origin="https://evil.example"))]:
        with pytest.raises(Refused) as told:
            refused()
        assert told.value.status_code == status
    assert streams(pbx) == 0
    again = ask(pbx, "GET", "/api/v1/events?topics=what's%20that", token=token)
    with pytest.raises(Refused) as told:
        EventSocket(pbx, token, "what's%20that")
    assert again.headers["Content-Type"] == told.value.resp_headers["content-type"] == "application/problem+json"


def test_a_token_in_the_url_opens_nothing(pbx):
    with pytest.raises(Refused) as told:
        EventSocket(pbx, "", f"*&token={pbx.admin_token()}&access_token={pbx.admin_token()}", how=None)
    assert told.value.status_code in (400, 401)
    assert pbx.admin_token() not in pbx.log()


def test_pages_of_other_sites_come_in_where_a_setting_says_so(fresh):
    pbx = fresh(SETTINGS + "  event_origins: [\"https://wall.example\"]\n")
    EventSocket(pbx, pbx.admin_token(), origin="https://wall.example").close()
    EventSocket(pbx, pbx.admin_token(), origin=f"https://127.0.0.1:{pbx.http_port}").close()
    with pytest.raises(Refused) as told:
        EventSocket(pbx, pbx.admin_token(), origin="https://evil.example")
    assert told.value.status_code == 403


def test_it_takes_a_place_among_the_streams(fresh):
    pbx = fresh()
    token = pbx.admin_token()
    both = [EventSocket(pbx, token), Stream(pbx, token), EventSocket(pbx, token), Stream(pbx, token)]
    with pytest.raises(Refused) as told:
        EventSocket(pbx, token)
    assert told.value.status_code == 503 and told.value.resp_headers["retry-after"] == "30"
    assert ask(pbx, "GET", "/api/v1/events", token=token).status == 503 and ask(pbx, "GET", "/healthz").status == 200
    both[0].close()
    pbx.wait_for(lambda: streams(pbx) == 3, "a place")  # at once, without an event that would find out
    EventSocket(pbx, token).close()
    for stream in both[1:]:
        stream.close()


def test_a_handshake_that_cannot_be_takes_no_place(pbx):
    head = (f"GET /api/v1/events HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nAuthorization: Bearer {pbx.admin_token()}\r\n"
            "Sec-WebSocket-Version: {}\r\nSec-WebSocket-Key: {}\r\n\r\n")
    for version, key in ((13, ""), (13, "A" * 16), (13, "A" * 200), (12, "A" * 24)):
        connection = connect(pbx)
        connection.connect()
        connection.sock.sendall(head.format(version, key).encode())
        assert connection.sock.recv(4096).split()[1].startswith(b"4")
        connection.close()
    assert streams(pbx) == 0


# ---- nothing missing, nothing twice ----------------------------------------------------------------


def test_who_comes_back_misses_nothing_and_gets_nothing_twice(pbx):
    token = pbx.admin_token()
    stream = EventSocket(pbx, token, "settings.*")
    make_event(pbx)
    seen = numbers(stream.take(1))
    stream.close()
    for _ in range(150):  # more than two pages of the log
        make_event(pbx)
    stream = EventSocket(pbx, token, "settings.*", after=seen[-1])
    seen += numbers(stream.take(75))
    make_event(pbx)  # while it catches up
    seen += numbers(stream.take(76))
    stream.close()
    assert seen == logged(pbx, after=seen[0] - 1)


def test_other_types_hold_from_the_event_that_the_answer_names(pbx):
    stream = EventSocket(pbx, pbx.admin_token(), "call.*")
    make_event(pbx)
    make_event(pbx)
    pbx.await_log()
    after = stream.wish("settings.*", "call.*")
    for _ in range(100):
        make_event(pbx)
    told = logged(pbx, after)
    assert stream.before == [] and len(told) == 100 and numbers(stream.take(100)) == told
    stream.wish("registration.*")
    make_event(pbx)
    after = stream.wish("settings.changed")
    assert stream.before == []
    make_event(pbx)
    told = logged(pbx, after)  # the first of the two as well, where it was not stored yet
    assert 1 <= len(told) <= 2 and numbers(stream.take(len(told))) == told
    stream.close()


def test_other_types_amid_catching_up_lose_and_double_nothing(pbx):
    for _ in range(200):
        make_event(pbx)
    begin = logged(pbx)[-200] - 1
    stream = EventSocket(pbx, pbx.admin_token(), "settings.*", after=begin)
    seen = numbers(stream.take(10))
    for _ in range(5):  # whatever page is being read meanwhile
        stream.wish("settings.changed")
        seen += numbers(stream.before)
        stream.wish("settings.*")
        seen += numbers(stream.before)
        make_event(pbx)
    seen += numbers(stream.take(205 - len(seen)))
    assert seen == logged(pbx, begin)
    stream.close()


# ---- how it ends -----------------------------------------------------------------------------------


def test_a_client_that_closes_is_answered_in_kind(pbx):
    for status in (1000, 1001, 4711):
        stream = EventSocket(pbx, pbx.admin_token())
        stream.web.send_close(status)
        assert stream.next() is None and stream.closed[0] == status
    pbx.wait_for(lambda: streams(pbx) == 0, "their places")


def test_a_revoked_token_ends_it_and_says_so(pbx):
    token = new_user(pbx, "socket.watcher", "events:read")
    stream = EventSocket(pbx, token)
    assert ask(pbx, "POST", "/api/v1/auth/logout", token=token).status == 204
    assert stream.end() == (1008, "the token was revoked")
    with pytest.raises(Refused):
        EventSocket(pbx, token)


def test_streams_end_with_their_user_and_their_user_s_password(pbx):
    """Both kinds, at once."""
    gone, changed = new_user(pbx, "gone", "events:read"), new_user(pbx, "changed", "events:read")
    sockets = [EventSocket(pbx, gone), EventSocket(pbx, changed)]
    plain = [Stream(pbx, gone), Stream(pbx, changed)]
    pbx.ctl("user", "remove", "gone")
    pbx.ctl("user", "passwd", "changed")
    assert [stream.end()[0] for stream in sockets] == [1008, 1008]
    for stream in plain:
        while stream.next() is not None:
            pass
        stream.close()


def test_a_token_that_expires_ends_both_kinds_of_stream(fresh, tmp_path):
    clock = Clock(tmp_path)
    pbx = fresh(environment=clock.environment)
    short = ask(pbx, "POST", "/api/v1/tokens", {"name": "short", "scopes": ["events:read"], "expires_in_s": 60}, token=pbx.admin_token()).json["token"]
    lasting = EventSocket(pbx, pbx.admin_token(), TYPE)
    socket_stream, plain = EventSocket(pbx, short), Stream(pbx, short)
    clock.move(80)  # and they are looked through every 15 s
    assert socket_stream.end() == (1008, "the token has expired, or is no longer valid")
    while plain.next() is not None:
        pass
    plain.close()
    make_event(pbx)
    assert lasting.next()["type"] == TYPE, "others go on"
    lasting.close()


def test_a_stop_is_told(fresh):
    pbx = fresh()
    stream = EventSocket(pbx, pbx.admin_token(), TYPE)
    make_event(pbx)
    assert stream.take(1)
    pbx.process.terminate()
    assert stream.end() == (1001, "the PBX is being stopped")
    pbx.process.wait(60)
    assert pbx.process.returncode == 0


FRAMES = {
    "octets": ([(1, ABNF.OPCODE_BINARY, b"\x00\x01")], 1003),
    "no JSON": ([(1, ABNF.OPCODE_TEXT, b"hello")], 1007),
    "no UTF-8": ([(1, ABNF.OPCODE_TEXT, b"{\"types\": [\"\xff\"]}")], (1007, 1008)),
    "nothing": ([(1, ABNF.OPCODE_TEXT, b"")], 1007),
    "JSON and more": ([(1, ABNF.OPCODE_TEXT, b'{"types": ["call.*"]} {')], 1007),
    "no types": ([(1, ABNF.OPCODE_TEXT, b"{}")], 1008),
    "an empty list": ([(1, ABNF.OPCODE_TEXT, b'{"types": []}')], 1008),
    "more than types": ([(1, ABNF.OPCODE_TEXT, b'{"types": ["call.*"], "after": 1}')], 1008),
    "numbers": ([(1, ABNF.OPCODE_TEXT, b'{"types": [1]}')], 1008),
    "two in one": ([(1, ABNF.OPCODE_TEXT, b'{"types": ["call.*,settings.*"]}')], 1008),
    "no pattern": ([(1, ABNF.OPCODE_TEXT, b'{"types": ["CALL"]}')], 1008),
    "many": ([(1, ABNF.OPCODE_TEXT, b'{"types": [' + b",".join([b'"registration.added"'] * 40) + b"]}")], 1008),
    "too much": ([(1, ABNF.OPCODE_TEXT, b"x" * 5000)], 1009),
    "too much in pieces": ([(0, ABNF.OPCODE_TEXT, b"x" * 3000), (1, ABNF.OPCODE_CONT, b"x" * 3000)], 1009),
    "the rest of nothing": ([(1, ABNF.OPCODE_CONT, b"x")], 1002),
    "two at a time": ([(0, ABNF.OPCODE_TEXT, b"x"), (1, ABNF.OPCODE_TEXT, b"x")], 1002),
    "a kind that is none": ([(1, 0x3, b"x")], 1002),
    "compressed": ([(0x41, ABNF.OPCODE_TEXT, b"x")], 1002),
}


def raw_frame(final, opcode, payload):
    """Also what no library would write: bits beyond the final one."""
    frame = bytearray(ABNF(1, 0, 0, 0, ABNF.OPCODE_TEXT, 1, payload).format())
    frame[0] = (final & 1) << 7 | (final & 0x40) | opcode
    return bytes(frame)


@pytest.mark.parametrize("junk", FRAMES)
def test_frames_that_are_none_of_ours_end_it_with_a_reason_and_lose_nothing(pbx, junk):
    frames, status = FRAMES[junk]
    stream = EventSocket(pbx, pbx.admin_token(), TYPE)
    make_event(pbx)
    seen = numbers(stream.take(1))
    for frame in frames:
        stream.web.sock.sendall(raw_frame(*frame))
    make_event(pbx)
    while event := stream.next():
        seen.append(event["seq"])
    assert stream.closed[0] in (status if isinstance(status, tuple) else (status,)) and stream.closed[1], stream.closed
    stream.web.shutdown()
    make_event(pbx)
    expected = logged(pbx, seen[0] - 1)
    stream = EventSocket(pbx, pbx.admin_token(), TYPE, after=seen[-1])
    assert seen + numbers(stream.take(len(expected) - len(seen))) == expected
    stream.close()


def test_a_wish_in_pieces_is_understood_with_a_ping_between(pbx):
    stream = EventSocket(pbx, pbx.admin_token(), "call.*")
    for frame in [(0, ABNF.OPCODE_TEXT, b'{"types": '), (1, ABNF.OPCODE_PING, b"there?"), (1, ABNF.OPCODE_CONT, b'["settings.*"]}')]:
        stream.web.sock.sendall(raw_frame(*frame))
    assert stream.frame() == (ABNF.OPCODE_PONG, b"there?")
    assert stream.next()["types"] == ["settings.*"]
    stream.close()


def test_who_wishes_without_end_is_shown_out(fresh):
    pbx = fresh("api:\n  requests_per_minute: 60\n  requests_burst: 20\n")
    stream = EventSocket(pbx, pbx.admin_token(), TYPE)
    for _ in range(200):
        try:
            stream.web.send('{"types": ["call.*"]}')
        except OSError:
            break  # it has been closed already
    while told := stream.next():
        assert told["types"]
    assert stream.closed == (1013, "too many requests, try again later")
    stream.web.shutdown()


def test_a_gigabyte_in_a_frame_is_not_gathered(pbx):
    stream = EventSocket(pbx, pbx.admin_token(), TYPE)
    began, sent = memory_kib(pbx), 0
    with pytest.raises(OSError):
        stream.web.sock.sendall(b"\x81\xff" + (1 << 30).to_bytes(8, "big") + bytes(4))
        while sent < 64_000_000:
            stream.web.sock.sendall(bytes(10_000))
            sent += 10_000
    assert sent < 64_000_000 and memory_kib(pbx) - began < 64_000
    stream.web.shutdown()
    pbx.wait_for(lambda: streams(pbx) == 0, "its place")


def memory_kib(pbx):
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pbx.process.pid}/status").read()).group(1))


# ---- who reads slowly, who vanishes ----------------------------------------------------------------


@pytest.mark.parametrize("plain", [False, True], ids=["TLS", "plain"])
def test_who_does_not_read_is_shown_out_told_why_and_comes_back_without_a_gap(fresh, plain):
    pbx = fresh(SETTINGS + ("  plain_http: true\n" if plain else ""))
    pbx.ctl("config", "set", "server.name", "x" * 60)
    for number in range(1500):
        pbx.ctl("config", "set", "server.name", f"{number:04}" + "x" * 56)
    everything = logged(pbx)
    token = pbx.admin_token()
    other = EventSocket(pbx, token, TYPE)
    lazy = EventSocket(pbx, token, TYPE, after=0, receives=4096)
    make_event(pbx)
    everything.append(other.take(1)[0]["seq"])  # nobody else is held up
    pbx.wait_for(lambda: streams(pbx) == 1, "the one that does not read to be shown out")
    seen = []
    while event := lazy.next():
        seen.append(event["seq"])
    assert lazy.closed == (1013, "too slow: come again with after= the last number you know")
    lazy.web.shutdown()
    assert 0 < len(seen) < len(everything) and seen == everything[:len(seen)]
    again = EventSocket(pbx, token, TYPE, after=seen[-1])
    assert seen + numbers(again.take(len(everything) - len(seen))) == everything
    again.close()
    other.close()


def test_who_reads_slowly_gets_all_of_it(fresh):
    pbx = fresh()
    for number in range(600):
        pbx.ctl("config", "set", "server.name", f"{number:04}" + "x" * 56)
    slow = EventSocket(pbx, pbx.admin_token(), TYPE, after=0, receives=4096)
    expected, seen = logged(pbx), []
    while len(seen) < len(expected):
        seen += numbers(slow.take(min(20, len(expected) - len(seen))))
        time.sleep(0.02)  # a reader, no wait for anything
    assert seen == expected
    slow.close()


@pytest.mark.parametrize("how", ["resets", "says nothing", "breaks off in a frame"])
def test_who_vanishes_leaves_nothing(fresh, how):
    pbx = fresh()
    token = pbx.admin_token()
    for _ in range(10):
        stream = EventSocket(pbx, token, after=0)
        if how == "resets":
            stream.web.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == "breaks off in a frame":
            stream.web.sock.sendall(b"\x81\xfe")
        assert connections(pbx) > 1
        stream.web.shutdown()
        pbx.wait_for(lambda: streams(pbx) == 0, "its place")
    pbx.wait_for(lambda: connections(pbx) == 1, "its descriptors to go")


def test_pings_keep_a_quiet_stream_alive_and_find_who_has_gone(fresh, tmp_path):
    clock = Clock(tmp_path, speed=20)  # a ping each 30 s
    pbx = fresh(environment=clock.environment)
    quiet, gone = EventSocket(pbx, pbx.admin_token(), "call.*"), EventSocket(pbx, pbx.admin_token(), "call.*")
    for _ in range(8):
        assert quiet.frame()[0] == ABNF.OPCODE_PING
        quiet.web.pong(b"")
    pbx.wait_for(lambda: streams(pbx) == 1, "the one that answers no ping to be given up")
    gone.close()
    quiet.close()
