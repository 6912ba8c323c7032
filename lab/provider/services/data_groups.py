"""Subnet and parameter groups, which RDS and ElastiCache have alike: only the names of calls and fields differ."""

from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import override

from lab.aws import Aws
from lab.provider import tags
from lab.provider.resource import Autoname, Created, Found, Properties, Resource
from lab.provider.values import Spec, aws_tags, batches, translate, unless_default, untranslate

DESCRIPTION = "Managed by Pulumi"
AT_ONCE = 20
"""How many parameters either service changes in one call."""


class Group(Resource):
    """A named group of RDS or ElastiCache with a description and tags."""

    service: ClassVar[str]
    """As boto3 calls it."""
    prefix: ClassVar[str]
    """Of names in calls and answers: `DB` or `Cache`."""
    noun: ClassVar[str]
    """The rest of such names: `SubnetGroup` or `ParameterGroup`."""
    arn: ClassVar[str]
    """The field that has the group's ARN."""
    autoname = Autoname(lower=True)
    tagged = True
    defaults = {"description": DESCRIPTION}

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        self._call(aws, "delete", **self._named(identifier))

    def _named(self, name: str) -> Properties:
        return {f"{self.prefix}{self.noun}Name": name}

    def _call(self, aws: Aws, verb: str, **arguments: Any) -> Any:
        return getattr(aws(self.service), f"{verb}_{self._snake}")(**arguments)

    def _describe(self, aws: Aws, name: str) -> Properties | None:
        answer = getattr(aws(self.service), f"describe_{self._snake}s")(**self._named(name))
        return next(iter(answer[f"{self.prefix}{self.noun}s"]), None)

    def _set_tags(self, aws: Aws, old: Properties, new: Properties) -> None:
        tags.set_by_arn(aws, self.service, old["arn"], old["tagsAll"], new["tagsAll"])

    @property
    def _snake(self) -> str:
        return f"{self.prefix}_{self.noun.removesuffix('Group')}_group".lower()


class SubnetGroup(Group):
    """Where databases, or cache nodes, may be."""

    noun = "SubnetGroup"
    required = ("subnetIds",)
    optional = ("description",)

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        group = self._call(aws, "create", **self._request(inputs), Tags=aws_tags(inputs["tagsAll"]))
        return Created(inputs["name"], self._outputs(group[f"{self.prefix}{self.noun}"]))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        group = self._describe(aws, identifier)
        if group is None:
            return None
        description = group[f"{self.prefix}SubnetGroupDescription"]
        inputs = {
            "name": group[f"{self.prefix}SubnetGroupName"],
            "description": unless_default(description, DESCRIPTION, state.get("description")),
            "subnetIds": [subnet["SubnetIdentifier"] for subnet in group["Subnets"]],
            "tags": tags.of_arn(aws, self.service, group[self.arn]),
        }
        return Found(identifier, inputs, self._outputs(group))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Description and subnets go together."""
        if self._request(old) != self._request(new):
            self._call(aws, "modify", **self._request(new))
        self._set_tags(aws, old, new)
        return {}

    def _request(self, inputs: Properties) -> Properties:
        return {
            **self._named(inputs["name"]),
            f"{self.prefix}SubnetGroupDescription": inputs.get("description", DESCRIPTION),
            "SubnetIds": inputs["subnetIds"],
        }

    def _outputs(self, group: Properties) -> Properties:
        return {"arn": group[self.arn], "vpcId": group["VpcId"]}


class ParameterGroup(Group):
    """How a database, or a cache, is configured."""

    noun = "ParameterGroup"
    required = ("family",)
    optional = ("description", "parameters")
    parameter: ClassVar[Spec]
    """A parameter's fields, by the program's names."""
    parameters: ClassVar[str]
    """What a change calls its list of parameters."""
    parameter_defaults: ClassVar[Mapping[str, str]] = {}
    """What a parameter has that the program leaves out, by the program's names."""

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """The group with its parameters set."""
        group = self._call(
            aws,
            "create",
            **self._named(inputs["name"]),
            **{f"{self.prefix}ParameterGroupFamily": inputs["family"]},
            Description=inputs.get("description", DESCRIPTION),
            Tags=aws_tags(inputs["tagsAll"]),
        )[f"{self.prefix}ParameterGroup"]
        self._set_parameters(aws, inputs["name"], {}, inputs)
        return Created(inputs["name"], {"arn": group[self.arn]})

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The group, with the parameters that are not as the family has them."""
        group = self._describe(aws, identifier)
        if group is None:
            return None
        pages = (
            aws(self.service)
            .get_paginator(f"describe_{self.prefix.lower()}_parameters")
            .paginate(**self._named(identifier), Source="user")
        )
        found = [parameter for page in pages for parameter in page["Parameters"]]
        inputs = {
            "name": group[f"{self.prefix}ParameterGroupName"],
            "family": group[f"{self.prefix}ParameterGroupFamily"],
            "description": unless_default(group["Description"], DESCRIPTION, state.get("description")),
            "parameters": self._as_given(untranslate(found, self.parameter, {str: str}), state.get("parameters")),
            "tags": tags.of_arn(aws, self.service, group[self.arn]),
        }
        return Found(identifier, inputs, {"arn": group[self.arn]})

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Parameters that are no more get the family's values again."""
        self._set_parameters(aws, identifier, old, new)
        self._set_tags(aws, old, new)
        return {}

    def _set_parameters(self, aws: Aws, group: str, old: Properties, new: Properties) -> None:
        before, after = (self._requested(each) for each in (old, new))
        gone = [parameter for name, parameter in before.items() if name not in after]
        changed = [parameter for name, parameter in after.items() if parameter != before.get(name)]
        for verb, parameters in (("reset", gone), ("modify", changed)):
            for some in batches(parameters, AT_ONCE):
                self._call(aws, verb, **self._named(group), **{self.parameters: some})

    def _requested(self, inputs: Properties) -> dict[str, Any]:
        given = [{**self.parameter_defaults, **parameter} for parameter in inputs.get("parameters", [])]
        parameters = translate(given, self.parameter, "parameters")
        return {parameter["ParameterName"]: parameter for parameter in parameters}

    def _as_given(self, found: list[Properties], given: list[Properties] | None) -> list[Properties] | None:
        """In the program's order: the service has its own. Without what the program left to the service."""
        known = {parameter["name"]: (place, parameter) for place, parameter in enumerate(given or [])}
        for parameter in found:
            said = known.get(parameter["name"], (0, {}))[1]
            for key, default in self.parameter_defaults.items():
                if key not in said and parameter.get(key) == default:
                    del parameter[key]
        ordered = sorted(found, key=lambda parameter: known.get(parameter["name"], (len(known), {}))[0])
        return unless_default(ordered, [], given)
