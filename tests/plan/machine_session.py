"""A machine's view of the lab's API: its role's credentials, as its metadata service hands them out."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from tests.plan.lab_api_server import ApiServer

REGION = "us-east-1"


@dataclass(frozen=True)
class MachineSession:
    """Clients of one machine."""

    api: ApiServer
    arn: str
    credentials: dict[str, str]

    def client(self, service: str, **more: Any) -> Any:
        """A client with the role's credentials, that tries nothing twice."""
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        arguments = {"endpoint_url": self.api.endpoint, "region_name": REGION, "config": config} | more
        return boto3.client(service, **arguments, **self.credentials)


def assume(api: ApiServer, role: str, instance: str = "i-0123456789abcdef0") -> MachineSession:
    """A machine that has this role."""
    arn = api.client("iam").get_role(RoleName=role)["Role"]["Arn"]
    answer = api.client("sts").assume_role(RoleArn=arn, RoleSessionName=instance)
    keys = answer["Credentials"]
    return MachineSession(
        api,
        answer["AssumedRoleUser"]["Arn"],
        {
            "aws_access_key_id": keys["AccessKeyId"],
            "aws_secret_access_key": keys["SecretAccessKey"],
            "aws_session_token": keys["SessionToken"],
        },
    )


def with_permissions(api: ApiServer, statements: Sequence[dict[str, Any]]) -> MachineSession:
    """A machine whose role, made for it, may do what `statements` say."""
    role = f"machine-{uuid.uuid4().hex[:8]}"
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "ec2.amazonaws.com"}}
    iam = api.client("iam")
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=_document([trust]))
    if statements:
        iam.put_role_policy(RoleName=role, PolicyName="boot", PolicyDocument=_document(statements))
    return assume(api, role)


def _document(statements: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow"} | each for each in statements]})
