"""EC2: launch templates and machine images."""

from typing import Any

from typing_extensions import override

from lab.aws import Aws
from lab.provider import tags
from lab.provider.errors import InputError
from lab.provider.resource import Autoname, Created, Found, Invoke, Properties, Resource
from lab.provider.services.network import arn, tag_specification
from lab.provider.values import Spec, aws_tags, present, translate, untranslate

SOURCE = "terraform-provider-aws internal/service/ec2/ec2_launch_template.go, ForceNew"


def _truth(word: Any) -> bool:
    """The schema has some truth values as text."""
    return str(word).lower() == "true"


def _word(truth: bool) -> str:
    return str(truth).lower()


DATA: Spec = {
    "imageId": "ImageId",
    "instanceType": "InstanceType",
    "userData": "UserData",
    "iamInstanceProfile": ("IamInstanceProfile", {"arn": "Arn", "name": "Name"}),
    "vpcSecurityGroupIds": "SecurityGroupIds",
    "monitoring": ("Monitoring", {"enabled": "Enabled"}),
    "creditSpecification": ("CreditSpecification", {"cpuCredits": "CpuCredits"}),
    "metadataOptions": (
        "MetadataOptions",
        {
            "httpEndpoint": "HttpEndpoint",
            "httpTokens": "HttpTokens",
            "httpPutResponseHopLimit": "HttpPutResponseHopLimit",
            "instanceMetadataTags": "InstanceMetadataTags",
        },
    ),
    "blockDeviceMappings": (
        "BlockDeviceMappings",
        {
            "deviceName": "DeviceName",
            "ebs": (
                "Ebs",
                {
                    "volumeSize": "VolumeSize",
                    "volumeType": "VolumeType",
                    "encrypted": ("Encrypted", _truth),
                    "deleteOnTermination": ("DeleteOnTermination", _truth),
                },
            ),
        },
    ),
    "tagSpecifications": ("TagSpecifications", {"resourceType": "ResourceType", "tags": ("Tags", aws_tags)}),
}


BACK = {_truth: _word, aws_tags: tags.as_map}
"""What undoes the conversions in `DATA`."""


class LaunchTemplate(Resource):
    """How a group's machines are started. What is changed makes a new version; no version ever changes."""

    pulumi_type = "aws:ec2/launchTemplate:LaunchTemplate"
    optional = (*DATA, "updateDefaultVersion", "description")
    autoname = Autoname(longest=125)
    tagged = True
    replaces_on = {"name": SOURCE}
    volatile = {"latestVersion": (), "defaultVersion": ()}
    computed = ("metadataOptions",)
    defaults = {"updateDefaultVersion": False}

    @override
    def create(self, aws: Aws, inputs: Properties) -> Created:
        """The template with its first version."""
        template = aws("ec2").create_launch_template(
            LaunchTemplateName=inputs["name"],
            TagSpecifications=tag_specification("launch-template", inputs["tagsAll"]),
            **_version(inputs),
        )["LaunchTemplate"]
        return Created(template["LaunchTemplateId"], _template_outputs(aws, template))

    @override
    def read(self, aws: Aws, identifier: str, state: Properties) -> Found | None:
        """The template's latest version: the one that the next is made from, whichever is the default."""
        templates = aws("ec2").describe_launch_templates(LaunchTemplateIds=[identifier])["LaunchTemplates"]
        if not templates:
            return None
        version = aws("ec2").describe_launch_template_versions(LaunchTemplateId=identifier, Versions=["$Latest"])
        latest = version["LaunchTemplateVersions"][0]
        inputs = {
            **dict.fromkeys(DATA),
            **untranslate(latest["LaunchTemplateData"], DATA, BACK),
            "name": templates[0]["LaunchTemplateName"],
            "description": latest.get("VersionDescription") or None,
            "tags": tags.as_map(templates[0].get("Tags", [])),
        }
        return Found(identifier, inputs, _template_outputs(aws, templates[0]))

    @override
    def update(self, aws: Aws, identifier: str, old: Properties, new: Properties) -> Properties:
        """Make a version of what is new. Groups that name a version by number go on with theirs."""
        ec2, latest = aws("ec2"), old["latestVersion"]
        if any(old.get(key) != new.get(key) for key in (*DATA, "description")):
            made = ec2.create_launch_template_version(LaunchTemplateId=identifier, **_version(new))
            latest = made["LaunchTemplateVersion"]["VersionNumber"]
        if new.get("updateDefaultVersion"):
            ec2.modify_launch_template(LaunchTemplateId=identifier, DefaultVersion=str(latest))
        tags.set_ec2(aws, identifier, old["tagsAll"], new["tagsAll"])
        templates = ec2.describe_launch_templates(LaunchTemplateIds=[identifier])["LaunchTemplates"]
        return _template_outputs(aws, templates[0])

    @override
    def delete(self, aws: Aws, identifier: str, state: Properties) -> None:
        """All versions of the template. AWS does not ask whether a group still uses it."""
        aws("ec2").delete_launch_template(LaunchTemplateId=identifier)


def _version(inputs: Properties) -> Properties:
    data = {key: value for key, value in inputs.items() if key in DATA}
    return {
        "LaunchTemplateData": translate(data, DATA, "inputs"),
        **present(VersionDescription=inputs.get("description")),
    }


def _template_outputs(aws: Aws, template: Properties) -> Properties:
    return {
        "arn": arn(aws, "launch-template", template["LaunchTemplateId"]),
        "latestVersion": template["LatestVersionNumber"],
        "defaultVersion": template["DefaultVersionNumber"],
    }


def _ami(aws: Aws, inputs: Properties) -> Properties:
    filters = translate(inputs.get("filters", []), {"name": "Name", "values": "Values"}, "filters")
    images = aws("ec2").describe_images(Filters=filters, **present(Owners=inputs.get("owners")))["Images"]
    if not images:
        raise InputError("your query returned no results; change the filters, or see which images the lab has")
    if len(images) > 1 and not inputs.get("mostRecent"):
        raise InputError(f"your query returned {len(images)} images; narrow it, or ask for the most recent")
    image = max(images, key=lambda image: image["CreationDate"])
    return {
        "id": image["ImageId"],
        "imageId": image["ImageId"],
        "name": image["Name"],
        "architecture": image["Architecture"],
        "creationDate": image["CreationDate"],
        "ownerId": image["OwnerId"],
        "rootDeviceName": image["RootDeviceName"],
        "arn": f"arn:aws:ec2:{aws.region}::image/{image['ImageId']}",
    }


def _offerings(aws: Aws, inputs: Properties) -> Properties:
    filters = translate(inputs.get("filters", []), {"name": "Name", "values": "Values"}, "filters")
    pages = (
        aws("ec2")
        .get_paginator("describe_instance_type_offerings")
        .paginate(Filters=filters, **present(LocationType=inputs.get("locationType")))
    )
    found = [each for page in pages for each in page["InstanceTypeOfferings"]]
    return {
        "id": aws.region,
        "instanceTypes": [each["InstanceType"] for each in found],
        "locations": [each["Location"] for each in found],
        "locationTypes": [each["LocationType"] for each in found],
    }


RESOURCES: tuple[type[Resource], ...] = (LaunchTemplate,)
INVOKES = (
    Invoke("aws:ec2/getAmi:getAmi", ("mostRecent", "owners", "filters"), _ami),
    Invoke("aws:ec2/getInstanceTypeOfferings:getInstanceTypeOfferings", ("locationType", "filters"), _offerings),
)
