"""A webhook sink: keeps every POST with headers and raw body; told to answer any status, to be slow, to hang, or to be down.

With a TLS context it speaks https and keeps whose certificate was shown; `decide(request)` may answer a status of its own."""
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from machine import PATIENCE_S, answer, stalls
from ports import free_port


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """A client that goes away, or that TLS turns away, is nothing to print about."""


class Sink:
    def __init__(self, tls=None):
        stalls()
        self.port, self.tls = free_port(), tls
        self.decide, self.delay_s = None, 0
        self.requests, self.changed = [], threading.Condition()
        self.statuses, self.headers, self.hang = [], {}, threading.Event()
        self.hang.set()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                sink.hang.wait(60)
                time.sleep(sink.delay_s)
                request = {"path": self.path, "headers": dict(self.headers), "raw": body, "body": json.loads(body),
                           "certificate": self.connection.getpeercert() if sink.tls else None, "at": time.monotonic(), "wall": time.time()}
                with sink.changed:
                    status = sink.statuses.pop(0) if sink.statuses else sink.decide(request) if sink.decide else 200
                    request["status"] = status
                    sink.requests.append(request)
                    sink.changed.notify_all()
                self.send_response(status)
                for name, value in sink.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self._handler, self._server = Handler, None
        self.up()

    @property
    def url(self):
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}/hook"

    def up(self):
        self._server = Server(("127.0.0.1", self.port), self._handler)
        self._server.daemon_threads = True
        if self.tls:  # the handshake is the handler's thread's, so that a bad one holds up nobody
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def down(self):
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def events(self):
        """What was accepted, one by one, of batches too."""
        bodies = [request["body"] for request in list(self.requests) if request["status"] < 300]
        return [event for body in bodies for event in body.get("events", [body])]

    def types(self):
        return [request["body"]["type"] for request in self.requests]

    def wait(self, enough, what="requests", seconds=PATIENCE_S):
        """Until enough(requests) is true; returns the requests."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while not answer(enough, self.requests)[0]:
                left = deadline - time.monotonic()
                assert left > 0, f"sink waited {seconds} s in vain for {what}; it has {self.types()}"
                self.changed.wait(left)
            return list(self.requests)
