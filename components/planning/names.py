"""Names of components, which the names of all that they make in AWS derive from."""

import re

from .findings import Finding

NAME_LIMITS = {
    "AppServers": 64 - len("-role-1234567"),  # IAM role
    "Cache": 40 - len("-redis-1234567"),  # ElastiCache replication group
    "Database": 63 - len("-instance-1234567"),  # RDS identifier
    "LoadBalancer": 63 - len("-bucket-1234567"),  # S3 bucket
    "Monitoring": 255 - len("-database-connections-1234567"),  # CloudWatch alarm
    "Network": 128,  # only tags carry it
    "Release": 63 - len("-bucket-1234567"),  # S3 bucket
}
"""Most characters in a component's name: AWS's limit for its tightest derived name, less role and random suffix."""

_SECURITY_GROUP = ("sg-",)
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = ("sthree-", "amzn-s3-demo-")
RESERVED_PREFIXES: dict[str, tuple[str, ...]] = {
    # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
    "AppServers": _SECURITY_GROUP,
    "Cache": _SECURITY_GROUP,
    "Database": _SECURITY_GROUP,
    "LoadBalancer": (*_SECURITY_GROUP, *_BUCKET),
    "Monitoring": (),
    "Network": (),
    # https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
    "Release": ("aws", "ssm", *_BUCKET),
}
"""How the names that derive from a component's must not begin, as AWS keeps such names for itself."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def check_name(component: str, name: str, role: str = "") -> list[Finding]:
    """Whether a component may be called `name`, which must suit the strictest of the AWS names that derive from it.

    With `role`, `name` is what stands before it in the component's name (`dev` in `dev-app`).
    """
    limit = NAME_LIMITS[component] - len(role)
    if not _NAME.fullmatch(name):
        rule = "it must be lower-case letters, digits and single hyphens, and start with a letter"
        return [Finding("name", name, rule, "Names in AWS derive from it: rename it.")]
    if len(name) > limit:
        rule = f"it must be at most {limit} characters, and has {len(name)}"
        return [Finding("name", name, rule, "AWS limits the names that derive from it: shorten it.")]
    for prefix in RESERVED_PREFIXES[component]:
        # `sg` alone is bad too: what derives from it is called `sg-group`.
        if f"{name}-".startswith(prefix):
            rule = f"it must not begin with {prefix.removesuffix('-')}"
            return [Finding("name", name, rule, "AWS refuses names that derive from it: rename it.")]
    return []
