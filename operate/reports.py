"""What machines say of themselves, and edges of app servers: objects in the artifact bucket, one a machine."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

from operate.counters import Counters

FRESH_SECONDS = 30.0
"""Edges report every 10 s at least: three missed ones are one that is gone."""


@dataclass(frozen=True)
class AppReport:
    """An app server's own word."""

    release: str | None = None
    deploy: str | None = None
    """The last deploy that it was told of by its tag."""
    state: str = ""
    """installing, release-command, starting, ready or failed."""
    reason: str | None = None
    log: tuple[str, ...] = ()
    """The app's last lines."""


@dataclass(frozen=True)
class EdgeView:
    """One app server as an edge sees it."""

    state: str
    """serving, draining, out or joining."""
    reason: str | None = None
    in_flight: int = 0
    counters: Counters = field(default_factory=Counters)


@dataclass(frozen=True)
class EdgeReport:
    """An edge's word."""

    id: str
    age: float
    """Seconds since it was written."""
    at: float = 0.0
    """When it was written, in seconds since the epoch by the edge's own clock."""
    list_age: float | None = None
    """Seconds since the edge's last good answer of the API."""
    error: str | None = None
    members: Mapping[str, EdgeView] = field(default_factory=dict[str, EdgeView])

    @property
    def fresh(self) -> bool:
        """Whether it says how things are now."""
        return self.age <= FRESH_SECONDS


class Reports:
    """The reports of a bucket. One that hasn't changed isn't fetched again."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._known: dict[str, tuple[str, Mapping[str, Any]]] = {}

    def app(self, ids: Sequence[str]) -> dict[str, AppReport]:
        """By machine, of those that have one."""
        return {id_: app_report(content) for id_, content, _ in self._read("app", ids)}

    def edge(self, ids: Sequence[str]) -> list[EdgeReport]:
        """Of those edges that have one."""
        return [edge_report(id_, content, age) for id_, content, age in self._read("edge", ids)]

    def _read(self, tier: str, ids: Sequence[str]) -> list[tuple[str, Mapping[str, Any], float]]:
        wanted = {f"reports/{tier}/{id_}.json": id_ for id_ in ids}
        found: list[tuple[str, Mapping[str, Any], float]] = []
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=f"reports/{tier}/"):
            now = _date(page)
            for each in page.get("Contents", []):
                key = each["Key"]
                if key in wanted and (content := self._content(key, each["ETag"])) is not None:
                    # Both times are S3's: this machine's clock may be wrong.
                    found.append((wanted[key], content, max(0.0, (now - each["LastModified"]).total_seconds())))
        return found

    def _content(self, key: str, tag: str) -> Mapping[str, Any] | None:
        if key not in self._known or self._known[key][0] != tag:
            try:
                body = json.loads(self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
            except self._s3.exceptions.NoSuchKey:
                return None
            except ValueError:
                body = None
            self._known[key] = (tag, body if isinstance(body, dict) else {})
        return self._known[key][1]


def app_report(content: Mapping[str, Any]) -> AppReport:
    """What an app server wrote."""
    lines: list[Any] = content.get("log") or []
    return AppReport(
        release=content.get("release"),
        deploy=content.get("deploy"),
        state=str(content.get("state", "")),
        reason=content.get("reason"),
        log=tuple(str(line) for line in lines),
    )


def edge_report(id_: str, content: Mapping[str, Any], age: float) -> EdgeReport:
    """What an edge wrote."""
    members: list[Mapping[str, Any]] = content.get("members") or []
    return EdgeReport(
        id=id_,
        age=age,
        at=float(content.get("at") or 0),
        list_age=content.get("list_age"),
        error=content.get("error"),
        members={str(each["id"]): _view(each) for each in members if "id" in each},
    )


def _view(member: Mapping[str, Any]) -> EdgeView:
    statuses: Mapping[str, int] = member.get("statuses") or {}
    buckets: Mapping[str, int] = member.get("buckets") or {}
    return EdgeView(
        state=str(member.get("state", "")),
        reason=member.get("reason"),
        in_flight=int(member.get("in_flight") or 0),
        counters=Counters(
            requests=int(member.get("requests") or 0),
            errors=int(statuses.get("5xx", 0)) + int(member.get("connect_failures") or 0),
            buckets={str(bound): int(count) for bound, count in buckets.items()},
        ),
    )


def _date(page: Mapping[str, Any]) -> datetime:
    return parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
