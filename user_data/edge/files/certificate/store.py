"""The certificate on disk, where Nginx reads it at each handshake.

Each pair has a folder of its own, and `current` points at the one in use. Nginx follows that link once per handshake
(nginx.conf.j2), so it can't meet the chain of one pair and the key of another, and needs no reload. Whoever fills such
a folder and moves the link can bring certificates, an ACME client too.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from expressway_machine import files

from .pair import Pair, read

ROOT = Path("/var/lib/expressway-certificate")
"""The unit's StateDirectory, which only Nginx's user may enter."""
CURRENT, CHAIN, KEY = "current", "chain.pem", "key.pem"
SITE = "site"
"""An empty folder beside chain and key; nginx.conf names it as `root`, so that nothing could be served from there."""


@dataclass(frozen=True)
class Store:
    """Certificates under `root`."""

    root: Path = ROOT

    def id(self) -> str | None:
        """The id of the pair in use."""
        link = self.root / CURRENT
        return link.readlink().name if link.is_symlink() and (link / SITE).is_dir() else None

    def pair(self) -> Pair | None:
        """The pair in use."""
        if self.id() is None:
            return None
        folder = self.root / CURRENT
        return read(*((folder / name).read_text() for name in (CHAIN, KEY)))

    def put(self, pair: Pair) -> bool:
        """Have Nginx use `pair` from now on. Whether it did not already."""
        before = self.id()
        if before == pair.id:
            return False
        folder = self.root / pair.id
        files.write(folder / KEY, pair.key, 0o600)
        files.write(folder / CHAIN, pair.chain, 0o600)
        (folder / SITE).mkdir(exist_ok=True)
        files.link(self.root / CURRENT, Path(pair.id))
        self._forget({pair.id, before})
        return True

    def _forget(self, kept: set[str | None]) -> None:
        """Remove the pairs before the last one. That one stays: a handshake may just have begun with it."""
        for folder in self.root.iterdir():
            if folder.is_dir() and not folder.is_symlink() and folder.name not in kept:
                shutil.rmtree(folder)
