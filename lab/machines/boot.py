"""How far a machine's cloud-init has come, read from the files in which it says so."""

import json
from typing import Final

RESULT: Final = "var/lib/cloud/data/result.json"
"""Written once, when cloud-init has ended, with the errors of all stages; relative to the machine's root.

Source: https://docs.cloud-init.io/en/latest/explanation/return_codes.html
"""

OUTPUT: Final = "var/log/cloud-init-output.log"
"""What the machine's own programs printed while cloud-init ran them."""


REPORT: Final = "var/lib/expressway/report.json"
"""What the machine's own programs last said of it, where they do, as in the artifact bucket."""


def errors(result: str) -> tuple[str, ...]:
    """What cloud-init says failed, from the text of `RESULT`."""
    return tuple(json.loads(result)["v1"]["errors"])
