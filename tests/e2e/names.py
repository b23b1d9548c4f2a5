"""A DNS server of one's own: nsd on a free port with one zone, and SIP servers that say what a test wants."""
import re
import socket
import ssl
import subprocess
import threading
import time

from machine import PATIENCE_S
from ports import free_port
from sip_client import Message, transaction

ZONE = "$ORIGIN carrier.test.\n$TTL {ttl}\n@ IN SOA ns hostmaster {serial} 3600 600 86400 5\n@ IN NS ns\nns IN A 127.0.0.1\none IN A 127.0.0.1\ntwo IN A 127.0.0.1\n{records}\n"
CONFIG = """server:
  ip-address: 127.0.0.1@{port}
  username: ""
  chroot: ""
  database: ""
  zonesdir: "{folder}"
  pidfile: "{folder}/nsd.pid"
  logfile: "{folder}/nsd.log"
  xfrdfile: "{folder}/xfrd.state"
  zonelistfile: "{folder}/zone.list"
  xfrdir: "{folder}"
  server-count: 1
remote-control:
  control-enable: no
zone:
  name: carrier.test
  zonefile: zone
"""


SESSION = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"


class Names:
    """nsd for carrier.test; `records` are lines of a zone file."""

    def __init__(self, directory, records, ttl=60):
        self.directory, self.port, self.serial = directory, free_port(), 0
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "nsd.conf").write_text(CONFIG.format(port=self.port, folder=directory))
        self.write(records, ttl)
        self.start()

    def write(self, records, ttl):
        self.serial += 1
        (self.directory / "zone").write_text(ZONE.format(ttl=ttl, serial=self.serial, records=records))

    def start(self):
        self.process = subprocess.Popen(["nsd", "-d", "-c", str(self.directory / "nsd.conf")], stdin=subprocess.DEVNULL)
        query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07carrier\x04test\x00\x00\x06\x00\x01"
        deadline = time.monotonic() + PATIENCE_S
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(0.2)
            asker.connect(("127.0.0.1", self.port))
            while time.monotonic() < deadline:
                try:
                    asker.send(query)
                    if asker.recv(512)[3] & 15 == 0:
                        return
                except OSError:
                    assert self.process.poll() is None, (self.directory / "nsd.log").read_text()
                    time.sleep(0.05)
        raise AssertionError("nsd does not answer")

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)

    def change(self, records, ttl=60):
        self.stop()
        self.write(records, ttl)
        self.start()


class Server:
    """A SIP server over UDP: OPTIONS gets 200, INVITE `answer`; silent, it says nothing at all."""

    def __init__(self, answer=486):
        self.answer, self.silent, self.invites, self.heard = answer, False, [], []
        self.transactions = set()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            data, sender = self.socket.recvfrom(65535)
            if data == b"end":
                return
            text = data.decode(errors="replace")
            method = text.split(" ", 1)[0]
            if (again := transaction(Message(data))) not in self.transactions:  # what comes again is the same
                self.transactions.add(again)
                self.heard.append(method)
            if method not in ("INVITE", "OPTIONS", "CANCEL", "BYE"):
                continue
            if method == "INVITE":
                self.invites.append((time.monotonic(), text))
                self.sender = sender
            if not self.silent or method == "BYE":
                self._reply(text, self.answer if method == "INVITE" else 200, sender)

    def answer_late(self):
        """200 to the last INVITE, with a session."""
        self._reply(self.invites[-1][1], 200, self.sender, f"Contact: <sip:127.0.0.1:{self.port}>\r\nContent-Type: application/sdp", SESSION)

    def _reply(self, text, status, sender, more="Supported: timer", body=""):
        kept = [line for line in text.split("\r\n\r\n")[0].split("\r\n")[1:] if re.match(r"(?i)(via|from|call-id|cseq):", line)]
        to = re.search(r"(?im)^to:.*?(?=\r?$)", text).group(0)
        lines = [f"SIP/2.0 {status} Said", *kept, f"{to};tag=server{self.port}", more, f"Content-Length: {len(body)}", "", body]
        self.socket.sendto("\r\n".join(lines).encode(), sender)

    def calls(self):
        """Call-IDs in the order of their first INVITE."""
        return list(dict.fromkeys(re.search(r"(?im)^call-id:\s*(\S+)", text).group(1) for _, text in self.invites))

    def branch(self):
        return re.search(r"(?im)^via:.*branch=([^;\s]+)", self.invites[-1][1]).group(1)

    def stop(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ender:
            ender.sendto(b"end", ("127.0.0.1", self.port))
        self.thread.join()
        self.socket.close()


class SecureServer:
    """The same over TLS, with a certificate and key of an Authority's folder. `called` are the names that clients asked for (SNI)."""

    def __init__(self, authority, name, port=0, answer=486):
        self.answer, self.requests, self.called = answer, [], []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(authority.folder / f"{name}.pem", authority.folder / f"{name}.key")
        self.context.sni_callback = lambda connection, called, context: self.called.append(called)
        self.socket = socket.create_server(("127.0.0.1", port))
        self.port = self.socket.getsockname()[1]
        self.open, self.threads = set(), []
        self._start(self._accept)

    def _start(self, what, *args):
        self.threads.append(threading.Thread(target=what, args=args, daemon=True))
        self.threads[-1].start()

    def _accept(self):
        while True:
            try:
                plain, _ = self.socket.accept()
            except OSError:
                return
            self.open.add(plain)
            self._start(self._serve, plain)

    def _serve(self, plain):
        try:
            with self.context.wrap_socket(plain, server_side=True) as connection:
                self.open.add(connection)
                buffer = ""
                while data := connection.recv(65535):
                    buffer += data.decode(errors="replace")
                    while "\r\n\r\n" in buffer:
                        buffer = self._take(connection, buffer.lstrip("\r\n"))
        except OSError:  # a client that does not like the certificate, or stop()
            pass

    def _take(self, connection, buffer):
        head, rest = buffer.split("\r\n\r\n", 1)
        length = int(re.search(r"(?im)^content-length:\s*(\d+)", head).group(1))
        method = head.split(" ", 1)[0]
        self.requests.append(method)
        if method in ("INVITE", "OPTIONS", "REGISTER"):
            kept = [line for line in head.split("\r\n")[1:] if re.match(r"(?i)(via|from|call-id|cseq|contact):", line)]
            to = re.search(r"(?im)^to:.*?(?=\r?$)", head).group(0)
            status = self.answer if method == "INVITE" else 200
            connection.sendall("\r\n".join([f"SIP/2.0 {status} Said", *kept, f"{to};tag=s", "Content-Length: 0", "", ""]).encode())
        return rest[length:]

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for connection in self.open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self.threads:
            thread.join(5)
