"""The provider's resource types and functions, one module per AWS service."""

from lab.provider.resource import Invoke, Resource
from lab.provider.services import (
    autoscaling,
    cloudwatch,
    ec2,
    elasticache,
    elb,
    events,
    iam,
    logs,
    network,
    rds,
    rds_proxy,
    s3,
    secretsmanager,
    security_groups,
    sns,
    sqs,
    ssm,
)

ALL_RESOURCES: tuple[type[Resource], ...] = (
    *autoscaling.RESOURCES,
    *cloudwatch.RESOURCES,
    *ec2.RESOURCES,
    *elasticache.RESOURCES,
    *elb.RESOURCES,
    *events.RESOURCES,
    *iam.RESOURCES,
    *logs.RESOURCES,
    *network.RESOURCES,
    *rds.RESOURCES,
    *rds_proxy.RESOURCES,
    *s3.RESOURCES,
    *secretsmanager.RESOURCES,
    *security_groups.RESOURCES,
    *sns.RESOURCES,
    *sqs.RESOURCES,
    *ssm.RESOURCES,
)
ALL_INVOKES: tuple[Invoke, ...] = (
    *ec2.INVOKES,
    *iam.INVOKES,
    *network.INVOKES,
    *s3.INVOKES,
    *secretsmanager.INVOKES,
)
