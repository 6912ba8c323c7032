"""An EC2 instance from a launch template's version, with everything that the template says about it."""

from typing import Any

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import ASG_NAME_TAG
from moto.ec2.utils import convert_tag_spec, filter_iam_instance_profiles


def launch(group: Any, template: Any, numbered: str, subnet_id: str) -> tuple[Any, int]:
    """Run one instance of `group` in `subnet_id`; returns moto's instance and the number of its template's version."""
    version = template.get_version(numbered)
    if not version.image_id:
        raise ValidationError("The request must contain the parameter ImageId")
    data = version.data
    interface = (data.get("NetworkInterfaces") or [{}])[0]
    tags = convert_tag_spec(data.get("TagSpecifications", []))
    tags["instance"] = group.get_propagated_tags() | tags.get("instance", {}) | {ASG_NAME_TAG: group.name}
    profile = data.get("IamInstanceProfile", {})
    if profile:  # looked up first: an unknown one must not leave an instance behind
        filter_iam_instance_profiles(
            group.account_id, group.ec2_backend.partition, profile.get("Arn"), profile.get("Name")
        )
    reservation = group.ec2_backend.run_instances(
        version.image_id,
        1,
        version.user_data,
        [],
        security_group_ids=list(data.get("SecurityGroupIds") or interface.get("Groups") or []),
        instance_type=version.instance_type,
        is_instance_type_default=False,
        subnet_id=subnet_id,
        launch_template={"LaunchTemplateId": template.id, "Version": version.number},
        # None leaves it to the subnet's own setting.
        associate_public_ip=interface.get("AssociatePublicIpAddress"),
        metadata_options=data.get("MetadataOptions", {}),
        monitoring_state="enabled" if data.get("Monitoring", {}).get("Enabled") else "disabled",
        ebs_optimized=bool(data.get("EbsOptimized")),
        instance_initiated_shutdown_behavior=data.get("InstanceInitiatedShutdownBehavior"),
        disable_api_termination=bool(data.get("DisableApiTermination")),
        region_name=group.region,
        tags=tags,
    )
    instance = reservation.instances[0]
    if profile:
        group.ec2_backend.associate_iam_instance_profile(instance.id, profile.get("Name"), profile.get("Arn"))
    return instance, version.number
