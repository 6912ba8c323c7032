"""SSM: parameters."""

from collections.abc import Collection

from typing_extensions import override

from lab.aws import Aws
from lab.provider import tags
from lab.provider.resource import Autoname, Created, Found, Properties, Resource
from lab.provider.values import aws_tags, present

SOURCE = "terraform-provider-aws internal/service/ssm/parameter.go, ForceNew"


class Parameter(Resource):
    """A named value."""

    pulumi_type = "aws:ssm/parameter:Parameter"
    required = ("type", "value")
    optional = ("description", "tier", "allowedPattern")
    autoname = Autoname(longest=1011)
    tagged = True
    secret_outputs = ("value",)
    replaces_on = {"name": SOURCE}
    volatile = {"version": ()}
    computed = ("tier",)

    @override
    def replacing(self, old: Properties, new: Properties) -> Collection[str]:
        """Also the tier, when it becomes the smaller one again: SSM does not go back."""
        reverted = (old.get("tier"), new.get("tier")) == ("Advanced", "Standard")
        return {*super().replacing(old, new), *(("tier",) if reverted else ())}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Put it."""
        answer = aws("ssm").put_parameter(**_arguments(inputs), Tags=aws_tags(inputs["tagsAll"]))
        return Created(inputs["name"], {"arn": _arn(aws, inputs["name"]), "version": answer["Version"]})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The parameter with its value in the clear: the state keeps that as a secret."""
        value = aws("ssm").get_parameter(Name=identifier, WithDecryption=True)["Parameter"]
        named = [{"Key": "Name", "Values": [identifier]}]
        about = aws("ssm").describe_parameters(ParameterFilters=named)["Parameters"][0]
        inputs = {
            "name": identifier,
            "type": value["Type"],
            "value": value["Value"],
            "description": about.get("Description") or None,
            "tier": about.get("Tier", "Standard"),
            "allowedPattern": about.get("AllowedPattern") or None,
            "tags": tags.of_ssm_parameter(aws, identifier),
        }
        return Found(identifier, inputs, {"arn": _arn(aws, identifier), "version": value["Version"]})

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Put it again: a new version."""
        answer = aws("ssm").put_parameter(**_arguments(new), Overwrite=True)
        tags.set_ssm_parameter(aws, identifier, old["tagsAll"], new["tagsAll"])
        return {"version": answer["Version"]}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("ssm").delete_parameter(Name=identifier)


def _arguments(inputs: Properties) -> Properties:
    return {
        "Name": inputs["name"],
        "Type": inputs["type"],
        "Value": inputs["value"],
        **present(
            Description=inputs.get("description"),
            Tier=inputs.get("tier"),
            AllowedPattern=inputs.get("allowedPattern"),
        ),
    }


def _arn(aws: Aws, name: str) -> str:
    return f"arn:aws:ssm:{aws.region}:{aws.account()}:parameter/{name.removeprefix('/')}"


RESOURCES: tuple[type[Resource], ...] = (Parameter,)
