"""A fax machine: SIP of our own (talker.py), modem and T.38 by spandsp in a process of its own (fax_machine.c)."""
import re
import subprocess

from ear import PCMU
from pbx import BUILD
from ports import free_range
from sip_client import SipClient
from talker import Talker

PROGRAM = BUILD / "tests" / "e2e" / "fax_machine"
IMAGE = ("v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=image {port} udptl t38\r\n"
         "a=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\na=T38FaxRateManagement:transferredTCF\r\na=T38FaxMaxDatagram:300\r\n")


def make_pages(path, count=1):
    subprocess.run([PROGRAM, "page", path, str(count)], check=True)
    return path


def same_pages(one, other):
    return subprocess.run([PROGRAM, "same", one, other]).returncode == 0


class Machine(Talker):
    """what: "send" or "receive"."""

    def __init__(self, pbx, number, secret, what, path):
        SipClient.__init__(self, pbx, number, secret)
        self.what, self.path = what, path
        self.rtp_port, self.version, self.towards, self.process = free_range(2), 0, None, None
        self.kinds, self.kind, self.ptime_ms, self.also_says = (PCMU,), PCMU, 20, ""

    def close(self):
        if self.process:
            self.process.kill()
            self.process.communicate()
        SipClient.close(self)

    def _take_part(self, message, remote):
        super()._take_part(message, remote)
        self.process = subprocess.Popen([PROGRAM, self.what, str(self.path), str(self.rtp_port), str(self.towards[1])],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def image(self):
        self.version += 1
        return IMAGE.format(version=self.version, port=self.rtp_port)

    def _turn(self, message):
        port = re.search(r"^m=image (\d+) udptl t38", message.body, re.M)[1]
        self.process.stdin.write(f"t38 {port}\n")
        self.process.stdin.flush()

    def begin_by_t38(self, number):
        """Calls with an offer of nothing but T.38."""
        self.called = self.ring(number, self.image()).split()[1]

    def begun_by_t38(self):
        answer = self.receive(lambda message: message.status >= 200 and message.get("CSeq") == f"{self.cseq} INVITE")
        self.acknowledge(answer, self.called)
        assert answer.status == 200 and "m=image" in answer.body, answer.start
        self._take_part(answer, answer.get("To"))
        self._turn(answer)

    def dial_by_t38(self, number):
        self.begin_by_t38(number)
        self.begun_by_t38()

    def dial_refused(self, number):
        return self.invite(number, self.session()).status

    def ask_t38(self):
        """Offers T.38 and does not wait for the answer."""
        self.cseq += 1
        self.send(self.text("INVITE", self.target, body=self.image(), to=self.remote, to_tag=self.remote_tag))

    def answered_t38(self):
        """The status it is told."""
        answer = self.receive(lambda message: message.status >= 200 and message.get("CSeq") == f"{self.cseq} INVITE")
        assert answer is not None, "no answer to an offer of T.38"
        self.acknowledge(answer, self.target)
        if answer.status == 200:
            self._turn(answer)
        return answer.status

    def offer_t38(self):
        self.ask_t38()
        return self.answered_t38()

    def agree_t38(self):
        invite = self.expect("INVITE")
        assert "m=image" in invite.body
        self.reply(invite, 200, "OK", body=self.image())
        self.expect("ACK")
        self._turn(invite)

    def refuse_t38(self):
        invite = self.expect("INVITE")
        assert "m=image" in invite.body
        self.reply(invite, 488, "Not Acceptable Here")

    def done(self, seconds=90):
        """(T.30's completion code, pages, "t38" or "audio", how the other side calls itself)"""
        said, _ = self.process.communicate(timeout=seconds)
        self.process = None
        _, code, pages, how, *station = said.split(maxsplit=4)
        return int(code), int(pages), how, station[0].strip() if station else ""
