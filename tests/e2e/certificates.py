"""Certificates of one's own for a test: an authority, who it vouches for, and who it does not any more. Made by openssl."""
import socket
import ssl
import subprocess

from machine import PATIENCE_S


class Authority:
    def __init__(self, folder, name="Test Authority"):
        self.folder = folder / name.replace(" ", "-")
        self.folder.mkdir(parents=True)
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
                      "-days", "30", "-subj", f"/CN={name}", "-addext", "basicConstraints=critical,CA:TRUE")

    def _openssl(self, *words):
        subprocess.run(["openssl", *words], cwd=self.folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    @property
    def pem(self):
        return (self.folder / "ca.pem").read_text()

    def vouch(self, name, days=30, more="subjectAltName=IP:127.0.0.1"):
        """(certificate, key) as PEM for a name that is 127.0.0.1. days < 0: it has expired."""
        self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
                      "-subj", f"/CN={name}")
        (self.folder / "more").write_text(more + "\n")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "more",
                      "-out", f"{name}.pem", "-days", str(days))
        return (self.folder / f"{name}.pem").read_text(), (self.folder / f"{name}.key").read_text()

    def server_context(self, name="server", clients=None, more="subjectAltName=IP:127.0.0.1"):
        """A TLS server of this authority; clients: the authority whose clients alone are let in."""
        self.vouch(name, more=more)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        if clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cadata=clients.pem)
        return context


def gets_a_pong(port, certificate=None, key=None):
    """Whether a client with this certificate gets as far as a pong of SIP (TLS 1.3 tells its refusal after the handshake)."""
    context = ssl._create_unverified_context()
    if certificate:
        context.load_cert_chain(certificate, key)
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain:
        try:
            with context.wrap_socket(plain) as connection:
                connection.sendall(b"\r\n\r\n")
                return connection.recv(16) == b"\r\n"
        except (ssl.SSLError, ConnectionError):
            return False
