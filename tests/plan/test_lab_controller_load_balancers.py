"""From what the API says of a load balancer to its machine, its name, its way in, and what it is to do."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.config import LabConfig
from lab.controller.api import Api
from lab.controller.health import HealthRelay
from lab.controller.identity import Identities
from lab.controller.plan import Reconfiguration, Service, Wanted
from lab.controller.wanted import wanted
from lab.machines.services import load_balancer
from lab.network.model import WayOut
from tests.plan.lab_api_server import ApiServer, running_api

CONFIG = LabConfig(0, "us-east-1", {}, {"haproxy": ["/image"]})


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API with one load balancer, in the region's own VPC, and nothing else."""
    with running_api(tmp_path_factory.mktemp("controller")) as server:
        ec2, elb = server.client("ec2"), server.client("elbv2")
        subnets = ec2.describe_subnets()["Subnets"][:2]
        made = elb.create_load_balancer(Name="shop", Subnets=[subnet["SubnetId"] for subnet in subnets])
        group = elb.create_target_group(Name="shop", Protocol="HTTP", Port=3000, VpcId=subnets[0]["VpcId"])
        forward = {"Type": "forward", "TargetGroupArn": group["TargetGroups"][0]["TargetGroupArn"]}
        arn = made["LoadBalancers"][0]["LoadBalancerArn"]
        elb.create_listener(LoadBalancerArn=arn, Port=80, Protocol="HTTP", DefaultActions=[forward])
        gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
        ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=subnets[0]["VpcId"])
        table = ec2.describe_route_tables()["RouteTables"][0]["RouteTableId"]
        ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
        yield server


def should(api: ApiServer) -> Wanted:
    return wanted(Api(api.endpoint, "us-east-1").read(), CONFIG, Path("/authority"))


def service(api: ApiServer) -> Service:
    (found,) = should(api).services
    return found


def test_it_is_a_machine_that_the_world_reaches_and_its_name_leads_there(api: ApiServer) -> None:
    (told,) = api.control("load-balancers")
    (machine,) = should(api).network.machines
    assert (str(machine.address), str(machine.public_address)) == (told["address"], told["public_address"])
    assert machine.way_out is WayOut.INTERNET_GATEWAY
    assert machine.groups == set(told["security_groups"])
    assert f"{told['public_address']} {told['endpoint']}\n" in should(api).records, "the public one, as on AWS"


def test_what_it_is_to_do_is_carried_out_once(api: ApiServer) -> None:
    change = service(api).change
    assert isinstance(change, Reconfiguration), change
    assert json.loads(change.configuration)["listeners"]["80"]["type"] == "forward"
    client = Api(api.endpoint, "us-east-1")
    client.put(f"load-balancers/{service(api).id}/configuration/{change.version}")
    assert service(api).change is None


def test_its_machine_is_told_the_program(api: ApiServer, tmp_path: Path) -> None:
    client = Api(api.endpoint, "us-east-1")
    identities = Identities(client, tmp_path, "us-east-1")
    identities.update(client.read())
    found = identities.lookup(api.control("load-balancers")[0]["address"])
    assert found is not None
    assert found.user_data == load_balancer.user_data()


def test_what_its_probes_find_is_told_to_the_api_when_it_changes(api: ApiServer, tmp_path: Path) -> None:
    class Told(Api):
        texts: list[str]

        def report_health(self, load_balancer: str, found: str) -> None:
            self.texts.append(found)
            super().report_health(load_balancer, found)

    client = Told(api.endpoint, "us-east-1")
    client.texts = []
    relay, balancer = HealthRelay(client, tmp_path), service(api)
    relay.relay([balancer])
    file = tmp_path / balancer.machines[0] / "upper" / load_balancer.HEALTH
    file.parent.mkdir(parents=True)
    for text in ("{}", "{}", '{"other": {}}'):
        file.write_text(text)
        relay.relay([balancer])
    assert client.texts == ["{}", '{"other": {}}']
