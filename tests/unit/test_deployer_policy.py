"""The deployer's policy: all that the program needs, nothing that it does not, and small enough for IAM."""

import ast
import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import xform_name
from recording import Recording, record
from test_stack import STACKS, build, load
from test_stack import built as built  # a fixture that applies here too

import stack
from components import state
from lab.api.authorization.calls import S3_ACTIONS
from operate import deployer
from operate.deployer.policy import table

ROOT = Path(__file__).resolve().parents[2]

NO_CALLS = {"iam:PassRole"}
"""Permissions that no operation is called like."""

pytestmark = pytest.mark.usefixtures("user_data")


@pytest.fixture
def everything() -> list[Recording]:
    """The four environments, one with what is off in them, two on Aurora, and one whose database gets a replica.

    The one with what is off, and one of those on Aurora, have shards.

    The one on Aurora has RDS Proxy.

    Off are a secret of the app's own, its own role at the database, events, alarms.
    """
    dev = load("dev")
    app = dev.app.model_copy(update={"secrets": {"STRIPE_KEY": "shop/stripe"}})
    edge = dev.edge.model_copy(update={"events": True})
    monitoring = dev.monitoring.model_copy(update={"alarm_emails": ["team@example.com"], "dashboard": True})
    database = dev.database.model_copy(update={"app_user": "app", "shards": 3, "replicas": 1})
    more = dev.model_copy(update={"app": app, "edge": edge, "monitoring": monitoring, "database": database})
    cluster = {
        "engine": "aurora",
        "instance_class": "db.r7g.large",
        "replicas": 1,
        "max_replicas": 2,
        "pooler": "rds-proxy",
    }
    aurora = dev.model_copy(update={"database": dev.database.model_copy(update=cluster)})
    clusters = dev.model_copy(update={"database": dev.database.model_copy(update={**cluster, "shards": 2})})
    replicated = dev.model_copy(update={"database": dev.database.model_copy(update={"replicas": 1})})
    kept = {"masterUserSecrets": [{"secretArn": "arn:aws:secretsmanager:us-east-1:1:secret:rds!db-1"}]}
    there = state.State((state.Standing(state.DATABASE, "dev-database-instance", kept),))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state, "read", lambda: there)
        first = record(lambda: stack.build(replicated), stack="dev")
    others = [record(lambda each=each: stack.build(each), stack="dev") for each in (more, aurora, clusters)]
    return [*(build(name) for name in STACKS), *others, first]


def test_the_table_has_each_type_and_function_that_the_program_uses_and_no_other(everything: list[Recording]) -> None:
    used: set[str] = set()
    for made in everything:
        used |= {kind for kind, _ in made.resources if kind.startswith("aws:")}
        used |= {token for token, _ in made.calls}
    assert used - deployer.types() == set(), "add what deploying it takes to operate/deployer/permissions.toml"
    assert deployer.types() - used == set(), "nothing uses these any more: take them out of permissions.toml"


NAMED = {
    "aws:iam/role:Role": "iam::1:role/{}-0123456",
    "aws:iam/instanceProfile:InstanceProfile": "iam::1:instance-profile/{}-0123456",
    "aws:s3/bucket:Bucket": "s3:::{}-0123456",
    "aws:secretsmanager/secret:Secret": "secretsmanager:us-east-1:1:secret:{}-0123456-AbCdEf",
    "aws:sqs/queue:Queue": "sqs:us-east-1:1:{}-0123456",
    "aws:cloudwatch/eventRule:EventRule": "events:us-east-1:1:rule/{}-0123456",
    "aws:cloudwatch/metricAlarm:MetricAlarm": "cloudwatch:us-east-1:1:alarm:{}-0123456",
    "aws:sns/topic:Topic": "sns:us-east-1:1:{}-0123456",
    "aws:ssm/parameter:Parameter": "ssm:us-east-1:1:parameter/{}-0123456",
}
"""What AWS calls a resource of a type, by its name in the program: Pulumi adds seven digits."""


def test_what_is_restricted_by_name_is_called_so(everything: list[Recording]) -> None:
    for kind, form in NAMED.items():
        patterns = [end.format(account="*", region="*") for end in table()[kind]["on"]]
        arns = {form.format(each.name) for made in everything for each in made.all(kind)}
        unmatched = [arn for arn in arns if not any(fnmatchcase(arn, pattern) for pattern in patterns)]
        assert not unmatched, f"none of {patterns}"
        unused = [pattern for pattern in patterns if not any(fnmatchcase(arn, pattern) for arn in arns)]
        assert not unused, f"no {kind} is called so"


def test_every_shards_secrets_are_called_so(everything: list[Recording]) -> None:
    names = {each.name for made in everything for each in made.all("aws:secretsmanager/secret:Secret")}
    patterns = [end.rpartition(":")[2] for end in table()["aws:secretsmanager/secret:Secret"]["on"]]
    for shard in load("dev").names_of_shards(3):
        assert {f"{shard}-password", f"{shard}-user-app"} <= names
    for shard in load("dev").names_of_shards(16):
        for name in (f"{shard}-password-0123456-AbCdEf", f"{shard}-user-app-0123456-AbCdEf"):
            assert any(fnmatchcase(name, each) for each in patterns), name


def test_log_groups_are_restricted_to_the_names_that_machines_and_rds_have(everything: list[Recording]) -> None:
    groups = [each for made in everything for each in made.all("aws:cloudwatch/logGroup:LogGroup")]
    names = {each.inputs.get("name", f"{each.name}-0123456") for each in groups}
    assert "/aws/rds/instance/dev-database-instance/postgresql" in names
    assert "/aws/rds/instance/dev-database-2-instance/postgresql" in names
    for entry in (table()["aws:cloudwatch/logGroup:LogGroup"], table()["logs"]):
        patterns = [end.format(account="*", region="*").rpartition(":")[2] for end in entry["on"]]
        assert [name for name in names if not any(fnmatchcase(name, each) for each in patterns)] == []


def test_what_belongs_to_a_named_thing_is_restricted_to_the_same_names() -> None:
    kinds = table()
    for kind, entry in kinds.items():
        if kind.startswith("aws:s3/bucket") and "Object" not in kind:
            assert entry["on"] == kinds["aws:s3/bucket:Bucket"]["on"], kind
    assert kinds["aws:s3/bucketObjectv2:BucketObjectv2"]["on"] == [f"{kinds['aws:s3/bucket:Bucket']['on'][0]}/*"]
    passed = [*kinds["passing"]["on"], *kinds["passingToProxy"]["on"]]
    assert kinds["aws:iam/rolePolicy:RolePolicy"]["on"] == kinds["aws:iam/role:Role"]["on"] == passed


def test_iam_takes_each_policy_as_a_managed_one() -> None:
    for name, document in deployer.documents().items():
        assert deployer.size(document) <= deployer.LARGEST, f"{name} has {deployer.size(document)} characters"
        for statement in document["Statement"]:
            assert statement.keys() <= {"Effect", "Action", "Resource", "Condition"}
            assert statement["Action"] == sorted(set(statement["Action"]))


def test_machines_roles_can_be_passed_to_ec2_alone_and_a_proxys_to_rds() -> None:
    passing = [each for each in deployer.statements() if "iam:PassRole" in each.actions]
    assert [each.condition["iam:PassedToService"] for each in passing] == [
        *(("ec2.amazonaws.com",), ("rds.amazonaws.com",)),
    ]
    machines, proxy = (set(each.resources) for each in passing)
    assert machines == {f"arn:aws:iam::*:role/*-{tier}-role-*" for tier in ("app", "edge")}
    assert proxy == {"arn:aws:iam::*:role/*-database*-role-*"}


def test_every_action_is_an_operation_of_its_service() -> None:
    operations: dict[str, set[str]] = {}
    for statement in deployer.statements():
        for action in statement.actions:
            service, _, name = action.partition(":")
            # S3's permissions are called otherwise than its operations; those in the table were looked up.
            if service == "s3" or action in NO_CALLS:
                continue
            known = operations.setdefault(service, _operations(service))
            assert name in known, f"{service} has no {name}"


def test_no_action_is_a_wildcard() -> None:
    assert not [action for each in deployer.statements() for action in each.actions if "*" in action]


def test_other_partitions_have_arns_of_their_own() -> None:
    for statement in deployer.statements("aws-cn", "123456789012", "cn-north-1"):
        if statement.resources != deployer.EVERYTHING:
            assert all(arn.startswith("arn:aws-cn:") for arn in statement.resources)


def test_the_reference_has_the_policies_as_they_are() -> None:
    for name, document in deployer.documents().items():
        written: Any = json.loads((ROOT / "docs" / "reference" / f"{name}.json").read_text())
        assert written == document, "run make docs"


def test_every_call_of_the_day_2_commands_is_allowed() -> None:
    """By the names of calls in operate/. Where two of its services have a call of that name, either will do."""
    # The doctor has a policy of its own.
    files = [each for each in (ROOT / "operate").rglob("*.py") if "doctor" not in each.parts]
    words = {each: _words(each) for each in files}
    actions: dict[str, set[str]] = {}
    for service in {service for found in words.values() for service in found.services}:
        for operation in _operations(service):
            name = S3_ACTIONS.get(operation, operation) if service == "s3" else operation
            actions.setdefault(xform_name(operation), set()).add(f"{service}:{name}")
    allowed = {action for each in deployer.statements() for action in each.actions}
    called = {(str(each.relative_to(ROOT)), name) for each, found in words.items() for name in found.all & set(actions)}
    assert {"get_metric_data", "filter_log_events", "head_object"} <= {name for _, name in called}, (
        "calls are not found"
    )
    refused = [f"{path}: {name}" for path, name in sorted(called) if not actions[name] & allowed]
    assert not refused, "add them to operate/deployer/permissions.toml"


@dataclass(frozen=True)
class Words:
    """What may name a call in a file: attributes, and texts, as paginators are got by one."""

    all: set[str]
    services: set[str]
    """Whose client it asks for."""


def _words(path: Path) -> Words:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    texts = {each.value for each in nodes if isinstance(each, ast.Constant) and isinstance(each.value, str)}
    services = {
        each.args[0].value
        for each in nodes
        if isinstance(each, ast.Call) and ast.unparse(each.func).rpartition(".")[2] == "client"
        if each.args and isinstance(each.args[0], ast.Constant) and isinstance(each.args[0].value, str)
    }
    return Words({each.attr for each in nodes if isinstance(each, ast.Attribute)} | texts, services)


def _operations(service: str) -> set[str]:
    client = boto3.client(service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    return set(client.meta.service_model.operation_names)
