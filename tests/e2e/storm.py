"""Many careless callers and callees on two sockets, whose packets get lost, who hang up whenever they like."""
import asyncio
import random
import re
import uuid

SDP = ("v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
       "m=audio {port} RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n{direction}")


def header(text, name):
    found = re.search(rf"^{name}: *(.*?)\r$", text, re.M | re.I)
    return found[1] if found else ""


class Side(asyncio.DatagramProtocol):
    """One socket: hands what comes to the call it belongs to, and loses some of it both ways."""

    def __init__(self, storm):
        self.storm, self.calls = storm, {}

    def connection_made(self, transport):
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def send(self, text):
        if self.storm.dice.random() >= self.storm.loss:
            self.transport.sendto(text.encode(), self.storm.target)

    def datagram_received(self, data, source):
        if self.storm.dice.random() < self.storm.loss:
            return
        text = data.decode(errors="replace")
        call_id = header(text, "Call-ID")
        call = self.calls.get(call_id)
        if call is None and text.startswith("INVITE"):
            call = self.calls[call_id] = Callee(self, call_id)
        elif call is None:
            if not text.startswith("SIP/") and not text.startswith("ACK"):
                self.send(reply(text, "481 Gone", "x"))
            return
        call.got(text)

    def error_received(self, problem):
        pass


def reply(request, status, tag, extra="", body=""):
    vias = "".join(f"{line}\r\n" for line in re.findall(r"^(Via:.*?)\r$", request, re.M))
    to = header(request, "To")
    to += "" if ";tag=" in to else f";tag={tag}"
    kind = "Content-Type: application/sdp\r\n" if body else ""
    return (f"SIP/2.0 {status}\r\n{vias}From: {header(request, 'From')}\r\nTo: {to}\r\nCall-ID: {header(request, 'Call-ID')}\r\n"
            f"CSeq: {header(request, 'CSeq')}\r\n{extra}{kind}Content-Length: {len(body)}\r\n\r\n{body}")


class Party:
    def __init__(self, side, call_id):
        self.side, self.storm, self.call_id = side, side.storm, call_id
        self.tag = uuid.uuid4().hex[:8]
        self.loop, self.dice = asyncio.get_running_loop(), side.storm.dice
        self.pending, self.answers, self.cseq, self.over, self.up = {}, {}, 0, False, False
        self.remote = self.target = None

    def later(self, seconds, what, *rest):
        self.loop.call_later(seconds, what, *rest)

    def contact(self):
        return f"Contact: <sip:storm@127.0.0.1:{self.side.port}>\r\n"

    def ask(self, method, uri, to, body="", cseq=None, branch=None):
        """A request that is repeated until it is answered."""
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        branch = branch or "z9hG4bK" + uuid.uuid4().hex
        kind = "Content-Type: application/sdp\r\n" if body else ""
        text = (f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{self.side.port};rport;branch={branch}\r\nMax-Forwards: 70\r\n"
                f"From: {self.local}\r\nTo: {to}\r\nCall-ID: {self.call_id}\r\nCSeq: {cseq} {method}\r\n{self.contact()}{kind}"
                f"Content-Length: {len(body)}\r\n\r\n{body}")
        if method == "ACK":
            self.side.send(text)
            return text, branch
        self.pending[f"{cseq} {method}"] = [text, branch]
        self._again(f"{cseq} {method}", 0.5, 0)
        return text, branch

    def _again(self, key, wait, spent):
        if key in self.pending and spent < 32:
            self.side.send(self.pending[key][0])
            self.later(wait, self._again, key, min(wait * 2, 4), spent + wait)
        elif key in self.pending:
            del self.pending[key]
            self.storm.count("unanswered " + key.split()[1])

    def inside(self, method, body=""):
        return self.ask(method, self.target, self.remote, body)

    def hangup(self):
        if not self.over and self.remote:
            self.over = True
            self.inside("BYE")

    def reinvite(self):
        if not self.over and self.remote:
            self.inside("INVITE", self.sdp(self.dice.choice(["a=sendonly\r\n", "a=sendrecv\r\n", "a=inactive\r\n"])))

    def sdp(self, direction=""):
        return SDP.format(version=self.cseq + 1, port=self.storm.dice.randrange(40000, 50000, 2), direction=direction)

    def got(self, text):
        if text.startswith("SIP/"):
            self.answered(text)
        else:
            self.asked(text)

    def answered(self, text):
        status, key = int(text[8:11]), header(text, "CSeq")
        if key.endswith("INVITE") and status >= 200:
            first = self.pending.pop(key, None)
            if first:
                self.answers[key] = first
            first = first or self.answers.get(key)
            if first:
                self.final(text, status, key, first)
        elif key.endswith("CANCEL") and status == 481 and not self.over and not self.remote:
            pass                             # it overtook the INVITE, which is still being repeated: so is this
        elif status >= 200:
            self.pending.pop(key, None)
        elif key.endswith("INVITE"):
            entry = self.pending.pop(key, None)
            if entry:
                self.answers[key] = entry

    def final(self, text, status, key, first):
        cseq = int(key.split()[0])
        if status >= 300:
            uri = first[0].split()[1]
            self.ask("ACK", uri, header(text, "To"), cseq=cseq, branch=first[1])
            if cseq == 1:
                self.over = True
            self.storm.count(str(status))
            return
        self.target = re.search(r"<([^>]+)>", header(text, "Contact"))[1]
        self.remote = header(text, "To") if isinstance(self, Caller) else self.remote
        self.ask("ACK", self.target, self.remote, cseq=cseq)
        if cseq == 1 and not self.up and isinstance(self, Caller):
            self.up = True
            self.storm.count("200")
            self.established()

    def asked(self, text):
        method = text.split()[0]
        if method == "ACK":
            self.acked = True
            return
        key = header(text, "CSeq")
        if key in self.answers:
            if self.answers[key]:
                self.side.send(self.answers[key])
            return
        if method == "BYE":
            self.over = True
            self.say(text, key, "200 OK")
        elif method == "INVITE":
            self.say(text, key, "200 OK", self.sdp())
        elif method in ("OPTIONS", "UPDATE", "INFO", "NOTIFY"):
            self.say(text, key, "200 OK")

    def say(self, request, key, status, body=""):
        self.answers[key] = reply(request, status, self.tag, self.contact(), body)
        self.side.send(self.answers[key])


class Caller(Party):
    def __init__(self, side, number):
        super().__init__(side, uuid.uuid4().hex)
        side.calls[self.call_id] = self
        self.local = f"<sip:storm@127.0.0.1:{side.port}>;tag={self.tag}"
        self.uri = f"sip:{number}@pbx.test"
        self.text, self.branch = self.ask("INVITE", self.uri, f"<{self.uri}>", self.sdp())
        self.cancelled = False
        self.later(3, self.cancel)
        if self.dice.random() < 0.35:
            self.later(self.dice.choice([0.002, 0.02, 0.1, 0.2, 0.3, 0.5, 1.5]) * self.dice.random(), self.cancel)

    def cancel(self):
        """At any moment: before 100, while it rings, on its way past a 200."""
        if not self.over and not self.remote and not self.cancelled:
            self.storm.count("cancel")
            self.cancelled = True
            self.ask("CANCEL", self.uri, f"<{self.uri}>", cseq=1, branch=self.branch)

    def established(self):
        if self.cancelled or self.dice.random() < 0.5:
            self.later(self.dice.choice([0, 0.01, 0.5, 2]) * self.dice.random(), self.hangup)
        else:
            self.later(2.5, self.hangup)
        if self.dice.random() < 0.3:
            self.later(self.dice.random() * 0.5, self.reinvite)


class Callee(Party):
    def __init__(self, side, call_id):
        super().__init__(side, call_id)
        self.acked = self.cancelled = False

    def asked(self, text):
        method, key = text.split()[0], header(text, "CSeq")
        if method == "INVITE" and not self.remote and key not in self.answers:
            self.invite, self.key = text, key
            self.local = header(text, "To") + f";tag={self.tag}"
            self.answers[key] = None
            kind = self.dice.random()
            if kind < 0.05:
                return                       # deaf
            wait = self.dice.choice([0, 0.05, 0.3]) * self.dice.random()
            self.later(wait, self.ring)
            self.later(wait + self.dice.choice([0, 0.001, 0.1, 0.3, 0.5]) * self.dice.random(),
                       self.answer if kind < 0.85 else self.refuse if kind < 0.95 else lambda: None)
        elif method == "CANCEL":
            self.side.send(reply(text, "200 OK", self.tag))
            if not self.remote and not self.over:
                self.over = True
                self.say(self.invite, self.key, "487 Request Terminated")
                self.repeat(0.5, 0)
        else:
            super().asked(text)

    def ring(self):
        if not self.over and not self.remote:
            self.say(self.invite, self.key, "180 Ringing")

    def refuse(self):
        if not self.over and not self.remote:
            self.over = True
            self.say(self.invite, self.key, self.dice.choice(["486 Busy Here", "480 Gone", "500 Oops", "603 Decline", "404 Not Found"]))
            self.repeat(0.5, 0)

    def answer(self):
        if not self.over and not self.remote:
            self.remote = header(self.invite, "From")
            self.target = re.search(r"<([^>]+)>", header(self.invite, "Contact"))[1]
            self.say(self.invite, self.key, "200 OK", self.sdp())
            self.repeat(0.5, 0)
            if self.dice.random() < 0.4:
                self.later(self.dice.choice([0, 0.01, 0.5, 2]) * self.dice.random(), self.hangup)

    def repeat(self, wait, spent):
        """The final answer, until it is acknowledged."""
        if not self.acked and spent < 32:
            self.later(wait, self._repeat, wait, spent)
        elif not self.acked:
            self.storm.count("callee: no ACK for " + self.answers[self.key][8:11])

    def _repeat(self, wait, spent):
        if not self.acked:
            self.side.send(self.answers[self.key])
            self.repeat(min(wait * 2, 4), spent + wait)


class Storm:
    def __init__(self, target, seed, loss):
        self.target, self.dice, self.loss = target, random.Random(seed), loss
        self.counts = {}

    def count(self, what):
        self.counts[what] = self.counts.get(what, 0) + 1

    async def open(self):
        loop = asyncio.get_running_loop()
        self.callers = (await loop.create_datagram_endpoint(lambda: Side(self), local_addr=("127.0.0.1", 0)))[1]
        self.callees = (await loop.create_datagram_endpoint(lambda: Side(self), local_addr=("127.0.0.1", 0)))[1]

    async def blow(self, rate, seconds, numbers):
        loop = asyncio.get_running_loop()
        began = loop.time()
        for n in range(int(rate * seconds)):
            await asyncio.sleep(max(0, began + n / rate - loop.time()))
            Caller(self.callers, self.dice.choice(numbers))
            self.count("made")
