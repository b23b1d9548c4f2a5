"""Syslog servers for records: a socket that listens (UDP, or TCP with octet counts), and a real rsyslogd with a folder of its own."""
import re
import socket
import subprocess
import threading
import time

from machine import PATIENCE_S, answer
from ports import free_port

RFC5424 = re.compile(r"<(?P<priority>\d{1,3})>1 (?P<time>\S+) (?P<host>\S+) (?P<app>\S+) (?P<process>\S+) (?P<id>\S+) - (?P<text>.*)", re.S)


class TcpReceiver:
    """Takes octet-counted messages; may be down and up again on the same port."""

    def __init__(self):
        self.port, self.messages, self._changed = free_port(), [], threading.Condition()
        self._listening, self._open = None, []
        self.up()

    def up(self):
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind(("127.0.0.1", self.port))
        self._listening.listen()
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def down(self):
        for each in [self._listening, *self._open]:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()
        self._open = []

    def _accept(self, listening):
        while True:
            try:
                peer = listening.accept()[0]
            except OSError:
                return
            self._open.append(peer)
            threading.Thread(target=self._read, args=(peer.makefile("rb"),), daemon=True).start()

    def _read(self, stream):
        while True:
            count = b""
            try:
                while (byte := stream.read(1)) not in (b" ", b""):
                    count += byte
                message = stream.read(int(count)) if count else b""
            except (OSError, ValueError):
                return
            if not message:
                return
            with self._changed:
                self.messages.append(message.decode())
                self._changed.notify_all()

    def wait(self, enough, what, seconds=PATIENCE_S):
        deadline = time.monotonic() + seconds
        with self._changed:
            while not answer(enough, self.messages)[0]:
                left = deadline - time.monotonic()
                assert left > 0, f"waited {seconds} s in vain for {what}; there are {self.messages}"
                self._changed.wait(left)
            return list(self.messages)


class Rsyslog:
    """A real rsyslogd on a free port for TCP and UDP, and a local socket; what came is in a file."""

    def __init__(self, folder):
        self.port, self.folder, self.process = free_port(), folder, None
        self.socket, self.file = folder / "log.sock", folder / "records.log"
        self.folder.mkdir()
        self.config = folder / "rsyslog.conf"
        self.config.write_text(f"""
global(workDirectory="{folder}" maxMessageSize="16k")
module(load="imtcp") module(load="imudp") module(load="imuxsock" SysSock.Use="off")
input(type="imtcp" port="{self.port}" address="127.0.0.1")
input(type="imudp" port="{self.port}" address="127.0.0.1")
input(type="imuxsock" Socket="{self.socket}" CreatePath="on" useSpecialParser="on" RateLimit.Interval="0")
template(name="told" type="string" string="%syslogfacility-text%.%syslogseverity-text% %programname% %msgid%|%msg%\\n")
action(type="omfile" file="{self.file}" template="told")
""")

    def start(self):
        self.process = subprocess.Popen(["/usr/sbin/rsyslogd", "-n", "-f", str(self.config), "-i", str(self.folder / "pid")],
                                        stdout=open(self.folder / "out", "ab"), stderr=subprocess.STDOUT)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                assert time.monotonic() < deadline and self.process.poll() is None, (self.folder / "out").read_text()
                time.sleep(0.05)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE_S)

    def lines(self):
        text = self.file.read_text() if self.file.exists() else ""
        return [line for line in text.splitlines() if "pbx-cdr" in line]
