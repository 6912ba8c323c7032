"""A service that is away: one line when that begins, and one when it ends."""


class Outage:
    """What is said of one service that is told things."""

    def __init__(self, begins: str, ends: str, what: str) -> None:
        """`begins` is followed by the reason, `ends` by how much of `what` was lost meanwhile."""
        self._begins = begins
        self._ends = ends
        self._what = what
        self._lost_before: int | None = None

    def failed(self, error: Exception, lost: int) -> None:
        """It could not be told; `lost` counts what never will be, so far."""
        if self._lost_before is None:
            self._lost_before = lost
            print(f"expressway: {self._begins}: {error}", flush=True)

    def worked(self, lost: int) -> None:
        """It could."""
        if self._lost_before is not None:
            lost -= self._lost_before
            print(f"expressway: {self._ends}; lost meanwhile: {lost} {self._what}", flush=True)
        self._lost_before = None
