"""What policies say of a call: the evaluation, apart from the API."""

from typing import Any

import pytest

from lab.api.authorization.ledger import Ledger
from lab.api.authorization.policy import Decision, Statement, decide, statements

BUCKET = "arn:aws:s3:::artifacts"
CONTEXT = {
    "aws:PrincipalAccount": "123456789012",
    "aws:PrincipalArn": "arn:aws:sts::123456789012:assumed-role/app/i-1",
    "aws:RequestedRegion": "us-east-1",
    "aws:SecureTransport": "true",
}


def allow(action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action: Any, resource: Any, **more: Any) -> dict[str, Any]:
    return allow(action, resource, **more) | {"Effect": "Deny"}


def policy(*documents: dict[str, Any]) -> list[Statement]:
    return statements("boot", {"Statement": list(documents)})


def decision(given: list[Statement], action: str, *resources: str) -> Decision:
    return decide(given, action, resources, CONTEXT)


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("s3:GetObject", f"{BUCKET}/releases/a.tar.gz", True),
        ("S3:getobject", f"{BUCKET}/releases/a.tar.gz", True),
        ("s3:GetObject", f"{BUCKET}/releases/deep/er", True),
        ("s3:GetObject", f"{BUCKET}/Releases/a.tar.gz", False),
        ("s3:GetObject", f"{BUCKET}-other/releases/a.tar.gz", False),
        ("s3:GetObject", "arn:aws:s3:::other/releases/a", False),
        ("s3:GetObjectVersion", f"{BUCKET}/releases/a.tar.gz", False),
        ("s3:PutObject", f"{BUCKET}/releases/a.tar.gz", False),
        ("s3:ListBucket", BUCKET, False),
    ],
)
def test_a_statement_covers_its_actions_in_any_case_and_its_resources_to_the_letter(
    action: str, resource: str, allowed: bool
) -> None:
    given = policy(allow("s3:GetObject", f"{BUCKET}/releases/*"))
    assert decision(given, action, resource).allowed is allowed


@pytest.mark.parametrize(
    ("pattern", "value", "covered"),
    [
        ("ec2:Describe*", "ec2:DescribeInstances", True),
        ("ec2:Describe*", "ec2xDescribeInstances", False),
        ("ssm:Get?arameter", "ssm:GetParameter", True),
        ("ssm:Get?arameter", "ssm:Getparameter", True),
        ("ssm:Get?arameter", "ssm:GetXParameter", False),
        ("*", "anything:AtAll", True),
    ],
)
def test_wildcards_stand_for_text_and_nothing_else_is_a_pattern(pattern: str, value: str, covered: bool) -> None:
    assert decision(policy(allow(pattern, "*")), value, "*").allowed is covered


def test_every_resource_of_a_call_needs_a_permission() -> None:
    given = policy(allow("ec2:AssociateAddress", ["arn:aws:ec2:::elastic-ip/a", "arn:aws:ec2:::instance/*"]))
    both = ("arn:aws:ec2:::elastic-ip/a", "arn:aws:ec2:::instance/i-1")
    assert decision(given, "ec2:AssociateAddress", *both).allowed
    refused = decision(given, "ec2:AssociateAddress", *both, "arn:aws:ec2:::network-interface/eni-1")
    assert (refused.allowed, refused.refused) == (False, "arn:aws:ec2:::network-interface/eni-1")


def test_a_deny_wins_over_any_allow_and_is_told_apart_from_none() -> None:
    given = policy(allow("s3:*", "*"), deny("s3:GetObject", f"{BUCKET}/private/*"))
    assert decision(given, "s3:GetObject", f"{BUCKET}/public/a").allowed
    refused = decision(given, "s3:GetObject", f"{BUCKET}/private/a")
    assert (refused.allowed, refused.denied) == (False, True)
    assert decision([], "s3:GetObject", f"{BUCKET}/a") == Decision(False, refused=f"{BUCKET}/a", denied=False)


def test_not_action_and_not_resource_cover_all_the_others() -> None:
    given = policy({"Effect": "Allow", "NotAction": "iam:*", "NotResource": f"{BUCKET}/private/*"})
    assert decision(given, "s3:GetObject", f"{BUCKET}/public/a").allowed
    assert not decision(given, "s3:GetObject", f"{BUCKET}/private/a").allowed
    assert not decision(given, "iam:CreateUser", "arn:aws:iam::1:user/a").allowed


@pytest.mark.parametrize(
    ("condition", "allowed"),
    [
        ({"Bool": {"aws:SecureTransport": "true"}}, True),
        ({"Bool": {"aws:SecureTransport": True}}, True),
        ({"Bool": {"aws:SecureTransport": "false"}}, False),
        ({"StringEquals": {"aws:RequestedRegion": ["eu-west-1", "us-east-1"]}}, True),
        ({"StringEquals": {"AWS:requestedregion": "us-east-1"}}, True),
        ({"StringNotEquals": {"aws:RequestedRegion": "us-east-1"}}, False),
        ({"StringLikeIfExists": {"aws:RequestedRegion": "us-*"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:sts::*:assumed-role/app/*"}}, True),
        ({"Bool": {"aws:SecureTransport": "true"}, "StringLike": {"aws:RequestedRegion": "eu-*"}}, False),
    ],
)
def test_a_statement_applies_where_all_of_its_conditions_hold(condition: dict[str, Any], allowed: bool) -> None:
    given = policy(allow("s3:GetObject", "*", Condition=condition))
    assert decision(given, "s3:GetObject", f"{BUCKET}/a").allowed is allowed


@pytest.mark.parametrize(
    "document",
    [
        allow("s3:GetObject", "*", Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}),
        allow("s3:GetObject", "*", Condition={"StringEquals": {"aws:ResourceTag/stack": "lab"}}),
        allow("s3:GetObject", "arn:aws:s3:::${aws:PrincipalAccount}/*"),
    ],
)
def test_what_the_lab_cannot_judge_it_refuses_to_judge(document: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError):
        decision(policy(document), "s3:GetObject", f"{BUCKET}/a")


def test_where_nobody_can_say_which_resource_it_is_the_action_decides() -> None:
    given = policy(allow("sqs:SendMessage", "arn:aws:sqs:us-east-1:123456789012:jobs"))
    assert decide(given, "sqs:SendMessage", None, CONTEXT).allowed
    assert not decide(given, "sqs:DeleteQueue", None, CONTEXT).allowed
    some = [*given, *policy(deny("sqs:SendMessage", "arn:aws:sqs:us-east-1:123456789012:other"))]
    assert decide(some, "sqs:SendMessage", None, CONTEXT).allowed, "it may be another queue"
    assert not decide([*given, *policy(deny("sqs:*", "*"))], "sqs:SendMessage", None, CONTEXT).allowed


def test_the_ledger_tells_which_actions_and_resources_of_a_statement_were_used() -> None:
    given = policy(allow(["s3:GetObject", "s3:PutObject"], [f"{BUCKET}/a/*", f"{BUCKET}/b/*"]), deny("s3:*", "never"))
    ledger = Ledger()
    for _ in range(2):
        ledger.record("role/app", decision(given, "s3:GetObject", f"{BUCKET}/a/1").uses)
    ledger.record("role/other", decision(given, "s3:PutObject", f"{BUCKET}/b/1").uses)
    assert ledger.report({"role/app": given}) == [
        {
            "role": "app",
            "policy": "boot",
            "actions": {"s3:GetObject": 2, "s3:PutObject": 0},
            "resources": {f"{BUCKET}/a/*": 2, f"{BUCKET}/b/*": 0},
        }
    ], "what allows something, with its own role's uses alone"


def test_a_use_of_which_the_resource_is_unknown_counts_for_each() -> None:
    queues = [f"arn:aws:sqs:us-east-1:123456789012:{name}" for name in "ab"]
    given = policy(allow("sqs:SendMessage", queues))
    ledger = Ledger()
    ledger.record("role/app", decide(given, "sqs:SendMessage", None, CONTEXT).uses)
    (statement,) = ledger.report({"role/app": given})
    assert (statement["actions"], statement["resources"]) == ({"sqs:SendMessage": 1}, dict.fromkeys(queues, 1))
