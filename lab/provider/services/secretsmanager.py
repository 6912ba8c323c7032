"""Secrets Manager: secrets and their versions."""

from collections.abc import Mapping
from typing import ClassVar

from typing_extensions import override

from lab.aws import Aws
from lab.provider import tags
from lab.provider.resource import Autoname, Created, Found, Invoke, Properties, Resource
from lab.provider.values import aws_tags, present

SECRET = "terraform-provider-aws internal/service/secretsmanager/secret.go, ForceNew"  # noqa: S105 - no secret
VERSION = "terraform-provider-aws internal/service/secretsmanager/secret_version.go, ForceNew"

RECOVERY_DAYS = 30
"""How long a deleted secret can be had back, when the program doesn't say."""
CURRENT = "AWSCURRENT"


class Secret(Resource):
    """A secret, without its value."""

    pulumi_type = "aws:secretsmanager/secret:Secret"
    optional = ("description", "recoveryWindowInDays")
    autoname = Autoname(longest=512)
    tagged = True
    replaces_on: ClassVar[Mapping[str, str]] = {"name": SECRET}
    defaults = {"recoveryWindowInDays": RECOVERY_DAYS}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        secret = aws("secretsmanager").create_secret(
            Name=inputs["name"],
            Tags=aws_tags(inputs["tagsAll"]),
            **present(Description=inputs.get("description")),
        )
        return Created(secret["ARN"], {"arn": secret["ARN"]})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The secret; one that is deleted, and could be had back, is gone."""
        secret = _living(aws, identifier)
        if secret is None:
            return None
        inputs = {
            "name": secret["Name"],
            "description": secret.get("Description") or None,
            "tags": tags.as_map(secret.get("Tags", [])),
        }
        return Found(secret["ARN"], inputs, {"arn": secret["ARN"]})

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Description and tags."""
        if old.get("description") != new.get("description"):
            aws("secretsmanager").update_secret(SecretId=identifier, Description=new.get("description", ""))
        tags.set_secret(aws, identifier, old["tagsAll"], new["tagsAll"])
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """At once, or so that the secret can be had back for some days."""
        if _living(aws, identifier) is None:
            return
        days = state.get("recoveryWindowInDays", RECOVERY_DAYS)
        how = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
        aws("secretsmanager").delete_secret(SecretId=identifier, **how)


class SecretVersion(Resource):
    """A secret's value."""

    pulumi_type = "aws:secretsmanager/secretVersion:SecretVersion"
    required = ("secretId", "secretString")
    secret_outputs = ("secretString",)
    replaces_on: ClassVar[Mapping[str, str]] = {"secretId": VERSION, "secretString": VERSION}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Put it."""
        version = aws("secretsmanager").put_secret_value(
            SecretId=inputs["secretId"], SecretString=inputs["secretString"]
        )
        return Created(f"{inputs['secretId']}|{version['VersionId']}", _version_outputs(version))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The version with its value in the clear: the state keeps that as a secret."""
        secret, _, number = identifier.rpartition("|")
        if _living(aws, secret) is None:
            return None
        version = aws("secretsmanager").get_secret_value(SecretId=secret, VersionId=number)
        inputs = {"secretId": secret, "secretString": version.get("SecretString")}
        return Found(identifier, inputs, _version_outputs(version))

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """Take its labels off, upon which AWS deletes it some day. The current one keeps its own, and stays."""
        secret, _, number = identifier.rpartition("|")
        if _living(aws, secret) is None:
            return
        for stage in state["versionStages"]:
            if stage != CURRENT:
                aws("secretsmanager").update_secret_version_stage(
                    SecretId=secret, RemoveFromVersionId=number, VersionStage=stage
                )


def _living(aws: Aws, identifier: str) -> Properties | None:
    secret = aws("secretsmanager").describe_secret(SecretId=identifier)
    return None if "DeletedDate" in secret else secret


def _version_outputs(version: Properties) -> Properties:
    return {
        "arn": version["ARN"],
        "secretArn": version["ARN"],
        "versionId": version["VersionId"],
        "versionStages": version["VersionStages"],
    }


RANDOM = {
    "passwordLength": "PasswordLength",
    "excludeCharacters": "ExcludeCharacters",
    "excludeLowercase": "ExcludeLowercase",
    "excludeNumbers": "ExcludeNumbers",
    "excludePunctuation": "ExcludePunctuation",
    "excludeUppercase": "ExcludeUppercase",
    "includeSpace": "IncludeSpace",
    "requireEachIncludedType": "RequireEachIncludedType",
}


def _random_password(aws: Aws, inputs: Properties) -> Properties:
    asked = {RANDOM[key]: value for key, value in inputs.items()}
    return {"id": aws.region, "randomPassword": aws("secretsmanager").get_random_password(**asked)["RandomPassword"]}


def _secret(aws: Aws, inputs: Properties) -> Properties:
    secret = aws("secretsmanager").describe_secret(SecretId=inputs.get("arn") or inputs["name"])
    description = secret.get("Description", "")
    return {"id": secret["ARN"], "arn": secret["ARN"], "name": secret["Name"], "description": description}


def _secret_version(aws: Aws, inputs: Properties) -> Properties:
    """A secret's current value, which the program has to keep as one."""
    found = aws("secretsmanager").get_secret_value(SecretId=inputs["secretId"])
    return {
        "id": f"{inputs['secretId']}|{CURRENT}",
        "secretId": inputs["secretId"],
        "secretString": found["SecretString"],
        **_version_outputs(found),
    }


RESOURCES: tuple[type[Resource], ...] = (Secret, SecretVersion)
INVOKES = (
    Invoke("aws:secretsmanager/getRandomPassword:getRandomPassword", tuple(RANDOM), _random_password),
    Invoke("aws:secretsmanager/getSecret:getSecret", ("name", "arn"), _secret),
    Invoke("aws:secretsmanager/getSecretVersion:getSecretVersion", ("secretId",), _secret_version),
)
