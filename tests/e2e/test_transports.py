"""By whatever transport a phone comes, it is reached and heard; TLS is as strict as it claims to be."""
import os
import ssl
import socket
import subprocess

import pytest
from certificates import Authority

ALL = ("udp", "tcp", "tls")


def talk(caller, callee):
    caller.dial(callee.number)
    callee.answer()
    caller.established()
    caller.hears(callee.hertz)
    callee.hears(caller.hertz)


@pytest.mark.parametrize("first, second", [("tls", "udp"), ("tcp", "tls"), ("tls", "tls"), ("udp", "tcp")])
def test_phones_of_all_transports_talk(make_pbx, phones, first, second):
    pbx = make_pbx(listen=ALL)
    one, two = phones(pbx, "1001", transport=first), phones(pbx, "1002", transport=second)
    shown = {contact["aor"]: contact["transport"] for contact in pbx.ctl("registrations", "list")}
    assert shown == {"1001": first, "1002": second}
    for caller, callee in ((one, two), (two, one)):
        talk(caller, callee)
        callee.hangup()
        caller.closed()


@pytest.mark.parametrize("version, taken", [("-tls1", False), ("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)])
def test_tls_begins_at_1_2(make_pbx, version, taken):
    pbx = make_pbx(listen=ALL)
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{pbx.tls_port}", version, "-cipher", "ALL:@SECLEVEL=0"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
    assert ("Cipher is (NONE)" not in done.stdout) == taken, done.stdout


def shown_certificate(pbx):
    return ssl.get_server_certificate(("127.0.0.1", pbx.tls_port))


def test_a_renewed_certificate_drops_no_call(make_pbx, phones, tmp_path):
    authority = Authority(tmp_path)
    first, key = authority.vouch("first")
    (tmp_path / "pbx.pem").write_text(first)
    (tmp_path / "pbx.key").write_text(key)
    pbx = make_pbx(f"sip:\n  certificate: {tmp_path}/pbx.pem\n  key: {tmp_path}/pbx.key\n", listen=ALL)
    one, two = phones(pbx, "1001", "1002", transport="tls")
    talk(one, two)
    assert shown_certificate(pbx).split() == first.split()

    second, key = authority.vouch("second")
    for name, text in (("pbx.key", key), ("pbx.pem", second)):
        (tmp_path / "new").write_text(text)
        os.replace(tmp_path / "new", tmp_path / name)
    pbx.wait_for(lambda: pbx.log_lines("sip_certificate_loaded"), "the new certificate")
    assert shown_certificate(pbx).split() == second.split()
    one.hears(two.hertz)
    one.hangup()  # over the connection that began with the old one
    two.closed()


PLAIN = "extendedKeyUsage=clientAuth"  # Sofia leaks the alternative names that a certificate of a peer has


def handshake(pbx, certificate=None, key=None):
    """Whether a client with this certificate gets as far as a pong (TLS 1.3 tells its refusal after the handshake)."""
    context = ssl._create_unverified_context()
    if certificate:
        context.load_cert_chain(certificate, key)
    with socket.create_connection(("127.0.0.1", pbx.tls_port), 5) as plain:
        try:
            with context.wrap_socket(plain) as connection:
                connection.sendall(b"\r\n\r\n")
                return connection.recv(16) == b"\r\n"
        except (ssl.SSLError, ConnectionError):
            return False


@pytest.mark.parametrize("demand, without", [("none", True), ("optional", True), ("required", False)])
def test_client_certificates(make_pbx, tmp_path, demand, without):
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "Somebody")
    ours.vouch("phone", more=PLAIN), theirs.vouch("stranger", more=PLAIN)
    pbx = make_pbx(f"sip:\n  tls_clients: {demand}\n  tls_authorities: {ours.folder}/ca.pem\n", listen=ALL)
    assert handshake(pbx) == without
    assert handshake(pbx, ours.folder / "phone.pem", ours.folder / "phone.key")
    assert handshake(pbx, theirs.folder / "stranger.pem", theirs.folder / "stranger.key") == (demand == "none")
