"""When a change of the cache's tokens is over, by an ElastiCache that answers before it begins."""

from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3

from operate import cache_token
from operate.stack import Stack

EARLY, LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
NotFoundError = type("NotFoundError", (Exception,), {})


class ElastiCache:
    """Says that it is available until it has begun, and `begins` False if it has nothing to do."""

    exceptions = SimpleNamespace(ReplicationGroupNotFoundFault=NotFoundError)

    def __init__(self, *, begins: bool) -> None:
        self.begins = begins
        self.statuses: Iterator[str] = iter(())
        self.log: list[str] = []

    def modify_replication_group(self, **asked: Any) -> dict[str, Any]:
        self.log.append(asked["AuthTokenUpdateStrategy"])
        self.statuses = iter(["available", "available", "modifying", "modifying"] if self.begins else [])
        return {"ReplicationGroup": self.group("available")}

    def describe_replication_groups(self, **_: Any) -> dict[str, Any]:
        status = next(self.statuses, "available")
        self.log.append(status)
        return {"ReplicationGroups": [self.group(status)]}

    def group(self, status: str) -> dict[str, Any]:
        return {
            "ReplicationGroupId": "shop",
            "Status": status,
            "AuthTokenEnabled": True,
            "AuthTokenLastModifiedDate": EARLY,
        }


class Secrets:
    """One version, and the one that is put."""

    exceptions = SimpleNamespace(ResourceNotFoundException=NotFoundError)

    def __init__(self, log: list[str]) -> None:
        self.stages = {"AWSCURRENT": "old"}
        self.log = log

    def get_secret_value(self, **asked: Any) -> dict[str, Any]:
        if asked["VersionStage"] not in self.stages:
            raise NotFoundError
        return {"VersionId": self.stages[asked["VersionStage"]], "SecretString": "token", "CreatedDate": LATE}

    def get_random_password(self, **_: Any) -> dict[str, str]:
        return {"RandomPassword": "token"}

    def put_secret_value(self, **_: Any) -> None:
        self.stages["AWSPENDING"] = "new"

    def update_secret_version_stage(self, **asked: Any) -> None:
        self.log.append(f"{asked['VersionStage']} to {asked.get('MoveToVersionId')}")


def rotated(*, begins: bool) -> list[str]:
    """What was asked and answered, in turn."""
    elasticache = ElastiCache(begins=begins)
    clients = {"elasticache": elasticache, "secretsmanager": Secrets(elasticache.log)}
    names = ("artifactBucket", "releaseParameter", "appGroupName", "edgeGroupName")
    outputs = {**dict.fromkeys(names, "any"), "cacheEndpoint": "master.shop.x.use1.cache.amazonaws.com:6379"}
    stack = Stack.of({**outputs, "cacheTokenSecret": "arn", "region": "us-east-1"}, boto3.Session())
    object.__setattr__(stack, "client", clients.__getitem__)
    cache_token.rotate(stack, pause=lambda _: None)
    return elasticache.log


def test_a_change_is_over_when_it_has_begun_and_ended() -> None:
    change = ["available", "available", "modifying", "modifying", "available"]
    assert rotated(begins=True) == [
        *("available", "ROTATE", *change, "AWSCURRENT to new"),
        *("SET", *change, "AWSPENDING to None"),
    ], "the old token would be taken away before every node has the new one"


def test_a_change_that_is_never_seen_to_begin_is_over_after_a_while() -> None:
    looks = int(cache_token.BEGUN_SECONDS / cache_token.POLL_SECONDS)
    assert rotated(begins=False).count("available") == 1 + 2 * looks
