"""The API failing on purpose, towards the machines: what a proof plants. Only what reads a fleet is answered so."""

from typing import Any, Final

from werkzeug.wrappers import Response

FAULTS: Final = ("throttled", "empty", "garbage")
_ACTIONS: Final = ("DescribeAutoScalingGroups", "DescribeAutoScalingInstances", "DescribeInstances", "DescribeTags")


class UnknownFaultError(Exception):
    """There is no such fault; the message names those there are."""


class Faults:
    """Which fault is planted, if any."""

    def __init__(self) -> None:
        self._planted: str | None = None

    def plant(self, fault: Any) -> None:
        """Fail so from now on; None to be well again. UnknownFaultError for others than `FAULTS`."""
        if fault is not None and fault not in FAULTS:
            raise UnknownFaultError(f"fault must be null or one of {', '.join(FAULTS)}, and is {fault!r}")
        self._planted = fault

    def answer(self, action: str) -> Response | None:
        """What a machine's call gets instead of the right answer; None for the right one."""
        if self._planted is None or action not in _ACTIONS:
            return None
        match self._planted:
            case "throttled":
                error = "<Code>Throttling</Code><Message>Rate exceeded</Message>"
                body = f"<ErrorResponse><Error>{error}</Error></ErrorResponse>"
                return Response(body, status=400, content_type="text/xml")
            case "empty":
                return Response(f"<{action}Response><{action}Result/></{action}Response>", content_type="text/xml")
            case _:
                return Response(b"\x00\xff not what was asked for <<<", content_type="text/xml")
