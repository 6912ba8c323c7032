"""EventBridge: rules on the default bus and their targets. Pulumi has them under CloudWatch, where they once were."""

from typing_extensions import override

from lab.aws import Aws
from lab.provider import tags
from lab.provider.errors import InputError
from lab.provider.resource import Autoname, Created, Found, Properties, Resource
from lab.provider.values import as_known, aws_tags, present

RULE = "terraform-provider-aws internal/service/events/rule.go, ForceNew"
TARGET = "terraform-provider-aws internal/service/events/target.go, ForceNew"

ENABLED = "ENABLED"


class EventRule(Resource):
    """Which events of the default bus go to the rule's targets."""

    pulumi_type = "aws:cloudwatch/eventRule:EventRule"
    required = ("eventPattern",)
    optional = ("description", "state")
    autoname = Autoname(longest=64)
    tagged = True
    replaces_on = {"name": RULE}
    defaults = {"state": ENABLED}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        return Created(inputs["name"], {"arn": _put_rule(aws, inputs, Tags=aws_tags(inputs["tagsAll"]))})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The rule; an import names it by its name."""
        rule = aws("events").describe_rule(Name=identifier)
        inputs = {
            "name": rule["Name"],
            "eventPattern": as_known(rule["EventPattern"], state.get("eventPattern")),
            "description": rule.get("Description") or None,
            "state": None if rule["State"] == ENABLED and state.get("state") is None else rule["State"],
            "tags": tags.as_map(aws("events").list_tags_for_resource(ResourceARN=rule["Arn"])["Tags"]),
        }
        return Found(rule["Name"], inputs, {"arn": rule["Arn"]})

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Put it again; its targets stay."""
        arn = _put_rule(aws, new)
        tags.set_events(aws, arn, old["tagsAll"], new["tagsAll"])
        return {"arn": arn}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("events").delete_rule(Name=identifier)


class EventTarget(Resource):
    """Where a rule's events go."""

    pulumi_type = "aws:cloudwatch/eventTarget:EventTarget"
    required = ("rule", "arn")
    autoname = Autoname(input="targetId", longest=64)
    replaces_on = {"rule": TARGET, "targetId": TARGET}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        _put_target(aws, inputs)
        return Created(f"{inputs['rule']}-{inputs['targetId']}", {})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The target; an import names it <rule>/<target>."""
        rule, target = _rule_and_target(identifier, state)
        for each in aws("events").list_targets_by_rule(Rule=rule)["Targets"]:
            if each["Id"] == target:
                return Found(f"{rule}-{target}", {"rule": rule, "targetId": target, "arn": each["Arn"]}, {})
        return None

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Put it again."""
        _put_target(aws, new)
        return {}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        aws("events").remove_targets(Rule=state["rule"], Ids=[state["targetId"]])


def _put_rule(aws: Aws, inputs: Properties, **more: object) -> str:
    rule = aws("events").put_rule(
        Name=inputs["name"],
        EventPattern=inputs["eventPattern"],
        State=inputs.get("state", ENABLED),
        **present(Description=inputs.get("description")),
        **more,
    )
    return rule["RuleArn"]


def _put_target(aws: Aws, inputs: Properties) -> None:
    answer = aws("events").put_targets(Rule=inputs["rule"], Targets=[{"Id": inputs["targetId"], "Arn": inputs["arn"]}])
    if answer["FailedEntryCount"]:
        raise InputError(f"the target was refused: {answer['FailedEntries']}", "arn")


def _rule_and_target(identifier: str, state: Properties) -> tuple[str, str]:
    if "rule" in state:
        return state["rule"], state["targetId"]
    rule, slash, target = identifier.partition("/")
    if not slash:
        raise InputError(f"the id to import must be <rule>/<target>, and is {identifier}")
    return rule, target


RESOURCES: tuple[type[Resource], ...] = (EventRule, EventTarget)
