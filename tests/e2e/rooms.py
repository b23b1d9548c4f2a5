"""A house of network namespaces: the PBX in the hall, phones in rooms, all on one bridge. What the loopback cannot show: a wire."""
import ctypes
import os
import re
import socket
import subprocess
import threading

from ear import DECODE, PCMU
from talker import Talker
from tone import hears

CLONE_NEWNET = 0x40000000
HALL = "10.77.0.1"
libc = ctypes.CDLL(None, use_errno=True)


def _call(done):
    if done != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _here():
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True)


def _new():
    _call(libc.unshare(CLONE_NEWNET))
    _ip("link", "set", "lo", "up")
    return _here()


class Room:
    def __init__(self, house, number):
        self.house, self.address = house, f"10.77.0.{number + 2}"
        self.namespace = _new()
        _call(libc.setns(house.hall, CLONE_NEWNET))
        _ip("link", "add", f"wire{number}", "type", "veth", "peer", "name", "wall", "netns", f"/proc/{os.getpid()}/fd/{self.namespace}")
        _ip("link", "set", f"wire{number}", "master", "bridge", "up")
        with self:
            _ip("addr", "add", f"{self.address}/24", "dev", "wall")
            _ip("link", "set", "wall", "up")

    def __enter__(self):
        _call(libc.setns(self.namespace, CLONE_NEWNET))

    def __exit__(self, *_):
        _call(libc.setns(self.house.hall, CLONE_NEWNET))

    def socket(self, port):
        """Bound here, for good: whoever uses it later may be anywhere."""
        with self:
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((self.address, port))
            return made


class House:
    """The calling thread, and the processes it starts, are in the hall until it closes. PermissionError: not allowed here."""

    def __init__(self, rooms=2):
        self.outside = _here()
        self.hall = _new()
        _ip("link", "add", "bridge", "type", "bridge")
        _ip("addr", "add", f"{HALL}/24", "dev", "bridge")
        _ip("link", "set", "bridge", "up")
        self.rooms = [Room(self, number) for number in range(rooms)]

    def close(self):
        _call(libc.setns(self.outside, CLONE_NEWNET))
        for namespace in (self.outside, self.hall, *(room.namespace for room in self.rooms)):
            os.close(namespace)


class RoomTalker(Talker):
    """Signals from the hall, speaks and listens in a room."""

    def __init__(self, pbx, number, secret, hertz, room):
        super().__init__(pbx, number, secret, hertz)
        self.room, self.heard = room, []  # (sequence, samples)
        self.rtp.close()
        self.rtp = room.socket(self.rtp_port)
        self.rtp.settimeout(0.2)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def close(self):
        super().close()
        self._listener.join()

    def _listen(self):
        table = DECODE[PCMU]
        while not self._closing.is_set():
            try:
                packet = self.rtp.recv(2048)
            except socket.timeout:
                continue
            except OSError:
                return
            self.heard.append((int.from_bytes(packet[2:4], "big"), [table[byte] for byte in packet[12:]]))

    def hears_next(self, hertz, packets=50):
        """The next second of what it hears is that tone, without a hole in the numbers."""
        begin = len(self.heard)
        self.pbx.wait_for(lambda: len(self.heard) >= begin + packets, f"{self.number} to hear {packets} packets")
        heard = self.heard[begin:begin + packets]
        assert [(after - before) & 0xffff for (before, _), (after, _) in zip(heard, heard[1:])] == [1] * (packets - 1)
        assert hears([sample for _, samples in heard for sample in samples], hertz)

    def session(self, direction="sendrecv", connection=None):
        return super().session(direction, connection or self.room.address)

    def reinvite(self, direction="sendrecv", connection=None):
        return super().reinvite(direction, connection)

    def _place_of(self, message):
        return HALL, message.rtp_port()


ROUTER, SERVER = "198.51.100.1", "198.51.100.9"  # as those outside see us; who is asked for it, and phones
NAT = """table ip nat {
  chain out {{ type nat hook postrouting priority 100; oifname "street" masquerade; }}
  chain in {{ type nat hook prerouting priority -100; iifname "street" udp dport {{ {sip}, {first}-{last} }} dnat to {hall}; }}
}}
""".replace("table ip nat {", "table ip nat {{", 1)


class World:
    """What is outside: behind a router that masquerades, and passes the ports of our own on under their own numbers. The router is the house's last room."""

    def __init__(self, house):
        self.house, self.router, self.sees, self.address = house, house.rooms[-1], ROUTER, SERVER
        self.namespace = _new()
        _call(libc.setns(house.hall, CLONE_NEWNET))
        with self.router:
            _ip("link", "add", "street", "type", "veth", "peer", "name", "home", "netns", f"/proc/{os.getpid()}/fd/{self.namespace}")
            _ip("addr", "add", f"{ROUTER}/24", "dev", "street")
            _ip("link", "set", "street", "up")
            with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as forward:
                forward.write("1")
        with self:
            for address in (SERVER, "198.51.100.10"):
                _ip("addr", "add", f"{address}/24", "dev", "home")
            _ip("link", "set", "home", "up")
        _ip("route", "add", "default", "via", self.router.address)

    def __enter__(self):
        _call(libc.setns(self.namespace, CLONE_NEWNET))

    def __exit__(self, *_):
        _call(libc.setns(self.house.hall, CLONE_NEWNET))

    def socket(self, port):
        with self:
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((self.address, port))
            return made

    def pass_on(self, sip_port, rtp_port, count):
        with self.router:
            rules = NAT.format(sip=sip_port, first=rtp_port, last=rtp_port + count - 1, hall=HALL)
            subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)

    def move(self, address):
        """The provider gives the router another address."""
        with self.router:
            _ip("addr", "add", f"{address}/24", "dev", "street")
            _ip("addr", "del", f"{self.sees}/24", "dev", "street")
            if "/24" not in subprocess.run(["ip", "-4", "addr", "show", "dev", "street"], stdout=subprocess.PIPE, text=True, check=True).stdout:
                _ip("addr", "add", f"{address}/24", "dev", "street")  # it went with the first, whose neighbour it was
        self.sees = address

    def close(self):
        os.close(self.namespace)


def told_address(message):
    """(Contact's host, SDP's host)."""
    return re.search(r"sip:(?:[^@>]*@)?([\d.]+)", message.get("Contact"))[1], re.search(r"^c=IN IP4 (\S+)", message.body, re.M)[1]


class Traveller(RoomTalker):
    """A phone outside: it knows the PBX by the router's address alone, and speaks where SDP tells it to."""

    def __init__(self, pbx, number, secret, hertz, world):
        super().__init__(pbx, number, secret, hertz, world)
        self.socket.close()
        self.socket, self.host = world.socket(self.port), world.address

    def send(self, data):
        self.socket.sendto(data if isinstance(data, bytes) else data.encode(), (self.room.sees, self.pbx.sip_port))

    def _place_of(self, message):
        return told_address(message)[1], message.rtp_port()
