"""Secrets Manager as AWS has it, where moto differs: a description taken away, the name of a secret being deleted.

Sources: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecret.html, API_CreateSecret.html
"""

from typing import Any

from moto.secretsmanager.exceptions import InvalidRequestException
from moto.secretsmanager.models import SecretsManagerBackend

from lab.api.patching import around


def install() -> None:
    """Change moto's Secrets Manager. Once a process, before the first request."""
    around(SecretsManagerBackend, "create_secret", _create)
    around(SecretsManagerBackend, "update_secret", _update)
    around(SecretsManagerBackend, "update_secret_version_stage", _move_stage)


def _create(original: Any, backend: Any, name: str, *args: Any, **kwargs: Any) -> Any:
    """moto says that a secret exists when it is only waiting for its end."""
    secret = backend.secrets.get(name)
    if secret is not None and secret.is_deleted():
        raise InvalidRequestException(
            "You can't create this secret because a secret with this name is already scheduled for deletion."
        )
    return original(backend, name, *args, **kwargs)


def _update(original: Any, backend: Any, secret_id: str, *args: Any, **kwargs: Any) -> Any:
    """moto takes an empty description for none given."""
    answer = original(backend, secret_id, *args, **kwargs)
    if kwargs.get("description") == "":
        backend.secrets[secret_id].description = ""
    return answer


def _move_stage(
    original: Any,
    backend: Any,
    secret_id: str,
    version_stage: str,
    remove_from_version_id: str | None,
    move_to_version_id: str | None,
) -> Any:
    """moto goes on answering with the version that was the current one."""
    answer = original(backend, secret_id, version_stage, remove_from_version_id, move_to_version_id)
    if version_stage == "AWSCURRENT" and move_to_version_id:
        backend.secrets[secret_id].default_version_id = move_to_version_id
    return answer
