"""What the lab's provider refuses in an input, as AWS and its provider do: each fault by property and rule. No API."""

import json
from typing import Any

import pytest

from lab.provider import registry
from lab.provider.errors import InputError
from lab.provider.limits import LIMITS
from lab.provider.together import TOGETHER
from lab.provider.values import UNKNOWN, secret

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})

GROUP = "aws:autoscaling/group:Group"
HOOK = "aws:autoscaling/lifecycleHook:LifecycleHook"
SCALING = "aws:autoscaling/policy:Policy"
TEMPLATE = "aws:ec2/launchTemplate:LaunchTemplate"
VPC = "aws:ec2/vpc:Vpc"
SUBNET = "aws:ec2/subnet:Subnet"
ROUTE = "aws:ec2/route:Route"
ADDRESS = "aws:ec2/eip:Eip"
ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
SECURITY_GROUP = "aws:ec2/securityGroup:SecurityGroup"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EGRESS = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
ROLE = "aws:iam/role:Role"
ROLE_POLICY = "aws:iam/rolePolicy:RolePolicy"
PROFILE = "aws:iam/instanceProfile:InstanceProfile"
DATABASE = "aws:rds/instance:Instance"
DATABASE_SUBNETS = "aws:rds/subnetGroup:SubnetGroup"
DATABASE_PARAMETERS = "aws:rds/parameterGroup:ParameterGroup"
PROXY = "aws:rds/proxy:Proxy"
PROXY_POOL = "aws:rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup"
PROXY_TARGET = "aws:rds/proxyTarget:ProxyTarget"
CACHE = "aws:elasticache/replicationGroup:ReplicationGroup"
CACHE_SUBNETS = "aws:elasticache/subnetGroup:SubnetGroup"
CACHE_PARAMETERS = "aws:elasticache/parameterGroup:ParameterGroup"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
DASHBOARD = "aws:cloudwatch/dashboard:Dashboard"
BUCKET = "aws:s3/bucket:Bucket"
VERSIONING = "aws:s3/bucketVersioning:BucketVersioning"
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
LIFECYCLE = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
BUCKET_POLICY = "aws:s3/bucketPolicy:BucketPolicy"
OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"
SECRET = "aws:secretsmanager/secret:Secret"
PARAMETER = "aws:ssm/parameter:Parameter"

_hook = {"name": "launch", "lifecycleTransition": LAUNCHING, "defaultResult": "ABANDON", "heartbeatTimeout": 300}
_rule = {"securityGroupId": "sg-1", "ipProtocol": "tcp", "fromPort": 80, "toPort": 80, "cidrIpv4": "0.0.0.0/0"}
_ebs = {"volumeSize": 8, "volumeType": "gp3"}
_auth = {
    "authScheme": "SECRETS",
    "secretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:s",
    "iamAuth": "DISABLED",
    "clientPasswordAuthType": "POSTGRES_SCRAM_SHA_256",
}
_maintenance: dict[str, Any] = {"minHealthyPercentage": 100, "maxHealthyPercentage": 200}

SOUND: dict[str, dict[str, Any]] = {
    GROUP: {
        "minSize": 1,
        "maxSize": 3,
        "desiredCapacity": 2,
        "launchTemplate": {"id": "lt-1", "version": "1"},
        "vpcZoneIdentifiers": ["subnet-1"],
        "healthCheckType": "ELB",
        "initialLifecycleHooks": [_hook],
        "instanceMaintenancePolicy": _maintenance,
    },
    HOOK: {"autoscalingGroupName": "a", **_hook},
    SCALING: {
        "autoscalingGroupName": "a",
        "policyType": "TargetTrackingScaling",
        "targetTrackingConfiguration": {
            "targetValue": 60,
            "predefinedMetricSpecification": {"predefinedMetricType": "ASGAverageCPUUtilization"},
        },
    },
    TEMPLATE: {
        "description": "what it is",
        "userData": "I2Nsb3VkLWNvbmZpZwo=",
        "metadataOptions": {
            "httpEndpoint": "enabled",
            "httpTokens": "required",
            "httpPutResponseHopLimit": 1,
            "instanceMetadataTags": "enabled",
        },
        "blockDeviceMappings": [{"deviceName": "/dev/xvda", "ebs": _ebs}],
        "tagSpecifications": [{"resourceType": "instance", "tags": {"a": "b"}}],
    },
    VPC: {"cidrBlock": "10.0.0.0/16"},
    SUBNET: {"vpcId": "vpc-1", "cidrBlock": "10.0.0.0/20"},
    ROUTE: {"routeTableId": "rtb-1", "destinationCidrBlock": "0.0.0.0/0", "gatewayId": "igw-1"},
    ADDRESS: {"domain": "vpc"},
    ENDPOINT: {"vpcId": "vpc-1", "serviceName": "com.amazonaws.us-east-1.s3", "vpcEndpointType": "Gateway"},
    SECURITY_GROUP: {"vpcId": "vpc-1", "description": "who; may (come) in"},
    INGRESS: {**_rule, "description": "HTTP"},
    EGRESS: {**_rule, "description": "HTTP"},
    ROLE: {"assumeRolePolicy": POLICY, "description": "what it is", "path": "/machines/"},
    ROLE_POLICY: {"role": "r", "policy": json.loads(POLICY)},
    PROFILE: {"role": "r", "path": "/machines/"},
    DATABASE: {
        "engine": "postgres",
        "instanceClass": "db.t4g.micro",
        "backupRetentionPeriod": 0,
        "dbName": "app",
        "username": "owner",
        "finalSnapshotIdentifier": "app-final",
        "storageType": "gp3",
        "allocatedStorage": 20,
        "port": 5432,
    },
    DATABASE_SUBNETS: {"subnetIds": ["subnet-1"]},
    DATABASE_PARAMETERS: {
        "family": "postgres17",
        "parameters": [{"name": "rds.force_ssl", "value": "1", "applyMethod": "pending-reboot"}],
    },
    PROXY: {
        "auths": [_auth],
        "engineFamily": "POSTGRESQL",
        "idleClientTimeout": 1800,
        "roleArn": "arn:aws:iam::123456789012:role/r",
        "vpcSubnetIds": ["subnet-1", "subnet-2"],
    },
    PROXY_POOL: {
        "dbProxyName": "p",
        "connectionPoolConfig": {
            "maxConnectionsPercent": 70,
            "maxIdleConnectionsPercent": 0,
            "connectionBorrowTimeout": 0,
        },
    },
    PROXY_TARGET: {"dbProxyName": "p", "targetGroupName": "default", "dbInstanceIdentifier": "d"},
    CACHE: {
        "description": "d",
        "engine": "redis",
        "engineVersion": "7.1",
        "authToken": "a-token-of-thirty-two-characters",
        "transitEncryptionEnabled": True,
        "numCacheClusters": 2,
        "automaticFailoverEnabled": True,
        "multiAzEnabled": True,
        "snapshotRetentionLimit": 3,
        "port": 6379,
    },
    CACHE_SUBNETS: {"subnetIds": ["subnet-1"]},
    CACHE_PARAMETERS: {"family": "redis7"},
    ALARM: {
        "namespace": "Shop",
        "metricName": "Errors",
        "extendedStatistic": "p99.9",
        "comparisonOperator": "GreaterThanThreshold",
        "threshold": 5,
        "period": 10,
        "evaluationPeriods": 3,
        "treatMissingData": "breaching",
        "unit": "Count",
    },
    DASHBOARD: {"dashboardName": "a-board_1", "dashboardBody": '{"widgets": []}'},
    BUCKET: {"bucket": "a-bucket.with--hyphens"},
    VERSIONING: {"bucket": "b", "versioningConfiguration": {"status": "Enabled", "mfaDelete": "Disabled"}},
    ENCRYPTION: {"bucket": "b", "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}]},
    LIFECYCLE: {"bucket": "b", "rules": [{"id": "old", "status": "Enabled", "expiration": {"days": 30}}]},
    BUCKET_POLICY: {"bucket": "b", "policy": POLICY},
    OBJECT: {"bucket": "b", "key": "a/b"},
    SECRET: {"recoveryWindowInDays": 0},
    PARAMETER: {
        "name": "/a/b",
        "type": "String",
        "value": "x",
        "tier": "Standard",
        "description": "d",
        "allowedPattern": "x",
    },
}
"""Inputs that break no rule: what a fault is planted in."""

FAULTS: list[tuple[str, dict[str, Any], str, str]] = [
    (GROUP, {"name": "g" * 256}, "name", "1 to 255 characters, and has 256"),
    (GROUP, {"healthCheckType": "HTTP"}, "healthCheckType", "be EC2, ELB, EBS or VPC_LATTICE, and is 'HTTP'"),
    (GROUP, {"initialLifecycleHooks": [_hook | {"name": "a b"}]}, "initialLifecycleHooks[0].name", "match"),
    (
        GROUP,
        {"initialLifecycleHooks": [_hook, _hook | {"lifecycleTransition": "autoscaling:EC2_LAUNCHING"}]},
        "initialLifecycleHooks[1].lifecycleTransition",
        "be autoscaling:EC2_INSTANCE_LAUNCHING or autoscaling:EC2_INSTANCE_TERMINATING",
    ),
    (
        GROUP,
        {"initialLifecycleHooks": [_hook | {"defaultResult": "ABANDONED"}]},
        "initialLifecycleHooks[0].defaultResult",
        "be CONTINUE or ABANDON, and is 'ABANDONED'",
    ),
    (
        GROUP,
        {"initialLifecycleHooks": [_hook | {"heartbeatTimeout": 10}]},
        "initialLifecycleHooks[0].heartbeatTimeout",
        "be 30 to 7200, and is 10",
    ),
    (
        GROUP,
        {"instanceMaintenancePolicy": _maintenance | {"minHealthyPercentage": 101}},
        "instanceMaintenancePolicy.minHealthyPercentage",
        "be 0 to 100, and is 101",
    ),
    (
        GROUP,
        {"instanceMaintenancePolicy": _maintenance | {"maxHealthyPercentage": 99}},
        "instanceMaintenancePolicy.maxHealthyPercentage",
        "be 100 to 200, and is 99",
    ),
    (GROUP, {"minSize": 4}, "minSize", "not be above maxSize, 3, and is 4"),
    (GROUP, {"desiredCapacity": 4}, "desiredCapacity", "from minSize to maxSize, and is 4"),
    (HOOK, {"name": "a b"}, "name", "match"),
    (HOOK, {"lifecycleTransition": "LAUNCHING"}, "lifecycleTransition", "be autoscaling:"),
    (HOOK, {"defaultResult": "abandon"}, "defaultResult", "be CONTINUE or ABANDON"),
    (HOOK, {"heartbeatTimeout": 7201}, "heartbeatTimeout", "be 30 to 7200"),
    (SCALING, {"policyType": "TargetTracking"}, "policyType", "be SimpleScaling, StepScaling"),
    (
        SCALING,
        {"targetTrackingConfiguration": {"predefinedMetricSpecification": {"predefinedMetricType": "CPU"}}},
        "targetTrackingConfiguration.predefinedMetricSpecification.predefinedMetricType",
        "be ASGAverageCPUUtilization",
    ),
    (TEMPLATE, {"name": "t" * 126}, "name", "3 to 125 characters, and has 126"),
    (TEMPLATE, {"name": "a template"}, "name", "be letters, digits and"),
    (TEMPLATE, {"description": "d" * 256}, "description", "0 to 255 characters"),
    (TEMPLATE, {"userData": "#cloud-config"}, "userData", "be encoded in base64"),
    (TEMPLATE, {"metadataOptions": {"httpEndpoint": "on"}}, "metadataOptions.httpEndpoint", "be disabled or enabled"),
    (TEMPLATE, {"metadataOptions": {"httpTokens": "yes"}}, "metadataOptions.httpTokens", "be optional or required"),
    (
        TEMPLATE,
        {"metadataOptions": {"httpPutResponseHopLimit": 65}},
        "metadataOptions.httpPutResponseHopLimit",
        "be 1 to 64, and is 65",
    ),
    (
        TEMPLATE,
        {"metadataOptions": {"instanceMetadataTags": "yes"}},
        "metadataOptions.instanceMetadataTags",
        "be disabled or enabled",
    ),
    (
        TEMPLATE,
        {"blockDeviceMappings": [{"ebs": _ebs | {"volumeType": "gp4"}}]},
        "blockDeviceMappings[0].ebs.volumeType",
        "be standard, io1, io2, gp2, sc1, st1 or gp3, and is 'gp4'",
    ),
    (
        TEMPLATE,
        {"blockDeviceMappings": [{"ebs": _ebs | {"volumeSize": 0}}]},
        "blockDeviceMappings[0].ebs.volumeSize",
        "be 1 to 65536",
    ),
    (
        TEMPLATE,
        {"tagSpecifications": [{"resourceType": "disk", "tags": {"a": "b"}}]},
        "tagSpecifications[0].resourceType",
        "words for it, and is 'disk'",
    ),
    (VPC, {"cidrBlock": "10.0.0.1/16"}, "cidrBlock", "whose host bits are 0"),
    (VPC, {"cidrBlock": "10.0.0.0/15"}, "cidrBlock", "a prefix of /16 to /28"),
    (SUBNET, {"cidrBlock": "10.0.0.0/29"}, "cidrBlock", "a prefix of /16 to /28"),
    (ROUTE, {"destinationCidrBlock": "anywhere"}, "destinationCidrBlock", "be an IPv4 network"),
    (ROUTE, {"natGatewayId": "nat-1"}, "natGatewayId", "not be given beside gatewayId"),
    (ADDRESS, {"domain": "VPC"}, "domain", "be vpc or standard"),
    (ENDPOINT, {"vpcEndpointType": "gateway"}, "vpcEndpointType", "be Interface, Gateway"),
    (SECURITY_GROUP, {"name": "g" * 256}, "name", "1 to 255 characters"),
    (SECURITY_GROUP, {"name": "sg-a"}, "name", "not begin with sg-"),
    (SECURITY_GROUP, {"description": "d" * 256}, "description", "0 to 255 characters"),
    (SECURITY_GROUP, {"description": "what's in"}, "description", "be letters, digits, spaces and"),
    *(
        fault
        for kind in (INGRESS, EGRESS)
        for fault in (
            (kind, {"fromPort": -2}, "fromPort", "be -1 to 65535"),
            (kind, {"toPort": 65536}, "toPort", "be -1 to 65535"),
            (kind, {"cidrIpv4": "10.0.0.1/8"}, "cidrIpv4", "whose host bits are 0"),
            (kind, {"description": "d" * 256}, "description", "0 to 255 characters"),
            (kind, {"description": "what's in"}, "description", "be letters, digits, spaces and"),
            (kind, {"cidrIpv6": "::/0"}, "cidrIpv6", "not be given beside cidrIpv4: a rule has one peer"),
            (kind, {"ipProtocol": "-1"}, "fromPort", "not be given with the ipProtocol -1"),
            (kind, {"fromPort": 81}, "fromPort", "not be above toPort, 80, and is 81"),
        )
    ),
    (ROLE, {"name": "r" * 65}, "name", "1 to 64 characters, and has 65"),
    (ROLE, {"assumeRolePolicy": "{"}, "assumeRolePolicy", "be JSON"),
    (ROLE, {"assumeRolePolicy": "[]"}, "assumeRolePolicy", "be a JSON object"),
    (ROLE, {"description": "d" * 1001}, "description", "0 to 1000 characters"),
    (ROLE, {"path": "machines"}, "path", "match"),
    (ROLE_POLICY, {"name": "p" * 129}, "name", "1 to 128 characters"),
    (ROLE_POLICY, {"policy": "{}"}, "policy", "have a Statement"),
    (PROFILE, {"name": "p" * 129}, "name", "1 to 128 characters"),
    (PROFILE, {"path": "machines"}, "path", "match"),
    (DATABASE, {"identifier": "d" * 64}, "identifier", "1 to 63 characters, and has 64"),
    (DATABASE, {"identifier": "a--b"}, "identifier", "single hyphens"),
    (DATABASE, {"backupRetentionPeriod": 36}, "backupRetentionPeriod", "be 0 to 35, and is 36"),
    (DATABASE, {"backupWindow": "3:00-4:00"}, "backupWindow", "be hh:mm-hh:mm"),
    (DATABASE, {"databaseInsightsMode": "none"}, "databaseInsightsMode", "be standard or advanced"),
    (DATABASE, {"maxAllocatedStorage": 4}, "maxAllocatedStorage", "be 5 to 65536, and is 4"),
    (DATABASE, {"maintenanceWindow": "05:00-06:00"}, "maintenanceWindow", "be ddd:hh:mm-ddd:hh:mm"),
    (DATABASE, {"dbName": "1app"}, "dbName", "not begin with a digit"),
    (DATABASE, {"username": "an owner"}, "username", "begin with a letter"),
    (DATABASE, {"finalSnapshotIdentifier": "a--b"}, "finalSnapshotIdentifier", "single hyphens"),
    (DATABASE, {"finalSnapshotIdentifier": "a" * 256}, "finalSnapshotIdentifier", "1 to 255 characters"),
    (DATABASE, {"storageType": "gp4"}, "storageType", "be standard, gp2, gp3, io1 or io2, and is 'gp4'"),
    (DATABASE, {"allocatedStorage": 4}, "allocatedStorage", "be 5 to 65536"),
    (DATABASE, {"port": 80}, "port", "be 1150 to 65535"),
    (DATABASE_SUBNETS, {"name": "n" * 256}, "name", "1 to 255 characters"),
    (DATABASE_SUBNETS, {"name": "Group"}, "name", "be lower-case letters"),
    (DATABASE_PARAMETERS, {"name": "n" * 256}, "name", "1 to 255 characters"),
    (DATABASE_PARAMETERS, {"name": "Group"}, "name", "be lower-case letters"),
    (
        DATABASE_PARAMETERS,
        {"parameters": [{"name": "a", "value": "1", "applyMethod": "later"}]},
        "parameters[0].applyMethod",
        "be immediate or pending-reboot",
    ),
    (PROXY, {"name": "p" * 64}, "name", "1 to 63 characters, and has 64"),
    (PROXY, {"name": "Proxy"}, "name", "be lower-case letters"),
    (PROXY, {"engineFamily": "ORACLE"}, "engineFamily", "be MYSQL, POSTGRESQL or SQLSERVER, and is 'ORACLE'"),
    (PROXY, {"idleClientTimeout": 28801}, "idleClientTimeout", "be 1 to 28800, and is 28801"),
    (PROXY, {"auths": [_auth | {"authScheme": "KEYS"}]}, "auths[0].authScheme", "be SECRETS, and is 'KEYS'"),
    (PROXY, {"auths": [_auth | {"iamAuth": "ON"}]}, "auths[0].iamAuth", "be DISABLED, REQUIRED or ENABLED"),
    (
        PROXY,
        {"auths": [_auth | {"clientPasswordAuthType": "MD5"}]},
        "auths[0].clientPasswordAuthType",
        "POSTGRES_SCRAM_SHA_256",
    ),
    *(
        (PROXY_POOL, {"connectionPoolConfig": {key: most + 1}}, f"connectionPoolConfig.{key}", f"{least} to {most}")
        for key, least, most in (
            ("maxConnectionsPercent", 1, 100),
            ("maxIdleConnectionsPercent", 0, 100),
            ("connectionBorrowTimeout", 0, 300),
        )
    ),
    (PROXY_TARGET, {"dbClusterIdentifier": "c"}, "dbInstanceIdentifier", "not be given beside dbClusterIdentifier"),
    (CACHE, {"replicationGroupId": "c" * 41}, "replicationGroupId", "1 to 40 characters, and has 41"),
    (CACHE, {"replicationGroupId": "c-"}, "replicationGroupId", "not end with a hyphen"),
    (CACHE, {"engine": "memcached"}, "engine", "be redis or valkey"),
    (CACHE, {"engineVersion": "7.1.0"}, "engineVersion", "such as 7.1, and is '7.1.0'"),
    (CACHE, {"authToken": "a" * 15}, "authToken", "16 to 128 characters, and has 15"),
    (CACHE, {"authToken": "/" * 16}, "authToken", "be letters, digits and"),
    (CACHE, {"transitEncryptionMode": "both"}, "transitEncryptionMode", "be preferred or required"),
    (CACHE, {"numCacheClusters": 7}, "numCacheClusters", "be 1 to 6"),
    (CACHE, {"numNodeGroups": 501, "numCacheClusters": None}, "numNodeGroups", "be 1 to 500, and is 501"),
    (
        CACHE,
        {"replicasPerNodeGroup": 6, "numNodeGroups": 2, "numCacheClusters": None},
        "replicasPerNodeGroup",
        "0 to 5",
    ),
    (CACHE, {"numNodeGroups": 2}, "numCacheClusters", "not be given beside numNodeGroups"),
    (CACHE, {"replicasPerNodeGroup": 1}, "replicasPerNodeGroup", "be given beside numNodeGroups alone"),
    (
        CACHE,
        {"numNodeGroups": 2, "numCacheClusters": None, "multiAzEnabled": None, "automaticFailoverEnabled": False},
        "automaticFailoverEnabled",
        "be true with numNodeGroups of 2 or more",
    ),
    (CACHE, {"snapshotRetentionLimit": 36}, "snapshotRetentionLimit", "be 0 to 35"),
    (CACHE, {"snapshotWindow": "3:00-4:00"}, "snapshotWindow", "be such as 03:00-04:00"),
    (CACHE, {"maintenanceWindow": "05:00-06:00"}, "maintenanceWindow", "be such as sun:05:00-sun:06:00"),
    (CACHE, {"port": 0}, "port", "be 1 to 65535"),
    (CACHE, {"numCacheClusters": 1}, "numCacheClusters", "be 2 or more with automaticFailoverEnabled, and is 1"),
    (CACHE, {"automaticFailoverEnabled": None}, "automaticFailoverEnabled", "be true with multiAzEnabled"),
    (CACHE, {"transitEncryptionEnabled": False}, "transitEncryptionEnabled", "be true with authToken"),
    (CACHE_SUBNETS, {"name": "n" * 256}, "name", "1 to 255 characters"),
    (CACHE_SUBNETS, {"name": "a b"}, "name", "be letters, digits and hyphens"),
    (CACHE_PARAMETERS, {"name": "n" * 256}, "name", "1 to 255 characters"),
    (CACHE_PARAMETERS, {"name": "1a"}, "name", "begin with a letter"),
    (ALARM, {"name": "n" * 256}, "name", "1 to 255 characters, and has 256"),
    (ALARM, {"alarmDescription": "d" * 1025}, "alarmDescription", "0 to 1024 characters, and has 1025"),
    (ALARM, {"comparisonOperator": "Above"}, "comparisonOperator", "be "),
    (ALARM, {"statistic": "Mean", "extendedStatistic": None}, "statistic", "be SampleCount, Average, Sum"),
    (ALARM, {"extendedStatistic": "p101"}, "extendedStatistic", "a percentile such as p95"),
    (ALARM, {"statistic": "Sum"}, "extendedStatistic", "not be given beside statistic"),
    (ALARM, {"evaluationPeriods": 0}, "evaluationPeriods", "be 1 to 86400"),
    (ALARM, {"treatMissingData": "ok"}, "treatMissingData", "be breaching, notBreaching, ignore or missing"),
    (ALARM, {"unit": "Errors"}, "unit", "words for it"),
    (DASHBOARD, {"dashboardName": "n" * 256}, "dashboardName", "1 to 255 characters"),
    (DASHBOARD, {"dashboardName": "a board"}, "dashboardName", "be letters, digits, hyphens"),
    (DASHBOARD, {"dashboardBody": "{}"}, "dashboardBody", "have a widgets"),
    (BUCKET, {"bucket": "b" * 64}, "bucket", "3 to 63 characters, and has 64"),
    (BUCKET, {"bucket": "Bucket"}, "bucket", "be lower-case letters"),
    (BUCKET, {"bucket": "a..b"}, "bucket", "single dots"),
    (
        VERSIONING,
        {"versioningConfiguration": {"status": "On"}},
        "versioningConfiguration.status",
        "be Enabled, Suspended or Disabled",
    ),
    (
        VERSIONING,
        {"versioningConfiguration": {"mfaDelete": "On"}},
        "versioningConfiguration.mfaDelete",
        "be Enabled or Disabled",
    ),
    (
        ENCRYPTION,
        {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES"}}]},
        "rules[0].applyServerSideEncryptionByDefault.sseAlgorithm",
        "be AES256",
    ),
    (
        LIFECYCLE,
        {"rules": [{"id": "x" * 256, "status": "Enabled", "expiration": {"days": 1}}]},
        "rules[0].id",
        "1 to 255",
    ),
    (LIFECYCLE, {"rules": [{"status": "On", "expiration": {"days": 1}}]}, "rules[0].status", "be Enabled or Disabled"),
    (LIFECYCLE, {"rules": [{"status": "Enabled", "filter": {}}]}, "rules[0]", "have an action"),
    (BUCKET_POLICY, {"policy": "{"}, "policy", "be JSON"),
    (OBJECT, {"key": "k" * 1025}, "key", "1 to 1024 characters"),
    (SECRET, {"name": "n" * 513}, "name", "1 to 512 characters"),
    (SECRET, {"name": "a b"}, "name", "be letters, digits and"),
    (SECRET, {"recoveryWindowInDays": 6}, "recoveryWindowInDays", "be 0 or 7 to 30, and is 6"),
    (PARAMETER, {"name": "/a b"}, "name", "be letters, digits and"),
    (PARAMETER, {"name": "/AWS/a"}, "name", "not begin with aws or ssm"),
    (PARAMETER, {"type": "Text"}, "type", "be String, StringList or SecureString"),
    (PARAMETER, {"tier": "Basic"}, "tier", "be Standard, Advanced or Intelligent-Tiering"),
    (PARAMETER, {"description": "d" * 1025}, "description", "0 to 1024 characters"),
    (PARAMETER, {"allowedPattern": "d" * 1025}, "allowedPattern", "0 to 1024 characters"),
]


def check(kind: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """As the provider does before anything else; the logical name is one that every type takes."""
    return registry.resource(kind).check("it", inputs, {}, "0a1b2c3")


@pytest.mark.parametrize("kind", SOUND)
def test_sound_inputs_are_taken(kind: str) -> None:
    check(kind, SOUND[kind])


@pytest.mark.parametrize(("kind", "fault", "where", "words"), FAULTS, ids=lambda value: str(value)[:60])
def test_a_fault_is_refused_by_property_and_rule(kind: str, fault: dict[str, Any], where: str, words: str) -> None:
    with pytest.raises(InputError) as raised:
        check(kind, SOUND[kind] | fault)
    assert [error.input for error in raised.value.each] == [where], str(raised.value)
    assert str(raised.value).startswith(f"{where} must ")
    assert words in str(raised.value)


def test_every_rule_has_a_fault_that_it_refuses() -> None:
    types = {kind for kind, *_ in FAULTS}
    assert types >= LIMITS.keys() | TOGETHER.keys(), "each type with limits"
    for kind, limits in LIMITS.items():
        for path, rules in limits.items():
            broken = {rule for rule in rules for fault in FAULTS if _breaks(kind, path, rule, fault)}
            assert broken == set(rules), f"{kind} {path}: a fault for each rule"


def _breaks(kind: str, path: str, rule: Any, fault: tuple[str, dict[str, Any], str, str]) -> bool:
    where = fault[2].replace("[0]", "[]").replace("[1]", "[]")
    if (kind, path) != (fault[0], where) or path.partition(".")[0].removesuffix("[]") not in fault[1]:
        return False
    value: Any = fault[1]
    for step in path.split("."):
        value = value[step.removesuffix("[]")]
        value = value[-1] if step.endswith("[]") else value
    return bool(rule.demand(value))


def test_every_rule_says_where_it_is_from() -> None:
    rules = [rule for limits in LIMITS.values() for several in limits.values() for rule in several]
    assert rules
    assert all(rule.source.startswith(("https://docs.aws.amazon.com/", "terraform-", "the service")) for rule in rules)


def test_all_faults_of_a_resource_are_told_at_once() -> None:
    with pytest.raises(InputError) as raised:
        check(DATABASE, {"engine": "postgres", "port": 80, "backupRetentionPeriod": 36, "colour": "red"})
    assert {error.input for error in raised.value.each} == {"colour", "instanceClass", "port", "backupRetentionPeriod"}
    assert "port must be 1150 to 65535, and is 80" in str(raised.value)


def test_a_value_that_is_not_known_yet_is_not_judged() -> None:
    unknown = {"numCacheClusters": UNKNOWN, "authToken": secret(UNKNOWN), "transitEncryptionEnabled": UNKNOWN}
    check(CACHE, SOUND[CACHE] | unknown)
    check(GROUP, SOUND[GROUP] | {"minSize": UNKNOWN, "initialLifecycleHooks": UNKNOWN})


def test_a_secret_is_judged_and_not_shown() -> None:
    for token in (secret("/hush/" * 4), secret("/hush")):
        with pytest.raises(InputError, match="authToken must ") as raised:
            check(CACHE, SOUND[CACHE] | {"authToken": token})
        assert "hush" not in str(raised.value)
    with pytest.raises(InputError) as raised:
        check(TEMPLATE, {"metadataOptions": secret({"httpTokens": "hush"})})
    assert "hush" not in str(raised.value)


def test_a_name_made_from_the_logical_one_is_judged_too() -> None:
    with pytest.raises(InputError, match="bucket must be lower-case letters, digits, hyphens"):
        registry.resource(BUCKET).check("my_bucket", {}, {}, "0a1b2c3")
