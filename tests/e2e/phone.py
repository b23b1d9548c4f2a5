"""A real phone: a baresip process of its own, driven over ctrl_tcp. It sends a tone; what reaches it is taken from the wire."""
import json
import socket
import subprocess
import time
from pathlib import Path

from ear import Listener, RecorderEar, open_ear
from machine import PATIENCE_S
from ports import free_port, free_range

CONFIG = """\
poll_method epoll
sip_listen {listen}:{sip_port}
call_local_timeout 120
call_max_calls 4
audio_player aubridge,nil
audio_source ausine,{hertz}
audio_alert aubridge,nil
ausrc_srate 48000
auplay_srate 8000
ausrc_channels 2
auplay_channels 1
rtp_ports {rtp_port}-{rtp_last}
rtp_stats no
net_interface {interface}
module_path /usr/lib/baresip/modules
module g711.so
{codec_modules}{media_modules}module srtp.so
module ausine.so
module aubridge.so
module sndfile.so
module_tmp account.so
module_app ctrl_tcp.so
module_app menu.so
{modules}
ctrl_tcp_listen 127.0.0.1:{control_port}
snd_path {directory}
"""


class Phone(Listener):
    """Number `number` on `pbx`. hertz: the tone it sends, a multiple of 10. six: over IPv6. media: "srtp" (offers keys and takes them) or
    "srtp-mand" (no call without) or "dtls_srtp": what it hears is then its recorder's to tell, and `wire` has what passed. ice: it asks its way. modules, contacts and account: more of baresip's own; codec_module: the one with a codec that `codecs` names."""

    def __init__(self, directory, pbx, number, secret, hertz, transport="udp", answer="manual", codecs="", port=None, media="",
                 six=False, ice=False, modules=(), contacts=(), account="", codec_module=""):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.number, self.hertz, self.pbx, self.transport = number, hertz, pbx, transport
        self.sip_port = port or free_port()
        control_port, rtp_port = free_port(), free_range(20)
        host = "[::1]" if six else "127.0.0.1"
        (self.directory / "config").write_text(CONFIG.format(listen=host, interface=host.strip("[]"), sip_port=self.sip_port, hertz=hertz,
                                                             rtp_port=rtp_port, rtp_last=rtp_port + 19,
                                                             control_port=control_port, directory=self.directory,
                                                             codec_modules=f"module {codec_module}\n" if codec_module else "",
                                                             media_modules="module dtls_srtp.so\n" * (media == "dtls_srtp") + "module ice.so\n" * ice,
                                                             modules="\n".join(f"module_app {name}" for name in modules)))
        (self.directory / "contacts").write_text("".join(f"{contact}\n" for contact in contacts))
        account += ";medianat=ice" * ice
        codecs = f";audio_codecs={codecs}" if codecs else ""
        media = f";mediaenc={media}" if media else ""
        (self.directory / "accounts").write_text(
            f"<sip:{number}@pbx.test;transport={transport}>;auth_user={number};auth_pass={secret};"
            f"outbound=\"sip:{host}:{pbx.port_of(transport)};transport={transport}\";regint=120;answermode={answer};ptime=20{codecs}{media}{account}\n")
        self.wire = open_ear(rtp_port, rtp_port + 19, self.directory, six)
        self.ear = RecorderEar(self.directory) if media else self.wire
        self._out = open(self.directory / "out.txt", "wb")
        self.process = subprocess.Popen(["baresip", *(["-6"] if six else []), "-f", str(self.directory)], stdin=subprocess.DEVNULL,
                                        stdout=self._out, stderr=self._out)
        self._events, self._buffer = [], b""
        self._socket = self._connect(control_port)

    def _connect(self, port):
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                return socket.create_connection(("127.0.0.1", port), 1)
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise AssertionError("baresip did not start: " + (self.directory / "out.txt").read_text(errors="replace"))
                time.sleep(0.05)

    # ---- its control connection: netstrings of JSON -----------------------------------------

    def _read(self, seconds):
        """One message, or None."""
        deadline = time.monotonic() + seconds
        while True:
            size, colon, rest = self._buffer.partition(b":")
            if colon and len(rest) > int(size):
                self._buffer = rest[int(size) + 1:]
                return json.loads(rest[:int(size)])
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._socket.settimeout(left)
            try:
                data = self._socket.recv(65536)
            except socket.timeout:
                return None
            if not data:
                return None
            self._buffer += data

    def command(self, name, params=""):
        message = json.dumps({"command": name, "params": params, "token": "t"}).encode()
        self._socket.sendall(b"%d:%s," % (len(message), message))
        while True:
            answer = self._read(PATIENCE_S)
            assert answer is not None, f"phone {self.number} does not answer {name}"
            if answer.get("response"):
                return answer
            self._events.append(answer)

    def wait(self, kind, seconds=PATIENCE_S, where=lambda event: True):
        """The next event of a type: REGISTER_OK, CALL_INCOMING, CALL_RINGING, CALL_ESTABLISHED, CALL_CLOSED…"""
        deadline = time.monotonic() + seconds
        while True:
            for event in list(self._events):
                self._events.remove(event)
                if event.get("type") == kind and where(event):
                    return event
            left = deadline - time.monotonic()
            event = self._read(left) if left > 0 else None
            assert event is not None, f"phone {self.number}: no {kind} within {seconds} s\n{self.output()[-1500:]}"
            self._events.append(event)

    def saw(self, kind):
        """Whether such an event has come so far, without waiting for it."""
        while (event := self._read(0.01)) is not None:
            self._events.append(event)
        return any(event.get("type") == kind for event in self._events)

    def output(self):
        return (self.directory / "out.txt").read_text(errors="replace")

    # ---- what a person does ---------------------------------------------------------------

    def registered(self):
        """Asks the registrar: the phone's own event may be older than our connection to it."""
        def there():
            port = self.sip_port + (self.transport == "tls")  # baresip listens for TLS beside its own port
            return any(f":{port}" in contact["contact"] for contact in self.pbx.ctl("registrations", "list", self.number))
        self.pbx.wait_for(there, f"phone {self.number} to register: {self.output()[-300:]}")
        return self

    def dial(self, number):
        self.command("dial", f"sip:{number}@pbx.test")
        return self

    def answer(self):
        self.wait("CALL_INCOMING")
        self.command("accept")
        self.wait("CALL_ESTABLISHED")
        return self

    def established(self, seconds=PATIENCE_S):
        self.wait("CALL_ESTABLISHED", seconds)
        return self

    def hangup(self):
        self.command("hangup")
        return self

    def closed(self, seconds=PATIENCE_S):
        return self.wait("CALL_CLOSED", seconds)

    def hold(self):
        self.command("hold")

    def resume(self):
        self.command("resume")

    def transfer(self, number):
        """A blind transfer of the call it talks in: REFER."""
        self.command("transfer", f"sip:{number}@pbx.test")

    def press(self, keys):
        for key in keys:
            self.command("sndcode", key)
            time.sleep(0.15)  # as fast as a finger: baresip sends a digit for as long as the key is down
            self.command("sndcode", "\x04")

    def stop(self):
        """Ends the process as a phone does that loses power: no BYE, no unregister."""
        self.process.kill()
        self.process.wait()
        self._socket.close()
        self._out.close()
        self.wire.close()
