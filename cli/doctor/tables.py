"""A report as people read it, and as programs do."""

from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from operate.doctor import NOT_COUNTED, Estimate, Finding, Report, Status

STYLES = {Status.OK: "green", Status.WARNING: "yellow", Status.FAILED: "bold red", Status.UNCHECKED: "magenta"}

WORDS = {Status.UNCHECKED: "?"}
"""In the table, where a status is called otherwise than in JSON."""


def findings(report: Report) -> Table:
    """Each finding: what was found; and below it, where it is not well, where, what should be, and how to mend it."""
    table = Table(box=box.SIMPLE_HEAD, title=_title(report), title_justify="left", title_style="bold", pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("finding", overflow="fold")
    for finding in report.findings:
        word = WORDS.get(finding.status, finding.status.value)
        table.add_row(Text(word, STYLES[finding.status]), finding.check, _told(finding))
    return table


def costs(report: Report) -> Table:
    """Each item of a month's bill."""
    return bill(report.cost)


def bill(cost: Estimate) -> Table:
    """The same, of an estimate that is no doctor's."""
    title = f"Cost of a month in USD: on demand, {cost.region}'s prices of {cost.oldest} or later"
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    table.add_column("item", overflow="fold")
    for column in ("count", "each", "month"):
        table.add_column(column, justify="right", no_wrap=True)
    for item in cost.items:
        count = str(item.count) if item.count == item.most else f"{item.count}-{item.most}"
        each = "?" if item.price is None else f"{item.price:.2f}"
        table.add_row(item.name, count, each, "?" if item.price is None else _range(item.month, item.most_month))
    table.add_section()
    table.add_row(Text("all of it", "bold"), "", "", Text(_range(cost.month, cost.most_month), "bold"))
    return table


def summary(report: Report) -> str:
    """The last lines: what the sums leave out, and how many findings stand how."""
    cost, lines = report.cost, [f"Not counted: {NOT_COUNTED}."]
    if cost.logs:
        requests = (
            "only requests in trouble are told"
            if cost.logs.million is None
            else f"about {cost.logs.million:.2f} for a million requests"
        )
        told, kept = f"{cost.logs.told:.2f} USD a GB that is told", f"{cost.logs.kept:.2f} a GB and month"
        lines.append(f"Logs, of these: {told}, {requests}; {kept}.")
    if cost.region != report.wanted.region:
        lines.append(f"{report.wanted.region} has prices of its own, which are not known here.")
    if cost.unknown:
        lines.append(f"Without a price, and left out: {', '.join(cost.unknown)}.")
    counted = {status: len(report.of(status)) for status in (Status.FAILED, Status.WARNING, Status.UNCHECKED)}
    failed, warnings, unchecked = counted.values()
    lines.append(
        f"{failed} to mend, {warnings} to know, {unchecked} that could not be checked."
        if any(counted.values())
        else "Nothing to mend."
    )
    return "\n".join(lines)


def as_json(report: Report) -> dict[str, Any]:
    """Everything, for programs."""
    caller = report.caller
    return {
        "stack": report.wanted.stack,
        "region": report.wanted.region,
        "account": caller.account if caller else None,
        "caller": caller.arn if caller else None,
        "sound": report.sound,
        "findings": [asdict(each) for each in report.findings],
        "cost": bill_as_json(report.cost),
    }


def bill_as_json(cost: Estimate) -> dict[str, Any]:
    """A month's bill, for programs."""
    return {
        "currency": "USD",
        "per": "month",
        "region": cost.region,
        "oldest_price": str(cost.oldest),
        "items": [
            {
                "name": item.name,
                "count": item.count,
                "most": item.most,
                "price": None if item.price is None else round(item.price, 2),
                "month": None if item.price is None else round(item.month, 2),
            }
            for item in cost.items
        ],
        "month": round(cost.month, 2),
        "most_month": round(cost.most_month, 2),
        "unknown": list(cost.unknown),
        "not_counted": NOT_COUNTED,
        "logs": None if cost.logs is None else asdict(cost.logs),
    }


def _title(report: Report) -> str:
    return f"Stack {report.wanted.stack} in {report.wanted.region}"


def _told(finding: Finding) -> Text:
    if finding.status == Status.OK:
        return Text(finding.what)
    told = Text(finding.what, "bold")
    if finding.where:
        told.append(f"\n{finding.where}", "cyan")
    if finding.rule:
        told.append(f"\nRule: {finding.rule}.", "not bold")
    return told.append(f"\nMend: {finding.mend}", "not bold")


def _range(least: float, most: float) -> str:
    return f"{least:.2f}" if round(least, 2) == round(most, 2) else f"{least:.2f} - {most:.2f}"
