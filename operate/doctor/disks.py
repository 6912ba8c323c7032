"""The key that new disks are encrypted with: Auto Scaling can't launch with a customer's key unless it may use it.

https://docs.aws.amazon.com/autoscaling/ec2/userguide/key-policy-requirements-EBS-encryption.html
"""

import json
from collections.abc import Iterator
from typing import Any

from .account import Account
from .finding import Finding, failed, ok
from .identity import Caller

CHECK = "disks"

NEEDED = frozenset({"Decrypt", "GenerateDataKeyWithoutPlaintext", "CreateGrant"})
"""What a launch does with the key, of what the documentation's grant allows."""

GRANT = (
    "Encrypt Decrypt ReEncryptFrom ReEncryptTo GenerateDataKey GenerateDataKeyWithoutPlaintext DescribeKey CreateGrant"
)


def check_key(account: Account, caller: Caller) -> Iterator[Finding]:
    """The default key of EBS, and the grant on it."""
    key = str(account.ask("ec2", "GetEbsDefaultKmsKeyId")["KmsKeyId"])
    if key.endswith("alias/aws/ebs"):
        yield ok(CHECK, "new disks are encrypted with AWS's own key")
        return
    metadata = account.ask("kms", "DescribeKey", KeyId=key)["KeyMetadata"]
    if metadata["KeyManager"] == "AWS":
        yield ok(CHECK, "new disks are encrypted with AWS's own key")
        return
    role = scaling_role(account.partition, caller.account)
    grants = account.every("kms", "ListGrants", "Grants", KeyId=metadata["KeyId"])
    granted = judge_key(metadata, role, grants, "")
    if granted.mend and metadata["Enabled"]:
        policy = account.ask("kms", "GetKeyPolicy", KeyId=metadata["KeyId"], PolicyName="default")["Policy"]
        granted = judge_key(metadata, role, grants, policy)
    yield granted


def scaling_role(partition: str, account: str) -> str:
    """The role that Auto Scaling launches machines with."""
    path = "aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    return f"arn:{partition}:iam::{account}:role/{path}"


def judge_key(metadata: dict[str, Any], role: str, grants: list[dict[str, Any]], policy: str) -> Finding:
    """Whether `role` may use a customer's key: by a grant, or by the key's policy."""
    key = str(metadata["KeyId"])
    if not metadata["Enabled"]:
        rule, mend = "the default key must be enabled", f"Enable it: aws kms enable-key --key-id {key}."
        return failed(CHECK, f"the default key of EBS, {key}, is {metadata['KeyState']}", "", rule, mend)
    allowed = {
        operation
        for grant in grants
        if grant.get("GranteePrincipal") == role
        for operation in grant.get("Operations", [])
    }
    if allowed >= NEEDED or _names(policy, role):
        return ok(CHECK, f"new disks are encrypted with {key}, which Auto Scaling may use")
    rule = "Auto Scaling's role must have a grant on it, or no machine starts"
    mend = f"Grant it: aws kms create-grant --key-id {key} --grantee-principal {role} --operations {GRANT}."
    return failed(CHECK, f"the default key of EBS is your own, {key}", "", rule, mend)


def _names(policy: str, role: str) -> bool:
    """Whether a statement of the key's policy allows the role something."""
    for statement in json.loads(policy)["Statement"] if policy else []:
        principal = statement.get("Principal", {})
        named = principal.get("AWS", []) if isinstance(principal, dict) else []
        if statement.get("Effect") == "Allow" and role in ([named] if isinstance(named, str) else named):
            return True
    return False
