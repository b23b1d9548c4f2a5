"""A small database of countries in MaxMind's format (maxmind.github.io/MaxMind-DB): countries.py FILE 192.0.2.0/24=US 2001:db8::/32=CA"""
import ipaddress
import sys
from pathlib import Path


def _head(kind, size):
    """Control byte, and the second one of the kinds above 7; sizes here stay below 29."""
    return bytes([kind << 5 | size]) if kind <= 7 else bytes([size, kind - 7])


def _text(value):
    return _head(2, len(value)) + value.encode()


def _number(kind, value):
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return _head(kind, len(raw)) + raw


def _map(**members):
    return _head(7, len(members)) + b"".join(_text(name) + value for name, value in members.items())


def _leaves(networks):
    """A tree of lists of two: a node, the code of a country, or None."""
    root = [None, None]
    for network, country in networks.items():
        network = ipaddress.ip_network(network)
        bits = f"{int(network.network_address):0{network.max_prefixlen}b}"[:network.prefixlen]
        bits = "0" * (128 - network.max_prefixlen) + bits
        node = root
        for bit in bits[:-1]:
            if node[int(bit)] is None:
                node[int(bit)] = [None, None]
            node = node[int(bit)]
        node[int(bits[-1])] = country
    return root


def write_countries(path, networks, kind="Test-Country"):
    """networks: {"192.0.2.0/24": "US"}."""
    data, places = b"", {}
    for country in sorted(set(networks.values())):
        places[country] = len(data)
        data += _map(country=_map(iso_code=_text(country)))
    nodes = [_leaves(networks)]
    for node in nodes:
        nodes += [below for below in node if isinstance(below, list)]
    number = {id(node): index for index, node in enumerate(nodes)}

    def record(below):
        value = len(nodes) if below is None else number[id(below)] if isinstance(below, list) else len(nodes) + 16 + places[below]
        return value.to_bytes(3, "big")

    tree = b"".join(record(below) for node in nodes for below in node)
    metadata = _map(binary_format_major_version=_number(5, 2), binary_format_minor_version=_number(5, 0), build_epoch=_number(9, 1700000000),
                    database_type=_text(kind), description=_map(en=_text("for tests")), ip_version=_number(5, 6), languages=_head(11, 1) + _text("en"),
                    node_count=_number(6, len(nodes)), record_size=_number(5, 24))
    new = Path(f"{path}.new")
    new.write_bytes(tree + bytes(16) + data + b"\xab\xcd\xefMaxMind.com" + metadata)
    new.rename(path)


if __name__ == "__main__":
    write_countries(sys.argv[1], dict(word.split("=") for word in sys.argv[2:]))
