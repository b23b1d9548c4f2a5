"""A radio station: a real Icecast server and somebody who sends it an MP3 stream, at the pace at which it is heard."""
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from machine import PATIENCE_S
from ports import free_port
from tone import write_tone

BYTES_A_SECOND = 8000  # 64 kbit/s
CONFIG = """<icecast>
  <limits><clients>20</clients><sources>2</sources><queue-size>524288</queue-size><burst-size>24000</burst-size><source-timeout>4</source-timeout></limits>
  <authentication><source-password>secret</source-password><admin-user>admin</admin-user><admin-password>secret</admin-password></authentication>
  <hostname>localhost</hostname>
  <listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <paths><basedir>/usr/share/icecast2</basedir><logdir>{folder}</logdir><webroot>/usr/share/icecast2/web</webroot>
    <adminroot>/usr/share/icecast2/admin</adminroot></paths>
  <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>2</loglevel></logging>
  <security><chroot>0</chroot><changeowner><user>nobody</user><group>nogroup</group></changeowner></security>
</icecast>
"""


class Station:
    def __init__(self, hertz):
        self.folder = Path(tempfile.mkdtemp(prefix="pbx-station-"))
        os.chmod(self.folder, 0o777)
        self.port = free_port(socket.SOCK_STREAM)
        (self.folder / "icecast.xml").write_text(CONFIG.format(port=self.port, folder=self.folder))
        write_tone(self.folder / "song.wav", hertz, seconds=20, rate=44100)
        subprocess.run(["lame", "--quiet", "--cbr", "-b", "64", "-m", "m", self.folder / "song.wav", self.folder / "song.mp3"], check=True)
        self.server = self.singer = None
        self._hushed = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/song.mp3"

    def open(self):
        self.server = subprocess.Popen(["icecast2", "-c", str(self.folder / "icecast.xml")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                assert time.monotonic() < deadline and self.server.poll() is None, (self.folder / "error.log").read_text()
                time.sleep(0.05)

    def sing(self):
        """Begins to send; what listeners get is there from then on."""
        self._hushed.clear()
        line = socket.create_connection(("127.0.0.1", self.port), PATIENCE_S)
        line.sendall(b"SOURCE /song.mp3 HTTP/1.0\r\nAuthorization: Basic c291cmNlOnNlY3JldA==\r\nContent-Type: audio/mpeg\r\n\r\n")
        assert b"200" in line.recv(1024)
        self.singer = threading.Thread(target=self._sing, args=(line,), daemon=True)
        self.singer.start()
        return self

    def _sing(self, line):
        song = (self.folder / "song.mp3").read_bytes()
        began, sent = time.monotonic() - 3, 0  # three seconds ahead
        while not self._hushed.wait(0.05):
            due = int((time.monotonic() - began) * BYTES_A_SECOND)
            while sent < due:
                at = sent % len(song)
                piece = song[at:at + due - sent]
                line.sendall(piece)
                sent += len(piece)
        line.close()

    def hush(self):
        if self.singer:
            self._hushed.set()
            self.singer.join()

    def close(self):
        self.hush()
        if self.server:
            self.server.terminate()
            self.server.wait(PATIENCE_S)
        shutil.rmtree(self.folder, ignore_errors=True)
