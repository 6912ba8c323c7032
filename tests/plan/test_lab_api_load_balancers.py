"""Application Load Balancers: what the API tells their machines and hears, and what Auto Scaling makes of it.

Sources: those of lab/api/load_balancers.py and target_health.py.
"""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import LAUNCHING, TERMINATING, Fleet, eventually, hook


class Shop:
    """A load balancer with a listener for a target group."""

    def __init__(self, api: ApiServer, fleet: Fleet) -> None:
        self.api, self.fleet, self.elb = api, fleet, api.client("elbv2")
        self.name = f"shop-{fleet.unique}"
        self.vpc = fleet.ec2.describe_subnets(SubnetIds=fleet.private)["Subnets"][0]["VpcId"]
        self.arn = self.balancer(self.name, SecurityGroups=[fleet.security_group])["LoadBalancerArn"]
        self.group = self.target_group("shop")
        self.listen(80, [{"Type": "forward", "TargetGroupArn": self.group}])

    def balancer(self, name: str, **more: Any) -> dict[str, Any]:
        given = {"Subnets": self.fleet.private, **more}
        return self.elb.create_load_balancer(Name=name, **given)["LoadBalancers"][0]

    def target_group(self, name: str, **more: Any) -> str:
        given = {"Protocol": "HTTP", "Port": 3000, "VpcId": self.vpc, "HealthCheckPath": "/readyz", **more}
        made = self.elb.create_target_group(Name=f"{name}-{self.fleet.unique}", **given)
        arn = made["TargetGroups"][0]["TargetGroupArn"]
        self.drain_for(arn, 2)
        return arn

    def drain_for(self, group: str, seconds: int) -> None:
        delay = {"Key": "deregistration_delay.timeout_seconds", "Value": str(seconds)}
        self.elb.modify_target_group_attributes(TargetGroupArn=group, Attributes=[delay])

    def listen(self, port: int, actions: list[dict[str, Any]], protocol: str = "HTTP") -> None:
        self.elb.create_listener(LoadBalancerArn=self.arn, Port=port, Protocol=protocol, DefaultActions=actions)

    def described(self) -> dict[str, Any]:
        """What the machine is told."""
        return next(each for each in self.api.control("load-balancers") if each["endpoint"].startswith(self.name))

    def targets(self) -> dict[str, Any]:
        (group,) = self.described()["configuration"]["groups"].values()
        return group["targets"]

    def found(self, target: str, state: str, reason: str | None = None) -> None:
        """As the machine's probes say it."""
        told = {self.group.rpartition("/")[2]: {target: {"state": state, "reason": reason, "description": None}}}
        self.api.control(f"load-balancers/{self.described()['id']}/health", "PUT", told)

    def health(self) -> dict[str, tuple[str, str | None]]:
        described = self.elb.describe_target_health(TargetGroupArn=self.group)["TargetHealthDescriptions"]
        return {
            each["Target"]["Id"]: (each["TargetHealth"]["State"], each["TargetHealth"].get("Reason"))
            for each in described
        }

    def servers(self, count: int, *hooks: dict[str, Any], **more: Any) -> str:
        return self.fleet.create(count, *hooks, TargetGroupARNs=[self.group], **more)


@pytest.fixture
def fleet(api: ApiServer) -> Iterator[Fleet]:
    made = Fleet(api)
    yield made
    made.clean_up()


@pytest.fixture
def shop(api: ApiServer, fleet: Fleet) -> Iterator[Shop]:
    made = Shop(api, fleet)
    yield made
    made.elb.delete_load_balancer(LoadBalancerArn=made.arn)


def test_a_load_balancer_has_an_address_and_is_active_when_its_machine_is(shop: Shop) -> None:
    def state() -> str:
        return shop.elb.describe_load_balancers(LoadBalancerArns=[shop.arn])["LoadBalancers"][0]["State"]["Code"]

    told = shop.described()
    assert told["public_address"].startswith("198.51.100.")
    assert told["security_groups"] == [shop.fleet.security_group]
    assert state() == "provisioning"
    shop.api.control(f"load-balancers/{told['id']}", "PUT", {"status": "active"})
    assert state() == "active"
    with pytest.raises(ClientError, match="DependencyViolation"):
        shop.fleet.ec2.delete_security_group(GroupId=shop.fleet.security_group)


def test_an_internal_one_has_no_public_address_and_its_name_says_so(shop: Shop) -> None:
    made = shop.balancer(f"in-{shop.fleet.unique}", Scheme="internal")
    (told,) = [each for each in shop.api.control("load-balancers") if each["endpoint"] == made["DNSName"]]
    assert made["DNSName"].startswith("internal-in-")
    assert told["public_address"] is None
    shop.elb.delete_load_balancer(LoadBalancerArn=made["LoadBalancerArn"])


def test_one_that_moves_to_another_subnet_is_another_machine_that_has_nothing_yet(shop: Shop) -> None:
    before = shop.described()
    shop.api.control(f"load-balancers/{before['id']}/configuration/{before['version']}", "PUT")
    assert shop.described()["applied"] == before["version"]
    shop.elb.set_subnets(LoadBalancerArn=shop.arn, Subnets=[shop.fleet.private[1], shop.fleet.public])
    after = shop.described()
    assert (after["subnet"], after["applied"]) == (shop.fleet.private[1], None)
    assert after["id"] != before["id"]


def test_listeners_and_target_groups_are_told_to_the_machine(shop: Shop) -> None:
    before = shop.described()["version"]
    redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    shop.listen(81, [{"Type": "redirect", "RedirectConfig": redirect}])
    shop.listen(82, [{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "MessageBody": "no"}}])
    told = shop.described()
    assert told["version"] != before
    listeners, (group,) = told["configuration"]["listeners"], told["configuration"]["groups"].values()
    assert {port: action["type"] for port, action in listeners.items()} == {
        "80": "forward",
        "81": "redirect",
        "82": "fixed-response",
    }
    assert (listeners["81"]["host"], listeners["81"]["protocol"]) == ("#{host}", "https"), "AWS's defaults"
    assert (group["check"]["path"], group["check"]["codes"], group["check"]["timeout"]) == ("/readyz", "200", 5)


def test_health_is_what_the_probes_say_and_before_that_initial(shop: Shop) -> None:
    (server,) = shop.fleet.ids(shop.servers(1))
    assert shop.health() == {server: ("initial", "Elb.RegistrationInProgress")}
    assert shop.targets()[server]["port"] == 3000
    shop.found(server, "unhealthy", "Target.ResponseCodeMismatch")
    assert shop.health() == {server: ("unhealthy", "Target.ResponseCodeMismatch")}
    shop.found(server, "healthy")
    assert shop.health() == {server: ("healthy", None)}


def test_a_target_of_no_listener_or_in_a_zone_without_the_load_balancer_is_unused(shop: Shop) -> None:
    other = shop.target_group("other")
    shop.fleet.create(1, TargetGroupARNs=[other])
    (alone,) = shop.elb.describe_target_health(TargetGroupArn=other)["TargetHealthDescriptions"]
    assert (alone["TargetHealth"]["State"], alone["TargetHealth"]["Reason"]) == ("unused", "Target.NotInUse")

    (server,) = shop.fleet.ids(shop.servers(1, VPCZoneIdentifier=shop.fleet.private[1]))
    third = shop.fleet.ec2.create_subnet(CidrBlock="10.20.7.0/24", AvailabilityZone="us-east-1c", VpcId=shop.vpc)
    others = [shop.fleet.private[0], third["Subnet"]["SubnetId"]]
    shop.elb.set_subnets(LoadBalancerArn=shop.arn, Subnets=others)
    assert shop.health() == {server: ("unused", "Target.NotInUse")}
    assert shop.targets() == {}, "nor does it get requests"


def test_a_machine_drains_for_the_delay_before_its_hook_and_its_end(shop: Shop) -> None:
    group = shop.servers(1, hook(TERMINATING))
    (server,) = shop.fleet.ids(group)
    shop.found(server, "healthy")
    shop.drain_for(shop.group, 5)  # which a busy host needs to look at it meanwhile
    began = time.monotonic()
    shop.fleet.autoscaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=0)
    assert shop.fleet.states(group) == ["Terminating"]
    activity = shop.fleet.autoscaling.describe_scaling_activities(AutoScalingGroupName=group)["Activities"][0]
    assert activity["StatusCode"] == "WaitingForELBConnectionDraining"
    assert shop.health() == {server: ("draining", "Target.DeregistrationInProgress")}
    assert shop.targets()[server]["draining"] is True
    eventually(lambda: shop.fleet.states(group) == ["Terminating:Wait"], "its hook does not come")
    assert time.monotonic() - began > 4.5, "that was no delay"
    assert (shop.health(), shop.targets()) == ({}, {})
    shop.fleet.complete(group, server)
    assert shop.fleet.states(group) == []


def test_what_comes_back_while_it_drains_is_probed_anew(shop: Shop) -> None:
    (server,) = shop.fleet.ids(shop.servers(1))
    shop.found(server, "healthy")
    shop.drain_for(shop.group, 60)
    shop.elb.deregister_targets(TargetGroupArn=shop.group, Targets=[{"Id": server}])
    assert shop.health()[server][0] == "draining"
    shop.elb.register_targets(TargetGroupArn=shop.group, Targets=[{"Id": server}])
    assert shop.health()[server][0] == "initial"


def test_a_group_that_goes_by_its_load_balancer_replaces_what_fails_there(shop: Shop) -> None:
    group = shop.servers(1, hook(LAUNCHING), HealthCheckType="ELB", HealthCheckGracePeriod=0)
    (server,) = shop.fleet.ids(group)
    shop.fleet.complete(group, server)
    shop.found(server, "unhealthy", "Target.Timeout")
    eventually(lambda: "Terminating" in shop.fleet.states(group), "nobody replaces it")
    eventually(lambda: len(shop.fleet.ids(group) - {server}) == 1, "there is no new one")
    causes = [
        activity["Cause"]
        for activity in shop.fleet.autoscaling.describe_scaling_activities(AutoScalingGroupName=group)["Activities"]
    ]
    assert any("in response to an ELB system health check failure" in cause for cause in causes), causes


@pytest.mark.parametrize(("kind", "grace"), [("EC2", 0), ("ELB", 600)])
def test_a_group_that_goes_by_ec2_alone_or_in_its_grace_period_replaces_nobody(
    shop: Shop, kind: str, grace: int
) -> None:
    group = shop.servers(1, HealthCheckType=kind, HealthCheckGracePeriod=grace)
    (server,) = shop.fleet.ids(group)
    shop.found(server, "unhealthy", "Target.Timeout")
    time.sleep(2.5)  # two ticks of the API's clock
    assert shop.fleet.ids(group) == {server}


def test_what_the_machine_could_not_do_is_refused(shop: Shop) -> None:
    forward = [{"Type": "forward", "TargetGroupArn": shop.group}]
    several = {"TargetGroups": [{"TargetGroupArn": arn} for arn in (shop.group, shop.target_group("second"))]}
    by_address = [{"Type": "forward", "TargetGroupArn": shop.target_group("address", TargetType="ip")}]
    sticky = {"Key": "stickiness.enabled", "Value": "true"}
    listener = shop.elb.describe_listeners(LoadBalancerArn=shop.arn)["Listeners"][0]["ListenerArn"]
    for said, call in (
        ("no HTTPS", lambda: shop.listen(443, forward, "HTTPS")),
        ("no HTTPS", lambda: shop.elb.modify_listener(ListenerArn=listener, Protocol="HTTPS")),
        ("to one target group", lambda: shop.listen(81, [{"Type": "forward", "ForwardConfig": several}])),
        ("targets of type ip", lambda: shop.listen(81, by_address)),
        ("no stickiness", lambda: shop.elb.modify_target_group_attributes(
            TargetGroupArn=shop.group, Attributes=[sticky])),
        ("no rules", lambda: shop.elb.create_rule(
            ListenerArn=listener, Priority=1, Actions=forward,
            Conditions=[{"Field": "path-pattern", "Values": ["/a"]}])),
    ):  # fmt: skip
        with pytest.raises(ClientError, match=f"The lab's API does not support this: .*{said}"):
            call()
    for said, call in (
        ("DuplicateListener", lambda: shop.listen(80, forward)),
        ("DuplicateLoadBalancerName", lambda: shop.balancer(shop.name)),
        ("two different Availability Zones", lambda: shop.balancer("one", Subnets=shop.fleet.private[:1])),
    ):
        with pytest.raises(ClientError, match=said):
            call()


def test_a_target_group_has_one_load_balancer(shop: Shop) -> None:
    other = shop.balancer(f"x-{shop.fleet.unique}")["LoadBalancerArn"]
    forward = [{"Type": "forward", "TargetGroupArn": shop.group}]
    with pytest.raises(ClientError, match="TargetGroupAssociationLimit"):
        shop.elb.create_listener(LoadBalancerArn=other, Port=80, Protocol="HTTP", DefaultActions=forward)
    shop.elb.delete_load_balancer(LoadBalancerArn=other)
