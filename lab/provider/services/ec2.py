"""EC2: launch templates and machine images."""

from lab.provider.aws import Aws
from lab.provider.errors import InputError
from lab.provider.resource import Autoname, Created, Invoke, Properties, Resource
from lab.provider.services.network import arn, tag_specification
from lab.provider.values import Spec, aws_tags, present, translate

DATA: Spec = {
    "imageId": "ImageId",
    "instanceType": "InstanceType",
    "userData": "UserData",
    "iamInstanceProfile": ("IamInstanceProfile", {"arn": "Arn", "name": "Name"}),
    "vpcSecurityGroupIds": "SecurityGroupIds",
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
                    # The schema has these two as text.
                    "encrypted": ("Encrypted", lambda value: str(value).lower() == "true"),
                    "deleteOnTermination": ("DeleteOnTermination", lambda value: str(value).lower() == "true"),
                },
            ),
        },
    ),
    "tagSpecifications": ("TagSpecifications", {"resourceType": "ResourceType", "tags": ("Tags", aws_tags)}),
}


class LaunchTemplate(Resource):
    """How a group's machines are started."""

    pulumi_type = "aws:ec2/launchTemplate:LaunchTemplate"
    optional = (*DATA, "updateDefaultVersion", "description")
    autoname = Autoname(longest=128)
    tagged = True

    def create(self, aws: Aws, inputs: Properties) -> Created:
        """Create it, in its first version."""
        data = {key: value for key, value in inputs.items() if key in DATA}
        template = aws("ec2").create_launch_template(
            LaunchTemplateName=inputs["name"],
            LaunchTemplateData=translate(data, DATA, "inputs"),
            TagSpecifications=tag_specification("launch-template", inputs["tagsAll"]),
            **present(VersionDescription=inputs.get("description")),
        )["LaunchTemplate"]
        identifier = template["LaunchTemplateId"]
        outputs = {
            "arn": arn(aws, "launch-template", identifier),
            "latestVersion": template["LatestVersionNumber"],
            "defaultVersion": template["DefaultVersionNumber"],
        }
        return Created(identifier, outputs)


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


RESOURCES: tuple[type[Resource], ...] = (LaunchTemplate,)
INVOKES = (Invoke("aws:ec2/getAmi:getAmi", ("mostRecent", "owners", "filters"), _ami),)
