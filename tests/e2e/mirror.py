"""A phone that speaks a codec no phone of Debian has: it sends back each payload that it gets, and keeps them for another decoder to judge."""
import select
import subprocess

from talker import Talker

SESSION = ("v=0\r\no=- 1 {version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 {connection}\r\nt=0 0\r\n"
           "m=audio {port} RTP/AVP {kind}\r\na=rtpmap:{kind} {rtpmap}\r\n{fmtp}{attribute}")


class Mirror(Talker):
    """kind: its number for the codec. What the other side says comes back to it, so it hears itself as the codec has it."""

    def __init__(self, pbx, number, secret, rtpmap, kind, fmtp=""):
        super().__init__(pbx, number, secret, 0)
        self.rtpmap, self.kind, self.fmtp = rtpmap, kind, fmtp

    def _speak(self):
        while not self._closing.is_set():
            if not select.select([self.rtp], [], [], 0.1)[0]:
                continue
            packet = self.rtp.recv(2048)
            if self.towards and packet[1] & 0x7f == self.kind:
                self.rtp.sendto(packet[:8] + self.rtp_port.to_bytes(4, "big") + packet[12:], self.towards)

    def session(self, direction="sendrecv", connection="127.0.0.1"):
        self.version += 1
        return SESSION.format(version=self.version, connection=connection, port=self.rtp_port, kind=self.kind, rtpmap=self.rtpmap,
                              fmtp=f"a=fmtp:{self.kind} {self.fmtp}\r\n" if self.fmtp else "", attribute=f"a={direction}\r\n")


def _crc(page):
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04c11db7 if crc & 0x80000000 else crc << 1) & 0xffffffff
    return crc


def ogg(packets, step):
    """An Ogg file of these packets, the first two its heads, each of the others `step` samples long; a page for each."""
    file = b""
    for number, packet in enumerate(packets):
        first, last = number == 0, number == len(packets) - 1
        head = (b"OggS\0" + bytes([(2 if first else 0) | (4 if last else 0)]) + (max(number - 1, 0) * step).to_bytes(8, "little") +
                (1).to_bytes(4, "little") + number.to_bytes(4, "little") + b"\0\0\0\0" +
                bytes([len(packet) // 255 + 1]) + b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]))
        page = head + packet
        file += page[:22] + _crc(page).to_bytes(4, "little") + page[26:]
    return file


def judged(directory, file, options):
    """What FFmpeg makes of a file, as samples at 8 kHz."""
    path = directory / "judged"
    path.write_bytes(file)
    done = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *options, "-i", str(path), "-f", "s16le", "-ar", "8000", "-ac", "1", "-"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
    assert done.returncode == 0, done.stderr.decode()
    return memoryview(done.stdout[:len(done.stdout) // 2 * 2]).cast("h")
