"""The stream of events as a page or a program gets it: text/event-stream, or a WebSocket."""
import http.client
import json
import socket
import ssl

import websocket
from machine import PATIENCE_S

ABNF = websocket.ABNF
websocket._abnf.VALID_CLOSE_STATUS += (1013,)  # "try again later" came after the RFC, into IANA's list
Refused = websocket.WebSocketBadStatusException
TLS = {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}


class Stream:
    """An EventSource."""

    def __init__(self, pbx, topics, last=None):
        self.connection = http.client.HTTPSConnection("127.0.0.1", pbx.http_port, context=ssl._create_unverified_context(), timeout=20)
        headers = {"Authorization": f"Bearer {pbx.admin_token()}", "Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = str(last)
        self.connection.request("GET", f"/api/v1/events?topics={topics}", headers=headers)
        self.answer = self.connection.getresponse()
        assert self.answer.status == 200

    def take(self, count):
        """The next events."""
        events = []
        while len(events) < count:
            line = self.answer.readline().decode()
            assert line, "the stream has ended"
            if line.startswith("data: "):
                events.append(json.loads(line[6:]))
        return events

    def close(self):
        self.connection.close()


class EventSocket:
    """`how`: the token as a page sends it (a subprotocol) or as a program does (a header); None sends none. receives: octets that the kernel takes
    before we read."""

    gone = websocket.WebSocketException

    def __init__(self, pbx, token, topics="*", after=None, how="page", receives=None, **more):
        scheme = "ws" if "plain_http: true" in pbx.settings else "wss"
        url = f"{scheme}://127.0.0.1:{pbx.http_port}/api/v1/events?topics={topics}" + (f"&after={after}" if after is not None else "")
        if how == "page":
            more = {"subprotocols": ["pbx.events", f"pbx.bearer.{token}"], **more}
        elif how == "program":
            more = {"header": [f"Authorization: Bearer {token}"], **more}
        sizes = ((socket.SOL_SOCKET, socket.SO_RCVBUF, receives),) if receives else ()
        self.web = websocket.create_connection(url, timeout=PATIENCE_S, sslopt=TLS, sockopt=sizes, suppress_origin="origin" not in more, **more)

    def frame(self):
        """(opcode, payload) of whatever comes next."""
        frame = self.web.recv_frame()
        return frame.opcode, frame.data

    def next(self):
        """The next object; None when the server has closed."""
        while True:
            kind, data = self.frame()
            if kind == ABNF.OPCODE_TEXT:
                return json.loads(data)
            if kind == ABNF.OPCODE_CLOSE:
                self.closed = int.from_bytes(data[:2], "big"), data[2:].decode()
                return None
            if kind == ABNF.OPCODE_PING:
                self.web.pong(data)

    def take(self, count):
        events = []
        while len(events) < count:
            event = self.next()
            assert event is not None, f"closed with {self.closed} after {len(events)} events"
            events.append(event)
        return events

    def end(self):
        """(status, reason) it is closed with; what comes before that is thrown away. The close is answered, as the protocol wants it."""
        while self.next() is not None:
            pass
        self.web.send_close(self.closed[0])
        self.web.shutdown()
        return self.closed

    def wish(self, *types):
        """Other types; from which event on they hold. What had been sent before that is in .before."""
        self.web.send(json.dumps({"types": types}))
        self.before = []
        while "seq" in (told := self.take(1)[0]):
            self.before.append(told)
        assert told == {"types": list(types), "after": told["after"]}
        return told["after"]

    def close(self):
        self.web.close()
