"""An OAuth2 token endpoint for client credentials: oauthlib decides, this only carries the requests."""
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from oauthlib.oauth2 import BackendApplicationServer, RequestValidator
from ports import free_port


class Client:
    def __init__(self, client_id):
        self.client_id = client_id


class Validator(RequestValidator):
    def __init__(self, client_id, secret):
        self.pair, self.tokens, self.how = (client_id, secret), [], None

    def authenticate_client(self, request, *_, **__):
        import base64
        from urllib.parse import unquote
        header = request.headers.get("Authorization", "")
        if header.startswith("Basic "):
            given, self.how = tuple(map(unquote, base64.b64decode(header[6:]).decode().split(":", 1))), "basic"
        else:
            given, self.how = (request.client_id, request.client_secret), "body"
        request.client = Client(given[0])
        return given == self.pair

    def validate_grant_type(self, client_id, grant_type, client, request, *_, **__):
        return grant_type == "client_credentials"

    def validate_scopes(self, client_id, scopes, client, request, *_, **__):
        return set(scopes) <= {"events", "calls"}

    def get_default_scopes(self, *_, **__):
        return ["events"]

    def save_bearer_token(self, token, request, *_, **__):
        self.tokens.append(token)


class TokenServer:
    """Grants tokens that live `expires_s`; `valid` are those a resource would let in."""

    def __init__(self, client_id="pbx", secret="s3cr3t with space & ünicode", expires_s=3600):
        self.port, self.client_id, self.secret = free_port(), client_id, secret
        self.validator = Validator(client_id, secret)
        self.asked, self.status = [], None
        server = BackendApplicationServer(self.validator, token_expires_in=lambda request: expires_s)
        own = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                own.asked.append(body)
                if own.status:
                    headers, text, status = {"Content-Type": "text/plain"}, "out of order", own.status
                else:
                    headers, text, status = server.create_token_response(self.path, "POST", body, dict(self.headers))
                data = text.encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/token"

    @property
    def granted(self):
        return [token["access_token"] for token in self.validator.tokens]

    def close(self):
        self._server.shutdown()
        self._server.server_close()
