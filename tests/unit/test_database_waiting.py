"""What `expressway db` waits for, by an RDS that is slow, changes its mind, breaks or doesn't answer."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from operate.database import failover, instance, password, restore, snapshots
from operate.database.instance import DatabaseError, RequestError, Settled
from operate.stack import Stack

NotFoundError = type("NotFoundError", (Exception,), {})
HOST = "shop.abc.us-east-1.rds.amazonaws.com"


class Rds:
    """Says what it is given, answer by answer, and the last one for ever."""

    exceptions = SimpleNamespace(DBInstanceNotFoundFault=NotFoundError, DBSnapshotNotFoundFault=NotFoundError)

    def __init__(self, *answers: Any) -> None:
        self.answers: Iterator[Any] = iter(answers)
        self.last: Any = None
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def describe_db_instances(self, **asked: Any) -> dict[str, Any]:
        if asked.get("DBInstanceIdentifier") not in ("shop", "copy"):
            raise NotFoundError
        answer = self.last = next(self.answers, self.last)
        if isinstance(answer, Exception):
            raise answer
        return {"DBInstances": [answer]}

    def describe_db_snapshots(self, **_: Any) -> dict[str, Any]:
        answer = self.last = next(self.answers, self.last)
        return {"DBSnapshots": [answer]}

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda **asked: self.asked.append((name, asked))


def database(zone: str = "us-east-1a", status: str = "available", **more: Any) -> dict[str, Any]:
    return {
        "DBInstanceIdentifier": "shop",
        "DBInstanceStatus": status,
        "AvailabilityZone": zone,
        "MultiAZ": True,
        "Endpoint": {"Address": HOST, "Port": 5432},
        **more,
    }


def stack(rds: Rds) -> Stack:
    names = ("artifactBucket", "releaseParameter", "appGroupName", "edgeGroupName")
    made = Stack.of({**dict.fromkeys(names, "any"), "databaseEndpoint": HOST, "region": "us-east-1"}, boto3.Session())
    object.__setattr__(made, "client", {"rds": rds}.__getitem__)
    return made


def at_once(_: float) -> None:
    return None


def resolving(*addresses: str | None) -> Callable[[str], str | None]:
    left = iter(addresses)
    return lambda _: next(left, addresses[-1])


def failing_over(*answers: Any, addresses: Sequence[str | None] = (None,)) -> tuple[failover.Failover, Rds]:
    rds = Rds(*answers)
    return failover.failover(stack(rds), pause=at_once, resolve=resolving(*addresses)), rds


def test_a_failover_is_over_when_the_primary_is_in_another_zone_and_available() -> None:
    there, elsewhere = database(), database("us-east-1b")
    done, rds = failing_over(
        there, there, database(status="rebooting"), there, database("us-east-1b", "rebooting"), elsewhere
    )
    assert rds.asked == [("reboot_db_instance", {"DBInstanceIdentifier": "shop", "ForceFailover": True})]
    assert (done.former, done.zone, done.moved_seconds) == ("us-east-1a", "us-east-1b", None)
    assert next(rds.answers, None) is None, "it was over before RDS said so"


def test_where_names_are_resolved_the_endpoint_has_to_lead_elsewhere() -> None:
    done, rds = failing_over(
        database(), *[database("us-east-1b")] * 4, addresses=("10.0.0.1", "10.0.0.1", None, "10.0.0.1", "10.0.1.1")
    )
    assert done.moved_seconds is not None
    assert next(rds.answers, None) is None, "clients were still led to the former primary"


def test_a_database_without_a_standby_is_not_rebooted() -> None:
    rds = Rds(database(MultiAZ=False))
    with pytest.raises(DatabaseError, match=r"no standby to take over: set expressway:database\.multiAz to true"):
        failover.failover(stack(rds), pause=at_once)
    busy = Rds(database(status="modifying"))
    with pytest.raises(DatabaseError, match="shop is modifying: wait until it is available"):
        failover.failover(stack(busy), pause=at_once)
    assert rds.asked == busy.asked == []


def test_one_that_is_never_over_says_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failover, "SECONDS", 60.0)
    with pytest.raises(
        DatabaseError, match=r"shop is still available after 1 minutes: aws rds describe-events .* shop"
    ):
        failing_over(database())


def test_a_change_is_over_when_it_has_begun_and_ended_or_was_never_seen_to_begin() -> None:
    settled = Settled()
    assert not settled(database(), 2), "RDS may not have begun"
    assert not settled(database(status="modifying"), 4)
    assert settled(database(), 6)
    assert Settled()(database(), instance.BEGUN_SECONDS)


def test_an_answer_that_fails_is_asked_for_again_and_a_refusal_is_told() -> None:
    def error(code: str) -> ClientError:
        return ClientError({"Error": {"Code": code, "Message": code}}, "DescribeDBInstances")

    def over(found: Any, _: float) -> bool:
        return found["DBInstanceStatus"] == "available"

    said: list[str] = []
    rds = Rds(database(status="creating"), error("Throttling"), database(status="creating"), database())
    instance.wait(stack(rds), "shop", over, 60, said.append, at_once)
    assert said == ["shop is creating", "shop is available"], "each change of status once"
    with pytest.raises(ClientError):
        instance.wait(stack(Rds(error("AccessDenied"))), "shop", over, 60, said.append, at_once)
    with pytest.raises(DatabaseError, match="shop is incompatible-restore: aws rds describe-events"):
        instance.wait(stack(Rds(database(status="incompatible-restore"))), "shop", over, 60, said.append, at_once)
    with pytest.raises(DatabaseError, match="gone is gone"):
        instance.wait(stack(Rds(database())), "gone", over, 60, said.append, at_once)


def test_a_snapshots_progress_is_told_in_steps_until_it_is_there() -> None:
    def snapshot(progress: int, status: str = "creating") -> dict[str, Any]:
        return {"DBSnapshotIdentifier": "mine", "Status": status, "PercentProgress": progress}

    class Snapshots(Rds):
        def describe_db_instances(self, **_: Any) -> dict[str, Any]:
            return {"DBInstances": [database()]}

    said: list[str] = []
    rds = Snapshots(*(snapshot(each) for each in (0, 4, 12, 15, 47)), snapshot(100, "available"))
    assert snapshots.take(stack(rds), "mine", said.append, at_once).snapshot.status == "available"
    assert said == ["mine is being made of shop", "mine: 12 %", "mine: 47 %"]
    with pytest.raises(DatabaseError, match="mine failed: aws rds describe-events"):
        snapshots.take(stack(Snapshots(snapshot(50, "failed"))), "mine", said.append, at_once)


def test_a_password_that_rds_draws_counts_once_the_secret_has_another_version() -> None:
    class Secrets:
        versions = iter(["old", "old", "old", "new"])

        def describe_secret(self, SecretId: str) -> dict[str, Any]:  # noqa: N803
            return {"VersionIdsToStages": {next(self.versions, "new"): ["AWSCURRENT"], "former": ["AWSPREVIOUS"]}}

    secret: dict[str, Any] = {"MasterUserSecret": {"SecretArn": "arn"}}
    busy, idle = database(status="resetting-master-credentials", **secret), database(**secret)
    rds, secrets = Rds(idle, busy, idle), Secrets()
    made = stack(rds)
    object.__setattr__(made, "client", {"rds": rds, "secretsmanager": secrets}.__getitem__)
    assert password.rotate(made, pause=at_once).version == "new"
    asked = {"DBInstanceIdentifier": "shop", "RotateMasterUserPassword": True, "ApplyImmediately": True}
    assert rds.asked == [("modify_db_instance", asked)]
    assert next(secrets.versions, None) is None, "machines would have been told of the old one"


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "nan", "", "2026-11-26"])
def test_a_time_that_no_calendar_has_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="is no time with a zone: write it like"):
        restore.moment(text)


def test_times_are_told_in_utc_and_what_is_not_known_as_that() -> None:
    later = datetime.fromisoformat("2026-11-26T10:30:00+01:00")
    assert str(restore.Window(None, later)) == "earliest not known, latest 2026-11-26T09:30:00Z"
    assert restore.moment("2026-11-26T09:30:00Z") == datetime(2026, 11, 26, 9, 30, tzinfo=UTC)
