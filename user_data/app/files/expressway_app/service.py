"""What the programs share that run for as long as the machine does."""

import sys

from expressway_machine import config, metadata


def say(message: str) -> None:
    """A line for the journal."""
    print(f"expressway: {message}", flush=True)


def identify(program: str) -> tuple[config.Machine, str] | None:
    """What this machine was told, and its id; None when it doesn't know who it is, which a line says for `program`."""
    try:
        return config.load(), metadata.instance_id()
    except (OSError, ValueError) as error:
        print(f"expressway: {program}: {error}", file=sys.stderr)
        return None
