"""The PBX of a benchmark, and what is sent to it."""
import hashlib
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SECRET = "bench-secret-of-all"
TICK = os.sysconf("SC_CLK_TCK")
FIRST_USER = 10000
LINGER_S = 34  # the SIP stack keeps what it has answered for 32 s (RFC 3261 17.2: 64 * T1)


def cpu_s(pid):
    """What a process has used until now, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Pbx:
    """The daemon with the settings of a benchmark: one trusted address, accounts from CSV."""

    def __init__(self, build, directory, sip_port, users, api_port=9443):
        self.build, self.directory, self.sip_port, self.users = Path(build).resolve(), Path(directory), sip_port, users
        folders = [str(folder) for folder in sorted((self.build / "plugins").iterdir()) if any(folder.glob("*.so"))]
        (self.directory / "pbx.yml").write_text(json.dumps({
            "server": {"data_dir": str(self.directory / "data"), "run_dir": str(self.directory / "run")},
            "log": {"level": "notice", "target": "file", "file": str(self.directory / "pbxd.log")},
            "plugins": {"path": folders},
            "sip": {"listen": [f"udp:127.0.0.1:{sip_port}"], "domain": "pbx.test", "peers": ["127.0.0.1"], "flood_rate": 100000,
                    "flood_burst": 100000},
            "media": {"bind": "127.0.0.1", "port_min": 10000, "port_max": 30000, "quarantine_s": 1},
            "api": {"listen": f"127.0.0.1:{api_port}"},
            "calls": {"limit": 20000},
            "extensions": {"max_calls": 1000},
        }))
        self.api_port = api_port
        self.process, self.start_s, self.token = None, None, None

    def start(self):
        path = self.directory / "notify"
        path.unlink(missing_ok=True)
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(str(path))
        notify.settimeout(30)
        began = time.monotonic()
        self.process = subprocess.Popen([str(self.build / "pbxd"), "-c", str(self.directory / "pbx.yml")],
                                        env=dict(os.environ, NOTIFY_SOCKET=str(path)), stderr=open(self.directory / "stderr", "ab"))
        while b"READY=1" not in notify.recv(4096):
            pass
        self.start_s = time.monotonic() - began
        return self

    def ctl(self, *words):
        done = subprocess.run([str(self.build / "api" / "pbxctl"), "--socket", str(self.directory / "run" / "pbxd.sock"), "--json", *map(str, words)],
                              stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def get(self, path):
        """A page of the API, as text."""
        return subprocess.run(["curl", "-skf", "-H", f"Authorization: Bearer {self.token}", f"https://127.0.0.1:{self.api_port}{path}"], stdout=subprocess.PIPE,
                              text=True, check=True).stdout

    def add_accounts(self):
        rows = [f"{number},{SECRET}" for number in [1000, *range(FIRST_USER, FIRST_USER + self.users)]]
        csv = self.directory / "users.csv"
        csv.write_text("number,sip_secret\n" + "\n".join(rows) + "\n")
        self.token = self.ctl("token", "create", "bench", "*")["token"]
        subprocess.run(["curl", "-skf", "-o", "/dev/null", "-H", f"Authorization: Bearer {self.token}", "-H", "Content-Type: text/csv", "--data-binary", f"@{csv}",
                        f"https://127.0.0.1:{self.api_port}/api/v1/extensions:import"], check=True)

    def cpu_s(self):
        return cpu_s(self.process.pid)

    def rss_kib(self):
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1])

    def ring_kib(self):
        """What of the memory is the trace's ring: it fills up once, whatever comes."""
        return float(re.search(r"^pbx_trace_ring_bytes(?:{[^}]*})? (\S+)", self.get("/metrics"), re.M)[1]) / 1024

    def events(self):
        """How many events are in the store."""
        with sqlite3.connect(f"file:{self.directory / 'data' / 'pbx.db'}?mode=ro", uri=True) as database:
            return database.execute("SELECT COALESCE(MAX(seq), 0) FROM event_log").fetchone()[0]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def register_callee(sip_port, contact):
    """User 1000 lives at `contact`: REGISTER, 401, REGISTER with MD5."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        phone.settimeout(5)
        port = phone.getsockname()[1]

        def ask(cseq, authorization=""):
            phone.sendto((f"REGISTER sip:pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};rport;branch=z9hG4bKb{cseq}\r\nMax-Forwards: 70\r\n"
                          f"From: <sip:1000@pbx.test>;tag=b\r\nTo: <sip:1000@pbx.test>\r\nCall-ID: bench-callee\r\nCSeq: {cseq} REGISTER\r\n"
                          f"Contact: <{contact}>\r\nExpires: 7200\r\n{authorization}Content-Length: 0\r\n\r\n").encode(), ("127.0.0.1", sip_port))
            return phone.recv(65536).decode()

        challenge = next(line for line in ask(1).split("\r\n") if "Digest" in line and "MD5" in line)
        nonce, realm = re.search(r'nonce="([^"]+)"', challenge)[1], re.search(r'realm="([^"]+)"', challenge)[1]

        def md5(text):
            return hashlib.md5(text.encode()).hexdigest()

        response = md5(f"{md5(f'1000:{realm}:{SECRET}')}:{nonce}:00000001:b:auth:{md5('REGISTER:sip:pbx.test')}")
        answer = ask(2, f'Authorization: Digest username="1000", realm="{realm}", nonce="{nonce}", uri="sip:pbx.test", response="{response}", '
                        f'algorithm=MD5, qop=auth, nc=00000001, cnonce="b"\r\n')
        assert answer.startswith("SIP/2.0 200"), answer


def sipp(directory, name, *arguments):
    log = open(directory / f"{name}.log", "wb")
    return subprocess.Popen(["sipp", *map(str, arguments), "-sf", str(HERE / "scenarios" / f"{name}.xml"), "-i", "127.0.0.1", "-nostdin", "-trace_stat",
                             "-stf", str(directory / f"{name}.csv"), "-fd", "1", "-timer_resol", "5", "-buff_size", "4194304"],
                            cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def statistics(directory, name):
    """SIPp's last line of figures, by name."""
    rows = (directory / f"{name}.csv").read_text().splitlines()
    return dict(zip(rows[0].split(";"), rows[-1].split(";")))


def successes(directory, name):
    """How many went well, and how many did not."""
    figures = statistics(directory, name)
    return int(figures["SuccessfulCall(C)"]), int(figures["FailedCall(C)"])


class Load:
    """So many items of a scenario at a rate, and what they cost the PBX."""

    def __init__(self, pbx, directory, name, rate, seconds, *arguments):
        before_s, events, began = pbx.cpu_s(), pbx.events(), time.monotonic()
        total = max(1, int(rate * seconds))
        load = sipp(directory, name, f"127.0.0.1:{pbx.sip_port}", "-r", rate, "-m", total, "-l", 15000, "-recv_timeout", 8000, "-timeout", int(seconds + 25),
                    *arguments)
        load.wait()
        self.took_s = time.monotonic() - began
        figures = statistics(directory, name)
        self.good, self.again = int(figures["SuccessfulCall(C)"]), int(figures["Retransmissions(C)"])
        self.bad = total - self.good
        self.cpu_ms = 1000 * (pbx.cpu_s() - before_s) / max(1, self.good)
        self.events_per_s = (pbx.events() - events) / self.took_s


def listens(port):
    """Whether some process of this machine has the UDP port."""
    return any(row.split()[1].endswith(f":{port:04X}") for row in Path("/proc/net/udp").read_text().splitlines()[1:])


def answering(directory, port):
    """SIPp that answers every call at once, and listens by now: it tells nobody when it does."""
    process = sipp(directory, "uas", "-p", port)
    while not listens(port):
        assert process.poll() is None, f"SIPp has ended: see {directory}/uas.log"
        time.sleep(0.01)
    return process


class Callee:
    """User 1000: answers every call at once."""

    def __init__(self, pbx, directory, port=6060):
        register_callee(pbx.sip_port, f"sip:1000@127.0.0.1:{port}")
        self.process = answering(directory, port)

    def stop(self):
        self.process.kill()
        self.process.wait()


def registrations(pbx, directory, users, rate):
    """users: a range, 0 for the first."""
    path = directory / "inf.csv"
    path.write_text("SEQUENTIAL\n" + "".join(f"{FIRST_USER + n};[authentication username={FIRST_USER + n} password={SECRET}]\n" for n in users))
    return Load(pbx, directory, "register", rate, len(users) / rate, "-p", 6050, "-inf", path, "-key", "domain", "pbx.test")


def calls(pbx, directory, rate, seconds, hold_ms=500):
    return Load(pbx, directory, "uac", rate, seconds, "-p", 6051, "-s", 1000, "-d", hold_ms, "-key", "user", "bench")


def floor_cpu_ms(build, directory, rate, seconds, port=5079):
    """What the same calls cost a server that only answers them (sip_floor.c): how cheap this machine is at the moment."""
    floor, total = subprocess.Popen([str(build / "tests/bench/sip_floor"), str(port)]), int(rate * seconds)
    try:
        while not listens(port):
            assert floor.poll() is None
            time.sleep(0.01)
        sipp(directory, "uac", f"127.0.0.1:{port}", "-r", rate, "-m", total, "-p", 6051, "-s", 1000, "-d", 500, "-key", "user", "bench").wait()
        return 1000 * cpu_s(floor.pid) / total
    finally:
        floor.kill()
        floor.wait()


def line(what, value, budget):
    print(f"{what:<60} {value:>16}   budget {budget}", flush=True)
