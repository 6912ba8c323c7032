"""Names of the roles that AWS's services work under, where moto would form others.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_aws-services-that-work-with-iam.html
"""

from moto.iam import models

from lab.api.patching import existing

NAMES = {"elasticache": "ElastiCache", "rds": "RDS"}


def install() -> None:
    """Teach moto the names. Once a process, before the first request."""
    existing(models, "SERVICE_NAME_CONVERSION").update(NAMES)
