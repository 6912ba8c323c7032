"""Every resource type and function that the lab's provider has."""

from functools import cache

from lab.provider.errors import UnknownTypeError
from lab.provider.resource import Invoke, Resource


@cache
def resources() -> dict[str, Resource]:
    """By token."""
    from lab.provider.services import ALL_RESOURCES

    return {resource.pulumi_type: resource() for resource in ALL_RESOURCES}


@cache
def invokes() -> dict[str, Invoke]:
    """By token."""
    from lab.provider.services import ALL_INVOKES

    return {invoke.token: invoke for invoke in ALL_INVOKES}


def resource(token: str) -> Resource:
    """The type `token`; an unknown one is an error."""
    if token not in resources():
        raise UnknownTypeError(token)
    return resources()[token]


def invoke(token: str) -> Invoke:
    """The function `token`; an unknown one is an error."""
    if token not in invokes():
        raise UnknownTypeError(token)
    return invokes()[token]
