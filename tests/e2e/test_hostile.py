"""What bad input gets: an answer as RFC 3261 says, or silence, and never somebody else's call."""
import math
import os
import re
import resource
import socket
import struct
import threading
import time
from pathlib import Path

import pytest
from clock import Clock
from machine import PATIENCE_S, Watch
from pbx import ROOT
from sip_client import OFFER, SipClient

TORTURE = sorted((ROOT / "tests" / "torture").glob("*/*.msg"))


@pytest.fixture
def client(request):
    """client(pbx, "1001"): an account and a registered endpoint of it."""
    def make(pbx, number, register=True, **more):
        made = SipClient(pbx, number, pbx.account(number), **more)
        request.addfinalizer(made.close)
        assert not register or made.register().status == 200
        return made
    return make


def metric(pbx, name):
    """The sum over all labels."""
    text = pbx.http("GET", "//metrics")[1]
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(name + r"(\{|\s)", line))


def assert_well(pbx, client):
    """It answers, and nothing is left of what has been done to it."""
    assert client.ask("OPTIONS", f"sip:127.0.0.1:{pbx.sip_port}") is not None
    assert client.register().status == 200
    pbx.assert_nothing_left()


# ---- messages ------------------------------------------------------------------------------


def test_the_messages_of_rfc_4475_and_worse_over_udp_and_tcp(pbx, client):
    assert TORTURE
    phone = client(pbx, "1001")
    for path in TORTURE:
        data = path.read_bytes()
        for part in (data, data[:len(data) // 2], data[:-1], data.replace(b"\r\n", b"\n"), data.replace(b"SIP/2.0", b"SIP/9.9")):
            phone.send(part)
            with socket.create_connection(("127.0.0.1", pbx.sip_port), PATIENCE_S) as tcp:
                tcp.sendall(part)
    for junk in (b"", b"\0" * 2000, b"\r\n\r\n", b"A" * 60000, bytes(range(256)) * 20, b"INVITE sip:1002@pbx.test SIP/2.0\r\n\r\n"):
        phone.send(junk)
    assert_well(pbx, phone)


def test_connections_that_nobody_needs_are_closed(make_pbx, client, tmp_path):
    """What came over them was no SIP, so that Sofia stopped reading; or nothing comes at all. A phone's stays."""
    clock = Clock(tmp_path)
    pbx = make_pbx(environment=clock.environment)
    phone = client(pbx, "1001", register=False)

    def ours():
        rows = (row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:])
        return sum(row[1].endswith(f":{pbx.sip_port:04X}") and row[3] in ("01", "08") for row in rows)  # established, the other side has closed

    def connect(text=b""):
        made = socket.create_connection(("127.0.0.1", pbx.sip_port), PATIENCE_S)
        made.sendall(text)
        return made

    def one_left_after_s():
        """By the daemon's clock, which goes on a second each time the loop has been round."""
        pbx.wait_for(lambda: ours() > 1, "the others to be in")
        watch, moved_s = Watch(), 0
        while ours() > 1 and moved_s < 100:
            clock.move(1)
            moved_s += 1
            pbx.ctl("status")
        assert ours() == 1
        return moved_s + watch.elapsed_s()

    good = phone.text("OPTIONS", f"sip:127.0.0.1:{pbx.sip_port}").replace("/UDP", "/TCP").encode()
    with connect(good) as stays:
        assert stays.recv(4096).startswith(b"SIP/2.0 ")
        for bad in (b"OPTIONS sip:@ SIP/2.0", b"OPTIONS  SIP/2.0", b"OPTIONS sip:x SIP/2.\x87"):
            connect(good.replace(good.split(b"\r\n")[0], bad)).close()
        assert one_left_after_s() > 4.5, "an answer may take as long to be written"
        waiting = [connect(), connect(good[:50])]
        assert one_left_after_s() > 59.5, "sip.first_message_s"
        assert all(made.recv(100) == b"" for made in waiting)
        stays.sendall(good.replace(b"z9hG4bK", b"z9hG4bKagain"))
        assert stays.recv(4096).startswith(b"SIP/2.0 ")
        for made in waiting:
            made.close()


def test_without_descriptors_connections_are_shown_out_and_a_call_goes_on(pbx, client, talk):
    """Who opens as many connections as there are descriptors: the loop turns no faster for it, and who calls then may try again."""
    alice, bob = talk(pbx, "1001", "1002")
    phone, process = client(pbx, "1003"), pbx.process.pid
    limits = resource.prlimit(process, resource.RLIMIT_NOFILE)
    resource.prlimit(process, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{process}/fd")) + 5, limits[1]))
    guests = [socket.create_connection(("127.0.0.1", pbx.sip_port), PATIENCE_S) for _ in range(30)]
    for guest in guests:
        guest.setblocking(False)

    def shown_out():
        return [guest for guest in guests if is_closed(guest)]

    pbx.wait_for(lambda: len(shown_out()) >= 20, "those who find no place to be shown out")
    refused = phone.invite("1001")
    assert refused.status == 503 and refused.get("Retry-After") == "5", refused.start
    assert alice.hears(bob.hertz)
    assert phone.register().status == 200
    assert "LimitNOFILE" in pbx.log_lines("no_descriptors_left")[0]
    resource.prlimit(process, resource.RLIMIT_NOFILE, limits)
    for guest in guests:
        guest.close()
    with socket.create_connection(("127.0.0.1", pbx.sip_port), PATIENCE_S) as tcp:
        tcp.sendall(b"\r\n\r\n")
        assert tcp.recv(2) == b"\r\n"
    alice.hangup()
    bob.closed()


def test_ports_for_media_that_run_out_are_told_before(make_pbx, client):
    """Twenty pairs: the warning comes when fewer than two are free, the refusal when none is, and the next warning after there were plenty."""
    pbx = make_pbx("media:\n  quarantine_s: 0\n", start=False)
    pbx.settings += f"  port_max: {pbx.rtp_port + 40}\n"
    pbx.start()
    guests = [client(pbx, str(1001 + each)) for each in range(21)]

    def come(guests):
        answers = [guest.invite("2000") for guest in guests]
        assert [answer.status for answer in answers] == [200] * len(answers)
        return answers

    def go(guests, answers):
        assert all(guest.bye(answer).status == 200 for guest, answer in zip(guests, answers))

    answers = come(guests[:18])
    assert pbx.ctl("media", "ports")["free"] == 2
    assert pbx.events("media.ports_low") == [] and pbx.log_lines("ports_low") == []
    answers += come(guests[18:19])
    data = pbx.wait_event("media.ports_low")["data"]
    assert (data["total"], data["free"], data["used"]) == (20, 1, 19)
    assert "free=1 total=20" in pbx.log_lines("ports_low")[0]
    answers += come(guests[19:20])
    refused = guests[20].invite("2000")
    assert refused.status == 503 and refused.get("Retry-After")
    assert len(pbx.events("media.ports_low")) == 1  # said once
    go(guests[:18], answers)
    pbx.wait_for(lambda: pbx.ctl("media", "ports")["free"] == 18, "ports to be free again")
    answers = come(guests[:18]) + answers[18:]
    assert len(pbx.events("media.ports_low")) == 2
    go(guests[:20], answers)


def is_closed(connection):
    try:
        return connection.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_methods_nobody_knows_and_methods_we_do_not_take(pbx, client):
    phone = client(pbx, "1001")
    assert phone.request("DANCE", "sip:1002@pbx.test").status == 501
    assert "NOTIFY" in phone.request("OPTIONS", "sip:pbx.test").get("Allow")
    assert phone.request("NOTIFY", "sip:1002@pbx.test").status == 481, "we have subscribed to nothing (RFC 6665 4.1.3)"
    refused = phone.request("PUBLISH", "sip:1002@pbx.test")
    assert refused.status == 489 and "presence" in refused.get("Allow-Events")
    for method in ("BYE", "INFO", "UPDATE", "PRACK", "CANCEL"):
        assert phone.request(method, "sip:1002@pbx.test").status in (405, 481), method
    assert phone.ask("INVITE", "http://elsewhere.test/").status == 416
    assert_well(pbx, phone)


UNKNOWN_CODEC = OFFER.format(port=4000).split("m=audio")[0] + "m=audio 4000 RTP/AVP 97\r\na=rtpmap:97 NOBODYS/8000\r\n"


def test_no_common_codec_is_488_with_a_warning(pbx, client):
    """Two phones may speak what we do not know; here the callee does not, and says so, or answers what the caller does not."""
    caller, callee = client(pbx, "1001"), client(pbx, "1002")
    for answer in ("refuses", "answers"):
        caller.call_id += "x"
        caller.ring("1002", body=UNKNOWN_CODEC)
        invite = callee.expect("INVITE")
        assert "NOBODYS/8000" in invite.body
        if answer == "refuses":
            callee.reply(invite, 488, "Not Acceptable Here")
        else:
            callee.tag += "x"
            callee.reply(invite, 200, "OK", body=OFFER.format(port=callee.port + 1))
        refused = caller.receive(lambda message: message.status >= 200 and message.get("CSeq").endswith("INVITE"))
        caller.acknowledge(refused, "sip:1002@pbx.test")
        assert refused.status == 488
        callee.expect("ACK")
        if answer == "answers":
            assert refused.get("Warning").startswith("305 ")
            callee.reply(callee.expect("BYE"), 200, "OK")
        pbx.assert_nothing_left()


GOOD = OFFER.format(port=4000)
BAD_SDP = [
    ("this is no SDP", (400, 488)), ("v=0\r\n", (400, 488)), (GOOD.replace("m=audio", "m=video"), (488,)),
    (GOOD.replace("4000", "99999999"), (400, 488)), (GOOD.replace("RTP/AVP", "RTP/NONSENSE"), (488,)), (GOOD.replace("4000", "0"), (488,)),
    (GOOD.replace("c=IN IP4 127.0.0.1", "c=IN IP4 not.an.address.either"), (400, 488)), (GOOD.replace("c=IN IP4 127.0.0.1\r\n", ""), (400, 488)),
    (GOOD + "a=rtpmap:" * 3000, (400, 413, 488)), (GOOD + "m=audio 4000 RTP/AVP 0\r\n" * 500, (400, 488, 413)), ("v=0\r\n" + "\0" * 100, (400, 488)),
]


@pytest.mark.parametrize("number", range(len(BAD_SDP)))
def test_bad_sdp_is_refused(pbx, client, number):
    body, statuses = BAD_SDP[number]
    caller, callee = client(pbx, "1001"), client(pbx, "1002")
    assert caller.invite("1002", body).status in statuses
    assert callee.receive(lambda message: message.method == "INVITE", seconds=0.3) is None
    assert_well(pbx, caller)


def test_a_body_that_is_no_sdp_is_415(pbx, client):
    caller = client(pbx, "1001")
    client(pbx, "1002")
    refused = caller.invite("1002", "<xml/>", kind="application/xml")
    assert refused.status == 415 and refused.get("Accept") == "application/sdp"
    assert_well(pbx, caller)


def test_too_many_hops_is_483(pbx, client):
    caller = client(pbx, "1001")
    caller.cseq += 1
    caller.send(caller.text("INVITE", "sip:1002@pbx.test", body=GOOD).replace("Max-Forwards: 70", "Max-Forwards: 0"))
    assert caller.receive(lambda message: message.status >= 200).status == 483


# ---- floods and strangers ---------------------------------------------------------------------


def test_a_flood_from_one_address_is_dropped_and_counted_while_others_call(make_pbx, client, talk):
    pbx = make_pbx("sip:\n  flood_rate: 50\n  flood_burst: 100")
    flooder = SipClient(pbx, "1009", host="127.0.0.66")
    over = threading.Event()

    def flood():
        text = flooder.text("REGISTER", "sip:pbx.test", to="sip:1009@pbx.test").encode()
        while not over.is_set():
            for _ in range(100):
                flooder.send(text)
            over.wait(0.05)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        alice, bob = talk(pbx, "1001", "1002")
        assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
        alice.hangup()
        bob.closed()
        pbx.wait_for(lambda: metric(pbx, "pbx_sip_flood_dropped_total") > 1000, "drops to be counted")
    finally:
        over.set()
        thread.join()
        flooder.close()


def ulaw(sample):
    """G.711 of one 16-bit sample."""
    biased = min(abs(sample), 32635) + 132
    exponent = biased.bit_length() - 8
    return ~((0x80 if sample < 0 else 0) | exponent << 4 | biased >> (exponent + 3) & 0x0f) & 0xff


def tone_packets(hertz, count, ssrc):
    """PCMU packets of a tone, 20 ms each."""
    for number in range(count):
        samples = (round(8000 * math.sin(2 * math.pi * hertz * (number * 160 + n) / 8000)) for n in range(160))
        yield struct.pack("!BBHII", 0x80, 0, (5000 + number) & 0xffff, 900000 + number * 160, ssrc) + bytes(map(ulaw, samples))


def test_rtp_from_strangers_is_counted_and_not_heard(pbx, talk):
    alice, bob = talk(pbx, "1001", "1002")
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
    streams = pbx.ctl("media", "streams")
    ports = [int(stream["local"].rsplit(":", 1)[1]) for stream in streams]
    over = threading.Event()

    def disturb():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for packet in tone_packets(1540, 3000, 0xBAD):
                for port in ports:
                    stranger.sendto(packet, ("127.0.0.1", port))
                    stranger.sendto(b"\xff" * 40, ("127.0.0.1", port + 1))
                if over.wait(0.02):
                    return

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        pbx.wait_for(lambda: all(stream["foreign"] > 20 for stream in pbx.ctl("media", "streams")), "the stranger to be noticed")
        for phone, other in ((alice, bob), (bob, alice)):
            assert phone.hears(other.hertz, others=(1540,))
            assert phone.hears_nothing_of(1540)
    finally:
        over.set()
        thread.join()
    after = pbx.ctl("media", "streams")
    assert [stream["remote"] for stream in after] == [stream["remote"] for stream in streams]
    assert all(stream["foreign"] > 20 for stream in after)
    assert metric(pbx, "pbx_rtp_foreign_total") > 40
    alice.hangup()
    bob.closed()


def test_rtp_that_is_no_rtp_does_no_harm(pbx, talk):
    """Cut short, other versions, absurd lengths, on both ports."""
    alice, bob = talk(pbx, "1001", "1002")
    assert alice.hears(bob.hertz)
    ports = [int(stream["local"].rsplit(":", 1)[1]) for stream in pbx.ctl("media", "streams")]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        for port in ports:
            for junk in (b"", b"\x80", b"\x80" * 11, b"\x8f" + b"\0" * 11, b"\x90\0\0\1" + b"\xff" * 12, b"\xa0" + b"\0" * 11 + b"\xff",
                         b"\0" * 65000):
                stranger.sendto(junk, ("127.0.0.1", port))
                stranger.sendto(junk, ("127.0.0.1", port + 1))
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
    alice.hangup()
    bob.closed()


# ---- hanging up at every moment -----------------------------------------------------------------


def settle(pbx, caller, callee, ended):
    """Both sides answer what still comes, as phones would, until so many calls have ended and nothing is left of them."""
    def is_over():
        answer_what_comes(caller, callee)
        return len(pbx.events("call.ended")) >= ended and not any(pbx.ctl("status")["calls"][kind] for kind in ("calls", "legs"))
    pbx.wait_for(is_over, f"the end of call {ended}")


def answer_what_comes(*phones):
    for phone in phones:
        while (message := phone.receive(seconds=0.02)) is not None:
            if message.method == "CANCEL":
                phone.reply(message, 200, "OK")
                if getattr(phone, "rang", None):
                    phone.reply(phone.rang, 487, "Request Terminated")
                    phone.rang = None
            elif message.method == "BYE":
                phone.reply(message, 200, "OK")
            elif message.method == "INVITE":
                phone.rang = message
                phone.reply(message, 180, "Ringing")
            elif message.status >= 200 and message.get("CSeq").endswith("INVITE"):
                phone.acknowledge(message, "sip:1002@pbx.test")
                if message.status < 300:
                    phone.bye(message)


@pytest.mark.parametrize("after_ms", [0, 1, 3, 10, 30, 100, 300])
def test_a_cancel_at_any_moment_leaves_nothing(pbx, client, after_ms):
    caller, callee = client(pbx, "1001"), client(pbx, "1002")
    uri = "sip:1002@pbx.test"
    refused = caller.ask("INVITE", uri, body=GOOD)
    caller.acknowledge(refused, uri)
    caller.cseq += 1
    text = caller.text("INVITE", uri, [caller.credentials(refused, "INVITE", uri)], body=GOOD)
    caller.send(text)
    time.sleep(after_ms / 1000)  # the moment
    caller.cancel(text)
    settle(pbx, caller, callee, 1)
    pbx.assert_nothing_left()
    ended = pbx.events("call.ended")
    assert len(ended) == 1 and ended[0]["data"]["disposition"] == "cancelled"


@pytest.mark.parametrize("first", ["cancel", "answer"])
def test_a_cancel_that_crosses_the_answer(pbx, client, first):
    caller, callee = client(pbx, "1001"), client(pbx, "1002")
    text = caller.ring("1002")
    invite = callee.expect("INVITE")
    callee.reply(invite, 180, "Ringing")
    sdp = OFFER.format(port=callee.port + 1)
    if first == "cancel":
        caller.cancel(text)
        callee.reply(invite, 200, "OK", body=sdp)
    else:
        callee.reply(invite, 200, "OK", body=sdp)
        caller.cancel(text)
    final = caller.receive(lambda message: message.status >= 200 and message.get("CSeq").endswith("INVITE"))
    caller.acknowledge(final, "sip:1002@pbx.test")
    assert final.status in (200, 487)
    callee.expect("ACK")
    if final.status == 200:
        assert caller.bye(final).status == 200
    callee.reply(callee.expect("BYE"), 200, "OK")
    pbx.assert_nothing_left()
    pbx.wait_event("call.ended")  # the log is written some milliseconds later
    assert len(pbx.events("call.ended")) == 1


def test_a_bye_instead_of_the_ack(pbx, client):
    caller, callee = client(pbx, "1001"), client(pbx, "1002")
    caller.ring("1002")
    invite = callee.expect("INVITE")
    callee.reply(invite, 200, "OK", body=OFFER.format(port=callee.port + 1))
    answered = caller.receive(lambda message: message.status == 200 and message.get("CSeq").endswith("INVITE"))
    callee.expect("ACK")
    assert caller.bye(answered).status == 200
    callee.reply(callee.expect("BYE"), 200, "OK")
    pbx.assert_nothing_left()


def test_both_hang_up_at_once(pbx, client):
    caller, callee = client(pbx, "1001"), client(pbx, "1002")
    for number in range(5):
        caller.call_id += "x"
        caller.ring("1002")
        invite = callee.expect("INVITE")
        callee.tag = f"t{time.monotonic_ns()}"
        callee.reply(invite, 200, "OK", body=OFFER.format(port=callee.port + 1))
        answered = caller.receive(lambda message: message.status == 200 and message.get("CSeq").endswith("INVITE"))
        caller.acknowledge(answered, "sip:1002@pbx.test")
        ack = callee.expect("ACK")
        target = re.search(r"<([^>]+)>", answered.get("Contact")).group(1)
        tag = re.search(r";tag=([^;]+)", answered.get("To")).group(1)
        caller.cseq += 1
        caller.send(caller.text("BYE", target, to="sip:1002@pbx.test", to_tag=tag))
        theirs = re.search(r"<([^>]+)>", invite.get("Contact")).group(1)
        bye = "\r\n".join([f"BYE {theirs} SIP/2.0", f"Via: SIP/2.0/UDP {callee.host}:{callee.port};branch=z9hG4bKbye{time.monotonic_ns()};rport",
                           f"From: {ack.get('To')}", f"To: {ack.get('From')}", f"Call-ID: {ack.get('Call-ID')}", "CSeq: 1 BYE", "Max-Forwards: 70",
                           "Content-Length: 0", "", ""])
        callee.send(bye)
        settle(pbx, caller, callee, number + 1)
    pbx.assert_nothing_left()
    assert len(pbx.events("call.ended")) == 5


def test_a_callee_that_answers_nothing_at_all(make_pbx, client):
    pbx = make_pbx("extensions:\n  ring_s: 5")
    caller, _ = client(pbx, "1001"), client(pbx, "1002")
    refused = caller.invite("1002")
    assert refused is not None and refused.status in (408, 480)
    pbx.assert_nothing_left()


@pytest.mark.parametrize("status", [486, 600, 404, 500, 699])
def test_whatever_a_callee_refuses_with_ends_the_call(pbx, client, status):
    caller, callee = client(pbx, "1001"), client(pbx, "1002")
    thread = threading.Thread(target=lambda: callee.reply(callee.expect("INVITE"), status, "No"))
    thread.start()
    refused = caller.invite("1002")
    thread.join()
    assert refused is not None and refused.status >= 400
    callee.expect("ACK")
    pbx.assert_nothing_left()


def test_a_phone_that_redirects_to_itself_is_given_up(pbx, client):
    caller, callee = client(pbx, "1001"), client(pbx, "1002")
    over = threading.Event()
    asked = []

    def redirect():
        while not over.is_set():
            invite = callee.receive(lambda message: message.method == "INVITE", seconds=0.1)
            if invite is not None:
                asked.append(invite.get("Call-ID"))
                callee.reply(invite, 302, "Moved")

    thread = threading.Thread(target=redirect)
    thread.start()
    refused = caller.invite("1002")
    over.set()
    thread.join()
    assert refused is not None and refused.status in (480, 482, 486), refused
    assert 1 <= len(set(asked)) <= 6
    pbx.assert_nothing_left()


def test_phones_that_vanish_are_found_by_the_silence(make_pbx, talk):
    pbx = make_pbx("media:\n  timeout_s: 2")
    alice, bob = talk(pbx, "1001", "1002")
    assert alice.hears(bob.hertz)
    for phone in (alice, bob):
        phone.process.kill()
    ended = pbx.wait_event("call.ended")["data"]
    assert (ended["disposition"], ended["hangup_by"]) == ("answered", "system")
    (record,) = pbx.wait_for(lambda: pbx.ctl("cdr", "list"), "the record")
    assert record["disposition"] == "answered" and record["ended_at"]
    pbx.assert_nothing_left()


def test_a_phone_that_vanishes_in_silence_is_found_by_its_session(make_pbx, talk, tmp_path):
    """Nothing watches the sound: what is left is that nobody answers when the session is refreshed (RFC 4028; 90 s are the least)."""
    clock = Clock(tmp_path)
    pbx = make_pbx("media:\n  timeout_s: 0\nsip:\n  session_timers: always\n  session_expires_s: 90\n  min_se_s: 90", environment=clock.environment)
    alice, bob = talk(pbx, "1001", "1002")
    alice.process.kill()
    call_id = pbx.ctl("calls", "list")[0]["call_id"]

    def refreshes():
        ladder = pbx.http("GET", f"/calls/{call_id}/trace")[1]["ladder"]
        return [rung for rung in ladder if rung["direction"] == "out" and rung["line"].startswith("INVITE") and rung["remote"].endswith(f":{alice.sip_port}")]

    assert refreshes() == []
    clock.move(46)  # half of it is over
    pbx.wait_for(refreshes, "the session to be refreshed")
    assert pbx.ctl("calls", "list"), "the answer is waited for"
    clock.move(40)
    bob.closed()
    ended = pbx.wait_event("call.ended")["data"]
    assert (ended["disposition"], ended["hangup_by"]) == ("answered", "system")
    assert ("session_timeout", 102) in [(leg["data"]["reason"], leg["data"]["q850_cause"]) for leg in pbx.events("leg.ended")]


def test_one_phone_that_vanishes_frees_the_other(make_pbx, talk):
    pbx = make_pbx("media:\n  timeout_s: 2")
    alice, bob = talk(pbx, "1001", "1002")
    assert alice.hears(bob.hertz)
    alice.process.kill()
    bob.closed()
    assert pbx.wait_event("call.ended")["data"]["hangup_by"] == "system"
