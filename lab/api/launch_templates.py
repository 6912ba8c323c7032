"""Launch templates as AWS has them, where moto differs: what later versions hold, and tags that change.

Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplateVersion.html
"""

from typing import Any

from moto.core.types import Base64EncodedString
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.responses.launch_templates import LaunchTemplates
from moto.ec2.utils import parse_user_data

from lab.api.patching import add, around

OWN = "launch-template"
"""The type that a template's own tags are given by; nothing that it launches has it."""


def install() -> None:
    """Change moto's launch templates. Once a process, before the first request."""
    around(LaunchTemplate, "create_version", _create_version)
    around(LaunchTemplates, "create_launch_template_version", _create_from_source)
    add(LaunchTemplate, "tags", property(LaunchTemplate.get_tags, _keep_none))


def _create_from_source(original: Any, response: Any) -> Any:
    """A new version begins as its source version, where one is named; moto forgets that."""
    source = response._get_param("SourceVersion")
    if not source:
        return original(response)
    name, identifier = response._get_param("LaunchTemplateName"), response._get_param("LaunchTemplateId")
    backend = response.ec2_backend
    template = backend.get_launch_template_by_name(name) if name else backend.get_launch_template(identifier)
    template.source = template.get_version(source).data
    try:
        return original(response)
    finally:
        del template.source


def _create_version(original: Any, template: Any, data: dict[str, Any], description: str | None) -> Any:
    """moto parses the user data of first versions only, and takes the template's own tags for a part of the data."""
    data = getattr(template, "source", {}) | data
    user_data = data.get("UserData")
    if not isinstance(user_data, Base64EncodedString):
        data = data | {"UserData": parse_user_data(user_data)}
    if "TagSpecifications" in data:
        kept = [tags for tags in data["TagSpecifications"] if tags.get("ResourceType") != OWN]
        data = {key: value for key, value in data.items() if key != "TagSpecifications"}
        data |= {"TagSpecifications": kept} if kept else {}
    return original(template, data, description)


def _keep_none(_template: Any, _tags: Any) -> None:
    """moto keeps the tags of the creation; CreateTags and DeleteTags change those that EC2 has."""
