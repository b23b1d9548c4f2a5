"""Fax: how two parties turn to T.38 and back, who is refused it, datagrams that pass as they were sent, and pages that arrive point by point: at an
inbox, from the PBX, through a gateway."""
import json
import re
import socket
import subprocess

import pytest
from fax_machine import Machine, make_pages, same_pages
from machine import PATIENCE_S
from ports import free_port

IMAGE = ("v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=image {port} udptl t38\r\n"
         "a=T38FaxVersion:0\r\na=T38MaxBitRate:{rate}\r\na=T38FaxRateManagement:transferredTCF\r\na=T38FaxMaxBuffer:262\r\n"
         "a=T38FaxMaxDatagram:176\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n")


class Line:
    """A talker's fax: a socket of its own and an SDP that says so."""

    def __init__(self, talker):
        self.talker, self.port = talker, free_port()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", self.port))
        self.socket.settimeout(PATIENCE_S)
        self.towards = None

    def session(self, rate=14400):
        self.talker.version += 1
        return IMAGE.format(version=self.talker.version, port=self.port, rate=rate)

    def heed(self, message):
        self.towards = ("127.0.0.1", int(re.search(r"^m=image (\d+) udptl t38", message.body, re.M)[1]))

    def ask(self, seconds=5):
        """Offers T.38 and does not wait for the answer."""
        talker = self.talker
        talker.cseq += 1
        talker.send(talker.text("INVITE", talker.target, body=self.session(), to=talker.remote, to_tag=talker.remote_tag))

    def answered(self):
        talker = self.talker
        answer = talker.receive(lambda message: message.status >= 200 and message.get("CSeq") == f"{talker.cseq} INVITE")
        assert answer is not None, "no answer to an offer of T.38"
        talker.acknowledge(answer, talker.target)
        if answer.status == 200:
            self.heed(answer)
        return answer

    def agree(self, rate=14400):
        """Answers an offer of T.38, and gives it."""
        invite = self.talker.expect("INVITE")
        self.heed(invite)
        self.talker.reply(invite, 200, "OK", body=self.session(rate))
        self.talker.expect("ACK")
        return invite

    def say(self, datagram):
        self.socket.sendto(datagram, self.towards)

    def hear(self):
        return self.socket.recv(2000)

    def close(self):
        self.socket.close()


@pytest.fixture
def lines():
    made = []

    def make(*talkers):
        made.extend(Line(talker) for talker in talkers)
        return made[-len(talkers):]

    yield make
    for line in made:
        line.close()


@pytest.fixture
def pair(pbx, talkers):
    alice, bob = talkers(pbx, "1001", "1002")
    alice.cseq += 1
    invite = alice.ring("1002", alice.session())
    bob.answer()
    answer = alice.receive(lambda message: message.status == 200 and message.get("CSeq") == f"{alice.cseq} INVITE")
    alice.acknowledge(answer, invite.split()[1])
    alice._take_part(answer, answer.get("To"))
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
    return alice, bob


def datagram(number, content, *before):
    pieces = bytes([0, len(before)]) + b"".join(bytes([len(each)]) + each for each in before)
    return number.to_bytes(2, "big") + bytes([len(content)]) + content + pieces


def test_two_machines_turn_to_t38_and_back(pbx, pair, lines):
    alice, bob = pair
    a, b = lines(alice, bob)
    b.ask()
    offer = a.agree(rate=9600)
    for line in ("a=T38FaxVersion:0", "a=T38MaxBitRate:14400", "a=T38FaxRateManagement:transferredTCF", "a=T38FaxMaxDatagram:176",
                 "a=T38FaxUdpEC:t38UDPRedundancy"):
        assert line + "\r\n" in offer.body, "what one end can do the other is to know"
    answer = b.answered()
    assert answer.status == 200 and "a=T38MaxBitRate:9600\r\n" in answer.body

    alice.speaks = bob.speaks = False
    said = [datagram(0, b"\x06"), datagram(1, b"\xc0\x01\x80", b"\x06"), datagram(2, b"\x08", b"\xc0\x01\x80", b"\x06")]
    for each in said:
        a.say(each)
        assert b.hear() == each
        b.say(each)
        assert a.hear() == each
    a.say(b"\x00\x03\xff\xff nonsense")
    a.say(said[2])
    assert b.hear() == said[2], "what is no datagram of T.38 does not pass"
    legs = pbx.ctl("media", "streams")
    assert all(leg["codec"] == "T38" and leg["packets_in"] >= 3 for leg in legs)
    assert sum(leg["malformed"] for leg in legs) >= 1

    alice.speaks = bob.speaks = True
    answered = alice.reinvite()
    assert answered.status == 200 and re.search(r"^m=audio \d+ RTP/AVP", answered.body, re.M)
    bob.agree("sendrecv")
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
    bob.hangup()
    alice.closed()


def test_who_may_not_have_t38_keeps_the_audio(pbx, pair, lines):
    alice, bob = pair
    a, b = lines(alice, bob)
    assert pbx.http("PATCH", "/extensions/1002", {"t38": "off"})[0] == 200
    b.ask()
    assert b.answered().status == 488
    assert pbx.http("PATCH", "/extensions/1002", {"t38": "pass"})[0] == 200
    b.ask()
    refused = alice.expect("INVITE")
    assert "m=image" in refused.body
    alice.reply(refused, 488, "Not Acceptable Here")
    assert b.answered().status == 488, "its partner wants none, and there is to be no gateway"
    assert alice.hears(bob.hertz) and bob.hears(alice.hertz)
    alice.hangup()
    bob.closed()


# ---- pages -----------------------------------------------------------------------------

@pytest.fixture
def machines(phones):
    """machines(pbx, number, what, path): a fax machine with an account of that number."""
    made = []

    def make(pbx, number, what, path, **account):
        if (pbx, number) not in phones.secrets:
            phones.secrets[pbx, number] = pbx.account(number, name=f"Fax {number}", **account)
        made.append(Machine(pbx, number, phones.secrets[pbx, number], what, path))
        assert made[-1].register().status == 200
        return made[-1]

    yield make
    for machine in made:
        machine.close()


def connect(sender, receiver, number):
    """A call between two machines, of which neither has asked for T.38 yet."""
    invite = sender.ring(number, sender.session())
    receiver.answer()
    answer = sender.receive(lambda message: message.status == 200 and message.get("CSeq") == f"{sender.cseq} INVITE")
    sender.acknowledge(answer, invite.split()[1])
    sender._take_part(answer, answer.get("To"))


def test_a_gateway_between_t38_and_a_modem(pbx, machines, tmp_path):
    """1002 turns to T.38 when it answers; 1001 has never heard of that and sends by its modem."""
    pages, came = make_pages(tmp_path / "pages.tif"), tmp_path / "came.tif"
    sender, receiver = machines(pbx, "1001", "send", pages), machines(pbx, "1002", "receive", came)
    connect(sender, receiver, "1002")
    receiver.ask_t38()
    sender.refuse_t38()
    assert receiver.answered_t38() == 200
    assert sender.done()[:3] == (0, 1, "audio")
    assert receiver.done()[:3] == (0, 1, "t38")
    assert same_pages(pages, came)
    sender.hangup()
    receiver.closed()


def test_a_gateway_where_nobody_asks_but_a_machine_is_heard(make_pbx, machines, tmp_path):
    pbx = make_pbx(settings="media:\n  fax_detect: true\n")
    pages, came = make_pages(tmp_path / "pages.tif"), tmp_path / "came.tif"
    sender, receiver = machines(pbx, "1001", "send", pages), machines(pbx, "1002", "receive", came, t38="off")
    connect(sender, receiver, "1002")
    sender.agree_t38()
    assert sender.done()[:3] == (0, 1, "t38")
    assert receiver.done()[:3] == (0, 1, "audio")
    assert same_pages(pages, came)
    sender.hangup()
    receiver.closed()


INBOX = """
fax:
  station: "+1 555 0199"
  inboxes:
    - { number: "7100", name: Accounts }
"""


@pytest.mark.parametrize("way", ["t38", "audio", "t38 alone"])
def test_an_inbox_receives(make_pbx, machines, tmp_path, way):
    pbx = make_pbx(settings=INBOX)
    count = 2 if way == "audio" else 1
    pages = make_pages(tmp_path / "pages.tif", count)
    sender = machines(pbx, "1001", "send", pages, t38="off" if way == "audio" else "auto")
    if way == "t38 alone":
        sender.dial_by_t38("7100")
    else:
        sender.dial("7100")
    if way == "t38":
        sender.agree_t38()
    assert sender.done() == (0, count, way.split()[0], "+1 555 0199")
    fax = pbx.wait_event("fax.received")["data"]
    assert (fax["inbox"], fax["from"], fax["pages"], fax["t38"], fax["reason"]) == ("7100", "1001", count, way != "audio", "")
    assert [event["data"]["pages"] for event in pbx.events("fax.page")] == list(range(1, count + 1))
    sender.closed()
    assert same_pages(pages, next(pbx.directory.rglob(f"{fax['fax_id']}.tif")))
    assert pbx.http("GET", f"/faxes/{fax['fax_id']}/file", raw=True)[1].startswith("II")
    pdf = pbx.http("GET", f"/faxes/{fax['fax_id']}/file?format=pdf", raw=True)[1]
    assert pdf.startswith("%PDF-1.4") and pdf.count("/Type /Page ") == count
    assert pbx.ctl("fax", "list")[0]["state"] == "received"


def test_pages_are_sent(pbx, machines, tmp_path):
    pages, came = make_pages(tmp_path / "pages.tif"), tmp_path / "came.tif"
    receiver = machines(pbx, "1002", "receive", came)
    status, answer = pbx.http("POST", "/faxes?to=1002&from=7100", pages.read_bytes(), headers={"Content-Type": "image/tiff"})
    assert status == 201
    receiver.answer()
    assert receiver.offer_t38() == 200
    assert receiver.done()[:3] == (0, 1, "t38")
    assert pbx.wait_event("fax.sent")["data"]["fax_id"] == answer["id"]
    receiver.closed()
    assert same_pages(pages, came)
    (tmp_path / "text.tif").write_text("no pages")
    with pytest.raises(Exception, match="it is no TIFF"):
        pbx.ctl("fax", "send", "1002", str(tmp_path / "text.tif"))


def test_a_call_that_begins_with_t38_is_translated(pbx, machines, tmp_path):
    pages, came = make_pages(tmp_path / "pages.tif"), tmp_path / "came.tif"
    sender, receiver = machines(pbx, "1001", "send", pages), machines(pbx, "1002", "receive", came)
    sender.begin_by_t38("1002")
    receiver.answer()
    sender.begun_by_t38()
    assert sender.done()[:3] == (0, 1, "t38")
    assert receiver.done()[:3] == (0, 1, "audio")
    assert same_pages(pages, came)
    sender.hangup()
    receiver.closed()


def test_a_pdf_becomes_pages(pbx, tmp_path):
    document = tmp_path / "letter.pdf"
    subprocess.run(["gs", "-q", "-dBATCH", "-dNOPAUSE", "-sDEVICE=pdfwrite", f"-sOutputFile={document}", "-c",
                    "/Helvetica findfont 90 scalefont setfont 72 400 moveto (Hello) show showpage showpage"], check=True)
    status, fax = pbx.http("POST", "/faxes?to=1009&from=7100", document.read_bytes(), headers={"Content-Type": "application/pdf"})
    assert status == 201
    pages = next(pbx.directory.rglob(f"{fax['id']}.tif"))
    shown = subprocess.run(["tiffinfo", pages], capture_output=True, text=True, check=True).stdout
    assert shown.count("Image Width: 1728 Image Length: 2292") == 2 and "CCITT Group 4" in shown
    assert pbx.http("DELETE", f"/faxes/{fax['id']}")[0] == 204
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 and nothing")
    with pytest.raises(Exception, match="it is a PDF that cannot be read"):
        pbx.ctl("fax", "send", "1002", str(tmp_path / "broken.pdf"))


def test_an_inbox_is_added_and_taken_away_without_a_restart(pbx, machines, tmp_path):
    sender = machines(pbx, "1001", "send", make_pages(tmp_path / "pages.tif"))
    for number, other in (("7200", "7300"), ("7300", "7200")):
        pbx.ctl("config", "set", "fax.inboxes", json.dumps([{"number": number, "name": "Sales"}]))
        assert [inbox["number"] for inbox in pbx.ctl("fax", "inboxes")] == [number]
        assert sender.dial_refused(other) == 404
        sender.dial(number)
        sender.hangup()
        assert pbx.wait_event("fax.failed", where=lambda data, inbox=number: data["inbox"] == inbox)
        assert pbx.http("POST", "/extensions", {"number": number})[0] == 409
        assert pbx.http("POST", "/extensions", {"number": other})[0] == 201, "what is no inbox any more is free"
        assert pbx.http("DELETE", f"/extensions/{other}")[0] in (200, 204)
