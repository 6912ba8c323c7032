"""The resources that stand before this update, as the stack's state has them.

AWS doesn't stay as a program left it: RDS upgrades a database by itself, and lets an upgrade that was asked for wait
until its window. What a program asks for next has to fit what is there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pulumi
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.settings import get_monitor

DATABASE = "aws:rds/instance:Instance"
CLUSTER = "aws:rds/cluster:Cluster"
CLUSTER_INSTANCE = "aws:rds/clusterInstance:ClusterInstance"
CACHE = "aws:elasticache/replicationGroup:ReplicationGroup"
LOG_GROUP = "aws:cloudwatch/logGroup:LogGroup"
SECRET = "aws:secretsmanager/secret:Secret"  # noqa: S105 - a type
SUBNET = "aws:ec2/subnet:Subnet"
VPC = "aws:ec2/vpc:Vpc"

_FUNCTION = "pulumi:pulumi:readStackResourceOutputs"
"""A function of the engine itself, which needs no provider."""


@dataclass(frozen=True)
class Standing:
    """A resource that is there."""

    type: str
    name: str
    """The logical name, as the program has it."""
    outputs: Mapping[str, Any] = field(repr=False)
    """What the engine saw at the last update or refresh; some of them may be secret."""


@dataclass(frozen=True)
class State:
    """All that is there."""

    resources: tuple[Standing, ...] = ()

    def all(self, kind: str) -> list[Standing]:
        """Every resource of a type."""
        return [each for each in self.resources if each.type == kind]

    def outputs(self, kind: str, name: str) -> Mapping[str, Any]:
        """The outputs of the resource of that type and logical name; empty when it isn't there yet."""
        return next((each.outputs for each in self.all(kind) if each.name == name), {})


def read() -> State:
    """This stack's state. Empty before the first update, and under mocks."""
    monitor = get_monitor()
    if isinstance(monitor, MockMonitor):
        return State()
    return _read(monitor, "/".join((pulumi.get_organization(), pulumi.get_project(), pulumi.get_stack())))


@lru_cache(maxsize=1)
def _read(_monitor: object, stack: str) -> State:
    """Once an update: the engine reads and decrypts the whole state for each answer."""
    answer = pulumi.runtime.invoke(_FUNCTION, {"stackName": stack}).value or {}
    return State(
        tuple(
            Standing(each["type"], urn.rpartition("::")[2], each["outputs"])
            for urn, each in sorted(answer.get("outputs", {}).items())
        )
    )
