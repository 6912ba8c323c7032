"""SSM as AWS has it, where moto differs: a parameter does not go back to the standard tier.

Source: https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
"""

from typing import Any

from moto.ssm.exceptions import ValidationException
from moto.ssm.models import SimpleSystemManagerBackend

from lab.api.patching import around


def install() -> None:
    """Change moto's SSM. Once a process, before the first request."""
    around(SimpleSystemManagerBackend, "put_parameter", _put)


def _put(original: Any, backend: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    present = backend.get_parameter(name)
    if present is not None and present.tier == "Advanced" and kwargs.get("tier") == "Standard":
        raise ValidationException(
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the "
            "advanced-parameter tier to the standard-parameter tier. If necessary, you can delete the advanced "
            "parameter and recreate it as a standard parameter."
        )
    return original(backend, name, *args, **kwargs)
