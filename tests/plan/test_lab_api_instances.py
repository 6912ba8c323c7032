"""Instances that reboot, are stopped and started, shut themselves down or crash: what EC2 makes of them."""

from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from tests.plan.lab_api_server import PLAIN_X86, ApiServer
from tests.plan.lab_fleet import Fleet, eventually


@pytest.fixture(scope="module")
def fleet(api: ApiServer) -> Fleet:
    return Fleet(api)


def instance(fleet: Fleet, **more: Any) -> str:
    """An instance of its own, in no group."""
    launched = fleet.ec2.run_instances(
        ImageId=PLAIN_X86.id, InstanceType="t3.small", MinCount=1, MaxCount=1, SubnetId=fleet.public, **more
    )
    return launched["Instances"][0]["InstanceId"]


def state(fleet: Fleet, identifier: str) -> str:
    return fleet.instance(identifier)["State"]["Name"]


def told(api: ApiServer, identifier: str) -> dict[str, Any]:
    """What the lab is told of an instance."""
    return next(each for each in api.control("instances") if each["id"] == identifier)


def test_a_reboot_changes_nothing_but_that_the_lab_is_told_to_do_it(api: ApiServer, fleet: Fleet) -> None:
    identifier = instance(fleet)
    before, version = fleet.instance(identifier), api.control("version")
    fleet.ec2.reboot_instances(InstanceIds=[identifier])
    fleet.ec2.reboot_instances(InstanceIds=[identifier])
    assert fleet.instance(identifier) == before, "the same machine, running, at the same addresses"
    assert told(api, identifier) == {"id": identifier, "reboots": 2, "status": "ok"}
    assert api.control("version") != version, "the lab is to look"


def test_what_does_not_run_is_not_rebooted(fleet: Fleet) -> None:
    identifier = instance(fleet)
    fleet.ec2.stop_instances(InstanceIds=[identifier])
    with pytest.raises(ClientError, match=r"IncorrectInstanceState.*from which it can be rebooted"):
        fleet.ec2.reboot_instances(InstanceIds=[identifier])
    fleet.ec2.terminate_instances(InstanceIds=[identifier])
    fleet.ec2.reboot_instances(InstanceIds=[identifier])
    assert state(fleet, identifier) == "terminated", "passed over"
    for call in (fleet.ec2.start_instances, fleet.ec2.stop_instances):
        with pytest.raises(ClientError, match="IncorrectInstanceState"):
            call(InstanceIds=[identifier])


def test_an_instance_that_shuts_itself_down_is_stopped_and_can_be_started(api: ApiServer, fleet: Fleet) -> None:
    identifier = instance(fleet)
    address = fleet.instance(identifier)["PrivateIpAddress"]
    api.control(f"instances/{identifier}", "PUT", {"status": "shut-down"})
    found = fleet.instance(identifier)
    assert found["State"]["Name"] == "stopped"
    assert found["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown", "not by a user"
    fleet.ec2.start_instances(InstanceIds=[identifier])
    assert state(fleet, identifier) == "running"
    assert fleet.instance(identifier)["PrivateIpAddress"] == address, "where it was"


def test_an_instance_that_is_to_end_with_its_shutdown_is_terminated(api: ApiServer, fleet: Fleet) -> None:
    identifier = instance(fleet, InstanceInitiatedShutdownBehavior="terminate")
    api.control(f"instances/{identifier}", "PUT", {"status": "shut-down"})
    assert state(fleet, identifier) == "terminated"


def test_a_crash_is_an_impaired_instance_until_it_runs_again(api: ApiServer, fleet: Fleet) -> None:
    identifier = instance(fleet)

    def check() -> str:
        statuses = fleet.ec2.describe_instance_status(InstanceIds=[identifier])["InstanceStatuses"]
        return statuses[0]["InstanceStatus"]["Status"]

    assert check() == "ok"
    api.control(f"instances/{identifier}", "PUT", {"status": "impaired"})
    assert (state(fleet, identifier), check()) == ("running", "impaired"), "EC2 does not stop it"
    assert told(api, identifier)["status"] == "impaired"
    fleet.ec2.reboot_instances(InstanceIds=[identifier])
    assert check() == "impaired", "until the lab says that it runs"
    api.control(f"instances/{identifier}", "PUT", {"status": "ok"})
    assert check() == "ok"


@pytest.mark.parametrize("status", ["impaired", "shut-down"])
def test_auto_scaling_replaces_what_crashed_or_was_shut_down(api: ApiServer, fleet: Fleet, status: str) -> None:
    group = fleet.create(1)
    first = fleet.ids(group).pop()
    api.control(f"instances/{first}", "PUT", {"status": status})
    eventually(lambda: len(fleet.ids(group)) == 1 and first not in fleet.ids(group), "nothing takes its place")
    assert state(fleet, first) == "terminated"
    causes = [each["Cause"] for each in fleet.autoscaling.describe_scaling_activities()["Activities"]]
    assert any("EC2 health check" in cause for cause in causes), causes
    fleet.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=group, ForceDelete=True)


def test_a_reboot_is_no_reason_for_a_replacement(fleet: Fleet) -> None:
    group = fleet.create(1)
    first = fleet.ids(group)
    fleet.ec2.reboot_instances(InstanceIds=list(first))
    with pytest.raises(AssertionError, match="as it should"):
        eventually(lambda: fleet.ids(group) != first, "as it should", seconds=3)
    fleet.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=group, ForceDelete=True)


def test_an_instance_that_is_not_there_and_a_status_that_is_none_are_refused(api: ApiServer, fleet: Fleet) -> None:
    with pytest.raises(requests.HTTPError, match="404"):
        api.control("instances/i-none", "PUT", {"status": "ok"})
    with pytest.raises(requests.HTTPError, match="400"):
        api.control(f"instances/{instance(fleet)}", "PUT", {"status": "tired"})
