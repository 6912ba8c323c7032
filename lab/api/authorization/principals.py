"""Who is behind an access key: a role's session or a user, with all policies that apply, as moto keeps them."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from moto.core.utils import utcnow
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from lab.api.authorization.policy import Statement, statements


@dataclass(frozen=True)
class Principal:
    """A role's session or a user. `owner` is the role or the user itself, as `role/name`."""

    arn: str
    owner: str
    statements: tuple[Statement, ...]
    expired: bool = False


def find(access_key: str, token: str | None, partition: str, account: str) -> Principal | None:
    """Who signs with this key; None for nobody's, or where the session's token is not the key's."""
    for session in sts_backends[account][partition].assumed_roles:
        if session.access_key_id == access_key:
            if session.session_token != token:
                return None
            name = session.role_arn.rpartition("/")[2]
            role = next((each for each in _roles(account, partition) if each.name == name), None)
            applying = tuple(held_by(role)) if role else ()
            return Principal(session.arn, f"role/{name}", applying, expired=utcnow() >= session.expiration)
    for user in iam_backends[account][partition].users.values():
        if any(key.access_key_id == access_key and key.status == "Active" for key in user.access_keys):
            groups = iam_backends[account][partition].get_groups_for_user(user.name)
            applying = (each for holder in (user, *groups) for each in held_by(holder))
            return Principal(user.arn, f"user/{user.name}", tuple(applying))
    return None


def roles(partition: str, account: str) -> dict[str, list[Statement]]:
    """Every role's statements, by `role/name`."""
    return {f"role/{role.name}": list(held_by(role)) for role in _roles(account, partition)}


def _roles(account: str, partition: str) -> list[Any]:
    return list(iam_backends[account][partition].roles.values())


def held_by(holder: Any) -> Iterator[Statement]:
    """The statements of a role's, a user's or a group's policies: those written into it, and those attached."""
    for name, document in holder.policies.items():
        yield from statements(name, _parsed(document))
    for policy in holder.managed_policies.values():
        current = next(version for version in policy.versions if version.is_default)
        yield from statements(policy.name, _parsed(current.document))


def _parsed(document: Any) -> Mapping[str, Any]:
    return json.loads(document) if isinstance(document, str) else document
