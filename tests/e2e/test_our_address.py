"""Behind a NAT whose address nobody has written down: a STUN server (coturn) tells it, phones outside hear, and trunks follow when it changes."""
import re
import threading

import pytest

from clock import Clock
from machine import PATIENCE_S
from pbx import Refused
from ports import free_port
from rooms import ROUTER, SERVER, House, RoomTalker, Traveller, World, told_address
from sip_client import Message
from turn import Turn

PORT, MOVED = 3478, "198.51.100.2"


@pytest.fixture
def world(tmp_path):
    """A house of two rooms, of which the second is the router; outside are a STUN server of two addresses, and phones."""
    try:
        house = House(rooms=2)
    except PermissionError as problem:
        pytest.skip(f"no network namespaces here ({problem})")
    world = World(house)
    with world:
        server = Turn(tmp_path / "turn", (SERVER, "198.51.100.10"), PORT, "--stun-only")
    yield world
    server.stop()
    world.close()
    house.close()


@pytest.fixture
def pbx(make_pbx, world):
    pbx = make_pbx(start=False)
    pbx.settings = (f"sip:\n  listen: [\"udp:0.0.0.0:{pbx.sip_port}\"]\n"
                    f"media:\n  bind: 0.0.0.0\n  stun_server: {SERVER}:{PORT}\n  stun_interval_s: 1\nsip_trunk:\n  register_jitter_s: 0\n")
    world.pass_on(pbx.sip_port, pbx.rtp_port, 200)
    pbx.start()
    pbx.wait_event("media.outside_changed", where=lambda data: data["address"] == ROUTER)
    return pbx


def talk(caller, callee):
    answering = threading.Thread(target=callee.answer)
    answering.start()
    caller.dial(callee.number)
    answering.join()
    caller.hears_next(callee.hertz)
    callee.hears_next(caller.hertz)


def asks(caller, callee):
    """What the callee's INVITE says, of a call that is then refused."""
    calling = threading.Thread(target=caller.invite, args=(callee.number, caller.session()))
    calling.start()
    invite = callee.expect("INVITE")
    callee.reply(invite, 486, "Busy Here")
    callee.expect("ACK")
    calling.join()
    return invite


class Registrar:
    """Accepts who registers at this port outside."""

    def __init__(self, world, port):
        self.socket, self.seen = world.socket(port), set()
        self.socket.settimeout(PATIENCE_S)

    def next(self):
        """The host of the Contact that the next REGISTER gives; one that comes twice is one."""
        while True:
            data, source = self.socket.recvfrom(65536)
            message = Message(data)
            assert message.method == "REGISTER", message.start
            kept = [f"{name}: {value}" for name, value in message.headers if name.lower() in ("via", "from", "call-id", "cseq")]
            contact = re.sub(r";expires=\d+", "", message.get("Contact"))
            lines = ["SIP/2.0 200 OK", *kept, f"To: {message.get('To')};tag=r", f"Contact: {contact};expires=3600", "Content-Length: 0", "", ""]
            self.socket.sendto("\r\n".join(lines).encode(), source)
            number = message.get("Call-ID"), message.get("CSeq")
            if number not in self.seen:
                self.seen.add(number)
                return re.search(r"@([\d.]+):", contact)[1]


def test_phones_outside_hear_and_are_told_the_address_that_stun_tells(world, pbx):
    shown = pbx.ctl("status")["outside"]
    assert (shown["state"], shown["address"], shown["server"]) == ("known", ROUTER, f"{SERVER}:{PORT}")
    assert pbx.ctl("media", "outside")["address"] == pbx.http("GET", "/media/outside")[1]["address"] == ROUTER
    desk = RoomTalker(pbx, "1001", pbx.account("1001"), 440, world.house.rooms[0])
    abroad = Traveller(pbx, "1002", pbx.account("1002"), 660, world)
    try:
        assert desk.register().status == abroad.register().status == 200
        talk(abroad, desk)
        assert f"c=IN IP4 {ROUTER}\r\n" in abroad.answered_with and re.search(rf"sip:{ROUTER}:{pbx.sip_port}", abroad.contact)
        abroad.hangup()
        desk.closed()
        assert told_address(asks(desk, abroad)) == (ROUTER, ROUTER)
        assert ROUTER not in told_address(asks(abroad, desk))  # at home nobody is sent round by the router

        world.move(MOVED)
        pbx.wait_event("media.outside_changed", where=lambda data: (data["before"], data["address"]) == (ROUTER, MOVED))
        assert abroad.register().status == 200
        talk(desk, abroad)
        assert abroad.towards[0] == MOVED and MOVED in abroad.contact
        desk.hangup()
        abroad.closed()
    finally:
        desk.close()
        abroad.close()


def test_a_trunk_registers_anew_when_the_address_has_changed(world, pbx):
    registrar = Registrar(world, 5070)
    try:
        pbx.ctl("trunk", "add", "carrier", f"host={SERVER}", "port=5070", "registration_required=true", "username=acct", "password=geheim",
                "keep_alive_interval_s=0")
        assert registrar.next() == ROUTER
        pbx.wait_event("trunk.registered")
        world.move(MOVED)
        assert registrar.next() == MOVED
        pbx.kill()
        pbx.restart()
        while registrar.next() != MOVED:  # until the STUN server has answered it may say the address at home
            pass
    finally:
        registrar.socket.close()


def test_the_kind_of_nat_is_found(pbx):
    """Linux keeps ports where it can, so that it maps all alike, and lets in who was written to."""
    found = pbx.ctl("media", "nat")
    assert (found["nat_type"], found["mapping"], found["filtering"]) == ("port_restricted", "endpoint_independent", "address_and_port_dependent")
    assert found["mapped"].startswith(f"{ROUTER}:") and found["other"].startswith("198.51.100.10:") and found["local"].startswith("10.77.0.1:")


def test_a_server_that_falls_silent_leaves_what_was_known(make_pbx, tmp_path):
    port, clock = free_port(), Clock(tmp_path, speed=20)
    server = Turn(tmp_path / "turn", ("127.0.0.1",), port, "--stun-only")
    pbx = make_pbx("media:\n  stun_interval_s: 5\n", environment=clock.environment)
    assert pbx.ctl("media", "outside")["state"] == "off"
    with pytest.raises(Refused, match="whom to ask"):
        pbx.ctl("media", "nat")
    with pytest.raises(Refused, match="is no host"):
        pbx.ctl("config", "set", "media.stun_server", "stun:nobody@example.net")
    pbx.ctl("config", "set", "media.stun_server", f"127.0.0.1:{port}")

    def told(state):
        pbx.wait_event("media.outside_changed", after=told.seq, where=lambda data: data["state"] == state)
        told.seq = pbx.last_seq()
        return pbx.ctl("status")["outside"]["address"]

    told.seq = 0
    try:
        assert told("known") == "127.0.0.1"
        server.stop()
        assert told("no_answer") == "127.0.0.1"
        assert "what was known last is still told" in pbx.log_lines("outside_address_stale")[0]
        with pytest.raises(Refused, match="does not answer"):
            pbx.ctl("media", "nat")
        server.start()
        assert told("known") == "127.0.0.1"
    finally:
        server.stop()
    pbx.ctl("config", "set", "media.stun_server", "")
    shown = pbx.ctl("media", "outside")
    assert (shown["state"], shown["address"]) == ("off", "")
