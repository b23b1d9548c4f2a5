"""A recording server of a few lines (RFC 7866): takes sessions as a test wants it, hears each stream by its label, and has the metadata judged by their schema."""
import base64
import hashlib
import hmac
import queue
import re
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from xml.etree import ElementTree

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from ear import Listener, WireEar
from machine import PATIENCE_S
from ports import free_range
from sip_client import SipClient

SCHEMA = Path(__file__).with_name("rs-metadata.xsd")
NAMESPACE = "{urn:ietf:params:xml:ns:recording:1}"
SUITE = "AES_CM_128_HMAC_SHA1_80"


class SecretEar(WireEar):
    """Opens SRTP (RFC 3711) under the key of a=crypto; what cannot be opened is not heard. None: plain RTP."""

    key = None

    def learn(self, inline):
        self.key = None
        if not inline:
            return
        octets = base64.b64decode(inline)
        master, salt = octets[:16], int.from_bytes(octets[16:30], "big")

        def derived(label, size):
            counter = (salt ^ label << 48) << 16
            return self._stream(master, counter, size)
        self.salt, self.last, self.rolled = int.from_bytes(derived(2, 14), "big"), None, 0
        self.key, self.proof = derived(0, 16), derived(1, 20)

    @staticmethod
    def _stream(key, counter, size):
        return Cipher(algorithms.AES(key), modes.CTR(counter.to_bytes(16, "big"))).encryptor().update(bytes(size))

    def opened(self, datagram):
        if self.key is None or len(datagram) < 22 or 200 <= datagram[1] <= 207:
            return datagram if self.key is None else b""
        seq, ssrc = int.from_bytes(datagram[2:4], "big"), int.from_bytes(datagram[8:12], "big")
        self.rolled += self.last is not None and seq < self.last - 0x8000
        self.last = seq
        said, proof = datagram[:-10], datagram[-10:]
        if hmac.new(self.proof, said + self.rolled.to_bytes(4, "big"), hashlib.sha1).digest()[:10] != proof:
            return b""
        counter = self.salt << 16 ^ ssrc << 64 ^ (self.rolled << 16 | seq) << 16
        return said[:12] + bytes(a ^ b for a, b in zip(said[12:], self._stream(self.key, counter, len(said) - 12)))


class Stream(Listener):
    """What comes to one label."""

    def __init__(self, port):
        self.port = port
        self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for at, each in enumerate(self.sockets):  # somebody is there, RTP and RTCP
            each.bind(("127.0.0.1", port + at))
        self.ear = SecretEar(port, port)

    def close(self):
        self.ear.close()
        for each in self.sockets:
            each.close()


class Offer:
    """What an INVITE of a recording session brings."""

    def __init__(self, message):
        self.message = message
        kind, body = message.get("Content-Type"), message.body
        boundary = re.search(r'boundary="?([^";]+)', kind)
        parts = [part.lstrip("\r\n") for part in body.split(f"--{boundary[1]}")[1:-1]] if boundary else [f"Content-Type: {kind}\r\n\r\n{body}"]
        self.sdp = self._part(parts, "application/sdp")
        self.xml = self._part(parts, "application/rs-metadata+xml")

    def _part(self, parts, kind):
        for part in parts:
            head, _, body = part.partition("\r\n\r\n")
            if re.search(rf"^Content-Type:\s*{re.escape(kind)}", head, re.M | re.I):
                assert "metadata" not in kind or re.search(r"^Content-Disposition:\s*recording-session", head, re.M | re.I), head
                return body
        return ""

    def judge(self):
        """Whether the metadata are what the schema says."""
        if not self.xml:
            return self
        judged = subprocess.run(["xmllint", "--noout", "--schema", str(SCHEMA), "-"], input=self.xml, text=True, capture_output=True, timeout=20)
        assert judged.returncode == 0, judged.stderr + self.xml
        self.root = ElementTree.fromstring(self.xml.encode())
        return self

    def lines(self):
        """(label, direction, port, transport, key) of each stream."""
        return [(re.search(r"^a=label:(\S+)", line, re.M)[1], re.search(r"^a=(sendonly|inactive|sendrecv|recvonly)", line, re.M)[1],
                 *re.match(r"audio (\d+) (\S+)", line).groups(), (re.search(rf"^a=crypto:1 {SUITE} inline:([^|\s]+)", line, re.M) or [None, None])[1])
                for line in self.sdp.split("m=")[1:]]

    def directions(self):
        return [direction for _, direction, *_ in self.lines()]

    # ---- the metadata -------------------------------------------------------------------------

    def all(self, name):
        return self.root.findall(NAMESPACE + name)

    def mode(self):
        return self.root.findtext(NAMESPACE + "datamode") if self.xml else None

    def people(self):
        """{aor: participant_id} of those who are named."""
        return {each.find(NAMESPACE + "nameID").get("aor"): each.get("participant_id") for each in self.all("participant")}

    def gone(self):
        """The participant_ids of those who have left."""
        return [each.get("participant_id") for each in self.all("participantsessionassoc") if each.find(NAMESPACE + "disassociate-time") is not None]

    def voices(self):
        """{aor: label} by what each sends, in a complete snapshot."""
        labels = {each.get("stream_id"): each.findtext(NAMESPACE + "label") for each in self.all("stream")}
        sends = {each.get("participant_id"): each.findtext(NAMESPACE + "send") for each in self.all("participantstreamassoc")}
        return {aor: labels[sends[key]] for aor, key in self.people().items()}


class Recorder(SipClient):
    """It takes, refuses and leaves as it is told. credentials: (user, secret) that it asks for."""

    def __init__(self, pbx=None, credentials=None):
        super().__init__(pbx, "recorder")
        first = free_range(4)
        self.streams = {"1": Stream(first), "2": Stream(first + 2)}
        self.credentials_wanted = credentials
        self.version = 0

    def close(self):
        for stream in self.streams.values():
            stream.close()
        super().close()

    @property
    def uri(self):
        return f"sip:recorder@127.0.0.1:{self.port}"

    def _session(self, offer):
        """Our answer: we listen where it speaks."""
        self.version += 1
        text = f"v=0\r\no=- 7 {self.version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        for (label, direction, port, transport, key), line in zip(offer.lines(), offer.sdp.split("m=")[1:]):
            stream = self.streams[label]
            stream.ear.learn(key)
            kinds = re.match(r"audio \d+ \S+ ([\d ]+)", line)[1].strip()
            text += f"m=audio {stream.port if int(port) else 0} {transport} {kinds}\r\na=label:{label}\r\n"
            text += f"a={'recvonly' if direction == 'sendonly' else 'inactive'}\r\n"
            text += f"a=crypto:1 {SUITE} inline:{base64.b64encode(bytes(range(30))).decode()}\r\n" * bool(key)
        return text

    # ---- sessions ----------------------------------------------------------------------------

    def invited(self, seconds=PATIENCE_S):
        """The next INVITE of a session, with credentials where we want them."""
        invite = self.expect("INVITE", seconds)
        self.call_id = invite.get("Call-ID")
        if self.credentials_wanted and not invite.get("Authorization"):
            self.reply(invite, 401, "Unauthorized", ['WWW-Authenticate: Digest realm="vault", nonce="n1", algorithm=SHA-256, qop="auth"'])
            self.expect("ACK")
            invite = self.expect("INVITE", seconds)
            assert f'username="{self.credentials_wanted[0]}"' in invite.get("Authorization")
        return invite

    def refuse(self, status, phrase):
        invite = self.invited()
        self.reply(invite, status, phrase)
        self.expect("ACK")
        return Offer(invite).judge()

    def take(self, seconds=PATIENCE_S):
        """Answers the next INVITE, the first or another of the session."""
        invite = self.invited(seconds)
        offer = Offer(invite)
        self.reply(invite, 200, "OK", body=self._session(offer))
        self.expect("ACK")
        self.target = re.search(r"<([^>]+)>", invite.get("Contact"))[1]
        self.remote_tag = re.search(r";tag=([^;]+)", invite.get("From"))[1]
        self.cseq = max(self.cseq, 100)
        return offer.judge()

    def _inside(self, method, headers=(), **more):
        return self.request(method, self.target, headers, to="sip:pbx.test", to_tag=self.remote_tag, **more)

    def ask_for_snapshot(self):
        body = '<?xml version="1.0"?><requestsnapshot xmlns="urn:ietf:params:xml:ns:recording:1"><requestreason>restart</requestreason></requestsnapshot>'
        answer = self._inside("UPDATE", ["Content-Disposition: recording-session", "Require: siprec"], body=body, kind="application/rs-metadata-request")
        assert answer.status == 200, answer.start

    def vanish(self):
        """Its process is gone: nobody hears SIP any more."""
        self.socket.close()

    def leave(self):
        assert self._inside("BYE").status == 200

    def closed(self, seconds=PATIENCE_S):
        self.reply(self.expect("BYE", seconds), 200, "OK")


class SecureRecorder(Recorder):
    """The same over TLS, by the context of an Authority: all goes by the connection that came last. contact: parameters of its Contact. What comes by UDP is a fault of who sends it."""

    def __init__(self, context, host="localhost", contact=";transport=tls", **more):
        super().__init__(**more)
        self.context, self.host_called, self.contact = context, host, contact
        self.messages, self.refused = queue.Queue(), queue.Queue()
        self.connections, self.sockets, self.threads = [], [], []
        self.listener = socket.create_server(("127.0.0.1", self.port))  # free_port() has kept it free for TCP, too
        self._start(self._accept)

    @property
    def uri(self):
        return f"sip:recorder@{self.host_called}:{self.port};transport=tls"

    def _start(self, what, *args):
        self.threads.append(threading.Thread(target=what, args=args, daemon=True))
        self.threads[-1].start()

    def _accept(self):
        while True:
            try:
                plain, _ = self.listener.accept()
            except OSError:  # close()
                return
            self.sockets.append(plain)
            self._start(self._serve, plain)

    def _serve(self, plain):
        try:
            connection = self.context.wrap_socket(plain, server_side=True)
        except (OSError, ssl.SSLError) as problem:
            self.refused.put(str(problem))
            return
        self.sockets.append(connection)
        self.connections.append(connection)
        gathered = b""
        try:
            while data := connection.recv(65536):
                gathered = self._cut(gathered + data)
        except OSError:
            pass

    def _cut(self, gathered):
        """Messages as they are whole; what is left. Empty lines are pings (RFC 5626)."""
        while True:
            gathered = gathered.lstrip(b"\r\n")
            head, end, rest = gathered.partition(b"\r\n\r\n")
            length = re.search(rb"(?im)^content-length:\s*(\d+)", head)
            if not end or (length and len(rest) < int(length[1])):
                return gathered
            size = len(head) + 4 + (int(length[1]) if length else 0)
            self.messages.put(gathered[:size])
            gathered = gathered[size:]

    def send(self, data):
        data = data.replace("SIP/2.0/UDP ", "SIP/2.0/TLS ")
        self.connections[-1].sendall(re.sub(r"(?m)^(Contact: <[^>]+)>", rf"\1{self.contact}>", data).encode())

    def next(self, seconds):
        try:
            return self.messages.get(timeout=seconds)
        except queue.Empty:
            return None

    def came_by_udp(self):
        """What should have come by TLS."""
        self.socket.setblocking(False)
        try:
            return self.socket.recv(65536)
        except BlockingIOError:
            return b""

    def break_off(self):
        """Its connections end, it is still there."""
        for each in self.connections:
            each.shutdown(socket.SHUT_RDWR)

    def close(self):
        for each in (*reversed(self.sockets), self.listener):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()
        for thread in self.threads:
            thread.join(5)
        super().close()
