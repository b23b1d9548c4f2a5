"""A real browser: Chromium without a window, driven over its DevTools protocol, showing a page that a test has written."""
import fcntl
import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
import urllib.request
from pathlib import Path

import websocket
from machine import PATIENCE_S
from pbx import BUILD
from tone import write_tone

FOLDER = Path(__file__).parent / "browser"


def jssip():
    """JsSIP in one file, made once for each build folder."""
    folder = BUILD / "browser"
    folder.mkdir(exist_ok=True)
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "jssip.js").exists():
            for name in (".npmrc", "package.json", "package-lock.json"):
                shutil.copy(FOLDER / name, folder)
            for words in (["npm", "ci", "--no-audit", "--no-fund"], ["npm", "run", "build"]):
                done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300)
                assert done.returncode == 0, f"{' '.join(words)}: {done.stderr[-2000:]}"
    return folder / "jssip.js"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


class Browser:
    def __init__(self, folder, pages, hertz=1000):
        """pages: files, served at .origin; what the browser keeps goes to folder. Its microphone hears a tone."""
        self.folder, self.hertz = folder, hertz
        folder.mkdir(parents=True, exist_ok=True)
        for page in pages:
            shutil.copy(page, folder)
        handler = functools.partial(Quiet, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.process = self.tab = None
        self.count, self.told = 0, set()  # the events that have come

    def start(self):
        write_tone(self.folder / "tone.wav", self.hertz, rate=48000)
        self.process = subprocess.Popen(["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                                         "--ignore-certificate-errors", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
                                         f"--use-file-for-fake-audio-capture={self.folder / 'tone.wav'}",
                                         "--autoplay-policy=no-user-gesture-required", "--allow-loopback-in-peer-connection",
                                         "--remote-debugging-port=0", "--remote-allow-origins=*", f"--user-data-dir={self.folder / 'profile'}",
                                         "about:blank"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            found = re.search(r"ws://(127\.0\.0\.1:\d+)/devtools/browser", line)
            if found:
                break
        else:
            raise AssertionError(f"chromium did not start: exit code {self.process.wait()}")
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        tabs = json.load(urllib.request.urlopen(f"http://{found.group(1)}/json"))
        tab = next(tab for tab in tabs if tab["type"] == "page")
        self.tab = websocket.create_connection(tab["webSocketDebuggerUrl"], timeout=2 * PATIENCE_S)
        self.call("Page.enable")
        return self

    def show(self, page):
        """A fresh page: what the one before had is gone."""
        self.told.clear()
        self.call("Page.navigate", url=f"{self.origin}/{page}")
        while "Page.loadEventFired" not in self.told:  # it may have come before the answer
            self._hear()

    def phone(self, pbx, number, secret):
        """A fresh page.html whose phone has registered; the browser itself."""
        self.show("page.html")
        self.run(f"start('wss://127.0.0.1:{pbx.http_port}/sip', '{number}', '{secret}')")
        assert self.run("first('registered', 'registrationFailed', 'disconnected')")["name"] == "registered"
        return self

    def call(self, method, **params):
        self.count += 1
        self.tab.send(json.dumps({"id": self.count, "method": method, "params": params}))
        while (answer := self._hear()).get("id") != self.count:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _hear(self):
        message = json.loads(self.tab.recv())
        self.told.add(message.get("method"))
        return message

    def run(self, script):
        """What a script comes to; a promise is waited for."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def crash(self):
        """The tab dies as on a machine that loses power: no BYE, no goodbye of DTLS."""
        self.count += 1
        self.tab.send(json.dumps({"id": self.count, "method": "Page.crash"}))

    def close(self):
        if self.tab:
            self.tab.close()
        if self.process:
            self.process.terminate()
            self.process.wait()
        self.server.shutdown()
        self.server.server_close()
