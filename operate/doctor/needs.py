"""What the doctor itself asks of AWS: reading, all of it."""

from typing import Any

ACTIONS = (
    "ec2:DescribeAddresses",
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances",
    "ec2:DescribeNatGateways",
    "ec2:DescribeRegions",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ec2:GetEbsDefaultKmsKeyId",
    "elasticache:DescribeCacheEngineVersions",
    "elasticache:DescribeReservedCacheNodesOfferings",
    "iam:GetRole",
    "iam:SimulatePrincipalPolicy",
    "kms:DescribeKey",
    "kms:GetKeyPolicy",
    "kms:ListGrants",
    "rds:DescribeDBEngineVersions",
    "rds:DescribeDBInstances",
    "rds:DescribeDBProxies",
    "rds:DescribeOrderableDBInstanceOptions",
    "s3:GetBucketVersioning",
    "s3:ListBucket",
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetSecretValue",
    "servicequotas:GetAWSDefaultServiceQuota",
    "servicequotas:GetServiceQuota",
)
"""Whoever lacks one gets "could not check" in its place."""


def policy() -> dict[str, Any]:
    """A policy that allows them. Only values of secrets are worth restricting, and a deployer need not read any."""
    statement = {"Effect": "Allow", "Action": list(ACTIONS), "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}
