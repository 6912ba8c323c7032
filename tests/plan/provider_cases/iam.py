"""IAM."""

import json
from typing import Any

from tests.plan.provider_cases import Case


def _trust(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _policy(action: str) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, "Resource": "*"}]}


CASES = (
    Case(
        "aws:iam/role:Role",
        make=lambda world: {
            "assumeRolePolicy": _trust("ec2.amazonaws.com"),
            "description": "what it is",
            "path": "/machines/",
            "permissionsBoundary": "arn:aws:iam::aws:policy/PowerUserAccess",
        },
        changes={
            "name": "another-name",
            "permissionsBoundary": None,
            "assumeRolePolicy": _trust("ecs.amazonaws.com"),
            "description": None,
            "path": None,
        },
    ),
    Case(
        "aws:iam/rolePolicy:RolePolicy",
        make=lambda world: {"role": world.role(), "policy": json.dumps(_policy("s3:GetObject"))},
        changes={
            "name": "another-name",
            "role": lambda world: world.role(),
            "policy": json.dumps(_policy("s3:PutObject")),
        },
    ),
    Case(
        "aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        make=lambda world: {"role": world.role(), "policyArn": world.policy()},
        changes={"role": lambda world: world.role(), "policyArn": lambda world: world.policy()},
    ),
    Case(
        "aws:iam/instanceProfile:InstanceProfile",
        make=lambda world: {"role": world.role()},
        changes={"name": "another-name", "role": lambda world: world.role(), "path": "/machines/"},
    ),
)
