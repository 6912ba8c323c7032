"""`python -m lab.controller`: keep this host as the API says, until told to stop. The machines stay when it ends."""

import logging
import signal
import sys
import threading
from types import FrameType

from lab import config, paths

from .loop import Controller


def main() -> int:
    """Run; 1 when there is no lab."""
    logging.basicConfig(format="%(asctime)s %(name)s %(levelname)s %(message)s", level=logging.INFO)
    logging.getLogger("botocore").setLevel(logging.WARNING)
    settled = config.read()
    if settled is None:
        print(f"lab.controller: there is no lab here ({paths.STATE} has no lab.json)", file=sys.stderr)
        return 1
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    Controller(settled, paths.STATE).run(stopped)
    return 0


if __name__ == "__main__":
    sys.exit(main())
