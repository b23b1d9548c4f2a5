#!/usr/bin/env python3
"""Measures a release build of this PBX; README.md beside this file says what and how."""
import argparse
import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SECRET = "bench-secret-of-all"
TICK = os.sysconf("SC_CLK_TCK")
FIRST_USER = 10000


class Pbx:
    """The daemon with the settings of a benchmark: one trusted address, accounts from CSV."""

    def __init__(self, build, directory, sip_port, users, api_port=9443):
        self.build, self.directory, self.sip_port, self.users = Path(build).resolve(), Path(directory), sip_port, users
        self.api_port = api_port
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
        self.process, self.start_s = None, None

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

    def add_accounts(self):
        rows = [f"{number},{SECRET}" for number in [1000, *range(FIRST_USER, FIRST_USER + self.users)]]
        csv = self.directory / "users.csv"
        csv.write_text("number,sip_secret\n" + "\n".join(rows) + "\n")
        token = self.ctl("token", "create", "bench", "*")["token"]
        subprocess.run(["curl", "-skf", "-o", "/dev/null", "-H", f"Authorization: Bearer {token}", "-H", "Content-Type: text/csv", "--data-binary", f"@{csv}",
                        f"https://127.0.0.1:{self.api_port}/api/v1/extensions:import"], check=True)

    def cpu_s(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def rss_kib(self):
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text())[1])

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


def successes(directory, name):
    rows = (directory / f"{name}.csv").read_text().splitlines()
    last = dict(zip(rows[0].split(";"), rows[-1].split(";")))
    return int(last["SuccessfulCall(C)"]), int(last["FailedCall(C)"])


def per_item(pbx, directory, name, rate, seconds, *arguments):
    """CPU milliseconds for each success at a fixed rate, and how many failed."""
    before = pbx.cpu_s()
    total = int(rate * seconds)
    load = sipp(directory, name, f"127.0.0.1:{pbx.sip_port}", "-r", rate, "-m", total, "-l", 15000, "-recv_timeout", 8000, "-timeout", int(seconds + 25), *arguments)
    load.wait()
    good, bad = successes(directory, name)
    return 1000 * (pbx.cpu_s() - before) / max(1, good), good, total - good + bad


def line(what, value, budget):
    print(f"{what:<52} {value:>16}   budget {budget}", flush=True)


def measure_relay(build):
    def cpu_us(*option):
        out = subprocess.run([str(Path(build) / "tests/bench/relay_bench"), "1000", "5", "34000", *option], stdout=subprocess.PIPE, text=True, check=True).stdout
        return float(re.search(r"cpu_us_per_packet ([\d.]+)", out)[1]), out

    ratios = []
    for _ in range(2):
        floor, _ = cpu_us("--floor")
        ours, text = cpu_us()
        ratios.append(ours / floor)
    line("relayed packet, CPU µs (bare loop beside it)", f"{ours:.2f} ({floor:.2f})", "")
    line("relayed packet, ratio to the bare loop", f"{min(ratios):.2f}-{max(ratios):.2f}", "1.3")
    line("memory per bridged call in the media engine, KiB", re.search(r"kib_per_call ([\d.]+)", text)[1], "64 in all")


def measure(pbx, directory, options):
    line("start with every plugin, s", f"{pbx.start_s:.3f}", "1")
    line("memory idle, MiB", f"{pbx.rss_kib() / 1024:.1f}", "40")
    pbx.add_accounts()

    users = directory / "inf.csv"
    users.write_text("SEQUENTIAL\n" + "".join(f"{n};[authentication username={n} password={SECRET}]\n" for n in range(FIRST_USER, FIRST_USER + options.users)))
    empty = pbx.rss_kib()
    cost, good, bad = per_item(pbx, directory, "register", options.register_rate, options.users / options.register_rate, "-p", 6050, "-inf", users, "-key", "domain", "pbx.test")
    line(f"challenged REGISTER at {options.register_rate}/s, CPU ms ({bad} failed)", f"{cost:.3f}", "0.15")
    line(f"memory per registration ({good} users), KiB", f"{(pbx.rss_kib() - empty) / max(1, good):.2f}", "4")

    register_callee(pbx.sip_port, "sip:1000@127.0.0.1:6060")
    callee = sipp(directory, "uas", "-p", 6060)
    time.sleep(0.5)  # SIPp tells nobody when it listens
    cost, good, bad = per_item(pbx, directory, "uac", options.call_rate, options.seconds, "-p", 6051, "-s", 1000, "-d", 500, "-key", "user", "bench")
    callee.kill()
    callee.wait()
    line(f"bridged call at {options.call_rate}/s, CPU ms ({good} good, {bad} failed)", f"{cost:.3f}", "1.0")
    stats = pbx.ctl("status")["loop"]
    line("worst loop callback, ms", f"{stats['worst_ms']:.1f} ({stats['worst_owner']})", "10 at p99.9")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--serve", action="store_true", help="only set up, for another harness")
    parser.add_argument("--sip-port", type=int, default=5070)
    parser.add_argument("--users", type=int, default=1000)
    parser.add_argument("--register-rate", type=int, default=500)
    parser.add_argument("--call-rate", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=15)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="pbx-bench-") as name:
        directory = Path(name)
        pbx = Pbx(options.build, directory, options.sip_port, options.users).start()
        try:
            if options.serve:
                pbx.add_accounts()
                register_callee(pbx.sip_port, "sip:1000@127.0.0.1:6060")
                print(f"--sut 127.0.0.1:{pbx.sip_port} --pid {pbx.process.pid} --uas 127.0.0.1:6060 --callee 1000 --domain pbx.test --password {SECRET}", flush=True)
                signal.pause()
            measure(pbx, directory, options)
        except KeyboardInterrupt:
            pass
        finally:
            code = pbx.stop()
        if not options.serve:
            measure_relay(options.build)
        sys.exit(code)


if __name__ == "__main__":
    main()
