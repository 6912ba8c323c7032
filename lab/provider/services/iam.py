"""IAM: roles, their policies, instance profiles."""

import json
from typing import Any

from typing_extensions import override

from lab.aws import Aws
from lab.provider import tags
from lab.provider.resource import Autoname, Created, Found, Invoke, Properties, Resource
from lab.provider.values import as_known, aws_tags, present, unless_default

ROLE = "terraform-provider-aws internal/service/iam/role.go, ForceNew"
ROLE_POLICY = "terraform-provider-aws internal/service/iam/role_policy.go, ForceNew"
ATTACHMENT = "terraform-provider-aws internal/service/iam/role_policy_attachment.go, ForceNew"
INSTANCE_PROFILE = "terraform-provider-aws internal/service/iam/instance_profile.go, ForceNew"


class Role(Resource):
    """Who a machine is."""

    pulumi_type = "aws:iam/role:Role"
    required = ("assumeRolePolicy",)
    optional = ("description", "path", "permissionsBoundary")
    autoname = Autoname(longest=64)
    tagged = True
    replaces_on = {"name": ROLE, "path": ROLE}
    defaults = {"path": "/"}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        role = aws("iam").create_role(
            RoleName=inputs["name"],
            AssumeRolePolicyDocument=_text(inputs["assumeRolePolicy"]),
            Tags=aws_tags(inputs["tagsAll"]),
            **present(
                Description=inputs.get("description"),
                Path=inputs.get("path"),
                PermissionsBoundary=inputs.get("permissionsBoundary"),
            ),
        )["Role"]
        return Created(inputs["name"], _role_outputs(role))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The role without the policies that other resources put on it."""
        role = aws("iam").get_role(RoleName=identifier)["Role"]
        inputs = {
            "name": identifier,
            "assumeRolePolicy": as_known(role["AssumeRolePolicyDocument"], state.get("assumeRolePolicy")),
            "description": role.get("Description") or None,
            "permissionsBoundary": role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
            "path": unless_default(role["Path"], "/", state.get("path")),
            "tags": tags.as_map(role.get("Tags", [])),
        }
        return Found(identifier, inputs, _role_outputs(role))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Each by a call of its own."""
        if old["assumeRolePolicy"] != new["assumeRolePolicy"]:
            aws("iam").update_assume_role_policy(RoleName=identifier, PolicyDocument=_text(new["assumeRolePolicy"]))
        if old.get("description") != new.get("description"):
            aws("iam").update_role_description(RoleName=identifier, Description=new.get("description", ""))
        if old.get("permissionsBoundary") != new.get("permissionsBoundary"):
            _set_boundary(aws, identifier, new.get("permissionsBoundary"))
        tags.set_iam_role(aws, identifier, old["tagsAll"], new["tagsAll"])
        return _role_outputs(aws("iam").get_role(RoleName=identifier)["Role"])

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """Take it out of every instance profile, then delete it. IAM refuses as long as it has policies."""
        profiles = aws("iam").list_instance_profiles_for_role(RoleName=identifier)["InstanceProfiles"]
        for profile in profiles:
            aws("iam").remove_role_from_instance_profile(
                InstanceProfileName=profile["InstanceProfileName"], RoleName=identifier
            )
        aws("iam").delete_role(RoleName=identifier)


class RolePolicy(Resource):
    """What a role may do."""

    pulumi_type = "aws:iam/rolePolicy:RolePolicy"
    required = ("role", "policy")
    autoname = Autoname(longest=128)
    replaces_on = {"name": ROLE_POLICY, "role": ROLE_POLICY}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Put it."""
        _put_policy(aws, inputs)
        return Created(f"{inputs['role']}:{inputs['name']}", {})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        found = aws("iam").get_role_policy(**_role_policy(identifier))
        inputs = {
            "role": found["RoleName"],
            "name": found["PolicyName"],
            "policy": as_known(found["PolicyDocument"], state.get("policy")),
        }
        return Found(identifier, inputs, {})

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Put it again."""
        _put_policy(aws, new)
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """Take it off the role."""
        aws("iam").delete_role_policy(**_role_policy(identifier))


class RolePolicyAttachment(Resource):
    """A managed policy that a role has."""

    pulumi_type = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    required = ("role", "policyArn")
    replaces_on = {"role": ATTACHMENT, "policyArn": ATTACHMENT}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        aws("iam").attach_role_policy(RoleName=inputs["role"], PolicyArn=inputs["policyArn"])
        return Created(f"{inputs['role']}/{inputs['policyArn']}", {})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The role's policy; an import names it <role>/<policy's ARN>, as the lab's own ids do."""
        role, _, arn = identifier.partition("/")
        for page in aws("iam").get_paginator("list_attached_role_policies").paginate(RoleName=role):
            if any(policy["PolicyArn"] == arn for policy in page["AttachedPolicies"]):
                return Found(identifier, {"role": role, "policyArn": arn}, {})
        return None

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("iam").detach_role_policy(RoleName=state["role"], PolicyArn=state["policyArn"])


class InstanceProfile(Resource):
    """A role as EC2 hands it to a machine."""

    pulumi_type = "aws:iam/instanceProfile:InstanceProfile"
    optional = ("role", "path")
    autoname = Autoname(longest=128)
    tagged = True
    replaces_on = {"name": INSTANCE_PROFILE, "path": INSTANCE_PROFILE}
    defaults = {"path": "/"}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """The profile with the role in it."""
        profile = aws("iam").create_instance_profile(
            InstanceProfileName=inputs["name"],
            Tags=aws_tags(inputs["tagsAll"]),
            **present(Path=inputs.get("path")),
        )["InstanceProfile"]
        if "role" in inputs:
            aws("iam").add_role_to_instance_profile(InstanceProfileName=inputs["name"], RoleName=inputs["role"])
        return Created(inputs["name"], _profile_outputs(profile))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The profile with the one role that it may have."""
        profile = aws("iam").get_instance_profile(InstanceProfileName=identifier)["InstanceProfile"]
        roles = [role["RoleName"] for role in profile["Roles"]]
        inputs = {
            "name": identifier,
            "role": roles[0] if roles else None,
            "path": unless_default(profile["Path"], "/", state.get("path")),
            "tags": tags.as_map(profile.get("Tags", [])),
        }
        return Found(identifier, inputs, _profile_outputs(profile))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Another role for the one that is in it."""
        if old.get("role") != new.get("role"):
            _take_roles_out(aws, identifier)
            if "role" in new:
                aws("iam").add_role_to_instance_profile(InstanceProfileName=identifier, RoleName=new["role"])
        tags.set_iam_instance_profile(aws, identifier, old["tagsAll"], new["tagsAll"])
        return _profile_outputs(aws("iam").get_instance_profile(InstanceProfileName=identifier)["InstanceProfile"])

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """Take the role out, then delete it: IAM deletes only empty ones."""
        _take_roles_out(aws, identifier)
        aws("iam").delete_instance_profile(InstanceProfileName=identifier)


def _set_boundary(aws: Aws, role: str, policy_arn: str | None) -> None:
    if policy_arn is None:
        aws("iam").delete_role_permissions_boundary(RoleName=role)
    else:
        aws("iam").put_role_permissions_boundary(RoleName=role, PermissionsBoundary=policy_arn)


def _role_outputs(role: Properties) -> Properties:
    return {"arn": role["Arn"], "uniqueId": role["RoleId"]}


def _profile_outputs(profile: Properties) -> Properties:
    return {"arn": profile["Arn"], "uniqueId": profile["InstanceProfileId"]}


def _put_policy(aws: Aws, inputs: Properties) -> None:
    aws("iam").put_role_policy(
        RoleName=inputs["role"], PolicyName=inputs["name"], PolicyDocument=_text(inputs["policy"])
    )


def _role_policy(identifier: str) -> Properties:
    role, _, name = identifier.partition(":")
    return {"RoleName": role, "PolicyName": name}


def _take_roles_out(aws: Aws, profile: str) -> None:
    for role in aws("iam").get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]:
        aws("iam").remove_role_from_instance_profile(InstanceProfileName=profile, RoleName=role["RoleName"])


def _text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document)


def _caller_identity(aws: Aws, _inputs: Properties) -> Properties:
    caller = aws("sts").get_caller_identity()
    account = caller["Account"]
    return {"id": account, "accountId": account, "arn": caller["Arn"], "userId": caller["UserId"]}


def _get_role(aws: Aws, inputs: Properties) -> Properties:
    role = aws("iam").get_role(RoleName=inputs["name"])["Role"]
    return {
        "id": role["RoleName"],
        "name": role["RoleName"],
        "path": role["Path"],
        "description": role.get("Description", ""),
        "assumeRolePolicy": as_known(role["AssumeRolePolicyDocument"], None),
        "tags": tags.as_map(role.get("Tags", [])),
        **_role_outputs(role),
    }


RESOURCES: tuple[type[Resource], ...] = (Role, RolePolicy, RolePolicyAttachment, InstanceProfile)
INVOKES = (
    Invoke("aws:index/getCallerIdentity:getCallerIdentity", (), _caller_identity),
    Invoke("aws:iam/getRole:getRole", ("name",), _get_role),
)
