"""A real browser: Chromium without a window, driven over its DevTools protocol, showing a page that a test has written."""
import functools
import http.server
import json
import re
import shutil
import subprocess
import threading
import urllib.request

import websocket


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words):
        pass


class Browser:
    def __init__(self, folder, pages):
        """pages: files, served at .origin; what the browser keeps goes to folder."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for page in pages:
            shutil.copy(page, folder)
        handler = functools.partial(Quiet, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.origin = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.process = self.tab = None
        self.count = 0

    def start(self):
        self.process = subprocess.Popen(["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                                         "--ignore-certificate-errors", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
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
        self.tab = websocket.create_connection(tab["webSocketDebuggerUrl"], timeout=20)
        self.call("Page.enable")
        return self

    def show(self, page):
        """A fresh page: what the one before had is gone."""
        self.call("Page.navigate", url=f"{self.origin}/{page}")
        while json.loads(self.tab.recv()).get("method") != "Page.loadEventFired":
            pass

    def call(self, method, **params):
        self.count += 1
        self.tab.send(json.dumps({"id": self.count, "method": method, "params": params}))
        while True:
            answer = json.loads(self.tab.recv())
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                return answer["result"]

    def run(self, script):
        """What a script comes to; a promise is waited for."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def close(self):
        if self.tab:
            self.tab.close()
        if self.process:
            self.process.terminate()
            self.process.wait()
        self.server.shutdown()
        self.server.server_close()
