"""One end of a packet test, run inside a network namespace: `serve` answers with the caller's address, `call` calls.

`serve JSON`: a list of [address, port], TCP and UDP each; prints "ready" and serves until standard input ends.
`call JSON`: a list of {protocol, host, port, source, source_port}, called all at once; prints for each what the server
saw as the caller's address, or "dropped", or the error. Standard library only.
"""

import json
import selectors
import socket
import struct
import sys
import threading
from typing import Any

WAIT_SECONDS = {"tcp": 0.6, "icmp": 0.6, "udp": 1.5}
"""For the first answer. A kernel gives it to TCP and ICMP; to UDP the server does, whom a busy host may hold up."""
SERVER_SECONDS = 20
"""For a server that is connected: the packet got there."""
ECHO_REQUEST = struct.pack("!BBHHH", 8, 0, 0xEFFC, 0x0803, 0)  # type, code, checksum, identifier, sequence


def serve(listeners: list[tuple[str, int]]) -> None:
    selector = selectors.DefaultSelector()
    for address, port in listeners:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            server = socket.socket(socket.AF_INET, kind)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind((address, port))
            if kind == socket.SOCK_STREAM:
                server.listen(64)
            selector.register(server, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            server = key.fileobj
            if not isinstance(server, socket.socket):
                return
            if server.type == socket.SOCK_STREAM:
                connection, caller = server.accept()
                with connection:
                    connection.sendall(caller[0].encode())
            else:
                _, caller = server.recvfrom(512)
                server.sendto(caller[0].encode(), caller)


def call(target: dict[str, Any]) -> str:
    kinds = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "icmp": socket.SOCK_RAW}
    protocol = target["protocol"]
    with socket.socket(socket.AF_INET, kinds[protocol], socket.IPPROTO_ICMP if protocol == "icmp" else 0) as client:
        client.settimeout(WAIT_SECONDS[protocol])
        try:
            client.bind((target["source"], target["source_port"]))
            client.connect((target["host"], target["port"]))
            if protocol == "icmp":
                client.send(ECHO_REQUEST)
                return "pong" if client.recv(512) else ""
            if protocol == "udp":
                client.send(b"who am I")
            else:
                client.settimeout(SERVER_SECONDS)
            return client.recv(512).decode()
        except TimeoutError:
            return "dropped"
        except OSError as error:
            return error.strerror or str(error)


def call_all(targets: list[dict[str, Any]]) -> list[str]:
    answers = [""] * len(targets)

    def one(index: int) -> None:
        answers[index] = call(targets[index])

    threads = [threading.Thread(target=one, args=(index,)) for index in range(len(targets))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


if __name__ == "__main__":
    request = json.loads(sys.argv[2])
    if sys.argv[1] == "serve":
        serve([(address, port) for address, port in request])
    else:
        print(json.dumps(call_all(request)))
