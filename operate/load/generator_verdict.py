"""Whether the generator itself was the limit; all that can be said where nobody looks at the tiers. Pure."""

from collections.abc import Sequence
from typing import Final

from operate.load.model import Bottleneck, Reading, Step
from operate.load.planning import saturated

BUSY: Final = 0.85
"""Of all CPUs. Beyond, a generator's own times are no longer those of what it asks."""


class NothingRead:
    """Knows nothing of the tiers."""

    def between(self, began: float, ended: float) -> tuple[Reading, ...]:
        """No reading."""
        return ()


def judge(steps: Sequence[Step], knee_rps: float | None) -> Bottleneck:
    """The generator, where it could not send what was due in time; else nobody that could be named."""
    if not steps:
        return Bottleneck("none", "", ("no step was measured",), ("let a step end: it takes about 20 s",))
    worst = saturated(steps)
    if worst is None:
        highest = max(each.offered_rps for each in steps)
        evidence = f"{highest:g} requests/s, the highest rate that was offered, were kept up with"
        return Bottleneck("none", "", (evidence,), ("offer more: --start-rps, --max-rps or a longer --within",))
    if own := generator_limit(worst):
        further = "start the load on another machine, or on one with more CPUs, and compare"
        return Bottleneck("generator", own[0], own[1], (further,))
    failed = sum(worst.failures.values())
    evidence = (
        f"at {worst.offered_rps:g} requests/s it answered {worst.answered_rps:g}/s, {failed} of {worst.requests} "
        f"failed, and the p95 was {worst.p95:.0f} ms"
    )
    kept = "no rate was kept up with" if knee_rps is None else f"{knee_rps:g} requests/s were kept up with"
    blind = "nothing is known of what the tiers did: look at each one's metrics for the time of this run"
    return Bottleneck("none", "", (evidence, f"{kept}; the generator was in time"), (blind,))


def generator_limit(step: Step) -> tuple[str, tuple[str, ...]] | None:
    """The generator's resource that had nothing left in a step, and the evidence; None when it was in time."""
    read = {each.resource: each for each in step.readings if each.tier == "generator"}
    cpu, late, flying = (read.get(name) for name in ("cpu", "sent late, p99", "requests in flight"))
    at = f"at {step.offered_rps:g} requests/s"
    if flying and (flying.saturation or 0) >= 1:
        # All its workers wait for answers: then it is late because of what it asks.
        return None
    busy = cpu and f"{at} the generator took {cpu.value:.0f} % of a CPU, of {cpu.limit:.0f} %"
    if cpu and (cpu.saturation or 0) >= BUSY:
        return "cpu", (str(busy),)
    due = step.offered_rps * step.seconds
    if step.requests + 1 < 0.95 * due:
        return "cpu", (f"{at} it sent {step.requests} of {due:.0f} requests", *([busy] if busy else []))
    if late and (late.saturation or 0) >= 1:
        return "cpu", (f"{at} its slowest hundredth was sent {late.value:.0f} ms late", *([busy] if busy else []))
    return None
