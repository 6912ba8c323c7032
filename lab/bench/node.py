"""A program in the app's folder, in a process of its own, beside the ones that PM2 runs on an app server."""

import contextlib
from collections.abc import Generator, Mapping, Sequence
from typing import Final

from .bed import Bed, answers
from .measure import Meter

PORTS: Final = (3101, 3102)
_RUNTIME: Final = "/opt/expressway/runtime/current/bin/node"
APP: Final = "/srv/releases/current/app"
_USER: Final = "expressway-app"


@contextlib.contextmanager
def process(
    bed: Bed,
    name: str,
    port: int,
    without: Sequence[str] = (),
    given: Mapping[str, str] | None = None,
    program: str = "server.js",
) -> Generator[Meter]:
    """One `node <program>` at `port`, with the environment of PM2's but for the variables `without`; its meter.

    `given`: variables beside those, or other values of them.
    """
    server = bed.machine("app")
    left_out = [word for each in without for word in ("-u", each)]
    variables = [f"{key}={value}" for key, value in ({"PORT": str(port)} | dict(given or {})).items()]
    words = ["/usr/bin/env", *left_out, *variables, _RUNTIME, program]
    properties = (
        f"User={_USER}",
        f"WorkingDirectory={APP}",
        "EnvironmentFile=/run/expressway/app.env",
        "LimitNOFILE=65535",
    )
    with bed.unit(server, name, words, properties) as cpu:
        answers(f"http://{server.address}:{port}/readyz")
        yield cpu
