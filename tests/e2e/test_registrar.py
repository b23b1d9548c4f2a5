"""What a registrar owes phones beyond one contact: proxies on the way, flows, addresses of one device, preference, push."""
import re
import socket
import uuid

import pytest
from machine import PATIENCE_S, Watch
from ports import free_port
from sip_client import OFFER, SipClient


@pytest.fixture
def client():
    made = []

    def make(pbx, number, secret=None, **more):
        made.append(SipClient(pbx, number, secret or pbx.account(number), **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


def instance():
    return f"urn:uuid:{uuid.uuid4()}"


def register(phone, own=None, *, params="", headers=(), uri_params="", expires=300):
    """REGISTER with an instance and more; the answer."""
    more = (f';+sip.instance="<{own}>"' if own else "") + params
    contact = f"<sip:{phone.number}@{phone.host}:{phone.port}{uri_params}>{more}"
    return phone.request("REGISTER", "sip:pbx.test", [f"Contact: {contact}", f"Expires: {expires}", *headers], to=f"sip:{phone.number}@pbx.test")


def answer(phone, invite):
    phone.reply(invite, 200, "OK", body=OFFER.format(port=free_port()))
    return phone.expect("ACK")


def is_silent(phone):
    return phone.receive(lambda message: message.method == "INVITE", seconds=0.5) is None


# ---- Path, Service-Route -------------------------------------------------------------------

def test_calls_take_the_path_back_through_the_proxies_of_the_registration(pbx, client):
    """RFC 3327: the INVITE goes to the first proxy with all of them as Route, and its Request-URI is the phone's."""
    edge, caller = client(pbx, "1001"), client(pbx, "1003")
    path = f"<sip:127.0.0.1:{edge.port};lr;ob>, <sip:flow-7f3@192.0.2.40;lr>"
    contact = "<sip:1001@10.9.9.9:5062>"
    answered = edge.register(contact=contact)
    assert answered.status == 200 and not answered.all("Path")
    answered = edge.request("REGISTER", "sip:pbx.test", [f"Contact: {contact}", f"Path: {path}", "Supported: path"], to="sip:1001@pbx.test")
    assert answered.status == 200 and ", ".join(answered.all("Path")) == path
    caller.ring("1001")
    invite = edge.expect("INVITE")
    assert invite.start.startswith("INVITE sip:1001@10.9.9.9:5062 ")
    assert [route for value in invite.all("Route") for route in re.findall(r"<[^>]+>", value)] == re.findall(r"<[^>]+>", path)
    edge.reply(invite, 486, "Busy Here")


def test_a_path_longer_than_we_keep_is_refused(pbx, client):
    phone = client(pbx, "1001")
    path = ", ".join(f"<sip:proxy{i}.example.com;lr>" for i in range(40))
    assert register(phone, headers=[f"Path: {path}", "Supported: path"]).status == 400
    assert pbx.ctl("registrations", "list", "1001") == []


def test_phones_are_told_the_service_route(make_pbx, client):
    pbx = make_pbx('sip:\n  service_route: ["sip:edge1.pbx.test;lr", "sip:edge2.pbx.test:5070;lr"]')
    assert ", ".join(register(client(pbx, "1001")).all("Service-Route")) == "<sip:edge1.pbx.test;lr>, <sip:edge2.pbx.test:5070;lr>"


def test_what_a_push_service_needs_is_kept_over_a_restart(make_pbx, client):
    """RFC 8599: which services we have is said to who asks, and the parameters come back with each call, escapes and all."""
    pbx = make_pbx("sip:\n  push_services: [apns, fcm]\n")
    phone, caller = client(pbx, "1001"), client(pbx, "1003")
    asks = register(phone, uri_params=";pn-provider")
    assert asks.all("Feature-Caps") == ['*;+sip.pns="apns"', '*;+sip.pns="fcm"']
    params = ";pn-provider=fcm;pn-param=project-7;pn-prid=c%3AToken_x-1"
    answered = register(phone, uri_params=params)
    assert answered.all("Feature-Caps") == ['*;+sip.pns="fcm"'] and any(params in each for each in answered.all("Contact"))
    assert register(phone, uri_params=";pn-provider=unknown;pn-prid=1").all("Feature-Caps") == []
    assert register(phone, uri_params=params).status == 200
    pbx.stop()
    pbx.restart()
    caller.ring("1001")
    invite = phone.receive(lambda message: message.method == "INVITE" and params in message.start)
    assert invite
    phone.reply(invite, 200, "OK", [f"Contact: <sip:1001@{phone.host}:{phone.port}{params}>"], body=OFFER.format(port=free_port()))
    assert params in phone.expect("ACK").start
    pbx.ctl("calls", "hangup", pbx.ctl("calls", "list")[0]["call_id"])
    assert params in phone.expect("BYE").start


# ---- flows (RFC 5626) ----------------------------------------------------------------------

def test_one_flow_of_a_device_is_called_and_the_next_when_the_edge_says_it_is_dead(pbx, client):
    first, caller = client(pbx, "1001"), client(pbx, "1003")
    second = client(pbx, "1001", first.secret)
    own = instance()
    for phone, reg_id in ((second, 2), (first, 1)):
        answered = register(phone, own, params=f";reg-id={reg_id}", headers=["Supported: path, outbound"])
        assert answered.status == 200 and "outbound" in answered.get("Require") and f"reg-id={reg_id}" in "".join(answered.all("Contact"))
    assert len(pbx.ctl("registrations", "list", "1001")) == 2
    caller.ring("1001")
    first.reply(first.expect("INVITE"), 430, "Flow Failed")
    invite = second.expect("INVITE")
    removed = pbx.wait_event("registration.removed", where=lambda data: data["reason"] == "flow_failed")["data"]
    assert f":{first.port}" in removed["contact"]
    answer(second, invite)
    assert caller.receive(lambda message: message.status == 200 and "INVITE" in message.get("CSeq"))
    assert len(pbx.ctl("registrations", "list", "1001")) == 1
    pbx.ctl("calls", "hangup", pbx.ctl("calls", "list")[0]["call_id"])


class Flow(SipClient):
    """The same over a TCP connection."""

    def __init__(self, pbx, number, secret):
        super().__init__(pbx, number, secret)
        self.stream, self.buffer = socket.create_connection(("127.0.0.1", pbx.sip_port), PATIENCE_S), b""

    def send(self, data):
        self.stream.sendall(data.replace("SIP/2.0/UDP ", "SIP/2.0/TCP ").encode())

    def next(self, seconds):
        self.stream.settimeout(seconds)
        while b"\r\n\r\n" not in self.buffer.lstrip():
            data = self.stream.recv(65536)
            if not data:
                return None
            self.buffer += data
        head, _, rest = self.buffer.lstrip().partition(b"\r\n\r\n")
        size = int(re.search(rb"(?im)^content-length: *(\d+)", head).group(1))
        self.buffer = rest[size:]
        return head + b"\r\n\r\n" + rest[:size]

    def close(self):
        self.stream.close()
        super().close()


def test_a_flow_over_which_nothing_comes_is_dead(make_pbx):
    """Who was told Flow-Timer and keeps silent loses connection and registration; who sends empty lines, or was told nothing, stays."""
    pbx = make_pbx("sip:\n  flow_timer_s: 1\n  flow_answer_s: 1\n")
    flows, opened = {number: Flow(pbx, number, pbx.account(number)) for number in ("1001", "1002", "1003")}, Watch()
    try:
        for number, flow in flows.items():
            outbound = number != "1003"
            answered = register(flow, instance(), params=";reg-id=1" * outbound, headers=["Supported: path, outbound"] * outbound,
                                uri_params=";transport=tcp")
            assert answered.status == 200 and answered.all("Flow-Timer") == ["1"] * outbound
        silent, pinging = flows["1002"].stream, flows["1001"].stream
        silent.settimeout(0.4)
        pinging.settimeout(PATIENCE_S)
        while opened.elapsed_s() < PATIENCE_S:
            pinging.sendall(b"\r\n\r\n")
            assert pinging.recv(16) == b"\r\n"
            try:
                assert silent.recv(16) == b""
                break
            except socket.timeout:
                pass
        assert opened.elapsed_s() >= 2
        assert pbx.wait_event("registration.removed")["data"]["reason"] == "flow_failed"
        assert {contact["aor"] for contact in pbx.ctl("registrations", "list")} == {"1001", "1003"}
    finally:
        for flow in flows.values():
            flow.close()


def test_a_device_that_declines_is_not_called_again_over_its_other_flow(pbx, client):
    first, caller = client(pbx, "1001"), client(pbx, "1003")
    second, other = client(pbx, "1001", first.secret), client(pbx, "1001", first.secret)
    own = instance()
    for phone, reg_id in ((second, 2), (first, 1)):
        assert register(phone, own, params=f";reg-id={reg_id}", headers=["Supported: outbound"]).status == 200
    assert register(other, instance(), params=";reg-id=1", headers=["Supported: outbound"]).status == 200
    caller.ring("1001")
    first.reply(first.expect("INVITE"), 486, "Busy Here")
    other.reply(other.expect("INVITE"), 486, "Busy Here")
    assert caller.receive(lambda message: message.status == 486)
    assert is_silent(second)


def test_a_flow_through_a_proxy_that_keeps_none_is_439_and_two_flows_at_once_are_400(pbx, client):
    phone = client(pbx, "1001")
    uri, to, own = "sip:pbx.test", "sip:1001@pbx.test", instance()
    contact = f'Contact: <sip:1001@127.0.0.1:{phone.port}>;+sip.instance="<{own}>";reg-id=1'
    far = ["Supported: path, outbound", contact, "Via: SIP/2.0/UDP 10.1.1.1:5060;branch=z9hG4bKfar"]
    assert phone.request("REGISTER", uri, far + ["Path: <sip:edge.example.com;lr>"], to=to).status == 439
    assert phone.request("REGISTER", uri, far + ["Path: <sip:edge.example.com;lr;ob>"], to=to).status == 200
    assert phone.request("REGISTER", uri, ["Supported: outbound", contact, contact.replace("reg-id=1", "reg-id=2")], to=to).status == 400


# ---- addresses of one device (RFC 5627) ----------------------------------------------------

def gruus(answered):
    contact = next(value for value in answered.all("Contact") if "gruu" in value)
    return [re.search(rf'{kind}-gruu="([^"]+)"', contact).group(1) for kind in ("pub", "temp")]


def ring_uri(caller, uri):
    """INVITE to a whole URI, with credentials."""
    body = OFFER.format(port=free_port())
    refused = caller.ask("INVITE", uri, body=body)
    assert refused.status == 407, refused.start
    caller.acknowledge(refused, uri)
    caller.cseq += 1
    caller.send(caller.text("INVITE", uri, [caller.credentials(refused, "INVITE", uri)], body=body))


@pytest.mark.parametrize("kind", ["public", "temporary"])
def test_a_gruu_rings_its_device_alone(pbx, client, kind):
    first, caller = client(pbx, "1001"), client(pbx, "1003")
    second = client(pbx, "1001", first.secret)
    own = instance()
    public, temporary = gruus(register(first, own, headers=["Supported: gruu"]))
    assert register(second, instance()).status == 200
    assert public == f"sip:1001@pbx.test;gr={own}"
    assert temporary.endswith("@pbx.test;gr") and "1001" not in temporary.split("@")[0]
    ring_uri(caller, public if kind == "public" else temporary)
    first.reply(first.expect("INVITE"), 486, "Busy Here")
    assert caller.receive(lambda message: message.status == 486)
    assert is_silent(second)


def test_gruus_outlive_a_restart_and_end_with_the_registration(pbx, client):
    phone, caller = client(pbx, "1001"), client(pbx, "1003")
    own = instance()
    public, temporary = gruus(register(phone, own, headers=["Supported: gruu"]))
    again = gruus(register(phone, own, headers=["Supported: gruu"]))
    assert again[0] == public and again[1] != temporary
    pbx.stop()
    pbx.restart()
    for uri in (temporary, again[1], public):
        ring_uri(caller, uri)
        phone.reply(phone.expect("INVITE"), 486, "Busy Here")
        caller.acknowledge(caller.receive(lambda message: message.status == 486), uri)
    assert register(phone, own, expires=0).status == 200
    for uri, status in ((temporary, 404), (public, 480)):
        ring_uri(caller, uri)
        refused = caller.receive(lambda message: message.status >= 300 and message.status != 407)
        caller.acknowledge(refused, uri)
        assert refused.status == status


def test_a_forged_temporary_gruu_is_nobodys(pbx, client):
    caller = client(pbx, "1003")
    for user in ("tgruu.", "tgruu.AAAA", "tgruu." + "A" * 90, "tgruu." + "~" * 60):
        ring_uri(caller, f"sip:{user}@pbx.test;gr")
        refused = caller.receive(lambda message: message.status >= 300 and message.status != 407)
        caller.acknowledge(refused, f"sip:{user}@pbx.test;gr")
        assert refused.status == 404


def test_requests_to_a_phone_that_calls_with_its_gruu_carry_the_address_it_registered(pbx, client):
    phone, callee = client(pbx, "1001"), client(pbx, "1003")
    assert callee.register().status == 200
    public, _ = gruus(register(phone, instance(), headers=["Supported: gruu"]))
    uri, body = "sip:1003@pbx.test", OFFER.format(port=free_port())
    refused = phone.ask("INVITE", uri, body=body)
    phone.acknowledge(refused, uri)
    phone.cseq += 1
    phone.send(phone.text("INVITE", uri, [phone.credentials(refused, "INVITE", uri), f"Contact: <{public}>"], body=body))
    answer(callee, callee.expect("INVITE"))
    accepted = phone.receive(lambda message: message.status == 200 and "INVITE" in message.get("CSeq"))
    phone.acknowledge(accepted, uri)
    pbx.ctl("calls", "hangup", pbx.ctl("calls", "list")[0]["call_id"])
    assert phone.expect("BYE").start.startswith(f"BYE sip:1001@127.0.0.1:{phone.port} ")


# ---- preference ----------------------------------------------------------------------------

def test_devices_of_lower_q_ring_when_those_of_higher_q_do_not_take_the_call(pbx, client):
    desk, caller = client(pbx, "1001"), client(pbx, "1003")
    mobile, home = client(pbx, "1001", desk.secret), client(pbx, "1001", desk.secret)
    for phone, q in ((mobile, "0.3"), (desk, "0.9"), (home, "0.3")):
        assert register(phone, params=f";q={q}").status == 200
    caller.ring("1001")
    invite = desk.expect("INVITE")
    assert is_silent(mobile) and is_silent(home)
    desk.reply(invite, 486, "Busy Here")
    for phone in (mobile, home):
        phone.reply(phone.expect("INVITE"), 486, "Busy Here")
    assert caller.receive(lambda message: message.status == 486)
