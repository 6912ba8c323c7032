"""RDS."""

from typing import Any

from tests.plan.provider_cases import Case, Together
from tests.plan.provider_world import World


def _instance(world: World) -> dict[str, Any]:
    return {
        "engine": "postgres",
        "engineVersion": "17.5",
        "instanceClass": "db.t4g.micro",
        "allocatedStorage": 20,
        "storageType": "gp3",
        "storageEncrypted": True,
        "dbName": "app",
        "username": "owner",
        "manageMasterUserPassword": True,
        "dbSubnetGroupName": world.database_subnets(),
        "parameterGroupName": world.database_parameters(),
        "multiAz": True,
        "port": 5432,
        "backupRetentionPeriod": 7,
        "performanceInsightsEnabled": True,
        "skipFinalSnapshot": True,
        "finalSnapshotIdentifier": world.unique("final"),
        "applyImmediately": True,
    }


def _auth(world: World) -> dict[str, Any]:
    return {
        "authScheme": "SECRETS",
        "clientPasswordAuthType": "POSTGRES_SCRAM_SHA_256",
        "iamAuth": "DISABLED",
        "secretArn": world.secret(),
    }


CASES = (
    Case(
        "aws:rds/subnetGroup:SubnetGroup",
        make=lambda world: {"subnetIds": world.subnets[:2], "description": "where they are"},
        changes={
            "name": lambda world: world.unique("subnets"),
            "subnetIds": lambda world: world.subnets,
            "description": None,
        },
    ),
    Case(
        "aws:rds/parameterGroup:ParameterGroup",
        make=lambda world: {
            "family": "postgres17",
            # By name, as RDS tells them.
            "parameters": [
                {"name": "max_connections", "value": "100", "applyMethod": "pending-reboot"},
                {"name": "rds.force_ssl", "value": "1"},
                {"name": "work_mem", "value": "8192"},
            ],
        },
        changes={
            "name": lambda world: world.unique("parameters"),
            "family": "postgres16",
            "description": "how they are",
            "parameters": [
                {"name": "log_statement", "value": "ddl"},
                {"name": "max_connections", "value": "100", "applyMethod": "pending-reboot"},
                {"name": "rds.force_ssl", "value": "0"},
            ],
        },
    ),
    Case(
        "aws:rds/instance:Instance",
        make=_instance,
        changes={
            "allocatedStorage": 30,
            "autoMinorVersionUpgrade": False,
            "backupRetentionPeriod": 14,
            "backupWindow": "03:00-03:30",
            "copyTagsToSnapshot": True,
            "databaseInsightsMode": "standard",
            "dbName": "other",
            "dbSubnetGroupName": lambda world: world.database_subnets(world.other_subnets),
            "deletionProtection": True,
            "enabledCloudwatchLogsExports": ["postgresql"],
            "engine": "mysql",
            "engineVersion": "17.6",
            "identifier": lambda world: world.unique("database"),
            "instanceClass": "db.m7g.large",
            "maintenanceWindow": "sun:04:00-sun:05:00",
            "manageMasterUserPassword": None,
            "maxAllocatedStorage": 100,
            "multiAz": False,
            "parameterGroupName": lambda world: world.database_parameters(),
            "password": Together({"password": "a-password-of-ones-own", "manageMasterUserPassword": None}),
            "performanceInsightsEnabled": False,
            "performanceInsightsRetentionPeriod": 31,
            "port": 5433,
            "publiclyAccessible": True,
            "replicateSourceDb": "another",
            "restoreToPointInTime": {"sourceDbInstanceIdentifier": "another", "useLatestRestorableTime": True},
            "snapshotIdentifier": Together({"snapshotIdentifier": "a-copy"}, frozenset({"snapshotIdentifier"})),
            "storageEncrypted": False,
            "storageType": "gp2",
            "username": "another",
            "vpcSecurityGroupIds": lambda world: [world.security_group(), world.security_group()],
            "allowMajorVersionUpgrade": True,
            "applyImmediately": None,
            "finalSnapshotIdentifier": "another-final",
            "skipFinalSnapshot": False,
        },
        untold=(
            "allowMajorVersionUpgrade",
            "applyImmediately",
            "finalSnapshotIdentifier",
            "password",
            "skipFinalSnapshot",
        ),
        refused=("replicateSourceDb",),
        import_id=lambda _identifier, inputs: inputs["identifier"],
    ),
    Case(
        "aws:rds/proxy:Proxy",
        make=lambda world: {
            "auths": [_auth(world)],
            "engineFamily": "POSTGRESQL",
            "roleArn": "arn:aws:iam::123456789012:role/one",
            "requireTls": True,
            "idleClientTimeout": 600,
            "vpcSubnetIds": world.subnets[:2],
            "vpcSecurityGroupIds": [world.security_group()],
        },
        changes={
            "auths": lambda world: [_auth(world), _auth(world)],
            "debugLogging": True,
            "engineFamily": "MYSQL",
            "idleClientTimeout": 1200,
            "name": lambda world: world.unique("proxy"),
            "requireTls": None,
            "roleArn": "arn:aws:iam::123456789012:role/another",
            "vpcSecurityGroupIds": lambda world: [world.security_group(), world.security_group()],
            "vpcSubnetIds": lambda world: world.subnets,
        },
    ),
    Case(
        "aws:rds/proxyDefaultTargetGroup:ProxyDefaultTargetGroup",
        make=lambda world: {
            "dbProxyName": world.proxy(),
            "connectionPoolConfig": {
                "maxConnectionsPercent": 70,
                "maxIdleConnectionsPercent": 35,
                "connectionBorrowTimeout": 20,
            },
        },
        changes={
            "dbProxyName": lambda world: world.proxy(),
            "connectionPoolConfig": {
                "maxConnectionsPercent": 60,
                "maxIdleConnectionsPercent": 10,
                "connectionBorrowTimeout": 30,
            },
        },
        leaves_nothing=False,
    ),
    Case(
        "aws:rds/proxyTarget:ProxyTarget",
        make=lambda world: {
            "dbProxyName": world.proxy(),
            "targetGroupName": "default",
            "dbInstanceIdentifier": world.database,
        },
        changes={
            "dbProxyName": lambda world: world.proxy(),
            "targetGroupName": "another",
            "dbInstanceIdentifier": "another",
            "dbClusterIdentifier": Together(
                {"dbClusterIdentifier": "another", "dbInstanceIdentifier": None},
                frozenset({"dbClusterIdentifier", "dbInstanceIdentifier"}),
            ),
        },
    ),
)
