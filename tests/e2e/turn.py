"""A real STUN and TURN server: coturn."""
import subprocess


class Turn:
    """turnserver on `addresses`, the first of which clients are told; `words` are more of its own. It logs into `folder`."""

    def __init__(self, folder, addresses, port, *words):
        folder.mkdir(parents=True, exist_ok=True)
        self._command = ["turnserver", "-n", *(word for address in addresses for word in ("-L", address)), "-p", str(port), "--no-tls", "--no-dtls",
                         "--no-cli", "--pidfile", str(folder / "pid"), "--log-file", "stdout", "--userdb", str(folder / "users"), *map(str, words)]
        self._log = folder / "log"
        self.start()

    def start(self):
        with open(self._log, "ab") as log:
            self.process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
