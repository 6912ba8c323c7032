"""What can go wrong between a program and the lab's API, named so that the reader finds the place."""

from collections.abc import Sequence

from typing_extensions import override


class ProviderError(Exception):
    """Something the program asks for can't be had."""


class UnknownTypeError(ProviderError):
    """The lab has no such resource type or function."""

    def __init__(self, token: str) -> None:
        super().__init__(f"the lab does not know {token}; add it under lab/provider/services")


class InputError(ProviderError):
    """An input that the type doesn't take, or one that it lacks: `input`, where it is a single one."""

    def __init__(self, message: str, input_name: str = "") -> None:
        super().__init__(message)
        self.input = input_name

    @property
    def each(self) -> tuple["InputError", ...]:
        """What is wrong, one by one."""
        return (self,)


class InvalidInputsError(InputError):
    """Several inputs are wrong."""

    def __init__(self, errors: Sequence[InputError]) -> None:
        super().__init__("; ".join(str(error) for error in errors), errors[0].input)
        self._errors = tuple(errors)

    @property
    @override
    def each(self) -> tuple[InputError, ...]:
        return self._errors


class ResourceError(ProviderError):
    """Creating one resource failed: type and name first, then the cause."""

    def __init__(self, token: str, name: str, cause: BaseException) -> None:
        super().__init__(f'{token} "{name}": {cause}')
