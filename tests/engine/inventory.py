"""What the API has, to see that nothing is left over."""

import json
from typing import Any

from tests.plan.lab_api_server import ApiServer


def inventory(api: ApiServer) -> dict[str, Any]:
    """What the API has, by name or id."""
    ec2, elasticache = api.client("ec2"), api.client("elasticache")
    return {
        "vpcs": {each["VpcId"] for each in ec2.describe_vpcs()["Vpcs"]},
        "subnets": {each["SubnetId"] for each in ec2.describe_subnets()["Subnets"]},
        "security groups": {each["GroupId"] for each in ec2.describe_security_groups()["SecurityGroups"]},
        "gateways": {each["InternetGatewayId"] for each in ec2.describe_internet_gateways()["InternetGateways"]},
        "nat gateways": {
            each["NatGatewayId"] for each in ec2.describe_nat_gateways()["NatGateways"] if each["State"] != "deleted"
        },
        "addresses": {each["AllocationId"] for each in ec2.describe_addresses()["Addresses"]},
        "launch templates": {each["LaunchTemplateId"] for each in ec2.describe_launch_templates()["LaunchTemplates"]},
        "machines": {
            each["InstanceId"]
            for reservation in ec2.describe_instances()["Reservations"]
            for each in reservation["Instances"]
            if each["State"]["Name"] not in ("terminated", "shutting-down")
        },
        "groups": {
            each["AutoScalingGroupName"]
            for each in api.client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"]
        },
        "databases": {
            each["DBInstanceIdentifier"] for each in api.client("rds").describe_db_instances()["DBInstances"]
        },
        "caches": {
            each["ReplicationGroupId"] for each in elasticache.describe_replication_groups()["ReplicationGroups"]
        },
        "buckets": {each["Name"] for each in api.client("s3").list_buckets()["Buckets"]},
        "roles": {each["RoleName"] for each in api.client("iam").list_roles()["Roles"]},
        "parameters": {each["Name"] for each in api.client("ssm").describe_parameters()["Parameters"]},
        "secrets": {each["Name"] for each in api.client("secretsmanager").list_secrets()["SecretList"]},
    }


def secret_values(api: ApiServer) -> dict[str, str]:
    """What is behind each secret, by its name: the cache's token, and the password that RDS made."""
    manager = api.client("secretsmanager")
    values: dict[str, str] = {}
    for entry in manager.list_secrets()["SecretList"]:
        value = manager.get_secret_value(SecretId=entry["ARN"])["SecretString"]
        values[entry["Name"]] = json.loads(value)["password"] if value.startswith("{") else value
    return values
