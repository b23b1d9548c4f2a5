"""The trace by every way a message can come: TLS and WebSocket as they were before and after the cipher, IPv6 in what is exported, and for how long it is kept."""
import socket
import sqlite3
import ssl
import struct
import subprocess
import uuid

import pytest
from machine import PATIENCE_S
from pbx import BUILD
from postgres import Postgres
from sip_client import OFFER
from ports import free_port
from web_phone import WebPhone

WEEK_US = 8 * 86400 * 1000000  # and a day: longer than trace.keep_days


def options(call_id, transport, host="127.0.0.1"):
    return (f"OPTIONS sip:pbx.test SIP/2.0\r\nVia: SIP/2.0/{transport} {host}:9;branch=z9hG4bK{uuid.uuid4().hex};rport\r\nFrom: <sip:9000@pbx.test>;tag=1\r\n"
            f"To: <sip:pbx.test>\r\nCall-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n")


def ladder(pbx, call_id):
    return pbx.http("GET", f"/calls/{call_id}/trace?full=true")[1]["ladder"]


def test_over_tls_the_text_is_seen_and_who_sent_it(make_pbx):
    pbx = make_pbx(listen=("udp", "tcp", "tls"))
    context = ssl._create_unverified_context()
    message = options("overtls", "TLS")
    with context.wrap_socket(socket.create_connection(("127.0.0.1", pbx.tls_port))) as connection:
        connection.sendall(message.encode())
        answer, here = connection.recv(65536).decode(), connection.getsockname()
        rungs = ladder(pbx, "overtls")
    assert [(rung["direction"], rung["transport"], rung["text"]) for rung in rungs] == [("in", "tls", message), ("out", "tls", answer)]
    assert {rung["remote"] for rung in rungs} == {f"127.0.0.1:{here[1]}"} and {rung["local"] for rung in rungs} == {f"127.0.0.1:{pbx.tls_port}"}


def test_a_web_phone_is_seen_at_its_own_address(make_pbx):
    pbx = make_pbx("api:\n  sip_clients: 10\n")
    phone = WebPhone(pbx, "1001", pbx.account("1001"))
    port = phone.web.sock.getsockname()[1]
    assert phone.register().status == 200
    rungs = ladder(pbx, phone.call_id)
    assert [rung["line"].split()[0] for rung in rungs] == ["REGISTER", "SIP/2.0", "REGISTER", "SIP/2.0"]
    assert {(rung["transport"], rung["remote"]) for rung in rungs} == {("wss", f"127.0.0.1:{port}")}
    assert pbx.ctl("registrations", "list", "1001")[0]["received"] == f"127.0.0.1:{port}"
    assert phone.invite("1999", OFFER.format(port=free_port())).status == 404
    found = pbx.ctl("calls", "explain", phone.call_id)
    assert found["rule"] == "unknown_number" and f"127.0.0.1:{port}" in found["sentence"]
    phone.close()


def tshark(path, port, *fields):
    shown = subprocess.run(["tshark", "-r", str(path), "-o", "udp.check_checksum:TRUE", "-d", f"udp.port=={port},sip", "-T", "fields",
                            *[word for field in fields for word in ("-e", field)]], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr
    return [line.split("\t") for line in shown.stdout.splitlines()]


def chunks_of(packet):
    found, at = {}, 6
    while at < len(packet):
        _, kind, length = struct.unpack("!HHH", packet[at:at + 6])
        found[kind] = packet[at + 6:at + length]
        at += length
    return found


def test_ipv6_is_exported_and_collected_as_such(make_pbx, tmp_path):
    collector = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    collector.bind(("::1", 0))
    collector.settimeout(PATIENCE_S)
    pbx = make_pbx(f'trace:\n  hep: "[::1]:{collector.getsockname()[1]}"\n', listen=("udp", "tcp", "udp6"))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as phone:
        phone.bind(("::1", 0))
        phone.settimeout(PATIENCE_S)
        message, here = options("oversix", "UDP", "[::1]"), phone.getsockname()[1]
        phone.sendto(message.encode(), ("::1", pbx.sip_port))
        answer = phone.recv(65536).decode()
    assert [(rung["remote"], rung["local"]) for rung in ladder(pbx, "oversix")] == 2 * [(f"[::1]:{here}", f"[::1]:{pbx.sip_port}")]
    with open(tmp_path / "six.pcap", "wb") as out:
        subprocess.run([str(BUILD / "api" / "pbxctl"), "--socket", str(pbx.control), "calls", "pcap", "oversix"], stdout=out, check=True, timeout=30)
    packets = tshark(tmp_path / "six.pcap", pbx.sip_port, "ipv6.src", "ipv6.dst", "udp.srcport", "udp.dstport", "udp.checksum.status", "sip.Method", "sip.Status-Code")
    assert packets == [["::1", "::1", str(here), str(pbx.sip_port), "1", "OPTIONS", ""], ["::1", "::1", str(pbx.sip_port), str(here), "1", "", answer.split()[1]]]
    seen = []
    while len(seen) < 2:
        chunks = chunks_of(collector.recv(65536))
        if b"oversix" in chunks[15]:
            seen.append(chunks)
    six = socket.inet_pton(socket.AF_INET6, "::1")
    assert all((chunks[1], chunks[2], chunks[5], chunks[6]) == (bytes([socket.AF_INET6]), b"\x11", six, six) and 3 not in chunks for chunks in seen)
    assert [struct.unpack("!HH", chunks[7] + chunks[8]) for chunks in seen] == [(here, pbx.sip_port), (pbx.sip_port, here)]
    assert [chunks[15].decode() for chunks in seen] == [message, answer]
    collector.close()


# ---- kept, and for how long ------------------------------------------------------------------


@pytest.fixture
def postgres():
    server = Postgres().start()
    yield server
    server.remove()


def refused_call(pbx, client):
    """A call that is over at once; its id."""
    seq = pbx.last_seq()
    assert client.invite("1999").status == 404
    return pbx.wait_event("call.ended", after=seq)["call_id"]


def check_pruning(pbx, make_older):
    from sip_client import SipClient
    secret = pbx.account("1001")
    clients = [SipClient(pbx, "1001", secret) for _ in range(2)]
    old, young = [refused_call(pbx, client) for client in clients]
    for client in clients:
        client.close()
    before = pbx.http("GET", f"/calls/{young}/trace")[1]
    pbx.stop()
    make_older(old)
    pbx.restart()
    pbx.wait_for(lambda: pbx.http("GET", f"/calls/{old}/trace")[0] == 404, "the old messages to go")
    assert pbx.http("GET", f"/calls/{young}/trace")[1]["ladder"] == before["ladder"]
    assert pbx.ctl("calls", "explain", old)["rule"] == "unknown_number"  # events are kept for longer than messages


def test_messages_go_when_their_time_is_over(make_pbx):
    pbx = make_pbx()

    def make_older(call_id):
        with sqlite3.connect(next((pbx.directory / "data").glob("*.db"))) as database:
            assert database.execute("UPDATE call_traces SET wall_us = wall_us - ? WHERE call_id = ?", (WEEK_US, call_id)).rowcount == 1

    check_pruning(pbx, make_older)


def test_messages_go_from_postgresql_too(make_pbx, postgres):
    pbx = make_pbx(f"store:\n  engine: postgresql\n  url: {postgres.url}\n")
    check_pruning(pbx, lambda call_id: postgres.query(f"UPDATE call_traces SET wall_us = wall_us - {WEEK_US} WHERE call_id = '{call_id}'"))
