"""What the program makes of AWS, read back from the API after it was really applied."""

import base64
import json
from typing import Any

import pytest

import stack
from tests.plan.applied_stack import Applied

ANYWHERE = "0.0.0.0/0"


def _rules(applied: Applied, group: str, *, egress: bool = False) -> list[dict[str, Any]]:
    filters = [{"Name": "group-id", "Values": [group]}]
    rules = applied.client("ec2").describe_security_group_rules(Filters=filters)["SecurityGroupRules"]
    return [rule for rule in rules if rule["IsEgress"] == egress]


def _security_group(applied: Applied, tier: str) -> str:
    return applied.instances(tier)[0]["NetworkInterfaces"][0]["Groups"][0]["GroupId"]


def _machine(applied: Applied, kind: str) -> dict[str, Any]:
    vpc = [{"Name": "vpc-id", "Values": [applied.outputs["vpcId"]]}]
    subnets = {each["SubnetId"] for each in applied.client("ec2").describe_subnets(Filters=vpc)["Subnets"]}
    return next(machine for machine in applied.api.control(kind) if machine["subnet"] in subnets)


def _database_group(applied: Applied) -> str:
    return _machine(applied, "db-instances")["security_groups"][0]


def _cache_group(applied: Applied) -> str:
    return _machine(applied, "replication-groups")["security_groups"][0]


def test_the_outputs_are_those_that_the_rest_reads(applied: Applied) -> None:
    assert set(applied.outputs) == stack.Outputs.__required_keys__, "alarms and a dashboard are off"
    assert applied.outputs["url"] == f"http://{applied.outputs['edgeAddress']}"


def test_subnets_are_in_two_zones_and_only_public_ones_lead_outside(applied: Applied) -> None:
    ec2, vpc = applied.client("ec2"), [{"Name": "vpc-id", "Values": [applied.outputs["vpcId"]]}]
    subnets = ec2.describe_subnets(Filters=vpc)["Subnets"]
    gateways: dict[str, str] = {}
    for table in ec2.describe_route_tables(Filters=vpc)["RouteTables"]:
        way = next((route for route in table["Routes"] if route.get("DestinationCidrBlock") == ANYWHERE), {})
        for association in table["Associations"]:
            if "SubnetId" in association:
                gateways[association["SubnetId"]] = way.get("GatewayId", way.get("NatGatewayId", "none"))
    for public in (True, False):
        kind = [subnet for subnet in subnets if gateways[subnet["SubnetId"]].startswith("igw-") == public]
        assert len({subnet["AvailabilityZone"] for subnet in kind}) == 2, f"{'public' if public else 'private'} subnets"
    assert all(gateway.startswith(("igw-", "nat-")) for gateway in gateways.values()), gateways


def test_machines_are_in_the_subnets_of_their_tier(applied: Applied) -> None:
    assert all("PublicIpAddress" in instance for instance in applied.instances("edge"))
    assert not any("PublicIpAddress" in instance for instance in applied.instances("app")), "app servers are private"
    zones = {instance["Placement"]["AvailabilityZone"] for instance in applied.instances("app")}
    assert len(zones) == 2, "two app servers, two zones"


def test_the_app_port_is_open_to_the_edge_alone(applied: Applied) -> None:
    rules = _rules(applied, _security_group(applied, "app"))
    allowed = [(rule["FromPort"], rule["ToPort"], rule["ReferencedGroupInfo"]["GroupId"]) for rule in rules]
    port = applied.outputs["appPort"]
    assert allowed == [(port, port, _security_group(applied, "edge"))]


@pytest.mark.parametrize(("group", "port"), [(_database_group, 5432), (_cache_group, 6379)])
def test_database_and_cache_are_open_to_the_app_servers_alone(applied: Applied, group: Any, port: int) -> None:
    rules = _rules(applied, group(applied))
    allowed = [(rule["FromPort"], rule["ToPort"], rule["ReferencedGroupInfo"]["GroupId"]) for rule in rules]
    assert allowed == [(port, port, _security_group(applied, "app"))]
    assert _rules(applied, group(applied), egress=True) == [], "and start no connections"


def test_the_world_reaches_only_web_ports_of_the_edge(applied: Applied) -> None:
    vpc = [{"Name": "vpc-id", "Values": [applied.outputs["vpcId"]]}]
    groups = [
        group["GroupId"] for group in applied.client("ec2").describe_security_groups(Filters=vpc)["SecurityGroups"]
    ]
    open_to_all = {
        (group, rule["FromPort"], rule["ToPort"])
        for group in groups
        for rule in _rules(applied, group)
        if rule.get("CidrIpv4") == ANYWHERE or rule.get("CidrIpv6") == "::/0"
    }
    edge = _security_group(applied, "edge")
    assert (edge, 80, 80) in open_to_all
    assert open_to_all <= {(edge, 80, 80), (edge, 443, 443)}, open_to_all


def test_the_vpcs_default_group_allows_nothing(applied: Applied) -> None:
    default = next(iter(applied.ids["aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"].values()))
    assert _rules(applied, default) == []
    assert _rules(applied, default, egress=True) == []


@pytest.mark.parametrize("tier", ["edge", "app"])
def test_machines_take_metadata_requests_with_a_token_only(applied: Applied, tier: str) -> None:
    for instance in applied.instances(tier):
        options = instance["MetadataOptions"]
        assert options["HttpTokens"] == "required"
        assert options["HttpPutResponseHopLimit"] == 1
        assert instance["IamInstanceProfile"]["Arn"], "and have a role"
        assert "KeyName" not in instance, "nobody logs in by key"


@pytest.mark.parametrize("tier", ["edge", "app"])
def test_disks_are_encrypted(applied: Applied, tier: str) -> None:
    template = applied.group(tier)["LaunchTemplate"]
    versions = applied.client("ec2").describe_launch_template_versions(
        LaunchTemplateId=template["LaunchTemplateId"], Versions=[template["Version"]]
    )
    disks = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]["BlockDeviceMappings"]
    assert disks
    assert all(disk["Ebs"]["Encrypted"] for disk in disks)


def test_app_servers_wait_for_their_hooks(applied: Applied) -> None:
    name = applied.outputs["appGroupName"]
    hooks = applied.client("autoscaling").describe_lifecycle_hooks(AutoScalingGroupName=name)["LifecycleHooks"]
    results = {hook["LifecycleTransition"]: hook["DefaultResult"] for hook in hooks}
    assert results["autoscaling:EC2_INSTANCE_LAUNCHING"] == "ABANDON", "one that never got ready is not taken"
    assert "autoscaling:EC2_INSTANCE_TERMINATING" in results, "one that leaves is drained first"
    states = {member["LifecycleState"] for member in applied.group("app")["Instances"]}
    assert states == {"Pending:Wait"}, "nothing has booted yet"


def test_the_database_is_private_encrypted_and_keeps_its_own_password(applied: Applied) -> None:
    name = _machine(applied, "db-instances")["id"]
    database = applied.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    assert database["PubliclyAccessible"] is False
    assert database["StorageEncrypted"] is True
    assert database["BackupRetentionPeriod"] >= 1
    assert database["MasterUserSecret"]["SecretArn"]
    assert _machine(applied, "db-instances")["parameters"]["rds.force_ssl"] == "1"
    assert applied.outputs["databaseEndpoint"] == f"{database['Endpoint']['Address']}:5432"


def test_the_cache_asks_for_tls_and_a_token_that_the_secret_holds(applied: Applied) -> None:
    machine = _machine(applied, "replication-groups")
    assert machine["transit_encryption"] is True
    token = applied.api.control(f"replication-groups/{machine['id']}/auth-token")["token"]
    secret = applied.ids["aws:secretsmanager/secret:Secret"]
    values = [_secret_value(applied, arn) for arn in secret.values()]
    assert token in values, "the app's secret and the cache agree"


def test_no_secret_is_in_user_data_or_in_the_outputs(applied: Applied) -> None:
    machine = _machine(applied, "replication-groups")
    secrets = [applied.api.control(f"replication-groups/{machine['id']}/auth-token")["token"]]
    credentials = json.loads(_secret_value(applied, _machine(applied, "db-instances")["secret_arn"]))
    secrets.append(credentials["password"])
    shown = json.dumps(applied.outputs)
    for tier in ("edge", "app"):
        for instance in applied.instances(tier):
            answer = applied.client("ec2").describe_instance_attribute(
                InstanceId=instance["InstanceId"], Attribute="userData"
            )
            shown += base64.b64decode(answer["UserData"]["Value"]).decode()
            shown += json.dumps(instance["Tags"])
    for secret in secrets:
        assert secret not in shown


def test_the_release_pointer_leads_to_the_artifact(applied: Applied) -> None:
    parameter = applied.client("ssm").get_parameter(Name=applied.outputs["releaseParameter"])["Parameter"]
    pointer = json.loads(parameter["Value"])
    artifact = applied.client("s3").get_object(Bucket=applied.outputs["artifactBucket"], Key=pointer["key"])
    assert artifact["Body"].read() == b"an app"
    assert pointer["sha256"].startswith(pointer["release_id"])


def test_the_artifact_bucket_is_private_versioned_and_encrypted(applied: Applied) -> None:
    s3, bucket = applied.client("s3"), applied.outputs["artifactBucket"]
    blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert all(blocked.values()), blocked
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    rules = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]


def test_default_tags_reach_what_takes_tags(applied: Applied) -> None:
    vpc = applied.client("ec2").describe_vpcs(VpcIds=[applied.outputs["vpcId"]])["Vpcs"][0]
    tags = {tag["Key"]: tag["Value"] for tag in vpc["Tags"]}
    assert tags.items() >= {"project": "expressway", "stack": "lab"}.items(), tags


def _secret_value(applied: Applied, arn: str) -> str:
    return applied.client("secretsmanager").get_secret_value(SecretId=arn)["SecretString"]
