"""Fax: how two parties turn to T.38 and back, who is refused it, and datagrams that pass as they were sent."""
import re
import socket

import pytest
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
        self.socket.settimeout(5)
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
