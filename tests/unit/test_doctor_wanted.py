"""What the doctor is told of a stack is what the program asks AWS for."""

from pathlib import Path
from typing import Any, cast

import pytest
from recording import Recording, record
from test_stack import ROOT, STACKS, build, load
from test_stack import built as built  # a fixture that applies here too

import stack as program
from cli.doctor.wanted import wanted
from operate.doctor import Machines, Status, Wanted
from operate.doctor.cost import estimate
from operate.doctor.data import check_database
from operate.doctor.wanted import DISK_GB

pytestmark = pytest.mark.usefixtures("user_data")


def told(name: str) -> tuple[Wanted, Recording]:
    return wanted(load(name), ROOT), build(name)


@pytest.mark.parametrize("name", STACKS)
def test_what_is_counted_is_what_the_program_makes(name: str) -> None:
    stack, made = told(name)
    assert stack.nat_gateways == len(made.all("aws:ec2/natGateway:NatGateway"))
    assert stack.nat_gateways + 1 == len(made.all("aws:ec2/eip:Eip"))
    assert 2 * stack.zones == len(made.all("aws:ec2/subnet:Subnet"))
    database = made.one("aws:rds/instance:Instance").inputs
    assert (stack.database.instance_class, stack.database.multi_az) == (database["instanceClass"], database["multiAz"])
    assert (stack.database.version, stack.database.storage_gb) == (
        database["engineVersion"],
        database["allocatedStorage"],
    )
    cache = made.one("aws:elasticache/replicationGroup:ReplicationGroup").inputs
    assert (stack.cache.node_type, stack.cache.nodes) == (cache["nodeType"], cache["numCacheClusters"])
    counts = {item.name: item.count for item in estimate(stack).items}
    assert counts["secret"] == len(made.all("aws:secretsmanager/secret:Secret")) + 1, "and the one that RDS makes"


@pytest.mark.parametrize("name", STACKS)
def test_machines_are_told_as_the_program_makes_them(name: str) -> None:
    stack, made = told(name)
    for tier in stack.tiers:
        template = made.one("aws:ec2/launchTemplate:LaunchTemplate", f"{tier.name}-template").inputs
        group = made.one("aws:autoscaling/group:Group", f"{tier.name}-group").inputs
        assert template["instanceType"] == tier.instance_type
        assert template["blockDeviceMappings"][0]["ebs"]["volumeSize"] == DISK_GB
        assert (group["minSize"], group["maxSize"]) == (tier.fewest, tier.most)
        assert template["tagSpecifications"][0]["tags"]["Name"] == tier.name
        assert asked_for(made, tier)


@pytest.mark.parametrize("name", STACKS)
def test_the_first_finding_about_the_database_is_the_servers_connections_to_it(name: str) -> None:
    stack, made = told(name)
    finding = next(check_database(cast(Any, None), stack, []))  # before it asks for anything
    assert (finding.status, finding.check) == (Status.OK, "database")
    size = made.machine(stack.app.name)["database"]["pool_size"]
    assert f"2 x {stack.app.most} servers while rolling x ({size} in its pool + 1 to measure)" in finding.what


def test_of_a_clusters_nodes_each_is_counted_and_costs() -> None:
    prod = load("prod")
    cluster = prod.model_copy(update={"cache": prod.cache.model_copy(update={"shards": 3})})
    made = record(lambda: program.build(cluster)).one("aws:elasticache/replicationGroup:ReplicationGroup").inputs
    (item,) = [each for each in estimate(wanted(cluster, ROOT)).items if each.name.startswith("cache node")]
    assert item.count == made["numNodeGroups"] * (1 + made["replicasPerNodeGroup"]) == 6


def test_of_shards_each_is_counted_and_costs() -> None:
    prod = load("prod")
    two = prod.model_copy(update={"database": prod.database.model_copy(update={"shards": 2})})
    one, both = wanted(prod, ROOT), wanted(two, ROOT)
    assert (both.database.shards, both.database.copies) == (2, 4), "each has its standby"
    was, now = ({item.name: item.count for item in estimate(each).items} for each in (one, both))
    doubled = [name for name in now if name.startswith("database")]
    assert len(doubled) >= 2
    assert all(now[name] == 2 * was[name] for name in doubled)
    assert now["secret"] == was["secret"] + 1, "its password"
    assert {name: count for name, count in now.items() if name not in (*doubled, "secret")} == {
        name: count for name, count in was.items() if name not in (*doubled, "secret")
    }
    line = next(check_database(cast(Any, None), both, [])).what
    assert line == next(check_database(cast(Any, None), one, [])).what + ", for each of 2 shards"


def asked_for(made: Recording, tier: Machines) -> bool:
    """Whether the program looks for the tier's image with the same question."""
    key, value = tier.image_filter
    return any(
        tuple(call.get("owners") or ()) == tier.image_owners and {"name": key, "values": [value]} in call["filters"]
        for call in made.called("aws:ec2/getAmi:getAmi")
    )


def test_what_the_stack_has_already_is_known_by_its_tags() -> None:
    stack, made = told("prod")
    for kind in ("aws:ec2/vpc:Vpc", "aws:ec2/eip:Eip", "aws:ec2/natGateway:NatGateway"):
        for each in made.all(kind):
            assert stack.owns({**each.inputs["tags"], **stack.tags}), f"{kind} {each.name}"


def test_the_secrets_of_both_tiers_are_looked_for() -> None:
    dev = load("dev")
    app = dev.app.model_copy(update={"secrets": {"STRIPE_KEY": "shop/stripe"}})
    edge = dev.edge.model_copy(update={"certificate": "shop/certificate"})
    assert wanted(dev, ROOT).secrets == {}
    assert wanted(dev.model_copy(update={"app": app, "edge": edge}), ROOT).secrets == {
        "expressway:app.secrets.STRIPE_KEY": "shop/stripe",
        "expressway:edge.certificate": "shop/certificate",
    }


def test_the_backend_is_the_environments_or_the_projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    assert wanted(load("dev"), tmp_path).backend is None, "no Pulumi.yaml"
    (tmp_path / "Pulumi.yaml").write_text("name: shop\nbackend: {url: 's3://ours'}\n")
    stack = wanted(load("dev"), tmp_path)
    assert (stack.project, stack.backend) == ("shop", "s3://ours")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://theirs")
    assert wanted(load("dev"), tmp_path).backend == "s3://theirs"
    (tmp_path / "Pulumi.yaml").write_text("- not a mapping\n")
    assert wanted(load("dev"), tmp_path).project == "expressway"
