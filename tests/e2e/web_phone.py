"""A phone in a web page: SIP over WebSocket (RFC 7118) as a browser's library speaks it, without Content-Length and with a Via of its own."""
import re
import ssl
import uuid

import websocket
from machine import PATIENCE_S
from sip_client import SipClient


class WebPhone(SipClient):
    def __init__(self, pbx, number="1001", secret="", origin=None, scheme="wss", **more):
        super().__init__(pbx, number, secret, **more)
        self.scheme = scheme
        self.host = f"{uuid.uuid4().hex[:12]}.invalid"
        self.web = websocket.create_connection(f"{scheme}://127.0.0.1:{pbx.http_port}/sip", subprotocols=["sip"], origin=origin, timeout=PATIENCE_S,
                                               suppress_origin=origin is None, sslopt={"cert_reqs": ssl.CERT_NONE, "check_hostname": False})

    def close(self):
        self.web.close()
        super().close()

    def send(self, data):
        text = data if isinstance(data, str) else data.decode()
        text = text.replace("SIP/2.0/UDP ", f"SIP/2.0/{self.scheme.upper()} ")
        self.web.send(re.sub(r"Content-Length: \d+\r\n", "", text))

    def next(self, seconds):
        self.web.settimeout(max(seconds, 0.001))
        try:
            return self.web.recv().encode()
        except websocket.WebSocketTimeoutException:
            return None

    def register(self, expires=300, contact=None, **more):
        return super().register(expires, contact or f"<sip:{self.number}@{self.host};transport=ws>", **more)

    def reply(self, request, status, phrase, headers=(), body=""):
        """A response to what has come."""
        to = request.get("To") + ("" if "tag=" in request.get("To") else f";tag={self.tag}")
        copied = [f"{name}: {value}" for name, value in request.headers if name.lower() in ("via", "from", "call-id", "cseq", "record-route")]
        kind = ["Content-Type: application/sdp"] if body else []
        self.send("\r\n".join([f"SIP/2.0 {status} {phrase}", *copied, f"To: {to}", *headers, *kind, "", ""]) + body)
