"""The secrets that machines fetch: there, with a value, and readable by a machine's role."""

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from .account import Account, NotPermittedError, code
from .finding import Finding, failed, ok, unchecked, warning

CHECK = "secrets"

CURRENT = "AWSCURRENT"
"""The stage of the version that machines get."""

MISSING = frozenset({"ResourceNotFoundException"})


def check_secret(account: Account, where: str, name: str) -> Iterator[Finding]:
    """One secret, by the setting that names it. Its value is looked at, and never kept or shown."""
    try:
        described = account.ask("secretsmanager", "DescribeSecret", SecretId=name)
    except ClientError as error:
        if code(error) not in MISSING:
            raise
        yield _missing(where, name, account.region)
        return
    finding = judge_description(where, name, described)
    yield finding or _readable(account, where, name)
    if key := described.get("KmsKeyId"):
        yield from _key(account, where, name, str(key))


def judge_description(where: str, name: str, described: dict[str, Any]) -> Finding | None:
    """What is wrong with a secret that exists; None when nothing is."""
    if described.get("DeletedDate"):
        mend = f"Take it back: aws secretsmanager restore-secret --secret-id {name}."
        return failed(CHECK, f"{name} is scheduled for deletion", where, "the secret must stay", mend)
    stages = [stage for each in described.get("VersionIdsToStages", {}).values() for stage in each]
    if CURRENT not in stages:
        return _empty(where, name)
    return None


def _readable(account: Account, where: str, name: str) -> Finding:
    try:
        value = account.ask("secretsmanager", "GetSecretValue", SecretId=name)
    except NotPermittedError as error:
        mend = "No fault: only machines have to read it."
        return unchecked(CHECK, f"{name} is there; whether it has text {error}", where, mend)
    except ClientError as error:
        if code(error) not in MISSING:
            raise
        return _empty(where, name)
    if not value.get("SecretString"):
        mend = f"Store text: aws secretsmanager put-secret-value --secret-id {name} --secret-string file:///dev/stdin."
        return failed(CHECK, f"{name} holds no text", where, "a variable's value is text", mend)
    return ok(CHECK, f"{name} has a value", where)


def _key(account: Account, where: str, name: str, key: str) -> Iterator[Finding]:
    """AWS's own key lets every role read that may read the secret; a customer's key asks for its own permission."""
    if key.removeprefix("alias/").startswith("aws/"):
        return
    metadata = account.ask("kms", "DescribeKey", KeyId=key)["KeyMetadata"]
    if metadata["KeyManager"] == "AWS":
        return
    if not metadata["Enabled"]:
        what = f"the key of {name} is {metadata['KeyState']}"
        yield failed(CHECK, what, where, "its key must be enabled", f"Enable it: aws kms enable-key --key-id {key}.")
        return
    rule = "machines' roles may read secrets, and use no key but AWS's own"
    mend = "Allow kms:Decrypt to the machines' role in the key's policy, or encrypt the secret with aws/secretsmanager."
    yield warning(CHECK, f"{name} is encrypted with a key of your own ({metadata['KeyId']})", where, rule, mend)


def _missing(where: str, name: str, region: str) -> Finding:
    mend = (
        f"Make it: aws secretsmanager create-secret --region {region} --name {name} --secret-string file:///dev/stdin."
    )
    return failed(CHECK, f"there is no secret {name}", where, f"it must be in Secrets Manager in {region}", mend)


def _empty(where: str, name: str) -> Finding:
    mend = f"Store one: aws secretsmanager put-secret-value --secret-id {name} --secret-string file:///dev/stdin."
    return failed(CHECK, f"{name} has no current value", where, f"one version must be staged {CURRENT}", mend)
