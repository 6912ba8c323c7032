"""RDS, ElastiCache, EC2 and S3 in the lab's API, and the control surface that the lab itself uses."""

import io
import json
import re
import uuid
from typing import Any

import pytest
import requests
from botocore.exceptions import ClientError

from lab.network.addresses import HOST, PUBLIC
from tests.plan.lab_api_server import NEW_EDGE, PLAIN_X86, ApiServer
from tests.plan.lab_fleet import Fleet
from tests.plan.lab_services import TOKEN, create_cache, create_database, machine_of


@pytest.fixture(scope="module")
def fleet(api: ApiServer) -> Fleet:
    return Fleet(api)


def test_a_managed_password_is_random_and_belongs_to_the_master_user(api: ApiServer, fleet: Fleet) -> None:
    secrets = api.client("secretsmanager")
    credentials: list[dict[str, str]] = []
    for database in (create_database(api, fleet), create_database(api, fleet)):
        arn = database["MasterUserSecret"]["SecretArn"]
        assert ":secret:rds!db-" in arn, "RDS's own name for such a secret"
        credentials.append(json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"]))
    assert [each["username"] for each in credentials] == ["owner", "owner"]
    assert credentials[0]["password"] != credentials[1]["password"], "each database has its own password"
    assert len(credentials[0]["password"]) >= 20


def test_a_database_is_creating_until_the_lab_says_that_it_is_available(api: ApiServer, fleet: Fleet) -> None:
    name = create_database(api, fleet)["DBInstanceIdentifier"]
    describe = api.client("rds").describe_db_instances
    for _ in range(2):
        assert describe(DBInstanceIdentifier=name)["DBInstances"][0]["DBInstanceStatus"] == "creating"
    api.control(f"db-instances/{name}", "PUT", {"status": "available"})
    assert describe(DBInstanceIdentifier=name)["DBInstances"][0]["DBInstanceStatus"] == "available"


def test_the_lab_learns_what_to_run_behind_a_database(api: ApiServer, fleet: Fleet) -> None:
    database = create_database(api, fleet)
    machine = machine_of(api, "db-instances", database["DBInstanceIdentifier"])
    name = database["DBInstanceIdentifier"]
    assert re.fullmatch(rf"{name}\.c[0-9a-f]{{11}}\.us-east-1\.rds\.amazonaws\.com", machine["endpoint"])
    assert machine["endpoint"] == database["Endpoint"]["Address"]
    assert machine["engine_version"] == "17.6", "a major version means its newest minor one"
    assert machine["parameters"] == {"rds.force_ssl": "1"}
    assert (machine["port"], machine["name"]) == (5432, "app")
    assert machine["secret_arn"] == database["MasterUserSecret"]["SecretArn"]
    interfaces = fleet.ec2.describe_network_interfaces()["NetworkInterfaces"]
    interface = next(each for each in interfaces if name in each["Description"])
    assert interface["PrivateIpAddress"] == machine["address"]
    assert interface["SubnetId"] in fleet.private, "and is in a subnet of the group"
    assert [group["GroupId"] for group in interface["Groups"]] == [fleet.security_group]


def test_a_postgresql_that_does_not_exist_is_refused(api: ApiServer, fleet: Fleet) -> None:
    with pytest.raises(ClientError, match="Cannot find version 99 for postgres"):
        create_database(api, fleet, version="99")


def test_a_deleted_database_gives_its_interface_back(api: ApiServer, fleet: Fleet) -> None:
    name = create_database(api, fleet)["DBInstanceIdentifier"]
    api.client("rds").delete_db_instance(DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    interfaces = fleet.ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert not [each for each in interfaces if name in each["Description"]]


def test_a_cache_has_as_many_members_as_asked_for_in_different_zones(api: ApiServer, fleet: Fleet) -> None:
    group = create_cache(api, fleet, nodes=2)
    machine = machine_of(api, "replication-groups", group["ReplicationGroupId"])
    assert len(group["MemberClusters"]) == len(machine["nodes"]) == 2
    assert [node["role"] for node in machine["nodes"]] == ["primary", "replica"]
    assert {node["subnet"] for node in machine["nodes"]} == set(fleet.private)
    assert machine["address"] == machine["nodes"][0]["address"], "clients write to the primary"
    name = group["ReplicationGroupId"]
    assert re.fullmatch(rf"master\.{name}\.\w+\.use1\.cache\.amazonaws\.com", machine["endpoint"])
    assert machine["parameters"] == {"maxmemory-policy": "allkeys-lru"}


def test_an_auth_token_is_told_to_the_lab_and_never_shown(api: ApiServer, fleet: Fleet) -> None:
    name = create_cache(api, fleet, nodes=1)["ReplicationGroupId"]
    shown = json.dumps(api.client("elasticache").describe_replication_groups(), default=str)
    assert TOKEN not in shown, "no description has it"
    assert TOKEN not in json.dumps(api.control("replication-groups")), "nor has the list of machines"
    assert api.control(f"replication-groups/{name}/auth-token") == {"token": TOKEN}


def test_a_cache_is_creating_until_the_lab_says_that_it_is_available(api: ApiServer, fleet: Fleet) -> None:
    name = create_cache(api, fleet, nodes=1)["ReplicationGroupId"]
    describe = api.client("elasticache").describe_replication_groups
    assert describe(ReplicationGroupId=name)["ReplicationGroups"][0]["Status"] == "creating"
    api.control(f"replication-groups/{name}", "PUT", {"status": "available"})
    assert describe(ReplicationGroupId=name)["ReplicationGroups"][0]["Status"] == "available"
    with pytest.raises(requests.HTTPError, match="400"):
        api.control(f"replication-groups/{name}", "PUT", {"status": "happy"})
    with pytest.raises(requests.HTTPError, match="404"):
        api.control("replication-groups/nobody", "PUT", {"status": "available"})


def test_a_redis_that_does_not_exist_is_refused(api: ApiServer, fleet: Fleet) -> None:
    with pytest.raises(ClientError, match=r"Cannot find version 6\.9 for redis"):
        create_cache(api, fleet, nodes=1, version="6.9")


def test_public_addresses_are_the_labs_own_and_different(fleet: Fleet) -> None:
    addresses = [fleet.ec2.allocate_address(Domain="vpc") for _ in range(3)]
    public = [address["PublicIp"] for address in addresses]
    assert len(set(public)) == 3
    assert all(each.startswith("198.51.100.") for each in public), public
    fleet.ec2.release_address(AllocationId=addresses[-1]["AllocationId"])
    assert fleet.ec2.allocate_address(Domain="vpc")["PublicIp"] not in public, "one just released rests"


def test_every_public_address_is_given_but_never_that_of_the_host(fleet: Fleet) -> None:
    given: dict[str, str] = {}

    def take_all() -> None:
        for _ in range(PUBLIC.num_addresses):
            address = fleet.ec2.allocate_address(Domain="vpc")
            given[address["PublicIp"]] = address["AllocationId"]

    with pytest.raises(ClientError, match="InsufficientAddressCapacity"):
        take_all()
    for allocation in given.values():
        fleet.ec2.release_address(AllocationId=allocation)
    assert len(given) > 200, "nearly the whole network: other tests have some"
    assert str(HOST) not in given, "machines see this host at it"


def test_an_elastic_address_is_free_again_when_its_instance_ends(fleet: Fleet) -> None:
    group = fleet.create(1, VPCZoneIdentifier=fleet.public)
    instance = fleet.ids(group).pop()
    address = fleet.ec2.allocate_address(Domain="vpc")
    fleet.ec2.associate_address(AllocationId=address["AllocationId"], InstanceId=instance)
    assert fleet.instance(instance)["PublicIpAddress"] == address["PublicIp"]
    fleet.autoscaling.delete_auto_scaling_group(AutoScalingGroupName=group, ForceDelete=True)
    found = fleet.ec2.describe_addresses(AllocationIds=[address["AllocationId"]])["Addresses"][0]
    assert not found.get("InstanceId"), "the next edge can claim it without taking it from a dead one"
    assert not found.get("AssociationId")


def test_images_are_those_given_to_the_lab(fleet: Fleet) -> None:
    find = fleet.ec2.describe_images
    plain = find(Owners=["136693071363"], Filters=[{"Name": "name", "Values": ["debian-13-amd64-*"]}])["Images"]
    assert [image["ImageId"] for image in plain] == [PLAIN_X86.id], "Debian's own"
    mine = find(Owners=["self"], Filters=[{"Name": "name", "Values": ["expressway-edge-*"]}])["Images"]
    assert max(mine, key=lambda image: image["CreationDate"])["ImageId"] == NEW_EDGE.id, "the newest of the lab's"
    with pytest.raises(ClientError, match="InvalidAMIID"):
        fleet.ec2.run_instances(ImageId="ami-0123456789abcdef0", MinCount=1, MaxCount=1)


def test_a_bucket_policys_condition_decides_whether_its_statement_applies(api: ApiServer) -> None:
    s3, bucket = api.client("s3"), uuid.uuid4().hex
    s3.create_bucket(Bucket=bucket)

    def deny(condition: dict[str, Any]) -> str:
        everything = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": f"arn:aws:s3:::{bucket}/*"}
        return json.dumps({"Version": "2012-10-17", "Statement": [everything | condition]})

    plain_http = {"Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    s3.put_bucket_policy(Bucket=bucket, Policy=deny(plain_http))
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    with pytest.raises(ClientError, match="does not support"):
        s3.put_bucket_policy(Bucket=bucket, Policy=deny({"Condition": {"StringEquals": {"aws:SourceVpc": "vpc-1"}}}))
    s3.put_bucket_policy(Bucket=bucket, Policy=deny({}))
    with pytest.raises(ClientError, match="403"):
        s3.put_object(Bucket=bucket, Key="a", Body=b"a")


def test_the_version_counts_changes_and_no_reading(api: ApiServer, fleet: Fleet) -> None:
    before = api.control("version")
    fleet.ec2.describe_instances()
    api.client("ssm").describe_parameters()
    assert api.control("version") == before, "reading changes nothing"
    api.client("ssm").put_parameter(Name=f"/{uuid.uuid4()}", Type="String", Value="x")
    assert api.control("version") != before


def test_a_large_upload_arrives_and_leaves_whole_over_one_connection(api: ApiServer) -> None:
    s3, bucket, content = api.client("s3"), uuid.uuid4().hex, b"x" * 9_000_000
    s3.create_bucket(Bucket=bucket)
    for key in ("one", "two"):
        s3.upload_fileobj(io.BytesIO(content), bucket, key)
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == content


def test_a_call_that_the_lab_does_not_have_says_so(api: ApiServer) -> None:
    with pytest.raises(ClientError, match="The lab's API does not support this"):
        api.client("autoscaling").describe_termination_policy_types()
    with pytest.raises(requests.HTTPError, match="404"):
        api.control("nothing-like-that")
