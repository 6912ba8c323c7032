"""Puts a ruleset in force, and takes it out: one table, one transaction, nothing of the host's other tables."""

import json
import re

from lab.network.command import CommandError, run
from lab.network.security_groups import DROPS, TABLE


def apply(ruleset: str) -> bool:
    """Replace the table by `ruleset`, unless that is in force already. True if it was replaced. Raises CommandError."""
    wanted = _fingerprint(ruleset)
    if wanted is not None and wanted == _fingerprint(_listing()):
        return False
    run(["nft", "-f", "-"], ruleset)
    return True


def remove() -> None:
    """Delete the table, if it is there."""
    # Declared first, so that deleting it can't fail.
    run(["nft", "-f", "-"], f"table inet {TABLE}\ndelete table inet {TABLE}\n")


def exists() -> bool:
    """Whether the table is there."""
    return bool(_listing())


def drops() -> dict[str, int]:
    """Packets dropped since the last change of the ruleset, by reason (the keys of `security_groups.DROPS`)."""
    answer = json.loads(run(["nft", "-j", "list", "counters", "table", "inet", TABLE]))
    counters = [item["counter"] for item in answer["nftables"] if "counter" in item]
    return {counter["name"]: counter["packets"] for counter in counters if counter["name"] in DROPS}


def _listing() -> str:
    try:
        return run(["nft", "--terse", "list", "table", "inet", TABLE])
    except CommandError as error:
        if "No such file or directory" in str(error):
            return ""
        raise


def _fingerprint(text: str) -> str | None:
    # The table's own comment comes first, before those of its counters.
    found = re.search(r'^\s*comment "([0-9a-f]{16})"', text, re.MULTILINE)
    return found[1] if found else None
