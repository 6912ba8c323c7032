"""How machines are made: no forged request gets at their credentials, and no group changes without a trace."""

from collections.abc import Iterator
from typing import Any, Final

from .model import HUB, UNKNOWN, Resource, Rule, Settings, dig, listed, wrong

INSTANCE: Final = "aws:ec2/instance:Instance"
METADATA: Final = (
    INSTANCE,
    "aws:ec2/launchTemplate:LaunchTemplate",
    "aws:ec2/launchConfiguration:LaunchConfiguration",
)
GROUP: Final = "aws:autoscaling/group:Group"


def _check_metadata(resource: Resource, _: Settings) -> Iterator[str]:
    if resource.type not in METADATA:
        return
    options = resource.get("metadataOptions")
    if resource.type == INSTANCE and options is None and resource.get("launchTemplate") is not None:
        return  # The template's matter.
    tokens, endpoint = dig(options, "httpTokens"), dig(options, "httpEndpoint")
    if tokens not in (UNKNOWN, "required") and endpoint not in (UNKNOWN, "disabled"):
        yield wrong("metadataOptions.httpTokens", tokens, 'Set it to "required": only IMDSv2 then answers.')


def _check_version(resource: Resource, _: Settings) -> Iterator[str]:
    if resource.type != GROUP:
        return
    for path, template in _templates(resource):
        version = dig(template, "version")
        if version in (None, "", "$Latest", "$Default"):
            remedy = "Give a number, such as the template's own latestVersion: what changes then shows in the preview."
            yield wrong(f"{path}.version", version, remedy)


def _templates(group: Resource) -> Iterator[tuple[str, Any]]:
    """Each launch template that the group uses, by path."""
    mixed = "mixedInstancesPolicy.launchTemplate"
    found = {path: group.get(path) for path in ("launchTemplate", f"{mixed}.launchTemplateSpecification")}
    for index, override in enumerate(listed(group.get(f"{mixed}.overrides"))):
        found[f"{mixed}.overrides[{index}].launchTemplateSpecification"] = dig(override, "launchTemplateSpecification")
    for path, template in found.items():
        if template is not None:
            yield path, template


IMDSV2: Final = Rule(
    name="imdsv2",
    says="Machines answer metadata requests by IMDSv2 only.",
    source=f"{HUB}/ec2-controls.html#ec2-8",
    check=_check_metadata,
)

PINNED_VERSION: Final = Rule(
    name="pinned-launch-template",
    says="Auto Scaling groups use a launch template's version by number.",
    source="https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LaunchTemplateSpecification.html",
    check=_check_version,
)
