"""The roles that AWS's services work under, which AWS makes by itself the first time if the caller may make them."""

from collections.abc import Iterator

from botocore.exceptions import ClientError

from .account import Account, NotPermittedError, code
from .finding import Finding, failed, ok, unchecked
from .simulation import Simulation

CHECK = "service roles"

ROLES = {
    "AWSServiceRoleForAutoScaling": "autoscaling.amazonaws.com",
    "AWSServiceRoleForElastiCache": "elasticache.amazonaws.com",
    "AWSServiceRoleForRDS": "rds.amazonaws.com",
}
"""The service behind each role."""

ACTION = "iam:CreateServiceLinkedRole"


def check_roles(account: Account, simulation: Simulation) -> Iterator[Finding]:
    """Each role: there, or to be made by the first deploy."""
    missing = [name for name in ROLES if not _there(account, name)]
    if not missing:
        yield ok(CHECK, "Auto Scaling, ElastiCache and RDS have theirs")
        return
    for name in missing:
        service = ROLES[name]
        mend = f"Make it once: aws iam create-service-linked-role --aws-service-name {service}."
        arn = f"arn:{account.partition}:iam::{simulation.account}:role/aws-service-role/{service}/{name}"
        try:
            denied = simulation.denied([ACTION], arn, {"iam:AWSServiceName": service})
        except NotPermittedError as error:
            yield unchecked(CHECK, f"{name} is not there; whether you may make it {error}", name, mend)
            continue
        if denied:
            yield failed(CHECK, f"{name} is not there, and you may not make it", name, f"{ACTION} is needed", mend)
        else:
            yield ok(CHECK, f"{name} will be made by the first deploy", name)


def _there(account: Account, name: str) -> bool:
    try:
        account.ask("iam", "GetRole", RoleName=name)
    except ClientError as error:
        if code(error) != "NoSuchEntity":
            raise
        return False
    return True
