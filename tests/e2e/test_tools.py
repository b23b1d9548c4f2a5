"""What tests are made of, on a machine that stands still: what is not there yet is waited for, and what comes twice is seen once."""
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from ear import WireEar
from machine import Watch, stalls, wait_for
from sip_client import SipClient

INVITE = ("INVITE sip:1001@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{branch};rport\r\nFrom: <sip:1002@pbx.test>;tag=a\r\n"
          "To: <sip:1001@pbx.test>\r\nCall-ID: tools\r\nCSeq: {cseq} INVITE\r\nContent-Length: 0\r\n\r\n")
ANSWER = ("SIP/2.0 {status} Said\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bKours\r\nFrom: <sip:1001@pbx.test>;tag=b\r\nTo: <sip:1002@pbx.test>;tag=c\r\n"
          "Call-ID: asked\r\nCSeq: 1 INVITE\r\nContact: <sip:127.0.0.1>\r\nContent-Length: 0\r\n\r\n")


@pytest.fixture
def line():
    """(the other side's socket, a phone of ours, how the other side says something to it)"""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        other.settimeout(10)
        phone = SipClient(SimpleNamespace(sip_port=other.getsockname()[1]))
        yield other, phone, lambda text, **values: other.sendto(text.format(port=other.getsockname()[1], **values).encode(), ("127.0.0.1", phone.port))
        phone.close()


def test_what_is_not_in_the_list_yet_is_waited_for_and_named_when_it_never_comes():
    rows, asked = [], iter(range(3))
    assert wait_for(lambda: rows[0] if next(asked) else rows.append("row") or rows[1], "a row") == "row"
    with pytest.raises(AssertionError, match="in vain for nothing") as failed:
        wait_for(lambda: {}["name"], "nothing", seconds=0.1)
    assert isinstance(failed.value.__cause__, KeyError)
    with pytest.raises(ZeroDivisionError):  # a mistake is no wait
        wait_for(lambda: 1 / 0, "a mistake")


def test_a_request_that_comes_again_is_seen_once_and_gets_the_same_answer(line):
    other, phone, say = line
    say(INVITE, branch="x", cseq=1)
    say(INVITE, branch="x", cseq=1)
    first = phone.expect("INVITE")
    assert phone.receive(seconds=0.1) is None
    phone.reply(first, 486, "Busy Here")
    said = other.recv(2000)
    say(INVITE, branch="x", cseq=1)
    say(INVITE, branch="y", cseq=2)
    assert phone.expect("INVITE").get("CSeq") == "2 INVITE" and other.recv(2000) == said


def test_an_answer_is_seen_again_until_it_is_acknowledged(line):
    other, phone, say = line
    for _ in range(3):
        say(ANSWER, status=200)
    answer = phone.receive(lambda message: message.status == 200)
    assert phone.receive(lambda message: message.status == 200), "it has not been acknowledged"
    phone.acknowledge(answer, "sip:1002@pbx.test")
    ack = other.recv(2000)
    assert ack.startswith(b"ACK ")
    assert phone.receive(seconds=0.1) is None and other.recv(2000) == ack


def test_what_has_arrived_is_found_without_waiting(line):
    _, phone, say = line
    assert phone.receive(seconds=0) is None
    say(ANSWER, status=180)
    assert phone.receive(seconds=0).status == 180


def test_a_stall_counts_before_it_is_noted():
    """Whoever is woken first after all stood still may ask before the thread that measures has run."""
    watch, noted = Watch(), stalls()
    noted.late.append((time.time() - 5, 0.0))  # as if nothing had run since
    assert noted.longest_ms(watch.began_at - 6) > 4900
    del noted.late[-1]


def test_who_shares_its_core_stood_in_the_queue_for_it_and_only_then():
    busy = ["taskset", "-c", str(min(os.sched_getaffinity(0))), sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(busy) as one, subprocess.Popen(busy) as other:
        try:
            wait_for(lambda: Path(f"/proc/{one.pid}/comm").read_text().startswith("python"), "it to have begun")
            began = time.time()
            stalls().heed(one.pid, "python")
            wait_for(lambda: stalls().queued_ms(began, time.time()) > 50, "the kernel to tell of the queue")
        finally:
            one.kill(), other.kill()
    assert stalls().queued_ms(time.time() + 1, time.time() + 2) == 0


def test_an_ear_hears_nobody_else_while_it_is_made(line):
    """One that was open to all until its filter was there took a packet of another test for the first of its own."""
    other, _, _ = line
    done = threading.Event()

    def speak():
        while not done.is_set():
            other.sendto(bytes([0x80]) + bytes(171), other.getsockname())

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        for _ in range(200):
            ear = WireEar(9, 9)
            time.sleep(0.001)
            ear.catch_up()
            ear.close()
            assert ear.packets == []
    finally:
        done.set()
        speaker.join()
