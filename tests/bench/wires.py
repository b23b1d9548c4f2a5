"""Two wires between this machine's hall and two rooms, as network namespaces: what a relay in the kernel needs to be measured."""
import os
import subprocess
from contextlib import contextmanager

HALL, ROOMS = "pbx-bench-hall", ("pbx-bench-room0", "pbx-bench-room1")


def ip(*words):
    subprocess.run(["ip", *words], check=True)


def drop(namespace, device):
    """What enters by a device is dropped there, which costs next to nothing."""
    subprocess.run(["ip", "netns", "exec", namespace, "nft",
                    f"add table netdev bench; add chain netdev bench in {{ type filter hook ingress device {device} priority 0; policy drop; }}"], check=True)


def remove():
    for name in (HALL, *ROOMS):
        subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL, check=False)


@contextmanager
def wires():
    remove()
    try:
        for name in (HALL, *ROOMS):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        for i, room in enumerate(ROOMS):
            ip("-n", HALL, "link", "add", f"hall{i}", "type", "veth", "peer", "name", f"room{i}", "netns", room)
            ip("-n", HALL, "addr", "add", f"10.77.{i}.1/24", "dev", f"hall{i}")
            ip("-n", HALL, "link", "set", f"hall{i}", "up")
            ip("-n", room, "addr", "add", f"10.77.{i}.2/24", "dev", f"room{i}")
            ip("-n", room, "link", "set", f"room{i}", "up")
        far = subprocess.run(["ip", "-n", ROOMS[1], "-br", "link", "show", "room1"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[2]
        ip("-n", HALL, "neigh", "replace", "10.77.1.2", "lladdr", far, "dev", "hall1", "nud", "permanent")
        drop(ROOMS[1], "room1")
        yield
    finally:
        remove()


def permitted():
    return os.geteuid() == 0 and subprocess.run(["unshare", "--net", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
