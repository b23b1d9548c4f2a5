"""Several doors: each has its own name, access list, realm, NAT, codecs and address of media, and calls go back by the door a phone came by."""
import re
import socket
import ssl
from types import SimpleNamespace

import pytest
from certificates import Authority, gets_a_pong
from machine import PATIENCE_S
from ports import free_port
from sip_client import OFFER, Message, SipClient
from test_settings import EX_CONFIG, check, started


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A PBX with three doors: `inside` speaks PCMA alone, `guarded` lets 127.0.0.7 in, `plain` believes Contact. Media is behind a NAT for all but 127.0.0.1."""
    from pbx import Pbx
    ports = {name: free_port() for name in ("inside", "guarded", "plain")}
    rows = [f"{{name: inside, listen: ['udp:127.0.0.1:{ports['inside']}'], realm: inside.test, codecs: [PCMA], nat: always}}",
            f"{{name: guarded, listen: ['udp:127.0.0.1:{ports['guarded']}', 'tcp:127.0.0.1:{ports['guarded']}'], allow: [127.0.0.7/32, 10.0.0.0/8]}}",
            f"{{name: plain, listen: ['udp:127.0.0.1:{ports['plain']}'], nat: never, external_address: pbx.example, media_address: 198.51.100.9, local_networks: [192.0.2.0/24]}}"]
    pbx = Pbx(tmp_path_factory.mktemp("house") / "pbx", f"sip:\n  local_networks: [127.0.0.1/32]\n  listeners: [{', '.join(rows)}]\n"
              "media:\n  external_ip: 198.51.100.1\n").start()
    pbx.doors = ports
    pbx.secrets = {number: pbx.account(number) for number in ("1001", "1002", "1003")}
    yield pbx
    pbx.stop()


@pytest.fixture
def phone(house):
    """phone("1001", "inside"): a client that sends to that door, and hears nothing from another."""
    made = []

    def make(number, door=None, **more):
        port = house.doors[door] if door else house.sip_port
        at = SimpleNamespace(sip_port=port, directory=house.directory)
        made.append(SipClient(at, number, house.secrets[number], **more))
        made[-1].socket.connect(("127.0.0.1", port))
        return made[-1]

    yield make
    for one in made:
        one.request("REGISTER", "sip:pbx.test", ["Contact: *", "Expires: 0"], to=f"sip:{one.number}@pbx.test")
        one.close()


def codecs_of(message):
    return re.search(r"^m=audio \d+ \S+ (.+)$", message.body, re.M).group(1).split()


def shown(house, number):
    contact, = house.ctl("registrations", "list", number)
    return contact


# ---- calls go back by the door a phone came by --------------------------------------------

@pytest.mark.parametrize("again", [False, True])
def test_a_door_asks_in_its_realm_and_is_the_way_back(house, phone, again):
    callee, caller = phone("1001", "inside"), phone("1002")
    assert 'realm="inside.test"' in callee.ask("REGISTER", "sip:pbx.test", to="sip:1001@pbx.test").get("WWW-Authenticate")
    assert callee.register().status == 200
    assert shown(house, "1001")["listener"] == "inside"
    if again:
        house.stop()
        house.restart()
    text = caller.ring("1001")
    invite = callee.expect("INVITE")
    door = f"127.0.0.1:{house.doors['inside']}"
    assert re.fullmatch(rf"SIP/2.0/UDP {door};rport;branch=[^ ()]+", invite.get("Via")), invite.get("Via")
    assert f"<sip:{door}>" in invite.get("Contact")
    assert codecs_of(invite)[0] == "8" and "0" not in codecs_of(invite)
    callee.reply(invite, 180, "Ringing")
    caller.cancel(text)
    assert callee.expect("CANCEL")
    callee.reply(invite, 487, "Request Terminated")
    assert callee.expect("ACK")


def test_a_call_that_came_by_a_door_is_ended_by_it_and_spoke_its_codecs(house, phone):
    callee, caller = phone("1001"), phone("1002", "inside")
    assert callee.register().status == 200 and caller.register().status == 200
    caller.ring("1001")
    invite = callee.expect("INVITE")
    assert codecs_of(invite)[0] == "8", "the caller's door speaks PCMA alone"
    callee.reply(invite, 200, "OK", body=OFFER.format(port=free_port()))
    assert callee.expect("ACK")
    accepted = caller.receive(lambda message: message.status == 200 and "INVITE" in message.get("CSeq"))
    caller.acknowledge(accepted, "sip:1001@pbx.test")
    assert [codec for codec in codecs_of(accepted) if codec in "08"] == ["8"] and f":{house.doors['inside']}>" in accepted.get("Contact")
    house.ctl("calls", "hangup", house.ctl("calls", "list")[0]["call_id"])
    for one in (caller, callee):
        one.reply(one.expect("BYE"), 200, "OK")


def test_without_a_codec_of_the_door_a_call_is_488(house, phone):
    caller = phone("1002", "inside")
    only_mu = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
    assert phone("1001").register().status == 200
    assert caller.invite("1001", only_mu).status == 488


# ---- NAT ----------------------------------------------------------------------------------

def test_a_door_says_whether_contact_is_believed(house, phone):
    """Contact and source differ in the port alone: `always` goes to the source; and `never` goes to Contact although the host differs."""
    caller = phone("1003")
    inside, plain = phone("1001", "inside"), phone("1002", "plain")
    assert inside.register(contact=f"<sip:1001@127.0.0.1:{free_port()}>").status == 200
    text = caller.ring("1001")
    inside.reply(inside.expect("INVITE"), 486, "Busy Here")
    caller.acknowledge(caller.receive(lambda message: message.status == 486), text.split()[1])

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
        elsewhere.bind(("127.0.0.8", 0))
        elsewhere.settimeout(PATIENCE_S)
        assert plain.register(contact=f"<sip:1002@127.0.0.8:{elsewhere.getsockname()[1]}>").status == 200
        text = caller.ring("1002")
        invite = elsewhere.recv(65536).decode()
        assert invite.startswith("INVITE ") and f"Contact: <sip:pbx.example:{house.doors['plain']}>" in invite
        kept = [line for line in invite.split("\r\n") if line.split(":")[0] in ("Via", "From", "To", "Call-ID", "CSeq")]
        refusal = ["SIP/2.0 486 Busy Here", *kept, "Content-Length: 0", "", ""]
        elsewhere.sendto("\r\n".join(refusal).encode(), ("127.0.0.1", house.doors["plain"]))
        caller.acknowledge(caller.receive(lambda message: message.status == 486), text.split()[1])


def told(message):
    """Where a message asks for media."""
    return re.search(r"^c=IN IP4 (\S+)", message.body, re.M).group(1)


def call(caller, callee, offer=None):
    """The INVITE that the callee gets, and the 200 of the caller."""
    text = caller.ring(callee.number, offer)
    invite = callee.expect("INVITE")
    callee.reply(invite, 200, "OK", body=OFFER.format(port=free_port()))
    assert callee.expect("ACK")
    accepted = caller.receive(lambda message: message.status == 200 and "INVITE" in message.get("CSeq"))
    caller.acknowledge(accepted, text.split()[1])
    return invite, accepted


def end(house, *phones):
    house.ctl("calls", "hangup", house.ctl("calls", "list")[0]["call_id"])
    for one in phones:
        one.reply(one.expect("BYE"), 200, "OK")
    house.assert_nothing_left()


def test_media_has_an_address_for_each_door_and_its_own_for_who_is_inside(house, phone):
    inside, outside, far = phone("1001"), phone("1002", "plain"), phone("1003", host="127.0.0.9")
    for one in (inside, outside, far):
        assert one.register().status == 200
    invite, accepted = call(inside, outside)
    assert (told(invite), told(accepted)) == ("198.51.100.9", "127.0.0.1")
    end(house, inside, outside)
    assert {event["data"]["media_local"].split(":")[0] for event in house.events("leg.ended")[-2:]} == {"127.0.0.1", "198.51.100.9"}
    invite, accepted = call(outside, far)
    assert (told(invite), told(accepted)) == ("198.51.100.1", "198.51.100.9")
    end(house, far, outside)


ICE_OFFER = ("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 UDP/TLS/RTP/SAVPF 8\r\n"
             "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=candidate:1 1 udp 2130706431 127.0.0.1 4000 typ host\r\n"
             f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}\r\na=setup:actpass\r\na=rtcp-mux\r\n")


@pytest.mark.parametrize("door, addresses", [("plain", ["127.0.0.1", "198.51.100.9"]), (None, ["127.0.0.1"])])
def test_ice_knows_the_doors_address_beside_our_own(house, phone, door, addresses):
    """Those inside are told the one that is both only once."""
    caller, callee = phone("1002", door), phone("1001")
    assert callee.register().status == 200
    _, accepted = call(caller, callee, ICE_OFFER)
    assert re.findall(r"^a=candidate:\S+ 1 \S+ \d+ (\S+)", accepted.body, re.M) == addresses
    assert told(accepted) == addresses[-1]
    end(house, caller, callee)


# ---- who may knock ------------------------------------------------------------------------

def options(transport, host):
    return (f"OPTIONS sip:pbx.test SIP/2.0\r\nVia: SIP/2.0/{transport} {host};branch=z9hG4bK{free_port()};rport\r\nFrom: <sip:a@b>;tag=1\r\n"
            f"To: <sip:pbx.test>\r\nCall-ID: {free_port()}{host}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n").encode()


def asked_by_udp(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.bind((host, 0))
        asker.settimeout(PATIENCE_S)
        asker.sendto(options("UDP", host), ("127.0.0.1", port))
        return asker.recv(65536)


def refused(house):
    return {(row["transport"], row["refused"]) for row in house.ctl("listeners", "list") if row["listener"] == "guarded"}


def test_who_is_not_allowed_hears_nothing(house):
    port = house.doors["guarded"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.sendto(options("UDP", "127.0.0.1"), ("127.0.0.1", port))
        house.wait_for(lambda: ("udp", 1) in refused(house), "the stranger's datagram to be counted")
        assert asked_by_udp("127.0.0.7", port).startswith(b"SIP/2.0 ")
        stranger.setblocking(False)
        with pytest.raises(BlockingIOError):
            stranger.recv(65536)
    for host, answered in (("127.0.0.1", False), ("127.0.0.7", True)):
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S, source_address=(host, 0)) as asker:
            try:
                asker.sendall(options("TCP", host))
                assert asker.recv(65536).startswith(b"SIP/2.0 ") == answered
            except ConnectionError:
                assert not answered
    assert refused(house) == {("udp", 1), ("tcp", 1)}
    metrics = house.http("GET", "//metrics", raw=True)[1]
    assert 'pbx_sip_not_allowed_total{listener="guarded"} 2' in metrics


def test_the_doors_are_listed_over_rest(house):
    status, answer = house.http("GET", "/listeners")
    rows = {(row["listener"], row["transport"]): row for row in answer}
    assert status == 200 and set(rows) == {("sip", "udp"), ("sip", "tcp"), ("inside", "udp"), ("guarded", "udp"), ("guarded", "tcp"), ("plain", "udp")}
    assert rows["inside", "udp"]["codecs"] == ["PCMA"] and rows["sip", "udp"]["realm"] == "pbx.test" and rows["plain", "udp"]["nat"] == "never"


def test_an_access_list_takes_effect_by_a_reload(make_pbx):
    port = free_port()
    row = "{{name: door, listen: ['udp:127.0.0.1:{}'], allow: ['{}']}}"
    pbx = make_pbx(f"sip:\n  listeners: [{row.format(port, '10.0.0.0/8')}]\n")
    pbx.settings = f"sip:\n  listeners: [{row.format(port, '127.0.0.0/8')}]\n"
    pbx.write_settings()
    pbx.ctl("config", "reload")
    assert asked_by_udp("127.0.0.7", port).startswith(b"SIP/2.0 ")


# ---- TLS ----------------------------------------------------------------------------------

def test_one_door_wants_certificates_and_another_does_not(make_pbx, tmp_path):
    authority, port = Authority(tmp_path), free_port()
    authority.vouch("phone", more="subjectAltName=DNS:phone.pbx.test")
    pbx = make_pbx(f"sip:\n  tls_authorities: {authority.folder}/ca.pem\n"
                   f"  listeners: [{{name: strict, listen: ['tls:127.0.0.1:{port}'], tls_clients: required}}]\n", listen=("udp", "tcp", "tls"))

    named = authority.folder / "phone.pem", authority.folder / "phone.key"
    assert gets_a_pong(pbx.tls_port) and not gets_a_pong(port) and gets_a_pong(port, *named)


def test_each_door_shows_its_own_certificate_and_a_new_one_when_its_file_changes(make_pbx, tmp_path):
    authority, ports = Authority(tmp_path), [free_port(), free_port()]
    for name in ("house", "outside"):
        authority.vouch(name, more=f"subjectAltName=DNS:{name}.pbx.test")
    folder = authority.folder
    pbx = make_pbx(f"sip:\n  certificate: {folder}/house.pem\n  key: {folder}/house.key\n"
                   f"  listeners: [{{name: outside, listen: ['tls:127.0.0.1:{ports[0]}'], certificate: {folder}/outside.pem, key: {folder}/outside.key}}, "
                   f"{{name: plain, listen: ['tls:127.0.0.1:{ports[1]}']}}]\n", listen=("udp", "tls"))

    def shown(port, name):
        context = ssl.create_default_context(cafile=folder / "ca.pem")
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as plain:
            try:
                with context.wrap_socket(plain, server_hostname=f"{name}.pbx.test") as connection:
                    return connection.getpeercert()["serialNumber"]
            except ssl.SSLCertVerificationError:
                return None
    assert shown(pbx.tls_port, "house") and shown(ports[1], "house") and not shown(ports[0], "house")
    before = shown(ports[0], "outside")
    assert before
    authority.vouch("outside", more="subjectAltName=DNS:outside.pbx.test")
    pbx.wait_for(lambda: shown(ports[0], "outside") not in (None, before), "the new certificate")


class TlsClient(SipClient):
    """The same over TLS, with a certificate."""

    def __init__(self, pbx, number, certificate, key, **more):
        super().__init__(pbx, number, **more)
        context = ssl._create_unverified_context()
        context.load_cert_chain(certificate, key)
        self.stream = context.wrap_socket(socket.create_connection(("127.0.0.1", pbx.tls_port), PATIENCE_S))

    def send(self, data):
        self.stream.sendall(data.replace("SIP/2.0/UDP ", "SIP/2.0/TLS ").encode())

    def receive(self, wanted=lambda message: True, seconds=PATIENCE_S):
        self.stream.settimeout(seconds)
        while True:
            data = b""
            while b"\r\n\r\n" not in data:
                octet = self.stream.recv(1)
                assert octet, "the connection has ended"
                data += octet
            message = Message(data)
            if wanted(message):
                return message

    def close(self):
        self.stream.close()
        super().close()


@pytest.fixture
def certified(make_pbx, tmp_path, request):
    """certified(number, name): a client whose certificate has that alternative name; .pbx is the daemon."""
    ours, theirs = Authority(tmp_path), Authority(tmp_path, "Somebody")
    pbx = make_pbx(f"sip:\n  tls_authorities: {ours.folder}/ca.pem\n  tls_clients: optional\n  tls_accounts: true\n", listen=("udp", "tcp", "tls"))

    def make(number, name):
        ours.vouch("client", more=f"subjectAltName={name}")
        made = TlsClient(pbx, number, ours.folder / "client.pem", ours.folder / "client.key")
        request.addfinalizer(made.close)
        return made
    make.pbx, make.theirs = pbx, theirs
    return make


def test_a_certificate_stands_for_the_account_it_names(certified):
    for number in ("1001", "1002"):
        certified.pbx.account(number)
    phone = certified("1001", "DNS:phone.example,URI:sip:1001@pbx.test")
    contact = [f"Contact: <sip:1001@127.0.0.1:{phone.port};transport=tls>"]
    assert phone.ask("REGISTER", "sip:pbx.test", contact, to="sip:1001@pbx.test").status == 200
    assert [row["transport"] for row in certified.pbx.ctl("registrations", "list", "1001")] == ["tls"]
    assert phone.ask("REGISTER", "sip:pbx.test", contact, to="sip:1002@pbx.test", sender="1002").status == 401
    assert phone.ask("MESSAGE", "sip:7999@pbx.test", body="hello", kind="text/plain").status == 404
    certified.pbx.ctl("extension", "remove", "1001")
    assert phone.ask("REGISTER", "sip:pbx.test", contact, to="sip:1001@pbx.test").status == 401


@pytest.mark.parametrize("name", ["DNS:phone.example", "URI:sip:1001@elsewhere.test", "URI:sip:pbx.test", "email:1001@pbx.test"])
def test_a_certificate_that_does_not_name_the_account_is_not_its_password(certified, name):
    certified.pbx.account("1001")
    assert certified("1001", name).ask("REGISTER", "sip:pbx.test", to="sip:1001@pbx.test").status == 401


def test_a_trunk_is_known_by_its_certificate(certified):
    pbx = certified.pbx
    pbx.account("1001")
    pbx.ctl("trunk", "add", "carrier", "host=192.0.2.99", "certificate=gateway.example")
    pbx.ctl("inbound-route", "add", "main", "did=12125550100", "destination=1001")
    gateway, stranger = certified("12125551212", "DNS:gateway.example"), certified("12125551212", "DNS:other.example")
    assert gateway.ask("INVITE", "sip:12125550100@pbx.test", body=OFFER.format(port=free_port())).status == 480
    assert stranger.ask("INVITE", "sip:12125550100@pbx.test", body=OFFER.format(port=free_port())).status == 407


# ---- mistakes -----------------------------------------------------------------------------

@pytest.mark.parametrize("rows, words", [
    ("{name: Phones!, listen: ['udp:127.0.0.1:5999']}", "no name for a listener"),
    ("{name: sip, listen: ['udp:127.0.0.1:5999']}", "call this listener something else"),
    ("{name: a, listen: ['udp:127.0.0.1:5999']}, {name: a, listen: ['udp:127.0.0.1:5998']}", "two listeners are called 'a'"),
    ("{name: a, listen: []}", "nothing to listen on"),
    ("{name: a}", "is needed here"),
    ("{name: a, listen: ['ws:127.0.0.1:5999']}", "write udp:ADDRESS:PORT"),
    ("{name: a, listen: ['udp:127.0.0.1:5999'], allow: [10.0.0.0/33]}", "allow of 'a': '10.0.0.0/33' is no network"),
    ("{name: a, listen: ['udp:127.0.0.1:5999'], local_networks: [house]}", "local_networks of 'a': 'house'"),
    ("{name: a, listen: ['tcp:127.0.0.1:5999']}, {name: b, listen: ['tls:127.0.0.1:5999']}", "is taken by tcp:127.0.0.1:5999 of 'a'"),
    ("{name: a, listen: ['udp:127.0.0.1:5999'], nat: sometimes}", "one of auto, always, never"),
    ("{name: a, listen: ['udp:127.0.0.1:5999'], media_address: pbx.example}", "media_address of 'a': 'pbx.example' is no address"),
    ("{name: a, listen: ['udp:127.0.0.1:5999'], realms: x}", "did you mean realm"),
    ("{name: a, listen: ['tls:127.0.0.1:5999'], certificate: /a.pem}", "certificate and key of 'a' go together"),
])
def test_a_mistake_is_told_before_anything_listens(make_pbx, rows, words):
    pbx = make_pbx(f"sip:\n  listeners: [{rows}]\n", start=False)
    pbx.write_settings()
    for ask in (check, started):
        code, said = ask(pbx)
        assert code == EX_CONFIG and words in said, said


def test_a_listener_that_is_none_is_told_by_the_check(make_pbx):
    pbx = make_pbx(start=False)
    pbx.write_settings()
    pbx.config.write_text(pbx.config.read_text().replace('"udp:127.0.0.1', '"upd:127.0.0.1'))
    code, said = check(pbx)
    assert code == EX_CONFIG and "is no listener: write udp:ADDRESS:PORT" in said, said


@pytest.mark.parametrize("more, words", [("", "needs sip.tls_authorities"), ("\n  tls_authorities: /etc/ssl/ca.pem", "set sip.tls_clients to optional or required")])
def test_certificates_for_passwords_are_refused_without_what_makes_them_safe(make_pbx, more, words):
    pbx = make_pbx(f"sip:\n  tls_accounts: true{more}\n", start=False)
    pbx.write_settings()
    code, said = check(pbx)
    assert code == EX_CONFIG and words in said, said
