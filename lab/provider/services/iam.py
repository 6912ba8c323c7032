"""IAM: roles, their policies, instance profiles."""

import json
from typing import Any

from lab.provider.aws import Aws
from lab.provider.resource import Autoname, Created, Invoke, Properties, Resource
from lab.provider.values import aws_tags, present


class Role(Resource):
    """Who a machine is."""

    pulumi_type = "aws:iam/role:Role"
    required = ("assumeRolePolicy",)
    optional = ("description", "path")
    autoname = Autoname(longest=64)
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it."""
        role = aws("iam").create_role(
            RoleName=inputs["name"],
            AssumeRolePolicyDocument=_text(inputs["assumeRolePolicy"]),
            Tags=aws_tags(inputs["tagsAll"]),
            **present(Description=inputs.get("description"), Path=inputs.get("path")),
        )["Role"]
        return Created(inputs["name"], {"arn": role["Arn"], "uniqueId": role["RoleId"]})


class RolePolicy(Resource):
    """What a role may do."""

    pulumi_type = "aws:iam/rolePolicy:RolePolicy"
    required = ("role", "policy")
    autoname = Autoname(longest=128)

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Put it."""
        aws("iam").put_role_policy(
            RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=_text(inputs["policy"])
        )
        return Created(f"{inputs['role']}:{inputs['name']}", {})


class InstanceProfile(Resource):
    """A role as EC2 hands it to a machine."""

    pulumi_type = "aws:iam/instanceProfile:InstanceProfile"
    optional = ("role", "path")
    autoname = Autoname(longest=128)
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it, and put the role into it."""
        profile = aws("iam").create_instance_profile(
            InstanceProfileName=inputs["name"],
            Tags=aws_tags(inputs["tagsAll"]),
            **present(Path=inputs.get("path")),
        )["InstanceProfile"]
        if "role" in inputs:
            aws("iam").add_role_to_instance_profile(InstanceProfileName=inputs["name"], RoleName=inputs["role"])
        return Created(inputs["name"], {"arn": profile["Arn"], "uniqueId": profile["InstanceProfileId"]})


def _text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document)


def _caller_identity(aws: Aws, _inputs: Properties) -> Properties:
    caller = aws("sts").get_caller_identity()
    account = caller["Account"]
    return {"id": account, "accountId": account, "arn": caller["Arn"], "userId": caller["UserId"]}


RESOURCES: tuple[type[Resource], ...] = (Role, RolePolicy, InstanceProfile)
INVOKES = (Invoke("aws:index/getCallerIdentity:getCallerIdentity", (), _caller_identity),)
