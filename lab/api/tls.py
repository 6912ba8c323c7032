"""The lab's certificate authority: one per lab, trusted by the lab's images and by nothing else.

The authority's key stays in its directory, so that several processes (the API, the database's and the cache's machines)
can have certificates for the names that AWS would hand out.
"""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Generator
from pathlib import Path

import trustme

CERTIFICATE = "ca.pem"
KEY = "ca.key"
TRUSTSTORE_HOST = "truststore.pki.rds.amazonaws.com"
"""Where AWS publishes the certificates that RDS endpoints are signed with."""


def ca(directory: Path) -> trustme.CA:
    """The authority kept in `directory`; made at the first call, also when several processes call at once."""
    with _alone(directory / ".lock"):
        certificate, key = directory / CERTIFICATE, directory / KEY
        if not certificate.exists():
            authority = trustme.CA(organization_name="Expressway lab", organization_unit_name="lab authority")
            _write(key, authority.private_key_pem.bytes())
            # Last, because its presence says that the authority is complete.
            _write(certificate, authority.cert_pem.bytes(), mode=0o644)
        return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())


def issue(directory: Path, names: list[str]) -> tuple[Path, Path]:
    """Certificate chain and private key (PEM files) for `names`; a pair that was issued before is used again.

    Also for several who ask at once, as a cache's nodes do at their boot: all get the same pair.
    """
    digest = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:8]
    stem = f"{names[0].replace('*', '_')}-{digest}"
    certificate, key = directory / f"{stem}.pem", directory / f"{stem}.key"
    with _alone(directory / ".issuing"):
        if not certificate.exists():
            leaf = ca(directory).issue_cert(*names, common_name=names[0] if len(names[0]) <= 64 else None)
            _write(key, leaf.private_key_pem.bytes())
            _write(certificate, b"".join(pem.bytes() for pem in leaf.cert_chain_pems), mode=0o644)
    return certificate, key


def api_names(region: str) -> list[str]:
    """The host names under which machines reach the API; a wildcard covers one label only."""
    return [
        "*.amazonaws.com",
        f"*.{region}.amazonaws.com",
        f"*.s3.{region}.amazonaws.com",
        "*.s3.amazonaws.com",
        TRUSTSTORE_HOST,
    ]


@contextlib.contextmanager
def _alone(file: Path) -> Generator[None]:
    """One thread of one process at a time."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(path: Path, content: bytes, mode: int = 0o600) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.touch(mode=mode)
    partial.write_bytes(content)
    partial.replace(path)
