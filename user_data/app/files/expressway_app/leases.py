"""Which machine of the fleet runs a process that the fleet has once: a lease in the artifact bucket (docs/adr/0017).

Two machines never knowingly run one at a time. Who has the lease renews it every `PERIOD`, and ends the process when it
could not for `OURS` seconds. Another takes the lease only when it has not seen it change for `THEIRS` seconds: longer
than `OURS` and what the process may take to end. Each counts with a clock of its own that never goes back; no two
machines' clocks are compared.
"""

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from expressway_machine import files

from . import paths, pm2_client

PERIOD = 8.0
OURS = 20.0
THEIRS = 40.0

LOST = ("PreconditionFailed", "ConditionalRequestConflict")
"""S3's words for a conditional write that another machine came before."""
NONE_YET = ("NoSuchKey", "AccessDenied")
"""S3's words for an object that isn't there; the latter to who may not list the bucket."""


@dataclass
class _Seen:
    """A lease as it was found, and since when it has been the same."""

    tag: str
    since: float


class Leases:
    """Keeps this machine's leases, and the files by which its processes know of them."""

    def __init__(
        self,
        s3: Any,
        bucket: str,
        instance_id: str,
        end: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._id = instance_id
        self._end = end
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def look(self, names: Iterable[str]) -> None:
        """Renew, take or give up what is due, for the processes called `names`."""
        wanted = set(names)
        for name in sorted(wanted):
            began = self._clock()
            try:
                ours = self._renew(name)
            except (BotoCoreError, ClientError) as error:
                print(f"expressway: the lease of {name}: {error}", flush=True)
            else:
                if ours:
                    self._keep(name, began)
                else:
                    self._drop(name)
            kept = self._kept(name)
            if kept is not None and self._clock() - kept > OURS:
                self._drop(name)
        for path in paths.LEASES.glob("*"):
            if path.name not in wanted:
                self._drop(path.name)

    def _renew(self, name: str) -> bool:
        """Whether this machine has the lease now."""
        key = f"leases/{name}.json"
        body = json.dumps({"by": self._id, "at": round(time.time(), 3)}).encode()
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] not in NONE_YET:
                raise
            return self._put(key, body, IfNoneMatch="*")
        tag, holder = answer["ETag"], json.loads(answer["Body"].read())["by"]
        seen = self._seen.get(name)
        if seen is None or seen.tag != tag:
            seen = self._seen[name] = _Seen(tag, self._clock())
        if holder == self._id or self._clock() - seen.since > THEIRS:
            return self._put(key, body, IfMatch=tag)
        return False

    def _put(self, key: str, body: bytes, **condition: str) -> bool:
        try:
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=body, ContentType="application/json", **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] in LOST:
                return False
            raise
        return True

    def _keep(self, name: str, began: float) -> None:
        """The process runs here, by a renewal that began at `began`."""
        if self._kept(name) is None:
            print(f"expressway: this machine runs {name}", flush=True)
        files.write(paths.LEASES / name, repr(began))

    def _kept(self, name: str) -> float | None:
        """When the last renewal began; None where the process doesn't run here."""
        try:
            return float(paths.LEASES.joinpath(name).read_text())
        except (OSError, ValueError):
            return None

    def _drop(self, name: str) -> None:
        """The process doesn't run here any more."""
        path = paths.LEASES / name
        if path.exists():
            # First the file: what is started again meanwhile waits.
            path.unlink()
            print(f"expressway: this machine runs {name} no more", flush=True)
            self._end(name)


def end(name: str) -> None:
    """Have PM2 end a process and start it anew, which then waits for the lease. What fails is said, and no more."""
    done = pm2_client.run("restart.cjs", name)
    if done.returncode != 0:
        print(f"expressway: {name} can't be ended: {done.stderr.strip()}", flush=True)


def keep(leases: Leases, names: Callable[[], Iterable[str]]) -> None:
    """Look again and again. For ever."""
    while True:
        try:
            leases.look(names())
        except Exception as error:  # whatever it was, the next look is soon, and this thread has to live
            print(f"expressway: leases: {type(error).__name__}: {error}", flush=True)
        time.sleep(PERIOD)
