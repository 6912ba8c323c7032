"""CloudWatch Logs: groups."""

from typing_extensions import override

from lab.aws import Aws
from lab.provider import tags
from lab.provider.resource import Autoname, Created, Found, Properties, Resource
from lab.provider.values import unless_default

GROUP = "terraform-provider-aws internal/service/logs/group.go, ForceNew"
FOREVER = 0
"""Days, as the provider says that nothing is deleted."""


class LogGroup(Resource):
    """Where lines are kept, for as long as it says."""

    pulumi_type = "aws:cloudwatch/logGroup:LogGroup"
    optional = ("retentionInDays",)
    autoname = Autoname(longest=512)
    tagged = True
    replaces_on = {"name": GROUP}
    defaults = {"retentionInDays": FOREVER}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        aws("logs").create_log_group(logGroupName=inputs["name"], tags=inputs["tagsAll"])
        _keep(aws, inputs["name"], inputs.get("retentionInDays", FOREVER))
        return Created(inputs["name"], {"arn": _arn(aws, inputs["name"])})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The group; an import names it by its name."""
        there = aws.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=identifier)
        found = next((each for each in there if each["logGroupName"] == identifier), None)
        if found is None:
            return None
        arn = _arn(aws, identifier)
        days = found.get("retentionInDays", FOREVER)
        inputs = {
            "name": identifier,
            "retentionInDays": unless_default(days, FOREVER, state.get("retentionInDays")),
            "tags": aws("logs").list_tags_for_resource(resourceArn=arn).get("tags", {}),
        }
        return Found(identifier, inputs, {"arn": arn})

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """How long lines are kept, and tags."""
        _keep(aws, identifier, new.get("retentionInDays", FOREVER))
        tags.set_logs(aws, _arn(aws, identifier), old["tagsAll"], new["tagsAll"])
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("logs").delete_log_group(logGroupName=identifier)


def _keep(aws: Aws, name: str, days: int) -> None:
    if days == FOREVER:
        aws("logs").delete_retention_policy(logGroupName=name)
    else:
        aws("logs").put_retention_policy(logGroupName=name, retentionInDays=days)


def _arn(aws: Aws, name: str) -> str:
    return f"arn:aws:logs:{aws.region}:{aws.account()}:log-group:{name}"


RESOURCES: tuple[type[Resource], ...] = (LogGroup,)
