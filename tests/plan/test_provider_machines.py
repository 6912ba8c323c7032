"""Groups, launch templates and roles through the provider, where the order of calls and the waiting matter."""

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import LAUNCHING, TERMINATING, Fleet, eventually
from tests.plan.provider_client import Made, Properties, ProviderCallError, ProviderClient

GROUP = "aws:autoscaling/group:Group"
HOOK = "aws:autoscaling/lifecycleHook:LifecycleHook"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"


@pytest.fixture
def fleet(api: ApiServer) -> Iterator[Fleet]:
    fleet = Fleet(api)
    yield fleet
    fleet.clean_up()


def make_group(provider: ProviderClient, fleet: Fleet, size: int, **inputs: Any) -> Made:
    """A group of `size`, at most 4."""
    given = {
        "minSize": size,
        "maxSize": 4,
        "launchTemplate": {"id": fleet.template, "version": "1"},
        "vpcZoneIdentifiers": fleet.private,
    }
    group = Made(provider, GROUP, given | inputs)
    fleet.groups.append(group.id)
    return group


def hook(transition: str) -> Properties:
    """A hook as an input of a group."""
    return {"name": "hook", "lifecycleTransition": transition, "defaultResult": "ABANDON", "heartbeatTimeout": 300}


def test_a_group_goes_when_its_machines_have_gone_through_their_hooks(provider: ProviderClient, fleet: Fleet) -> None:
    group = make_group(provider, fleet, 1, initialLifecycleHooks=[hook(TERMINATING)])
    instance = fleet.ids(group.id).pop()
    with ThreadPoolExecutor() as pool:
        deletion = pool.submit(group.delete)
        eventually(lambda: fleet.states(group.id) == ["Terminating:Wait"], "it is told to leave")
        time.sleep(1.5)
        assert not deletion.done(), "the group waits for it"
        assert fleet.instance(instance)["State"]["Name"] == "running", "it drains"
        fleet.complete(group.id, instance)
        deletion.result(60)
    assert fleet.instance(instance)["State"]["Name"] == "terminated"
    assert provider.read(GROUP, group.id, group.state, group.inputs)[0] == ""


def test_a_forced_deletion_waits_for_no_hook(provider: ProviderClient, fleet: Fleet) -> None:
    group = make_group(provider, fleet, 1, initialLifecycleHooks=[hook(TERMINATING)], forceDelete=True)
    instance = fleet.ids(group.id).pop()
    group.delete()
    assert fleet.instance(instance)["State"]["Name"] == "terminated"
    assert provider.read(GROUP, group.id, group.state, group.inputs)[0] == ""


def test_a_machine_that_is_protected_from_scale_in_goes_with_its_group(provider: ProviderClient, fleet: Fleet) -> None:
    group = make_group(provider, fleet, 1, protectFromScaleIn=True)
    instance = fleet.ids(group.id).pop()
    group.delete()
    assert fleet.instance(instance)["State"]["Name"] == "terminated"


def test_a_larger_group_is_waited_for(provider: ProviderClient, fleet: Fleet) -> None:
    group = make_group(provider, fleet, 1)
    Made(provider, HOOK, {"autoscalingGroupName": group.id, "lifecycleTransition": LAUNCHING, "name": "hook"})
    with ThreadPoolExecutor() as pool:
        update = pool.submit(group.update, minSize=2)
        eventually(lambda: fleet.states(group.id) == ["InService", "Pending:Wait"], "another machine comes")
        time.sleep(1.5)
        assert not update.done(), "it is not ready yet"
        instance = next(m["InstanceId"] for m in fleet.members(group.id) if m["LifecycleState"] == "Pending:Wait")
        fleet.complete(group.id, instance)
        update.result(60)
    assert group.state["desiredCapacity"] == 2, "the minimum has raised it"
    group.update(minSize=3, waitForCapacityTimeout="0")
    assert fleet.states(group.id) == ["InService", "InService", "Pending:Wait"], "unless nobody wants to wait"


def test_waiting_for_a_group_ends_in_time_or_when_a_launch_fails(provider: ProviderClient, fleet: Fleet) -> None:
    group = make_group(provider, fleet, 0, waitForCapacityTimeout="1s")
    Made(provider, HOOK, {"autoscalingGroupName": group.id, "lifecycleTransition": LAUNCHING, "name": "hook"})
    with pytest.raises(ProviderCallError, match="has not the machines in service that it is to have after 1 s"):
        group.update(minSize=1)
    broken = make_group(provider, fleet, 0)
    template = fleet.add_template(IamInstanceProfile={"Name": "nobody"})
    with pytest.raises(ProviderCallError, match=r"does not get its machines: .*nobody"):
        broken.update(minSize=1, launchTemplate={"id": template, "version": "1"})
    with pytest.raises(ProviderCallError, match="waitForCapacityTimeout must be like 10m or 0, and is soon"):
        group.update(waitForCapacityTimeout="soon")


def test_a_desired_capacity_taken_away_is_left_to_scaling(provider: ProviderClient, fleet: Fleet) -> None:
    group = make_group(provider, fleet, 1, desiredCapacity=3)
    group.update(desiredCapacity=None)
    assert len(fleet.members(group.id)) == 3
    fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group.id, DesiredCapacity=2)
    group.update(maxSize=5)
    assert len(fleet.members(group.id)) == 2, "what scaling has set stays"


def test_tags_that_propagate_reach_later_machines(provider: ProviderClient, fleet: Fleet) -> None:
    tags = [{"key": key, "value": "1", "propagateAtLaunch": True} for key in ("kept", "changed", "removed")]
    group = make_group(provider, fleet, 1, tags=tags)
    first = fleet.ids(group.id)
    group.update(tags=[tags[0], tags[1] | {"value": "2"}, {"key": "not", "value": "3", "propagateAtLaunch": False}])
    group.update(minSize=2)
    second = (fleet.ids(group.id) - first).pop()
    launched = {tag["Key"]: tag["Value"] for tag in fleet.instance(second)["Tags"]}
    assert {key: launched.get(key) for key in ("kept", "changed", "removed", "not")} == {
        "kept": "1",
        "changed": "2",
        "removed": None,
        "not": None,
    }


@pytest.mark.parametrize("moves", [True, False])
def test_a_changed_template_is_a_new_version_and_the_default_when_asked_for(
    provider: ProviderClient, fleet: Fleet, moves: bool
) -> None:
    template = Made(provider, TEMPLATE, {"instanceType": "t3.small", "updateDefaultVersion": moves})
    template.update(instanceType="t3.medium")
    assert (template.state["latestVersion"], template.state["defaultVersion"]) == (2, 2 if moves else 1)
    template.update(tags={"Name": "template"})
    assert template.state["latestVersion"] == 2, "its own tags are not of a version"
    template.update(updateDefaultVersion=True)
    assert template.state["defaultVersion"] == 2
    versions = fleet.ec2.describe_launch_template_versions(LaunchTemplateId=template.id)["LaunchTemplateVersions"]
    assert [version["LaunchTemplateData"]["InstanceType"] for version in versions] == ["t3.small", "t3.medium"]


def test_a_group_launches_from_the_version_that_it_was_given_last(provider: ProviderClient, fleet: Fleet) -> None:
    image = fleet.ec2.describe_launch_template_versions(LaunchTemplateId=fleet.template)["LaunchTemplateVersions"][0]
    texts = {version: base64.b64encode(f"#cloud-config {version}".encode()).decode() for version in (1, 2)}
    image_id = image["LaunchTemplateData"]["ImageId"]
    template = Made(provider, TEMPLATE, {"imageId": image_id, "instanceType": "t3.small", "userData": texts[1]})
    group = make_group(provider, fleet, 1, launchTemplate={"id": template.id, "version": "1"})
    first = fleet.ids(group.id)
    template.update(userData=texts[2], instanceType="t3.medium")
    group.update(launchTemplate={"id": template.id, "version": "2"})
    assert fleet.ids(group.id) == first, "machines that run stay"
    group.update(minSize=2)
    second = (fleet.ids(group.id) - first).pop()
    assert fleet.instance(second)["InstanceType"] == "t3.medium"
    attribute = fleet.ec2.describe_instance_attribute(InstanceId=second, Attribute="userData")
    assert attribute["UserData"]["Value"] == texts[2]


def test_a_role_leaves_its_profile_and_is_kept_as_long_as_it_has_policies(
    provider: ProviderClient, api: ApiServer, fleet: Fleet
) -> None:
    iam, who = api.client("iam"), {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [who]}
    role = Made(provider, "aws:iam/role:Role", {"assumeRolePolicy": trust})
    profile = Made(provider, "aws:iam/instanceProfile:InstanceProfile", {"role": role.id})
    iam.put_role_policy(
        RoleName=role.id,
        PolicyName="one",
        PolicyDocument='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}',
    )
    with pytest.raises(ProviderCallError, match="must delete policies first"):
        role.delete()
    iam.delete_role_policy(RoleName=role.id, PolicyName="one")
    role.delete()
    assert iam.get_instance_profile(InstanceProfileName=profile.id)["InstanceProfile"]["Roles"] == []
    profile.delete()


def test_a_policy_that_says_the_same_in_other_words_is_no_change(provider: ProviderClient, api: ApiServer) -> None:
    kind = "aws:iam/role:Role"
    principal = {"Service": "ec2.amazonaws.com"}
    policy = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}],
    }
    role = Made(provider, kind, {"assumeRolePolicy": json.dumps(policy, indent=2)})
    other_words = json.dumps(policy, separators=(",", ":"), sort_keys=True)
    api.client("iam").update_assume_role_policy(RoleName=role.id, PolicyDocument=other_words)
    assert provider.read(kind, role.id, role.state, role.inputs)[2] == role.inputs
    role.delete()
