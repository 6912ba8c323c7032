"""How long to wait for the next question to the API. Pure."""

import random

INTERVAL = 2.0
"""Seconds between questions, give or take a fifth, so that many edges don't ask in step."""
URGENT = 1.0
"""While an operator, or a deploy, drains machines."""
SLOWEST, SLOWEST_THROTTLED = 8.0, 30.0
THROTTLED = frozenset({"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"})


def pause(failures: int, throttled: bool, urgent: bool = False) -> float:
    """Seconds, after so many failures in a row. One that asks too often asks less and less often."""
    if not failures:
        seconds = URGENT if urgent else INTERVAL
    else:
        seconds = min(INTERVAL * 2 ** min(failures, 10), SLOWEST_THROTTLED if throttled else SLOWEST)
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311, not for secrets
