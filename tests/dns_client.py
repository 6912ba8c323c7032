"""Asks one resolver, past whatever this host is set to."""

import socket
import struct
from ipaddress import IPv4Address

A, PTR = 1, 12
NO_ERROR, NO_SUCH_NAME = 0, 3


def encoded(name: str) -> bytes:
    """A name as it is on the wire."""
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def resolve(name: str, resolver: IPv4Address, kind: int = A, tcp: bool = False) -> tuple[int, list[str]]:
    """The answer's code, and its addresses or names."""
    query = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + encoded(name) + struct.pack("!2H", kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as client:
        client.settimeout(20)
        client.connect((str(resolver), 53))
        client.send(struct.pack("!H", len(query)) + query if tcp else query)
        answer = client.recv(2048)[2 if tcp else 0 :]
    count = struct.unpack("!H", answer[6:8])[0]
    position, found = len(query), list[str]()
    for _ in range(count):
        kind, _class, _ttl, length = struct.unpack("!2HIH", answer[position + 2 : position + 12])
        data = answer[position + 12 : position + 12 + length]
        found.append(socket.inet_ntoa(data) if kind == A else _labels(data))
        position += 12 + length
    return answer[3] & 0x0F, found


def _labels(data: bytes) -> str:
    parts: list[str] = []
    while data[0]:
        parts.append(data[1 : 1 + data[0]].decode())
        data = data[1 + data[0] :]
    return ".".join(parts)
