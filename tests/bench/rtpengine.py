"""A real rtpengine, relaying in user space, asked for calls by its own protocol (bencode over UDP)."""
import itertools
import os
import re
import shutil
import socket
import subprocess
import time

TICK = os.sysconf("SC_CLK_TCK")
NG_PORT, FIRST_PORT, LAST_PORT = 22222, 46000, 49000


def bencode(value):
    if isinstance(value, dict):
        return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"
    if isinstance(value, list):
        return b"l" + b"".join(map(bencode, value)) + b"e"
    if isinstance(value, int):
        return b"i%de" % value
    data = value.encode()
    return b"%d:%s" % (len(data), data)


def sdp(port):
    return (f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
            "a=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n")


class Rtpengine:
    def __init__(self, directory, threads):
        self.process = subprocess.Popen([shutil.which("rtpengine") or "/usr/bin/rtpengine", "--config-file=none", "--table=-1", "--interface=127.0.0.1",
                                         f"--listen-ng=127.0.0.1:{NG_PORT}", f"--port-min={FIRST_PORT}", f"--port-max={LAST_PORT}", f"--num-threads={threads}",
                                         "--foreground", "--log-stderr", "--log-level=2", f"--pidfile={directory}/rtpengine.pid"],
                                        stdout=open(directory / "rtpengine.log", "wb"), stderr=subprocess.STDOUT)
        self.ng = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.ng.connect(("127.0.0.1", NG_PORT))
        self.cookies = itertools.count()
        self.ng.settimeout(0.5)
        for _ in range(100):
            try:
                self.ask({"command": "ping"})
                break
            except (ConnectionRefusedError, TimeoutError):
                if self.process.poll() is not None:
                    raise RuntimeError((directory / "rtpengine.log").read_text()) from None
                time.sleep(0.1)  # it tells nobody when it listens
        self.ng.settimeout(5)

    def ask(self, question):
        cookie = b"c%d " % next(self.cookies)
        self.ng.send(cookie + bencode(question))
        while True:
            answer = self.ng.recv(65536)
            if answer.startswith(cookie):
                return answer

    def call(self, number, port):
        """Two legs whose phones are both at `port`; where those shall send to."""
        names = {"call-id": f"bench{number}", "from-tag": "a", "ICE": "remove", "replace": ["origin"]}
        answers = [self.ask({"command": "offer", "sdp": sdp(port), **names}),
                   self.ask({"command": "answer", "to-tag": "b", "sdp": sdp(port), **names})]
        return [int(re.search(rb"m=audio (\d+)", answer)[1]) for answer in answers]

    def cpu_s(self):
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
