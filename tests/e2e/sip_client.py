"""A SIP endpoint of a few lines over UDP: sends exactly what a test wants sent, right or wrong, and shows what came back."""
import hashlib
import re
import socket
import time
import uuid

from machine import PATIENCE_S
from ports import free_port

OFFER = ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
         "m=audio {port} RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n")


class Message:
    """A message as it came."""

    def __init__(self, data):
        head, _, self.body = data.decode(errors="replace").partition("\r\n\r\n")
        self.start, *lines = head.split("\r\n")
        self.headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines if ":" in line]
        self.status = int(self.start.split()[1]) if self.start.startswith("SIP/") else 0
        self.method = "" if self.status else self.start.split()[0]

    def all(self, name):
        return [value for header, value in self.headers if header.lower() == name.lower()]

    def get(self, name, default=""):
        return next(iter(self.all(name)), default)

    def rtp_port(self):
        return int(re.search(r"^m=(?:audio|image) (\d+)", self.body, re.M).group(1))


def transaction(request):
    """What two copies of a request have in common, and no other has (RFC 3261 17.2.3)."""
    branch = re.search(r";branch=([^;,\s]+)", request.get("Via"))
    return request.method, request.get("Call-ID"), request.get("CSeq"), branch and branch.group(1)


def call_and_cseq(message):
    return message.get("Call-ID"), int(message.get("CSeq").split()[0])


def answer_to(challenge, method, uri, user, secret, nc=1):
    """The credentials for one WWW- or Proxy-Authenticate value."""
    given = dict(re.findall(r'(\w+)="?([^",]*)"?', challenge.split(" ", 1)[1]))
    hashed = hashlib.sha256 if given.get("algorithm") == "SHA-256" else hashlib.md5

    def h(*parts):
        return hashed(":".join(parts).encode()).hexdigest()

    cnonce, count = uuid.uuid4().hex[:12], f"{nc:08x}"
    response = h(h(user, given["realm"], secret), given["nonce"], count, cnonce, "auth", h(method, uri))
    return (f'Digest username="{user}", realm="{given["realm"]}", nonce="{given["nonce"]}", uri="{uri}", response="{response}", '
            f'algorithm={given.get("algorithm", "MD5")}, qop=auth, nc={count}, cnonce="{cnonce}"')


class SipClient:
    def __init__(self, pbx, number="1001", secret="", user=None, algorithm="MD5", host="127.0.0.1"):
        self.pbx, self.number, self.secret, self.user, self.algorithm = pbx, number, secret, user or number, algorithm
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.port, self.host = free_port(), host
        self.socket.bind((host, self.port))
        self.cseq = 0
        self.call_id, self.tag = uuid.uuid4().hex, uuid.uuid4().hex[:8]
        self.kept = []  # messages that came while another was waited for
        self.answered = {}  # the last response to each request that has come (None: not yet), by its transaction
        self.acknowledged = {}  # the ACK for the final answer to each INVITE, by call and CSeq

    def close(self):
        self.socket.close()

    # ---- the wire --------------------------------------------------------------------------

    def send(self, data):
        self.socket.sendto(data if isinstance(data, bytes) else data.encode(), ("127.0.0.1", self.pbx.sip_port))

    def receive(self, wanted=lambda message: True, seconds=PATIENCE_S):
        """The next message that is wanted, or None; the others are kept for later. What has arrived in time counts, however late we look."""
        for message in self.kept:
            if wanted(message):
                self.kept.remove(message)
                return message
        deadline = time.monotonic() + seconds
        while (data := self.next(max(0, deadline - time.monotonic()))) is not None:
            message = Message(data)
            if self._is_asked_again(message) if message.method else self._is_told_again(message):
                continue
            if wanted(message):
                return message
            self.kept.append(message)
        return None

    def next(self, seconds):
        """The octets of one message, or None after so many seconds."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(65536)
        except (socket.timeout, BlockingIOError):
            return None

    # A machine that stands still makes us late, and the other side sends again what waits for us. A test sees each message once, and the other side
    # gets from us what it got before, as from any phone (RFC 3261 17.2, 13.2.2.4).

    def _is_asked_again(self, request):
        """Whether we have had this request before."""
        key = transaction(request)
        if key not in self.answered:
            self.answered[key] = None
            return False
        if self.answered[key]:
            self.send(self.answered[key])
        return True

    def _is_told_again(self, answer):
        """Whether this is the final answer to an INVITE that we have acknowledged."""
        is_final = answer.status >= 200 and answer.get("CSeq").endswith("INVITE")
        ack = self.acknowledged.get(call_and_cseq(answer)) if is_final else None
        if ack:
            self.send(ack)
        return ack is not None

    def text(self, method, uri, headers=(), body="", to=None, cseq=None, branch=None, sender=None, to_tag="", kind="application/sdp",
             shown=""):
        sender = f'"{shown}" ' * bool(shown) + f"<sip:{sender or self.number}@pbx.test>"
        lines = [f"{method} {uri} SIP/2.0", f"Via: SIP/2.0/UDP {self.host}:{self.port};branch={branch or 'z9hG4bK' + uuid.uuid4().hex};rport",
                 "Max-Forwards: 70", f"From: {sender};tag={self.tag}", f"To: <{to or uri}>" + (f";tag={to_tag}" if to_tag else ""),
                 f"Call-ID: {self.call_id}", f"CSeq: {cseq if cseq is not None else self.cseq} {method}", *headers]
        if not any(line.lower().startswith("contact") for line in headers):
            lines.append(f"Contact: <sip:{self.number}@{self.host}:{self.port}>")
        if body:
            lines.append(f"Content-Type: {kind}")
        return "\r\n".join(lines + [f"Content-Length: {len(body.encode())}", "", ""]) + body

    # ---- requests ---------------------------------------------------------------------------

    def ask(self, method, uri, headers=(), seconds=PATIENCE_S, **more):
        """Sends once, without credentials, and gives the final answer; None: silence."""
        self.cseq += 1
        self.send(self.text(method, uri, headers, **more))
        cseq = f"{self.cseq} {method}"
        return self.receive(lambda message: message.status >= 200 and message.get("CSeq") == cseq, seconds)

    def challenge(self, answer):
        """The challenge of our algorithm in a 401 or 407, or None."""
        values = answer.all("WWW-Authenticate") + answer.all("Proxy-Authenticate")
        return next((value for value in values if f"algorithm={self.algorithm}" in value), None)

    def credentials(self, answer, method, uri, nc=1):
        name = "Authorization" if answer.status == 401 else "Proxy-Authorization"
        return f"{name}: " + answer_to(self.challenge(answer), method, uri, self.user, self.secret, nc)

    def request(self, method, uri, headers=(), **more):
        """The same with credentials when asked for."""
        answer = self.ask(method, uri, headers, **more)
        if answer is not None and answer.status in (401, 407):
            if method == "INVITE":
                self.acknowledge(answer, uri)
            answer = self.ask(method, uri, [self.credentials(answer, method, uri), *headers], **more)
        return answer

    def register(self, expires=300, contact=None, **more):
        contact = contact or f"<sip:{self.number}@{self.host}:{self.port}>"
        return self.request("REGISTER", "sip:pbx.test", [f"Contact: {contact}", f"Expires: {expires}"], to=f"sip:{self.number}@pbx.test", **more)

    def invite(self, number, body=None, headers=(), **more):
        """The final answer; a 2xx is acknowledged."""
        uri = f"sip:{number}@pbx.test"
        body = OFFER.format(port=free_port()) if body is None else body
        answer = self.request("INVITE", uri, headers, body=body, **more)
        if answer is not None:
            self.acknowledge(answer, uri)
        return answer

    def ring(self, number, body=None):
        """Sends an INVITE with credentials: its text, to be cancelled or answered by the test."""
        uri = f"sip:{number}@pbx.test"
        body = OFFER.format(port=free_port()) if body is None else body
        refused = self.ask("INVITE", uri, body=body)
        self.acknowledge(refused, uri)
        self.cseq += 1
        text = self.text("INVITE", uri, [self.credentials(refused, "INVITE", uri)], body=body)
        self.send(text)
        return text

    def cancel(self, invite):
        """CANCEL for the INVITE of that text."""
        branch = re.search(r"branch=([^;\r]+)", invite).group(1)
        uri = invite.split()[1]
        self.send(self.text("CANCEL", uri, branch=branch))

    def acknowledge(self, answer, uri, body=""):
        cseq = int(answer.get("CSeq").split()[0])
        tag = re.search(r";tag=([^;]+)", answer.get("To"))
        to_tag = tag.group(1) if tag else ""
        branch = None
        if answer.status >= 300:
            branch = re.search(r"branch=([^;,]+)", answer.get("Via")).group(1)
        elif answer.get("Contact"):
            uri = re.search(r"<([^>]+)>", answer.get("Contact")).group(1)
        ack = self.text("ACK", uri, to=re.search(r"<([^>]+)>", answer.get("To")).group(1), to_tag=to_tag, cseq=cseq, branch=branch, body=body)
        self.acknowledged[call_and_cseq(answer)] = ack
        self.send(ack)
        self.kept = [message for message in self.kept if message.method or not self._is_told_again(message)]

    def bye(self, answer):
        """Ends the call of a 200."""
        target = re.search(r"<([^>]+)>", answer.get("Contact")).group(1)
        return self.request("BYE", target, to=re.search(r"<([^>]+)>", answer.get("To")).group(1),
                            to_tag=re.search(r";tag=([^;]+)", answer.get("To")).group(1))

    # ---- being called -----------------------------------------------------------------------

    def reply(self, request, status, phrase, headers=(), body=""):
        tag = f";tag={self.tag}" if ";tag=" not in request.get("To") else ""
        lines = [f"SIP/2.0 {status} {phrase}", *(f"Via: {via}" for via in request.all("Via")), f"From: {request.get('From')}",
                 f"To: {request.get('To')}{tag}", f"Call-ID: {request.get('Call-ID')}", f"CSeq: {request.get('CSeq')}",
                 *headers]
        if not any(line.lower().startswith("contact") for line in headers):
            lines.append(f"Contact: <sip:{self.number}@{self.host}:{self.port}>")
        if body:
            lines.append("Content-Type: application/sdp")
        self.answered[transaction(request)] = "\r\n".join(lines + [f"Content-Length: {len(body)}", "", ""]) + body
        self.send(self.answered[transaction(request)])

    def expect(self, method, seconds=PATIENCE_S):
        message = self.receive(lambda message: message.method == method, seconds)
        assert message is not None, f"{self.number}: no {method} within {seconds} s; there were {[m.start for m in self.kept]}"
        return message
