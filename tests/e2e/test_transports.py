"""By whatever transport a phone comes, it is reached and heard; TLS is as strict as it claims to be."""
import os
import re
import ssl
import socket
import subprocess

import pytest
import websocket
from certificates import Authority, gets_a_pong
from ear import Listener, open_ear
from machine import PATIENCE_S
from pbx import Refused
from ports import free_range
from sip_client import OFFER
from web_phone import WebPhone

ALL = ("udp", "tcp", "tls")


def talk(caller, callee):
    caller.dial(callee.number)
    callee.answer()
    caller.established()
    assert caller.hears(callee.hertz)
    assert callee.hears(caller.hertz)


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


def test_phones_of_both_families_talk_side_by_side(make_pbx, phones):
    """IPv6 with IPv4, either way, while another call of IPv6 alone goes on."""
    pbx = make_pbx(listen=("udp", "udp6"))
    six, seven = phones(pbx, "1001", "1003", six=True)
    four = phones(pbx, "1002")
    lonely = phones(pbx, "1004", six=True)
    shown = {contact["aor"]: contact["received"] for contact in pbx.ctl("registrations", "list")}
    assert all(shown[number].startswith("[::1]:") for number in ("1001", "1003", "1004")) and shown["1002"].startswith("127.0.0.1:")
    talk(seven, lonely)
    for caller, callee in ((six, four), (four, six)):
        talk(caller, callee)
        callee.hangup()
        caller.closed()
    lonely.hears(seven.hertz)
    seven.hears(lonely.hertz)
    lonely.hangup()
    seven.closed()


@pytest.mark.parametrize("version, taken", [("-tls1", False), ("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)])
def test_tls_begins_at_1_2(make_pbx, version, taken):
    pbx = make_pbx(listen=ALL)
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{pbx.tls_port}", version, "-cipher", "ALL:@SECLEVEL=0"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE_S)
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
    assert one.hears(two.hertz)
    one.hangup()  # over the connection that began with the old one
    two.closed()


@pytest.mark.parametrize("demand, without", [("none", True), ("optional", True), ("required", False)])
def test_client_certificates(make_pbx, tmp_path, demand, without):
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "Somebody")
    ours.vouch("phone"), theirs.vouch("stranger")
    pbx = make_pbx(f"sip:\n  tls_clients: {demand}\n  tls_authorities: {ours.folder}/ca.pem\n", listen=ALL)
    assert gets_a_pong(pbx.tls_port) == without
    assert gets_a_pong(pbx.tls_port, ours.folder / "phone.pem", ours.folder / "phone.key")
    assert gets_a_pong(pbx.tls_port, theirs.folder / "stranger.pem", theirs.folder / "stranger.key") == (demand == "none")


@pytest.fixture
def web_phone(request):
    """web_phone(pbx, "1001", secret, …), closed at the end."""
    def make(*args, **more):
        made = WebPhone(*args, **more)
        request.addfinalizer(made.close)
        return made
    return make


def test_a_web_page_registers_and_is_called(pbx, phones, web_phone):
    phone = phones(pbx, "1002")
    page = web_phone(pbx, "1001", pbx.account("1001", srtp="off"))  # else it is offered what browsers want, DTLS and ICE
    answer = page.register()
    assert answer.status == 200 and answer.get("Via").startswith("SIP/2.0/WSS ")
    contact, = pbx.ctl("registrations", "list", "1001")
    assert contact["transport"] == "wss" and contact["received"] == "{}:{}".format(*page.web.sock.getsockname())

    phone.dial("1001")
    invite = page.receive(lambda message: message.method == "INVITE")
    assert invite.get("Via").startswith("SIP/2.0/WSS ")
    ear = open_ear(port := free_range(2), port + 1, page.pbx.directory)
    try:
        page.reply(invite, 200, "OK", [f"Contact: <sip:1001@{page.host};transport=ws>"], OFFER.format(port=port))
        assert page.receive(lambda message: message.method == "ACK")
        phone.established()
        hears = Listener()
        hears.ear = ear
        assert hears.hears(phone.hertz)
    finally:
        ear.close()
    phone.hangup()
    bye = page.receive(lambda message: message.method == "BYE")
    page.reply(bye, 200, "OK")
    phone.closed()


def test_a_web_page_calls(pbx, phones, web_phone):
    phone = phones(pbx, "1002", answer="auto")
    page = web_phone(pbx, "1001", pbx.account("1001"))
    answer = page.invite("1002", headers=[f"Contact: <sip:1001@{page.host};transport=ws>"])
    assert answer.status == 200 and "transport=ws" in answer.get("Contact")
    phone.established()
    phone.hangup()
    page.reply(page.receive(lambda message: message.method == "BYE"), 200, "OK")


def test_a_web_page_watches_a_line(pbx, phones, web_phone):
    phone = phones(pbx, "1002")
    page = web_phone(pbx, "1001", pbx.account("1001"))
    contact = f"<sip:1001@{page.host};transport=ws>"
    assert page.request("SUBSCRIBE", "sip:1002@pbx.test", ["Event: dialog", "Expires: 60", f"Contact: {contact}"]).status in (200, 202)
    notify = page.receive(lambda message: message.method == "NOTIFY")
    assert notify and 'entity="sip:1002@pbx.test"' in notify.body and "transport=ws>" in notify.get("Contact")
    page.reply(notify, 200, "OK")
    phone.dial("7999")
    phone.closed()


def test_a_page_that_was_closed_is_not_reached(pbx, phones, web_phone):
    phone = phones(pbx, "1002")
    page = web_phone(pbx, "1001", pbx.account("1001"))
    assert page.register().status == 200
    page.web.close()
    assert "480" in phone.dial("1001").closed()["param"]
    assert pbx.ctl("registrations", "list", "1001") == [], "its connection has gone: so has the registration"
    pbx.assert_nothing_left()


def test_many_frames_make_one_message_and_pings_are_answered(pbx, web_phone):
    page = web_phone(pbx, "1001", pbx.account("1001"))
    page.web.send("\r\n\r\n")
    assert page.web.recv() == "\r\n"
    text = page.text("OPTIONS", "sip:pbx.test", cseq=1).replace("SIP/2.0/UDP ", "SIP/2.0/WSS ")
    page.web.send_frame(websocket.ABNF.create_frame(text[:100], websocket.ABNF.OPCODE_TEXT, fin=0))
    page.web.send_frame(websocket.ABNF.create_frame(text[100:], websocket.ABNF.OPCODE_CONT))
    assert page.receive(lambda message: message.status).status in (200, 407)


@pytest.mark.parametrize("octets, told", [(100_000, True), (1 << 30, False)], ids=["some", "a gigabyte"])
def test_a_frame_that_is_too_long_is_not_gathered(pbx, web_phone, octets, told):
    sends_too_much(web_phone(pbx), octets, told)
    assert web_phone(pbx).ask("OPTIONS", "sip:pbx.test").status


@pytest.mark.parametrize("octets, told", [(100_000, True), (1 << 30, False)], ids=["some", "a gigabyte"])
def test_a_frame_that_is_too_long_is_not_gathered_without_tls(make_pbx, web_phone, octets, told):
    """As a proxy in front would pass it on."""
    pbx = make_pbx("api:\n  plain_http: true\n")
    sends_too_much(web_phone(pbx, scheme="ws"), octets, told)
    assert web_phone(pbx, scheme="ws").ask("OPTIONS", "sip:pbx.test").status


def sends_too_much(page, octets, told):
    head = websocket.ABNF.create_frame(b"", websocket.ABNF.OPCODE_BINARY).format()[:1] + b"\xff" + octets.to_bytes(8, "big") + bytes(4)
    page.web.sock.settimeout(PATIENCE_S)
    with pytest.raises((websocket.WebSocketException, OSError)) as ended:
        page.web.sock.sendall(head)
        for sent in range(0, min(octets, 64_000_000), 10_000):
            page.web.sock.sendall(bytes(10_000))
        code, data = page.web.recv_data()
        raise websocket.WebSocketConnectionClosedException(f"closed with {int.from_bytes(data[:2], 'big')}" if code == 8 else "it goes on")
    assert not isinstance(ended.value, (TimeoutError, websocket.WebSocketTimeoutException)) and "goes on" not in str(ended.value)
    assert ("1009" in str(ended.value)) is told


def test_browsers_come_in_from_networks_that_may(pbx, web_phone):
    page = web_phone(pbx)
    assert page.ask("OPTIONS", "sip:pbx.test").status, "let in before the settings change"
    pbx.ctl("config", "set", "sip.websocket_allow", "10.0.0.0/8")
    assert page.ask("OPTIONS", "sip:pbx.test").status, "who is in stays"
    stranger = web_phone(pbx)
    with pytest.raises((websocket.WebSocketException, OSError)):
        assert stranger.web.recv() == "", "a connection that is closed unread"
        raise websocket.WebSocketConnectionClosedException("closed in good order")
    pbx.ctl("config", "set", "sip.websocket_allow", "127.0.0.0/8")
    assert web_phone(pbx).ask("OPTIONS", "sip:pbx.test").status
    with pytest.raises(Refused, match="websocket_allow"):
        pbx.ctl("config", "set", "sip.websocket_allow", "the-house")


@pytest.mark.parametrize("origin, status", [("https://evil.example", 403), ("https://phone.example", 0)])
def test_pages_of_other_sites_are_refused(make_pbx, web_phone, origin, status):
    pbx = make_pbx("api:\n  sip_origins: [\"https://phone.example\"]\n")
    if status:
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            web_phone(pbx, origin=origin)
        assert refused.value.status_code == status
    else:
        assert web_phone(pbx, origin=origin).ask("OPTIONS", "sip:pbx.test").status


@pytest.mark.parametrize("frame", ["hello", "OPTIONS sip:x SIP/2.0\r\n\r\n", "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/WSS a;branch=z9hG4bKx\r\nl: 5\r\n\r\n"])
def test_a_frame_that_is_no_sip_ends_the_connection(pbx, web_phone, frame):
    page = web_phone(pbx)
    page.web.send(frame)
    with pytest.raises((websocket.WebSocketException, OSError)):
        while page.web.recv() != "":
            pass
        raise websocket.WebSocketConnectionClosedException("closed in good order")


def ends_with(page):
    """The status of the frame that closes the page's connection; its pings and questions before that do not help it."""
    page.web.settimeout(PATIENCE_S)
    while True:
        kind, data = page.web.recv_data(control_frame=True)
        if kind == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(data[:2], "big")


def test_pages_that_neither_register_nor_call_are_shown_out(make_pbx, web_phone):
    pbx = make_pbx("api:\n  sip_clients: 8\n  sip_greeting_s: 4\n")
    known = web_phone(pbx, "1001", pbx.account("1001"))
    assert known.register().status == 200
    idle, asking = web_phone(pbx), web_phone(pbx)
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:  # a quarter of eight, as long as nobody knows them
        WebPhone(pbx)
    assert refused.value.status_code == 429
    asking.web.send("\r\n\r\n")
    assert asking.web.recv() == "\r\n"
    assert asking.register().status == 401  # and it goes no further
    assert ends_with(idle) == ends_with(asking) == 1008
    assert known.register().status == 200
    again = web_phone(pbx, "1002", pbx.account("1002"))  # there is room again
    assert again.register().status == 200


def test_a_handshake_that_cannot_be_takes_no_place(make_pbx, web_phone):
    pbx = make_pbx("api:\n  sip_clients: 1\n")
    context = ssl._create_unverified_context()
    for length in (0, 16, 200):
        with socket.create_connection(("127.0.0.1", pbx.http_port), PATIENCE_S) as plain, context.wrap_socket(plain) as tls:
            tls.sendall(b"GET /sip HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        b"Sec-WebSocket-Protocol: sip\r\nSec-WebSocket-Key: " + b"A" * length + b"\r\n\r\n")
            assert tls.recv(4096).split()[1].startswith(b"4")
    assert web_phone(pbx, "1001", pbx.account("1001")).register().status == 200


def test_what_is_too_long_for_udp_goes_by_tcp(make_pbx, phones, client):
    pbx = make_pbx("sip:\n  udp_mtu: 500\n")
    phone = phones(pbx, "1002")
    callee = client(pbx, "1001", pbx.account("1001"))
    with socket.create_server(("127.0.0.1", callee.port)) as listener:
        assert callee.register().status == 200
        phone.dial("1001")
        listener.settimeout(PATIENCE_S)
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE_S)
            invite = connection.recv(65536)
            assert invite.startswith(b"INVITE ") and b"Via: SIP/2.0/TCP " in invite
    phone.hangup()


@pytest.mark.parametrize("transport", ("udp", "udp6", "tcp", "tcp6"))
def test_signalling_is_marked_and_speaks_both_families(make_pbx, transport):
    pbx = make_pbx(listen=("udp", "tcp", "udp6", "tcp6"))
    family = socket.AF_INET6 if transport.endswith("6") else socket.AF_INET
    host = "::1" if transport.endswith("6") else "127.0.0.1"
    level, ask = (socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS) if transport.endswith("6") else (socket.IPPROTO_IP, socket.IP_RECVTOS)
    with socket.socket(family, socket.SOCK_STREAM if transport.startswith("tcp") else socket.SOCK_DGRAM) as asker:
        asker.setsockopt(level, ask, 1)
        asker.settimeout(PATIENCE_S)
        asker.connect((host, pbx.sip_port))
        own = f"[{host}]" if ":" in host else host
        asker.sendall(f"OPTIONS sip:pbx.test SIP/2.0\r\nVia: SIP/2.0/{transport[:3].upper()} {own}:{asker.getsockname()[1]};branch=z9hG4bKa;rport\r\n"
                      f"From: <sip:a@b>;tag=1\r\nTo: <sip:pbx.test>\r\nCall-ID: {transport}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n"
                      "Content-Length: 0\r\n\r\n".encode())
        answer, extra, _, _ = asker.recvmsg(65536, 256)
        assert answer.startswith(b"SIP/2.0 ")
        if transport.startswith("udp"):
            assert int.from_bytes(extra[0][2], "little") == 24 << 2


def test_a_flood_of_junk_is_dropped_and_calls_go_on(pbx, phones):
    one, two = phones(pbx, "1001", "1002")
    talk(one, two)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hostile:
        hostile.bind(("127.0.0.9", 0))
        def dropped():
            for _ in range(40000):
                hostile.sendto(b"x" * 400, ("127.0.0.1", pbx.sip_port))
            return int(re.search(r"^pbx_sip_flood_dropped_total (\d+)", pbx.http("GET", "//metrics", raw=True)[1], re.M).group(1))
        pbx.wait_for(lambda: dropped() > 1000, "drops: what comes while it has no core, the kernel throws away")
    one.hangup()
    two.closed()
    talk(two, one)
    two.hangup()
    one.closed()
