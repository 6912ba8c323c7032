"""User data as a launch template takes it."""

import base64
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pulumi

from ._render import render


def encoded(tier: str, machine: Mapping[str, Any], packages: Sequence[str] = ()) -> pulumi.Output[str]:
    """The tier's user data in base64, once every value in `machine` is known. `packages` are besides the tier's own.

    Fails when a value is a Pulumi secret: every process on a machine can read its user data.
    """
    values = pulumi.Output.from_input(cast(dict[str, Any], machine))

    async def refuse_secrets() -> None:
        if await values.is_secret():
            raise ValueError(
                f"the user data of {machine['name']} would hold a secret value in plain text: "
                "keep it in Secrets Manager and name it in `secrets`, where machines fetch it by their role"
            )

    checked = pulumi.Output.from_input(refuse_secrets())
    return pulumi.Output.all(values, checked).apply(
        lambda given: base64.b64encode(
            render(tier, cast(dict[str, Any], given[0]), packages=packages).encode()
        ).decode()
    )
