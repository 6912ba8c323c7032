"""Secrets in Secrets Manager: those that have to be there before a machine looks for them, and those of our own."""

from collections.abc import Mapping

import pulumi
import pulumi_aws as aws

from ._checks import require
from .planning import Finding


def find(
    component: str, name: str, prefix: str, secrets: Mapping[str, pulumi.Input[str]], parent: pulumi.Resource
) -> dict[str, pulumi.Output[str]]:
    """ARNs by the key that each secret's name or ARN is given at; `prefix` makes a property's path of a key.

    InputPropertiesError for those that are not there, all at once: the deployment stops here, and not machines at boot.
    A name that another resource gives is looked up once it is known.
    """
    found: dict[str, pulumi.Output[str]] = {}
    findings: list[Finding] = []
    for key, secret in secrets.items():
        if not isinstance(secret, str):
            options = pulumi.InvokeOutputOptions(parent=parent)
            found[key] = aws.secretsmanager.get_secret_output(name=secret, opts=options).arn
            continue
        try:
            arn = aws.secretsmanager.get_secret(name=secret, opts=pulumi.InvokeOptions(parent=parent)).arn
        except Exception as error:  # the SDK has no narrower one for a function that failed
            rule = f"Secrets Manager must have it in the stack's region, and says: {_reason(error)}"
            remedy = "Create it (aws secretsmanager create-secret --name ... --secret-string file:///dev/stdin), "
            findings.append(Finding(f"{prefix}{key}", secret, rule, f"{remedy}or name another one."))
        else:
            found[key] = pulumi.Output.from_input(arn)
    if findings:
        require(component, name, findings)
    return found


def draw(parent: pulumi.Resource) -> pulumi.Output[str]:
    """A password that Secrets Manager draws: 64 letters and digits, which RDS, ElastiCache and URLs take as is."""
    drawn = aws.secretsmanager.get_random_password_output(
        password_length=64, exclude_punctuation=True, opts=pulumi.InvokeOutputOptions(parent=parent)
    )
    return pulumi.Output.secret(drawn.random_password)


def keep(
    name: str, description: str, value: pulumi.Input[str], child: pulumi.ResourceOptions
) -> "aws.secretsmanager.SecretVersion":
    """A secret that is made once: later runs draw another value, and ignore it. Whoever rotates it adds versions."""
    secret = aws.secretsmanager.Secret(name, description=description, opts=child)
    return aws.secretsmanager.SecretVersion(
        name,
        secret_id=secret.id,
        secret_string=value,
        opts=pulumi.ResourceOptions.merge(child, pulumi.ResourceOptions(ignore_changes=["secret_string"])),
    )


def _reason(error: Exception) -> str:
    """What the provider said, without the SDK's and the engine's words around it."""
    return " ".join(str(error).split()).rpartition(" failed: ")[2].removesuffix(" ()").rstrip(".")
