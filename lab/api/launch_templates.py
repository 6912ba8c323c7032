"""Launch templates as AWS has them, where moto differs: what later versions hold, and tags that change.

Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplateVersion.html
"""

from typing import Any

from moto.core.types import Base64EncodedString
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.utils import parse_user_data

from lab.api.patching import add, around

OWN = "launch-template"
"""The type that a template's own tags are given by; nothing that it launches has it."""


def install() -> None:
    """Change moto's launch templates. Once a process, before the first request."""
    around(LaunchTemplate, "create_version", _create_version)
    add(LaunchTemplate, "tags", property(LaunchTemplate.get_tags, _keep_none))


def _create_version(original: Any, template: Any, data: dict[str, Any], description: str | None) -> Any:
    """moto parses the user data of first versions only, and takes the template's own tags for a part of the data."""
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
