"""What AWS decides about an account, and moto has no notion of: quotas, regions that are off, what is not sold.

Everything starts as in an account that has been in use for a while. Tests plant faults through the control surface.
"""

from dataclasses import dataclass, field
from typing import Any

STANDARD_VCPUS, ADDRESSES, VPCS, NAT_GATEWAYS = "L-1216C47A", "L-0263D0A3", "L-F678F1CE", "L-FE5A380F"
DATABASES, PROXIES = "L-7B6409FD", "L-D94C7EA3"

DEFAULT_QUOTAS = {STANDARD_VCPUS: 5.0, ADDRESSES: 5.0, VPCS: 5.0, NAT_GATEWAYS: 5.0, DATABASES: 40.0, PROXIES: 20.0}
"""What AWS gives a new account.
https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html"""

RAISED_QUOTAS = {STANDARD_VCPUS: 64.0}
"""What this account was given on request."""


class UnknownFactError(Exception):
    """There is no such fact of an account."""


@dataclass
class Account:
    """The facts, each as it can be planted."""

    quotas: dict[str, float] = field(default_factory=lambda: dict(RAISED_QUOTAS))
    """Applied values by quota code; a quota without one has AWS's default."""
    disabled_regions: list[str] = field(default_factory=list[str])
    """Regions that the account has not opted into."""
    withheld: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Zones that lack a type (t3.small, db.t4g.micro, cache.t4g.micro); everywhere, when the list is empty."""
    expired_keys: list[str] = field(default_factory=list[str])
    """Access keys whose session is over."""


facts = Account()
"""The lab has one account."""


def plant(given: dict[str, Any]) -> None:
    """Replace all facts: those that `given` has, and the usual ones. UnknownFactError before anything changes."""
    known = vars(Account())
    if unknown := set(given) - set(known):
        raise UnknownFactError(f"no such fact: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    vars(facts).update(known | given)


def sold(kind: str, zone: str) -> bool:
    """Whether a type is to be had in a zone, as far as faults go."""
    if kind not in facts.withheld:
        return True
    return bool(facts.withheld[kind]) and zone not in facts.withheld[kind]
