"""How packets are marked: the DSCP of all that goes over the loopback device, by address and port. Needs CAP_NET_RAW."""
import socket
import struct
import threading

ETH_P_IP = 0x0800


class Marks:
    """Looks from now on; marks.of(protocol, host, port) are the DSCPs of packets with something in them that were sent there."""

    def __init__(self):
        self.seen = set()  # (protocol, host, port, dscp)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        self.socket.bind(("lo", ETH_P_IP))
        self.socket.settimeout(0.2)
        self.stopped = False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        while not self.stopped:
            try:
                self._take(self.socket.recv(65536))
            except socket.timeout:
                continue

    def _take(self, packet):
        head, protocol = (packet[0] & 15) * 4, packet[9]
        if protocol == socket.IPPROTO_TCP and len(packet) <= head + (packet[head + 12] >> 4) * 4:
            return  # an acknowledgement alone
        if protocol in (socket.IPPROTO_UDP, socket.IPPROTO_TCP):
            port = struct.unpack_from("!H", packet, head + 2)[0]
            self.seen.add((protocol, socket.inet_ntoa(packet[16:20]), port, packet[1] >> 2))

    def of(self, protocol, host, port):
        return {dscp for *to, dscp in self.seen if to == [protocol, host, port]}

    def stop(self):
        self.stopped = True
        self.thread.join()
        self.socket.close()
