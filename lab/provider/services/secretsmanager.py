"""Secrets Manager: secrets and their versions."""

from lab.provider.aws import Aws
from lab.provider.resource import Autoname, Created, Invoke, Properties, Resource
from lab.provider.values import aws_tags, present


class Secret(Resource):
    """A secret, without its value."""

    pulumi_type = "aws:secretsmanager/secret:Secret"
    optional = ("description", "recoveryWindowInDays")
    autoname = Autoname(longest=512)
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it."""
        secret = aws("secretsmanager").create_secret(
            Name=inputs["name"],
            Tags=aws_tags(inputs["tagsAll"]),
            **present(Description=inputs.get("description")),
        )
        return Created(secret["ARN"], {"arn": secret["ARN"]})


class SecretVersion(Resource):
    """A secret's value."""

    pulumi_type = "aws:secretsmanager/secretVersion:SecretVersion"
    required = ("secretId", "secretString")
    secret_outputs = ("secretString",)

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Put it."""
        version = aws("secretsmanager").put_secret_value(
            SecretId=inputs["secretId"], SecretString=inputs["secretString"]
        )
        outputs = {
            "arn": version["ARN"],
            "secretArn": version["ARN"],
            "versionId": version["VersionId"],
            "versionStages": version["VersionStages"],
        }
        return Created(f"{version['ARN']}|{version['VersionId']}", outputs)


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


RESOURCES: tuple[type[Resource], ...] = (Secret, SecretVersion)
INVOKES = (
    Invoke("aws:secretsmanager/getRandomPassword:getRandomPassword", tuple(RANDOM), _random_password),
    Invoke("aws:secretsmanager/getSecret:getSecret", ("name", "arn"), _secret),
)
