"""Every SIP message, live and kept: what was on the wire is what is shown, for whom it was asked, and nobody's secrets with it."""
import json
import re
import socket
import struct
import subprocess
import threading

import pytest
from calling import Callers
from machine import PATIENCE_S, answer, wait_for
from pbx import BUILD, Refused
from ports import free_port
from sip_client import SipClient
from sipp import is_bound


class Watch:
    """`pbxctl trace …` in the background; each rung as it comes."""

    def __init__(self, pbx, *words):
        self.process = subprocess.Popen([str(BUILD / "api" / "pbxctl"), "--socket", str(pbx.control), "--json", "trace", *words], stdout=subprocess.PIPE, text=True)
        self.rungs, self._news = [], threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            with self._news:
                self.rungs.append(json.loads(line))
                self._news.notify_all()

    def until(self, wanted, seconds=PATIENCE_S):
        with self._news:
            assert self._news.wait_for(lambda: any(answer(wanted, rung)[0] for rung in self.rungs), seconds), [rung["line"] for rung in self.rungs]
            return list(self.rungs)

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def watch(pbx):
    watches = []

    def make(*words):
        watches.append(Watch(pbx, *words, "recent=1000"))  # what comes before it watches is seen, too
        return watches[-1]

    yield make
    for made in watches:
        made.stop()


def is_end(rung):
    return rung["method"] == "BYE" and rung["status"] == 200


def lines_of(rungs, direction):
    return [rung["line"] for rung in rungs if rung["direction"] == direction]


def test_a_call_is_seen_whole_on_both_sides(pbx, sipp, watch):
    callers, seen = Callers(pbx, sipp), watch()
    callers.call()
    rungs = seen.until(lambda rung: is_end(rung) and rung["direction"] == "in")
    bound = [rung for rung in rungs if rung["call_id"]]
    dialogs = {rung["sip_call_id"] for rung in bound}
    assert len({rung["call_id"] for rung in bound}) == 1 and len(dialogs) == 2
    call = [rung for rung in rungs if rung["sip_call_id"] in dialogs]  # who has not proved who they are is no call yet
    received, sent = lines_of(call, "in"), lines_of(call, "out")
    assert [line for line in received if "SIP/2.0 " not in line[:8]][0].startswith("INVITE sip:1002@")
    assert any(line.startswith("INVITE sip:1002@127.0.0.1:") for line in sent)
    assert {"SIP/2.0 407 Proxy Authentication Required", "SIP/2.0 100 Trying", "SIP/2.0 180 Ringing", "SIP/2.0 200 OK"} <= set(sent)
    assert {rung["method"] for rung in call} == {"INVITE", "ACK", "BYE"}
    assert {rung["peer"] for rung in call} == {"1001", "1002"}
    offers = [rung["sdp"] for rung in call if rung["line"].startswith("INVITE") and rung["direction"] == "in"]
    assert all(re.fullmatch(r"PCMU( \w+)* at 127\.0\.0\.1:\d+", offer) for offer in offers), offers
    assert {rung["local"] for rung in call} == {f"127.0.0.1:{pbx.sip_port}"}
    assert [rung["offset_ms"] for rung in call] == sorted(rung["offset_ms"] for rung in call)


def test_repeated_messages_are_seen_and_marked(pbx, watch):
    seen = watch("1001")
    client = SipClient(pbx, "1001", pbx.account("1001"))
    other = SipClient(pbx, "1002", pbx.account("1002"))
    assert other.register().status == 200
    assert client.register().status == 200
    message = (f"INVITE sip:1002@pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{client.port};branch=z9hG4bKrepeat\r\nFrom: <sip:1001@pbx.test>;tag=1\r\n"
               f"To: <sip:1002@pbx.test>\r\nCall-ID: repeated\r\nCSeq: 1 INVITE\r\nContact: <sip:1001@127.0.0.1:{client.port}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n")
    client.send(message)
    assert client.receive(lambda answer: answer.status == 407)
    client.send(message)
    rungs = seen.until(lambda rung: rung["sip_call_id"] == "repeated" and rung["direction"] == "in" and rung["repeat"])
    mine = [rung for rung in rungs if rung["sip_call_id"] == "repeated" and rung["direction"] == "in"]
    assert [rung["repeat"] for rung in mine] == [False, True]


def test_over_tcp_each_message_is_whole(pbx, watch):
    seen = watch("full=true", "method=OPTIONS")
    message = (f"OPTIONS sip:pbx.test SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bKtcp\r\nFrom: <sip:9000@pbx.test>;tag=1\r\n"
               f"To: <sip:pbx.test>\r\nCall-ID: overtcp\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nSubject: {'long ' * 600}\r\nContent-Length: 0\r\n\r\n")
    with socket.create_connection(("127.0.0.1", pbx.sip_port)) as connection:
        connection.sendall(message[:700].encode())
        connection.sendall(message[700:].encode())
        answer = connection.recv(65536).decode()
        rungs = seen.until(lambda rung: rung["sip_call_id"] == "overtcp" and rung["direction"] == "out")
    mine = [rung for rung in rungs if rung["sip_call_id"] == "overtcp"]
    assert [(rung["direction"], rung["transport"]) for rung in mine] == [("in", "tcp"), ("out", "tcp")]
    assert mine[0]["text"] == message and mine[1]["text"] == answer and mine[0]["size"] == len(message)


def test_secrets_are_masked_and_lengths_stay(pbx, watch):
    seen = watch("1001", "full=true")
    client = SipClient(pbx, "1001", pbx.account("1001"))
    assert client.register().status == 200
    rungs = seen.until(lambda rung: rung["method"] == "REGISTER" and rung["status"] == 200)
    with_credentials = [rung["text"] for rung in rungs if "\r\nAuthorization: Digest" in rung.get("text", "")]
    assert len(with_credentials) == 1
    assert re.search(r'response="x{32}"', with_credentials[0]) and re.search(r'cnonce="x+"', with_credentials[0]) and 'username="1001"' in with_credentials[0]


@pytest.mark.parametrize("words, wanted", [(("1002",), {"REGISTER"}), (("9999",), set()), (("method=INVITE",), set()), (("127.0.0.1",), {"REGISTER"})])
def test_filters_show_what_was_asked_for(pbx, watch, words, wanted):
    seen, every = watch(*words), watch()
    client = SipClient(pbx, "1002", pbx.account("1002"))
    assert client.register().status == 200
    every.until(lambda rung: rung["method"] == "REGISTER" and rung["status"] == 200)
    if wanted:
        seen.until(lambda rung: rung["method"] == "REGISTER" and rung["status"] == 200)
    assert {rung["method"] for rung in seen.rungs} == wanted


def test_a_trunk_is_followed_by_its_name(pbx, watch):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as provider:
        provider.bind(("127.0.0.2", 0))
        pbx.ctl("trunk", "add", "carrier", "host=127.0.0.2", f"port={provider.getsockname()[1]}", "keep_alive_interval_s=1")
        seen = watch("carrier")
        client = SipClient(pbx, "1001", pbx.account("1001"))
        client.send(client.text("OPTIONS", "sip:pbx.test"))
        assert {rung["remote"].split(":")[0] for rung in seen.until(lambda rung: rung["method"] == "OPTIONS")} == {"127.0.0.2"}
        pbx.ctl("trunk", "remove", "carrier")


def test_a_word_that_is_nobody_is_told_instead_of_waited_for(pbx, watch):
    with pytest.raises(Refused, match="no account and no peer list") as refused:
        pbx.ctl("trace", "list")
    assert "calls show ID" in refused.value.text
    outside = watch("sip:bob")
    caller = SipClient(pbx, "1001", pbx.account("1001"))
    caller.send(caller.text("OPTIONS", "sip:pbx.test", to="sip:bob@example.com"))
    outside.until(lambda rung: rung["method"] == "OPTIONS")


def test_the_ladder_is_drawn_for_people(pbx, sipp):
    callers = Callers(pbx, sipp)
    callers.call()
    shown = subprocess.Popen([str(BUILD / "api" / "pbxctl"), "--socket", str(pbx.control), "trace", "1001", "recent=100"], stdout=subprocess.PIPE, text=True,
                             env={"COLUMNS": "120"})
    lines = []
    for line in shown.stdout:
        lines.append(line.rstrip("\n"))
        if "BYE" in "".join(lines) and line.count("200 OK") and "BYE" not in line and "INVITE (SDP)" in "".join(lines):
            break
    shown.kill()
    shown.wait()
    heading = next(line for line in lines if "PBX" in line)
    assert heading.split()[:2] == ["1001", "PBX"]
    assert any(re.search(r"│─+INVITE \(SDP\)─+►│", line) for line in lines), "\n".join(lines)
    assert any(re.search(r"│◄─+180 Ringing─+│", line) for line in lines), "\n".join(lines)
    assert all(len(line) <= 120 for line in lines)


def ended_call(pbx, sipp):
    """Of which the last message, a 200 to a BYE, has come."""
    Callers(pbx, sipp).call()
    call_id = pbx.wait_event("call.ended")["call_id"]

    def is_whole():
        return {rung["direction"] for rung in pbx.http("GET", f"/calls/{call_id}/trace")[1]["ladder"] if is_end(rung)} == {"in", "out"}
    pbx.wait_for(is_whole, "both ends of its trace")
    return call_id


def pcap_of(pbx, call_id, path):
    with open(path, "wb") as out:
        subprocess.run([str(BUILD / "api" / "pbxctl"), "--socket", str(pbx.control), "calls", "pcap", call_id], stdout=out, check=True, timeout=30)
    return path


def tshark(path, *fields, more=()):
    shown = subprocess.run(["tshark", "-r", str(path), "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", *more, "-T", "fields",
                            *[word for field in fields for word in ("-e", field)]], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr
    return [line.split("\t") for line in shown.stdout.splitlines()]


def test_a_call_is_exported_for_tshark(pbx, sipp, tmp_path):
    call_id = ended_call(pbx, sipp)
    status, trace = pbx.http("GET", f"/calls/{call_id}/trace?full=true")
    assert status == 200 and len(trace["ladder"]) >= 12
    packets = tshark(pcap_of(pbx, call_id, tmp_path / "call.pcap"), "sip.Method", "sip.Status-Code", "ip.src", "udp.srcport", "udp.dstport", "ip.checksum.status",
                     "udp.checksum.status", "sdp.media", more=("-d", f"udp.port=={pbx.sip_port},sip"))
    assert len(packets) == len(trace["ladder"])
    for packet, rung in zip(packets, trace["ladder"]):
        assert (packet[0], packet[1]) == ((rung["method"], "") if rung["status"] == 0 else ("", str(rung["status"])))
        assert packet[3 if rung["direction"] == "out" else 4] == str(pbx.sip_port) and packet[5:7] == ["1", "1"]
        assert bool(packet[7]) == bool(rung["sdp"])
    assert "\r\nCall-ID: " in trace["ladder"][0]["text"]
    status, file = pbx.http("GET", f"/calls/{call_id}/pcap")
    assert status == 200 and "INVITE sip:1002" in file


def test_yesterdays_call_is_kept_over_a_restart(pbx, sipp, tmp_path):
    call_id = ended_call(pbx, sipp)
    before = pbx.http("GET", f"/calls/{call_id}/trace")[1]
    pbx.stop()
    pbx.restart()
    after = pbx.http("GET", f"/calls/{call_id}/trace")[1]
    assert [(rung["line"], rung["time"], rung["remote"], rung["local"]) for rung in after["ladder"]] == [
        (rung["line"], rung["time"], rung["remote"], rung["local"]) for rung in before["ladder"]]
    assert len(tshark(pcap_of(pbx, call_id, tmp_path / "kept.pcap"), "frame.number")) == len(before["ladder"])
    assert pbx.http("GET", "/calls/01NOBODY/trace")[0] == 404
    assert pbx.http("GET", f"/calls/{call_id}/trace", token="none")[0] == 401


def chunks_of(packet):
    """HEP3 as its document tells it: type -> value."""
    assert packet[:4] == b"HEP3" and struct.unpack("!H", packet[4:6])[0] == len(packet)
    found, at = {}, 6
    while at < len(packet):
        vendor, kind, length = struct.unpack("!HHH", packet[at:at + 6])
        assert vendor == 0 and length >= 6
        found[kind] = packet[at + 6:at + length]
        at += length
    assert at == len(packet)
    return found


def test_the_collector_gets_every_message_as_hep3(make_pbx, sipp, tmp_path):
    """sngrep is the collector that has to understand it; on the way the packets are looked at here, too."""
    here, sngrep_port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), free_port()
    here.bind(("127.0.0.1", 0))
    here.settimeout(PATIENCE_S)
    sngrep = subprocess.Popen(["sngrep", "-N", "-q", "-L", f"udp:127.0.0.1:{sngrep_port}", "-O", str(tmp_path / "sngrep.pcap")], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: is_bound(sngrep_port), "sngrep to listen")
    pbx = make_pbx(f"trace:\n  hep: 127.0.0.1:{here.getsockname()[1]}\n  hep_node: 77\n")
    call_id = ended_call(pbx, sipp)
    ladder = pbx.http("GET", f"/calls/{call_id}/trace")[1]["ladder"]
    dialogs, packets = {rung["sip_call_id"] for rung in ladder}, []
    while len(packets) < len(ladder):
        packet = here.recv(65536)
        if any(dialog.encode() in packet for dialog in dialogs):
            packets.append(packet)
            here.sendto(packet, ("127.0.0.1", sngrep_port))
    for packet, rung in zip(packets, ladder):
        chunks = chunks_of(packet)
        assert (chunks[1], chunks[2], chunks[11], chunks[12]) == (b"\x02", b"\x11", b"\x01", struct.pack("!I", 77)) and len(chunks[15]) == rung["size"]
        assert chunks[15].decode().startswith(rung["line"]) and chunks.get(17, call_id.encode()) == call_id.encode()
        assert struct.unpack("!H", chunks[7 if rung["direction"] == "out" else 8])[0] == pbx.sip_port
    shown = []
    for _ in range(100):  # it has no word for having written all
        if len(shown) == len(ladder):
            break
        shown = tshark(tmp_path / "sngrep.pcap", "sip.Method", "sip.Status-Code", more=("-d", f"udp.port=={pbx.sip_port},sip")) \
            if (tmp_path / "sngrep.pcap").exists() else []
    sngrep.terminate()
    sngrep.wait()
    here.close()
    assert [packet[0] or packet[1] for packet in shown] == [rung["method"] if rung["status"] == 0 else str(rung["status"]) for rung in ladder]


def test_a_wrong_collector_is_refused_with_the_cure(pbx):
    with pytest.raises(Refused, match="homer.example.*192.0.2.9:9060"):
        pbx.ctl("config", "set", "trace.hep", "homer.example")
