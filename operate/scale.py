"""Another number of app servers, waited for until all of them serve and those too many have gone."""

import time
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

from operate import deploy
from operate.fleet import Fleet, Observer, resize
from operate.stack import Stack, lasting


class ScaleError(Exception):
    """It can't be had; nothing was changed."""


class ScaleTimeoutError(Exception):
    """It was asked for, and isn't there yet."""


def scale(
    stack: Stack, wanted: int, tell: Callable[[Fleet], None], patience: float = 600.0, pause: float = 1.0
) -> Fleet:
    """Have `wanted` app servers. ScaleError where the group's bounds, or a deploy, forbid it."""
    observer = Observer(stack)
    group = observer.look().app
    if wanted > group.maximum:
        raise ScaleError(
            f"{group.name} takes at most {group.maximum} machines, not {wanted}: "
            "raise expressway:app.maxSize, and run pulumi up"
        )
    if wanted < group.minimum:
        raise ScaleError(
            f"{group.name} takes at least {group.minimum} machines, not {wanted}: "
            "lower expressway:app.minSize, and run pulumi up"
        )
    found = deploy.read(stack.client("s3"), stack.bucket)
    if found and not found[0].over:
        raise ScaleError(
            f"a deploy is half done ({found[0].phase}, by {found[0].by}): wait for it, or finish it with "
            "expressway deploy or rollback"
        )
    resize(stack, group, wanted)
    deadline = time.monotonic() + patience
    while True:
        try:
            fleet = observer.look()
        except (ClientError, BotoCoreError) as error:
            if lasting(error) or time.monotonic() > deadline:
                raise
        else:
            tell(fleet)
            if fleet.app.desired != wanted:
                raise ScaleTimeoutError(
                    f"somebody else wants {fleet.app.desired} machines now: an alarm, or an operator"
                )
            if len(fleet.app.machines) == wanted and all(each.serving for each in fleet.app.machines):
                return fleet
            if time.monotonic() > deadline:
                left = ", ".join(
                    f"{each.id} ({each.report.reason or each.report.state if each.report else each.lifecycle})"
                    for each in fleet.app.machines
                    if not each.serving
                )
                raise ScaleTimeoutError(f"not there after {patience:.0f} s: {left or 'no machine is started'}")
        time.sleep(pause)
