"""SSM: parameters."""

from lab.provider.aws import Aws
from lab.provider.resource import Autoname, Created, Properties, Resource
from lab.provider.values import aws_tags, present


class Parameter(Resource):
    """A named value."""

    pulumi_type = "aws:ssm/parameter:Parameter"
    required = ("type", "value")
    optional = ("description", "tier", "allowedPattern")
    autoname = Autoname(longest=1011)
    tagged = True
    secret_outputs = ("value",)

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Put it."""
        answer = aws("ssm").put_parameter(
            Name=inputs["name"],
            Type=inputs["type"],
            Value=inputs["value"],
            Tags=aws_tags(inputs["tagsAll"]),
            **present(
                Description=inputs.get("description"),
                Tier=inputs.get("tier"),
                AllowedPattern=inputs.get("allowedPattern"),
            ),
        )
        arn = f"arn:aws:ssm:{aws.region}:{aws.account()}:parameter/{inputs['name'].lstrip('/')}"
        return Created(inputs["name"], {"arn": arn, "version": answer["Version"]})


RESOURCES: tuple[type[Resource], ...] = (Parameter,)
