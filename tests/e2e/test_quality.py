"""How calls sound: loss of a fixed seed, bursts and jitter on the way to us; who is not heard, who hears nothing, and what phones say of it themselves."""
import random
import socket
import struct
import subprocess
import threading
from datetime import datetime
from statistics import mean

import pytest
from ear import open_ear
from machine import PATIENCE_S, Watch, stalls

REPORT = ("VQSessionReport: CallTerm\r\nCallID: {call_id}\r\nLocalID: <sip:1002@pbx.test>\r\nRemoteID: <sip:1001@pbx.test>\r\nLocalMetrics:\r\n"
          "SessionDesc:PT=0 PD=PCMU SR=8000 FD=20\r\nPacketLoss:NLR=1.5 JDR=0.5\r\nDelay:RTD=40 ESD=60 IAJ=3 MAJ=9\r\n"
          "QualityEst:RLQ=88 RCQ=86 MOSLQ=4.2 MOSCQ=4.1\r\n")
PACKETS = 450


@pytest.fixture
def call(talkers):
    """call(pbx): 1001 and 1002 talk. The second one's packets go by a road, if one is given."""
    def make(pbx, road=None, speaks=True, says=""):
        caller, callee = talkers(pbx, "1001", "1002")
        callee.road, callee.speaks, callee.also_says = road, speaks, says
        answering = threading.Thread(target=callee.answer)
        answering.start()
        caller.dial("1002")
        answering.join()
        return caller, callee
    return make


def wall(event):
    return datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()


def current(pbx):
    return pbx.ctl("calls", "list")[0]["call_id"]


def way(pbx, call_id, number, direction="from", source="rtp"):
    """One way of a leg as it is known now, or None."""
    status, answer = pbx.http("GET", f"/qos/call/{call_id}")
    found = [leg for leg in answer["legs"] if (leg["extension"], leg["direction"], leg["source"]) == (number, direction, source)] if status == 200 else []
    return found[0] if found else None


def heard(pbx, call_id, number, packets=PACKETS):
    """The same once as many packets have come or been lost."""
    def look():
        found = way(pbx, call_id, number)
        return found if found and found["packets_received"] + found["packets_lost"] >= packets else None
    return pbx.wait_for(look, f"{packets} packets of {number}")


def end(caller, callee):
    closing = threading.Thread(target=callee.closed)
    closing.start()
    caller.hangup()
    closing.join()


def scattered(seed, percent):
    chance = random.Random(seed)
    lost = {seq for seq in range(20000) if chance.random() * 100 < percent}
    return lambda seq: None if seq in lost else 0


def in_fives(seq):
    """Ten percent, five at a time."""
    return None if seq % 50 < 5 else 0


def shaken(seed):
    chance = random.Random(seed)
    return lambda seq: chance.choice((0, 0.015))


def test_loss_of_five_percent_on_postgresql(make_pbx, postgres, call):
    pbx = make_pbx(f"store:\n  engine: postgresql\n  url: {postgres.url}\nqos_monitoring:\n  sample_s: 1\n")
    caller, callee = call(pbx, scattered(4711, 5))
    call_id = current(pbx)
    bad, good = heard(pbx, call_id, "1002"), heard(pbx, call_id, "1001")
    assert 3 <= bad["packet_loss_percentage"] <= 7, bad
    assert bad["mos_score"] == pytest.approx(4.41 - 0.098 * bad["packet_loss_percentage"], abs=0.1), bad
    assert (good["packets_lost"], good["mos_score"], good["model"], good["codec"]) == (0, 4.409, "G.107", "PCMU"), good
    assert pbx.wait_event("quality.alert", where=lambda data: data["type"] == "high_packet_loss")["data"]["extension"] == "1002"
    leg = next(leg for leg in pbx.ctl("calls", "show", call_id)["legs"] if leg["number"] == "1002")
    assert leg["audio"]["loss_percent"] == pytest.approx(bad["packet_loss_percentage"], abs=1.5)
    dialog = callee.call_id
    end(caller, callee)
    report = pbx.wait_event("quality.report", where=lambda data: data["extension"] == "1002")["data"]
    assert report["from"]["packets_lost"] >= bad["packets_lost"]
    # What the phone says itself goes to whoever it was told to send it to.
    published = callee.request("PUBLISH", "sip:collector@pbx.test", ["Event: vq-rtcpxr"], body=REPORT.format(call_id=dialog), kind="application/vq-rtcpxr")
    assert published.status == 200 and published.get("SIP-ETag"), published.start
    own = pbx.wait_for(lambda: way(pbx, call_id, "1002", "to", "phone"), "the phone's report")
    assert (own["mos_score"], own["packet_loss_percentage"], own["rtt_ms"]) == (4.2, 2, 40)
    # Some send it by NOTIFY, which nobody has subscribed to; of any other package we want none.
    notice, kind = REPORT.format(call_id=caller.call_id).replace("1002", "1000").replace("1001", "1002").replace("1000", "1001"), "application/vq-rtcpxr"
    assert caller.request("NOTIFY", "sip:collector@pbx.test", ["Event: vq-rtcpxr", "Subscription-State: active"], body=notice, kind=kind).status == 200
    assert pbx.wait_for(lambda: way(pbx, call_id, "1001", "to", "phone"), "the report by NOTIFY")["mos_score"] == 4.2
    assert caller.request("NOTIFY", "sip:collector@pbx.test", ["Event: vq-rtcpxr", "Subscription-State: active"], body="nonsense", kind=kind).status == 400
    assert caller.request("NOTIFY", "sip:collector@pbx.test", ["Event: presence", "Subscription-State: active"], body=notice, kind=kind).status == 481
    # All that is asked of tables, on this engine too.
    assert pbx.ctl("qos", "summary", "group_by=extension")["items"][0]["name"] == "1002"
    for grouping in ("codec", "subnet", "hour"):
        assert pbx.ctl("qos", "summary", f"group_by={grouping}")["count"] == 1
    statistics = pbx.ctl("qos", "statistics")
    assert statistics["total_calls"] == statistics["calls_with_issues"] == 1 and 3.5 < statistics["average_mos"] < 4.41
    alert = pbx.ctl("qos", "alerts")["items"][0]
    assert alert["cleared_at"] and pbx.ctl("qos", "acknowledge", alert["id"])["changed"] == 1
    assert pbx.ctl("qos", "set", "jitter_max=20")["jitter_max"] == 20
    rows = postgres.query("SELECT leg, direction, packets_lost FROM qos_metrics WHERE source = 'rtp' ORDER BY id")
    assert len(rows) == 2 and int(rows[1][2]) == report["from"]["packets_lost"]
    pbx.kill()
    pbx.restart()
    assert pbx.ctl("qos", "thresholds")["jitter_max"] == 20
    assert len(way(pbx, call_id, "1002")["series"]) >= 8


def jitter_ms(ear):
    """RFC 3550 6.4.1, by the kernel's times of arrival: the mean of all that it ever was. The ear is closed."""
    ear.catch_up()
    ear.close()
    jitter, all_of_it = 0.0, []
    for before, after in zip(ear.packets, ear.packets[1:]):
        sent_apart = (after.stamp - before.stamp + 0x80000000) % 0x100000000 - 0x80000000  # below zero when it was overtaken
        late = abs(after.at - before.at - sent_apart / 8000)
        jitter += (late - jitter) / 16
        all_of_it.append(jitter)
    return 1000 * mean(all_of_it)


def test_bursts_and_jitter_are_seen_as_such(make_pbx, call):
    pbx = make_pbx("qos_monitoring:\n  sample_s: 1\n  jitter_max: 4\n")
    caller, callee = call(pbx, in_fives)
    caller.road, watch = shaken(7), Watch()
    wire = open_ear(caller.towards[1], caller.towards[1], ".")
    call_id = current(pbx)
    bursts, jitter = heard(pbx, call_id, "1002"), heard(pbx, call_id, "1001")
    assert 8.5 <= bursts["packet_loss_percentage"] <= 11, bursts
    at_random = 4.41 - 0.1 * bursts["packet_loss_percentage"]
    assert bursts["mos_score"] <= at_random - 0.25, bursts
    assert bursts["burst_density"] == 1 and bursts["gap_density"] == 0, bursts
    seen_ms = jitter_ms(wire)  # of fifteen or none, and what the machine adds
    assert jitter["packets_lost"] == 0 and seen_ms > 4, jitter
    assert jitter["jitter_avg_ms"] == pytest.approx(seen_ms, abs=2 + 2 * stalls().mean_ms(watch.began_at)), jitter
    alerts = [event["data"] for event in pbx.events("quality.alert") if event["data"]["type"] == "high_jitter" and event["data"]["extension"] == "1001"]
    assert len(alerts) == 1
    end(caller, callee)


def test_who_is_not_heard_and_who_hears_nothing_are_told_of_within_five_seconds(make_pbx, call):
    pbx = make_pbx("media:\n  workers: 1\n")
    caller, callee = call(pbx, speaks=False)
    missing = pbx.wait_event("leg.audio_missing")
    answered = pbx.wait_event("leg.answered", where=lambda data: data["leg_id"] == missing["data"]["leg_id"])
    assert (missing["data"]["number"], missing["data"]["way"]) == ("1002", "from_party")
    assert wall(missing) - wall(answered) <= 5.5 + stalls().lost_s(wall(answered), wall(missing))
    # The callee's reports go on to say that nothing arrives, though a hundred packets have been sent to it.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp:
        rtcp.bind(("127.0.0.1", callee.rtp_port + 1))
        watch = Watch()
        rtcp.sendto(struct.pack("!BBHI", 0x80, 201, 1, callee.rtp_port), (callee.towards[0], callee.towards[1] + 1))
        deaf = pbx.wait_event("leg.audio_missing", where=lambda data: data["way"] == "to_party")
        assert wall(deaf) - watch.began_at <= 5 + stalls().lost_s(watch.began_at, wall(deaf))
        assert deaf["data"]["number"] == "1002" and deaf["data"]["packets_out"] >= 100
    callee.speaks = True
    assert pbx.wait_event("leg.audio_back", where=lambda data: data["way"] == "from_party")["data"]["for_ms"] >= 4000
    call_id = current(pbx)
    end(caller, callee)
    pbx.wait_event("call.ended")
    found = pbx.ctl("calls", "explain", call_id)
    assert found["rule"] == "heard_nothing" or "heard_nothing" in [other["rule"] for other in found["also"]], found


def dissected(path, datagrams, port):
    """What Wireshark makes of datagrams of RTCP, one dictionary each."""
    fields = "rtcp.pt", "rtcp.senderssrc", "rtcp.sdes.text", "rtcp.xr.bt", "rtcp.ssrc.identifier", "_ws.malformed", "_ws.expert.message"
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))  # raw IP
        for datagram in datagrams:
            head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(datagram), 0, 0, 64, 17, 0, bytes(4), bytes(4)) + struct.pack("!HHHH", port, port, 8 + len(datagram), 0)
            file.write(struct.pack("<IIII", 0, 0, len(head) + len(datagram), len(head) + len(datagram)) + head + datagram)
    shown = subprocess.run(["tshark", "-r", str(path), "-d", f"udp.port=={port},rtcp", "-T", "fields", *[word for field in fields for word in ("-e", field)]],
                           capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr
    return [dict(zip(fields, line.split("\t"))) for line in shown.stdout.splitlines()]


def test_wireshark_reads_our_reports(pbx, call, tmp_path):
    """A sender's report with a name, what the phone asked for (XR), and the goodbye; the name is one and the same throughout."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp:
        caller, callee = call(pbx, says="a=rtcp-xr:voip-metrics rcvr-rtt=all stat-summary=loss,dup,jitt\r\n")
        rtcp.bind(("127.0.0.1", callee.rtp_port + 1))
        rtcp.settimeout(PATIENCE_S)
        datagrams = [rtcp.recv(2048), rtcp.recv(2048)]
        end(caller, callee)
        while datagrams[-1][-8:-6] != b"\x81\xcb":  # the goodbye comes last, of one source
            datagrams.append(rtcp.recv(2048))
    read = dissected(tmp_path / "rtcp.pcap", datagrams, callee.rtp_port + 1)
    assert len(read) == len(datagrams) and not any(each["_ws.malformed"] or each["_ws.expert.message"] for each in read), read
    assert all(each["rtcp.pt"].split(",")[:2] == ["200", "202"] for each in read), read  # each is compound, and begins as RFC 3550 6.1 wants it
    assert "207" in read[1]["rtcp.pt"].split(",") and {"6", "7"} <= set(read[1]["rtcp.xr.bt"].split(",")), read
    assert read[-1]["rtcp.pt"].endswith("203")
    assert len({each["rtcp.sdes.text"] for each in read}) == 1 and read[0]["rtcp.sdes.text"]
    assert len({each["rtcp.senderssrc"].split(",")[0] for each in read}) == 1


def test_streams_and_ports_are_shown_with_their_calls(pbx, call):
    caller, callee = call(pbx)
    pbx.wait_for(lambda: all(row["packets_in"] and row["packets_out"] for row in pbx.http("GET", "/media/legs")[1]), "packets both ways")
    rows = {row["number"]: row for row in pbx.http("GET", "/media/legs")[1]}
    assert set(rows) == {"1001", "1002"} and {row["call_id"] for row in rows.values()} == {current(pbx)}
    for talker in (caller, callee):
        row = rows[talker.number]
        assert (row["remote"], row["codec"], row["srtp"], row["transport"]) == (f"127.0.0.1:{talker.rtp_port}", "PCMU", "", "udp")
        assert row["local"] == f"127.0.0.1:{talker.towards[1]}" and pbx.http("GET", f"/media/legs/{row['leg_id']}/audio")[0] == 200
    status, ports = pbx.http("GET", "/media/ports")
    assert (status, ports["used"], ports["quarantined"], ports["free"]) == (200, 2, 0, ports["total"] - 2)
    end(caller, callee)
    pbx.wait_event("call.ended")
    ports = pbx.wait_for(lambda: next(iter([found for found in [pbx.http("GET", "/media/ports")[1]] if found["used"] == 0]), None), "no port in use")
    assert ports["quarantined"] == 2 and pbx.http("GET", "/media/legs")[1] == []


def test_who_falls_silent_is_told_of_with_its_call(make_pbx, call):
    """And whose packets come from elsewhere."""
    pbx = make_pbx("media:\n  timeout_s: 3\n")
    caller, callee = call(pbx)
    call_id = current(pbx)
    pbx.wait_for(lambda: all(row["packets_in"] for row in pbx.ctl("media", "streams")), "packets both ways")
    callee.speaks = False
    told = pbx.wait_event("media.timeout")
    assert told["call_id"] == call_id and told["data"]["number"] == "1002" and told["data"]["for_ms"] >= 3000
    assert told["data"]["leg_id"] in [event["data"]["leg_id"] for event in pbx.events("leg.answered")]
    for talker in (caller, callee):
        bye = talker.expect("BYE")
        assert "cause=102" in bye.get("Reason")
        talker.reply(bye, 200, "OK")


def test_when_ports_run_out_that_is_told_and_calls_are_refused(make_pbx, call, talkers):
    pbx = make_pbx(start=False)
    pbx.settings = f"media:\n  port_max: {pbx.rtp_port + 8}\n"  # four legs
    pbx.start()
    first = call(pbx)
    assert pbx.http("GET", "/media/ports")[1]["free"] == 2 and pbx.events("media.ports_low") == []
    second = talkers(pbx, "1003", "1004")
    answering = threading.Thread(target=second[1].answer)
    answering.start()
    second[0].dial("1004")
    answering.join()
    assert pbx.wait_event("media.ports_low")["data"] == {"total": 4, "free": 0, "used": 4, "quarantined": 0}
    refused = talkers(pbx, "1005").invite("1001")
    assert refused.status == 503 and refused.get("Retry-After")
    assert first[0].hears(first[1].hertz)
    for pair in (first, second):
        end(*pair)
