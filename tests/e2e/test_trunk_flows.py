"""The way to a provider: how packets to it are marked, and connections that are kept alive by empty lines (RFC 5626)."""
import re
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from certificates import Authority
from marks import Marks
from ports import free_port
from sip_client import OFFER, SipClient
from talker import Talker

QUIET = "sip_trunk:\n  register_jitter_s: 0\n  retry_least_s: 1\n"
KEPT = re.compile(r"(?im)^(via|from|call-id|cseq|contact):.*$")


class Registrar:
    """A provider's registrar that grants everything over TCP or TLS, says Flow-Timer: 1, and counts the empty lines on each connection."""

    def __init__(self, context=None):
        self.context, self.answers = context, True
        self.connections = []  # registers, pings, and whether it is over
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.sockets = [self.socket]
        self.threads = []
        self._start(self._accept)

    def _start(self, what, *args):
        self.threads.append(threading.Thread(target=what, args=args, daemon=True))
        self.threads[-1].start()

    def _accept(self):
        try:
            while True:
                plain, _ = self.socket.accept()
                self.sockets.append(plain)
                self._start(self._serve, plain)
        except OSError:  # stop()
            pass

    def _serve(self, plain):
        is_here = SimpleNamespace(registers=0, pings=0, over=False)
        self.connections.append(is_here)
        try:
            connection = self.context.wrap_socket(plain, server_side=True) if self.context else plain
            self.sockets.append(connection)
            buffer = ""
            while data := connection.recv(65536):
                buffer = self._take(connection, is_here, buffer + data.decode())
        except OSError:
            pass
        is_here.over = True

    def _take(self, connection, is_here, buffer):
        while buffer:
            if buffer.startswith("\r\n\r\n"):
                buffer = buffer[4:]
                is_here.pings += 1
                if self.answers:
                    connection.sendall(b"\r\n")
                continue
            head, end, rest = buffer.partition("\r\n\r\n")
            if not end:
                break
            is_here.registers += head.startswith("REGISTER")
            to = re.search(r"(?im)^to:.*?(?=\r?$)", head).group(0)
            kept = [match.group(0).rstrip("\r") for match in KEPT.finditer(head)]
            connection.sendall("\r\n".join(["SIP/2.0 200 OK", *kept, f"{to};tag=s", "Require: outbound", "Flow-Timer: 1", "Content-Length: 0",
                                            "", ""]).encode())
            buffer = rest
        return buffer

    def stop(self):
        for each in reversed(self.sockets):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()
        for thread in self.threads:
            thread.join(5)


def registered(pbx, registrar, transport):
    pbx.ctl("trunk", "add", "carrier", "host=localhost", f"port={registrar.port}", f"transport={transport}", "keep_alive_interval_s=0",
            "registration_required=true", "username=acct", "password=geheim")
    pbx.wait_event("trunk.registered")
    return registrar.connections[0]


def test_a_connection_of_tls_is_pinged_as_often_as_the_registrar_says(make_pbx, tmp_path):
    authority = Authority(tmp_path)
    authority.vouch("localhost", more="subjectAltName=DNS:localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.folder / "localhost.pem", authority.folder / "localhost.key")
    registrar = Registrar(context)
    try:
        pbx = make_pbx(f"{QUIET}sip:\n  tls_authorities: {authority.folder}/ca.pem\n", listen=("udp", "tls"))
        connection = registered(pbx, registrar, "tls")
        pbx.wait_for(lambda: connection.pings >= 2, "two pings, the second after an answered first")
        assert connection.registers == 1 and not connection.over
    finally:
        registrar.stop()


def test_a_connection_that_falls_silent_is_replaced(make_pbx):
    """After so long without an answer it is given up, and the trunk registers over another."""
    registrar = Registrar()
    try:
        pbx = make_pbx(QUIET + "sip:\n  flow_answer_s: 2\n")
        registrar.answers = False
        first = registered(pbx, registrar, "tcp")
        failed = pbx.wait_event("trunk.registration_failed")["data"]
        assert failed["sip_code"] == 430 and f":{registrar.port}" in failed["reason"]
        assert (first.registers, first.pings) == (1, 1)
        registrar.answers = True
        pbx.wait_for(lambda: len(registrar.connections) == 2 and registrar.connections[1].registers == 1, "a REGISTER over a new connection")
        pbx.wait_for(lambda: pbx.ctl("trunk", "show", "carrier")["status"] == "registered", "the trunk to be registered again")
        pbx.wait_for(lambda: first.over, "the end of the first connection to be seen")
    finally:
        registrar.stop()


def test_a_trunk_has_marks_of_its_own(make_pbx):
    """Signalling over UDP and TCP, and media; phones keep the marks of the house."""
    pbx = make_pbx(QUIET + "sip:\n  dscp: 24\nmedia:\n  dscp: 46\n")
    marks, far = Marks(), SipClient(pbx, "acct", host="127.0.0.2")
    phone = Talker(pbx, "1001", pbx.account("1001"), 440)
    listener = socket.create_server(("127.0.0.3", 0))
    try:
        pbx.ctl("trunk", "add", "carrier", "host=127.0.0.2", f"port={far.port}", "keep_alive_interval_s=0", "sip_dscp=26", "rtp_dscp=34")
        pbx.ctl("trunk", "add", "stream", "host=127.0.0.3", f"port={listener.getsockname()[1]}", "transport=tcp", "sip_dscp=40")
        pbx.ctl("outbound-route", "add", "out", "pattern=1[2-9][0-9]{9}", "trunks=carrier")
        assert phone.register().status == 200
        with ThreadPoolExecutor() as pool:
            call = pool.submit(phone.dial, "13125551212")
            invite, port = far.expect("INVITE"), free_port()
            far.reply(invite, 200, "OK", body=OFFER.format(port=port))
            far.expect("ACK")
            call.result()
        pbx.wait_for(lambda: marks.of(socket.IPPROTO_UDP, "127.0.0.1", port), "media to the provider")
        pbx.wait_for(lambda: marks.of(socket.IPPROTO_TCP, *listener.getsockname()), "OPTIONS over TCP")
        assert marks.of(socket.IPPROTO_UDP, "127.0.0.1", port) == {34}
        assert marks.of(socket.IPPROTO_UDP, "127.0.0.2", far.port) == {26}
        assert marks.of(socket.IPPROTO_TCP, *listener.getsockname()) == {40}
        assert marks.of(socket.IPPROTO_UDP, "127.0.0.1", phone.port) == {24}
        phone.hangup()
        far.reply(far.expect("BYE"), 200, "OK")
    finally:
        listener.close()
        phone.close()
        far.close()
        marks.stop()
