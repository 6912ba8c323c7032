"""A stack that stands: what its outputs name, and clients for the API that has it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from operate.doctor.account import code
from operate.doctor.identity import EXPIRED, UNKNOWN, judge_credentials

NEEDED = ("artifactBucket", "releaseParameter", "appGroupName", "edgeGroupName")

LOG_GROUPS = {"edge": "edgeLogGroup", "app": "appLogGroup", "database": "databaseLogGroup"}
"""Outputs by tier."""

LASTING = frozenset(
    {*EXPIRED, *UNKNOWN, "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "RequestTimeTooSkewed"}
)
"""Refusals that asking again does not change."""


class StackError(Exception):
    """The stack can't be worked on; the message says why, and how to mend it."""


@dataclass(frozen=True)
class Stack:
    """Names of what a stack is made of, and its API."""

    bucket: str
    parameter: str
    app_group: str
    edge_group: str
    region: str
    url: str | None
    node: int | None
    """Node's major version on the app servers, which an artifact has to be built with."""
    arch: str | None
    client: Callable[[str], Any]
    """The client of a service, such as `ec2`."""
    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """All that it exported."""
    apm: str | None = None
    """Whose APM agent an artifact is built with; None without one."""
    log_groups: Mapping[str, str] = field(default_factory=dict[str, str])
    """Groups of CloudWatch Logs by tier: `edge`, `app` and `database`; empty without logs."""

    @staticmethod
    def of(outputs: Mapping[str, Any], session: boto3.Session, endpoint: str | None = None) -> "Stack":
        """The stack that exported `outputs`. `endpoint`: where its API answers, unless it is AWS's own."""
        if missing := [name for name in NEEDED if not isinstance(outputs.get(name), str)]:
            raise StackError(
                f"these are no outputs of a stack ({missing[0]} is missing): write them with pulumi stack output --json"
            )
        region = outputs.get("region") or session.region_name
        if not region:
            raise StackError("the outputs name no region: set AWS_REGION")
        return Stack(
            bucket=outputs["artifactBucket"],
            parameter=outputs["releaseParameter"],
            app_group=outputs["appGroupName"],
            edge_group=outputs["edgeGroupName"],
            region=region,
            url=outputs.get("url"),
            node=outputs.get("nodeVersion"),
            arch=outputs.get("architecture"),
            client=_clients(session, region, endpoint),
            outputs=outputs,
            apm=outputs.get("apm") or None,
            log_groups={tier: name for tier, output in LOG_GROUPS.items() if (name := outputs.get(output))},
        )

    def check(self) -> None:
        """StackError when the stack isn't where it is looked for, or nobody may look."""
        try:
            found = self.client("autoscaling").describe_auto_scaling_groups(
                AutoScalingGroupNames=[self.app_group, self.edge_group]
            )
        except (ClientError, BotoCoreError) as error:
            raise StackError(explain(error)) from error
        there = {each["AutoScalingGroupName"] for each in found["AutoScalingGroups"]}
        if missing := {self.app_group, self.edge_group} - there:
            raise StackError(
                f"there is no Auto Scaling group {', '.join(sorted(missing))} in {self.region}: "
                "is this the region, and are these the credentials, of the stack's account?"
            )


def explain(error: Exception) -> str:
    """One line on why AWS did not do what it was asked for."""
    if isinstance(error, ClientError) and code(error) not in (EXPIRED | UNKNOWN | {"RequestTimeTooSkewed"}):
        return str(error)
    finding = judge_credentials(error)
    return f"{finding.what}. {finding.mend}"


def lasting(error: Exception) -> bool:
    """Whether asking again would meet the same refusal."""
    return isinstance(error, ClientError) and code(error) in LASTING


def _clients(session: boto3.Session, region: str, endpoint: str | None) -> Callable[[str], Any]:
    # Short-tempered: whoever waits for a fleet asks again in a second, and a lock has to be kept alive meanwhile.
    config = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3})
    made: dict[str, Any] = {}

    def client(service: str) -> Any:
        if service not in made:
            made[service] = session.client(service, region_name=region, endpoint_url=endpoint, config=config)  # pyright: ignore[reportCallIssue, reportArgumentType]
        return made[service]

    return client
