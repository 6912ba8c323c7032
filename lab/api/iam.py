"""IAM as AWS has it, where moto differs: the length of a role's name, and a trust policy that is none.

Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
"""

from typing import Any

from moto.iam.exceptions import ValidationError
from moto.iam.models import IAMBackend
from moto.iam.policy_validation import IAMTrustPolicyDocumentValidator

from lab.api.patching import around

LONGEST_ROLE = 64


def install() -> None:
    """Change moto's IAM. Once a process, before the first request."""
    around(IAMBackend, "create_role", _create_role)


def _create_role(
    original: Any, backend: Any, role_name: str, assume_role_policy_document: str, *args: Any, **kwargs: Any
) -> Any:
    """moto judges a trust policy when it changes only."""
    if len(role_name) > LONGEST_ROLE:
        raise ValidationError(
            f"1 validation error detected: Value '{role_name}' at 'roleName' failed to satisfy constraint: "
            f"Member must have length less than or equal to {LONGEST_ROLE}"
        )
    IAMTrustPolicyDocumentValidator(assume_role_policy_document).validate()
    return original(backend, role_name, assume_role_policy_document, *args, **kwargs)
