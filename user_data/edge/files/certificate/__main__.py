"""The certificate's service: a look at the secret about every half a minute, for as long as the machine runs."""

import random
import sys
import time
from pathlib import Path

from expressway_machine import config, systemd
from expressway_machine.aws import Clients

from .keeper import Keeper, UnreadableError
from .pair import CertificateError
from .store import Store

INTERVAL = 30.0
"""Seconds between passes, give or take a fifth, so that edges don't ask in step. 90,000 calls a month: 0.45 USD."""
PATIENCE = 90.0
"""Seconds that a machine that has no certificate yet asks for it."""
STATUS = Path("/run/expressway-certificate/status.json")


def main() -> int:
    """Run until stopped; 1, with the reason, when there is no certificate to begin with."""
    machine = config.load()
    # Short-tempered: the next pass is at hand, and meanwhile nothing changes.
    client = Clients(machine["region"], attempts=2, read_timeout=5).get("secretsmanager")
    keeper = Keeper(client, machine["certificate"], Store(), STATUS)
    try:
        keeper.ensure(PATIENCE)
    except (CertificateError, UnreadableError):
        # What is wrong is in the log by now.
        print("there is no certificate that Nginx could serve", file=sys.stderr)
        return 1
    while True:
        systemd.notify("READY=1\nWATCHDOG=1")
        time.sleep(INTERVAL * random.uniform(0.8, 1.2))  # noqa: S311, not for secrets
        keeper.run_pass()


if __name__ == "__main__":
    sys.exit(main())
