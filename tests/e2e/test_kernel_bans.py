"""Who is banned is dropped by the kernel, which a helper tells; without the helper pbxd goes on dropping. In a namespace, so that no rule of this machine is touched."""
import json
import signal
import socket
import subprocess
import sys

import pytest
from machine import PATIENCE_S
from pbx import BUILD
from rooms import House
from sip_client import SipClient

HELPER = BUILD / "plugins" / "session_border_controller" / "pbx-bans"
LEAST_RIGHTS = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin",
                "--bounding-set=-all,+net_admin", "--no-new-privs")
WITHOUT_RIGHTS = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all")


@pytest.fixture
def house():
    try:
        made = House(rooms=0)
    except PermissionError as problem:
        print(f"NO NETWORK NAMESPACES HERE ({problem}): only the helper's refusal is tested", file=sys.stderr)
        yield None
        return
    yield made
    made.close()


@pytest.fixture
def helper(tmp_path):
    """helper(port): one that listens at tmp_path / "bans", as systemd starts it: the socket is handed over, and of all rights it has the one it needs."""
    made = []

    def start(port):
        (tmp_path / "bans").unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "bans"))
            listener.listen()
            handed = listener.fileno()
            made.append(subprocess.Popen(["bash", "-c", f'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&{handed}', "bash", *LEAST_RIGHTS, HELPER, "--ports", str(port)],
                                         pass_fds=(handed,)))
        return made[-1]

    yield start
    for process in made:
        process.terminate()
        assert process.wait(PATIENCE_S) == 0


def nft(*words):
    return json.loads(subprocess.run(["nft", "-j", *words], check=True, stdout=subprocess.PIPE).stdout)["nftables"][1:]


def banned():
    """Address and how long, of both sets."""
    found = {}
    for item in (row["set"] for row in nft("list", "sets") if "set" in row):
        for element in item.get("elem", []):
            element = element.get("elem", element) if isinstance(element, dict) else {"val": element}
            found[element["val"]] = element.get("timeout")
    return found


def dropped_by_kernel():
    rules = [row["rule"]["expr"] for row in nft("list", "chain", "inet", "pbx_bans", "guard") if "rule" in row]
    return sum(word["counter"]["packets"] for rule in rules for word in rule if "counter" in word)


def ask(pbx, phone, *headers):
    phone.cseq += 1
    phone.send(phone.text("OPTIONS", f"sip:127.0.0.1:{pbx.sip_port}", headers))


def is_answer(message):
    return message.status in (200, 407)


def is_heard(pbx, phone, other):
    """Datagrams are read in the order they came in: once the other, who is heard, has its answer, the phone's would be here."""
    ask(pbx, phone)
    ask(pbx, other)
    assert other.receive(is_answer) is not None
    return phone.receive(is_answer, seconds=0.1) is not None


def test_without_the_right_the_helper_says_what_it_wants(tmp_path):
    said = subprocess.run([*WITHOUT_RIGHTS, HELPER, "--socket", f"/tmp/pbx-bans-{tmp_path.name}-{id(tmp_path)}"], stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S)
    assert said.returncode == 1 and "CAP_NET_ADMIN" in said.stderr, said


def test_a_scanner_is_dropped_by_the_kernel_until_it_is_forgiven(house, make_pbx, helper, tmp_path, request):
    if house is None:
        return
    pbx = make_pbx(f"session_border_controller:\n  enabled: true\n  kernel_bans: {tmp_path}/bans\n", start=False)
    process = helper(pbx.sip_port)
    pbx.start()
    pbx.wait_for(lambda: pbx.ctl("sbc", "status")["kernel_bans"] == "on", "the helper to be ready")
    good, bad = SipClient(pbx, "1001", "", host="127.0.0.3"), SipClient(pbx, "1001", "", host="127.0.0.2")
    request.addfinalizer(good.close), request.addfinalizer(bad.close)
    assert is_heard(pbx, bad, good)

    ask(pbx, bad, "User-Agent: friendly-scanner")
    pbx.wait_for(lambda: 3590 < banned().get("127.0.0.2", 0) <= 3601, "the kernel to know the ban and its end")
    before, by_us = dropped_by_kernel(), pbx.ctl("sbc", "status")["denied"]
    assert not is_heard(pbx, bad, good)
    assert dropped_by_kernel() > before and pbx.ctl("sbc", "status")["denied"] == by_us  # it never came to us
    pbx.ctl("sbc", "blacklist", "add", "2001:db8:1:2::/64")
    pbx.ctl("sbc", "blacklist", "add", "198.51.100.7")
    pbx.wait_for(lambda: {"2001:db8:1:2::", "198.51.100.7"} <= set(banned()), "both families")
    pbx.ctl("sbc", "whitelist", "add", "198.51.100.0/24")
    pbx.wait_for(lambda: set(banned()) == {"127.0.0.2", "2001:db8:1:2::"}, "who is let in to be out of the set")
    pbx.ctl("sbc", "blacklist", "remove", "127.0.0.2")
    pbx.wait_for(lambda: "127.0.0.2" not in banned() and is_heard(pbx, bad, good), "the scanner to be forgiven")

    ask(pbx, bad, "User-Agent: friendly-scanner")
    pbx.wait_for(lambda: "127.0.0.2" in banned(), "the second ban")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE_S) == 0 and nft("list", "tables") == []
    pbx.wait_for(lambda: "its journal says why" in pbx.ctl("sbc", "status")["kernel_bans"], "the end of the helper to be seen")
    assert not is_heard(pbx, bad, good) and pbx.ctl("sbc", "status")["denied"] == by_us + 1  # pbxd drops it by itself
    helper(pbx.sip_port)
    pbx.wait_for(lambda: "127.0.0.2" in banned(), "a new helper to be told")
    pbx.stop()
    assert "127.0.0.2" in banned()  # pbxd may be restarting


def test_a_helper_believes_nothing_but_its_three_words(house, helper, tmp_path):
    """Whoever gets hold of pbxd can have addresses dropped, and nothing else."""
    if house is None:
        return
    helper(5060)
    for line in (b"flush ruleset\n", b"ban 192.0.2.1 }; flush ruleset\n", b"ban 192.0.2.1;list 5\n", b"ban 192.0.2.300 5\n", b"ban ::1\n", b"forgive\n",
                 b"ban 192.0.2.1 99999999999999999\n", b"\0\n", b"ban " + b"1" * 5000 + b" 5\n", b"x" * 70000):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE_S)
            client.connect(str(tmp_path / "bans"))
            assert client.recv(100) == b"ready\n"
            try:
                client.sendall(line)
                heard = client.recv(300)
                assert heard == b"" or heard.startswith(b"failed that line is none of"), heard
            except (BrokenPipeError, ConnectionResetError):
                pass
    assert banned() == {}
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "bans"))
        client.sendall(b"ban 192.0.2.1 5\nban 192.0.2.1 600\nban 2001:db8::7 0\nforgive 192.0.2.9\nforget\nban 192.0.2.2 60\n")
        client.recv(100)
        client.shutdown(socket.SHUT_WR)
        client.settimeout(PATIENCE_S)
        assert client.recv(100) == b""
    assert banned() == {"192.0.2.2": 60}
