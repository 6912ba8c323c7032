"""Every check, one after the other; what one can't find out keeps none of the others from being made."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from . import data, disks, machines, quotas, roles, secrets, state
from .account import Account, NotPermittedError
from .cost import Estimate, estimate
from .finding import Finding, Status, unchecked
from .identity import CREDENTIALS, REGION, Caller, check_identity, check_region, identify, judge_credentials
from .permissions import CHECK as PERMISSIONS
from .permissions import check_permissions
from .simulation import Simulation
from .wanted import Wanted

Check = tuple[str, Callable[[], Iterable[Finding]]]
"""A check's name, and what makes its findings."""


@dataclass(frozen=True)
class Report:
    """All that was found."""

    wanted: Wanted
    caller: Caller | None
    findings: tuple[Finding, ...]
    cost: Estimate

    @property
    def halted(self) -> Finding | None:
        """What kept the doctor from looking at anything; None when it has looked."""
        return next((each for each in self.findings if each.check in (CREDENTIALS, REGION) and each.mend), None)

    @property
    def sound(self) -> bool:
        """Whether nothing has failed. What could not be checked is no failure, and no success either."""
        return not self.of(Status.FAILED)

    def of(self, status: Status) -> list[Finding]:
        """The findings that stand so."""
        return [each for each in self.findings if each.status == status]


def examine(
    wanted: Wanted, progress: Callable[[str], None] = lambda _: None, session: boto3.Session | None = None
) -> Report:
    """Look at the account that `session` has credentials for (default: the environment's).

    `progress` is told each check's name before it is made.
    """
    progress(CREDENTIALS)
    try:
        account = Account(session or boto3.Session(), wanted.region)
    except BotoCoreError as error:  # a profile that does not exist
        return Report(wanted, None, (judge_credentials(error),), estimate(wanted))
    caller, wrong = identify(account)
    if caller is None or wrong:
        return Report(wanted, caller, tuple(wrong), estimate(wanted))
    findings = [check_identity(caller)]
    progress(REGION)
    findings += _made(REGION, lambda: check_region(account))
    if any(each.status == Status.FAILED for each in findings):  # in a region that is off nothing else answers
        return Report(wanted, caller, tuple(findings), estimate(wanted))
    for name, check in _checks(account, caller, wanted):
        progress(name)
        findings += _made(name, check)
    return Report(wanted, caller, tuple(findings), estimate(wanted))


def _checks(account: Account, caller: Caller, wanted: Wanted) -> Iterator[Check]:
    simulation = Simulation(account, caller)
    zones: list[str] = []
    yield machines.TYPES, lambda: _types(account, wanted, zones)
    for tier in wanted.tiers:
        yield machines.IMAGES, lambda tier=tier: machines.check_image(account, tier)
    yield quotas.CHECK, lambda: quotas.check_vcpus(account, wanted)
    yield quotas.CHECK, lambda: quotas.check_addresses(account, wanted)
    yield quotas.CHECK, lambda: quotas.check_vpcs(account, wanted)
    yield quotas.CHECK, lambda: quotas.check_nat_gateways(account, wanted, zones)
    yield quotas.CHECK, lambda: quotas.check_databases(account, wanted)
    yield quotas.CHECK, lambda: quotas.check_proxies(account, wanted)
    yield data.DATABASE, lambda: data.check_database(account, wanted, zones)
    yield data.CACHE, lambda: data.check_cache(account, wanted)
    for where, name in wanted.secrets.items():
        yield secrets.CHECK, lambda where=where, name=name: secrets.check_secret(account, where, name)
    yield disks.CHECK, lambda: disks.check_key(account, caller)
    yield state.CHECK, lambda: state.check_state(account, wanted)
    yield roles.CHECK, lambda: roles.check_roles(account, simulation)
    yield PERMISSIONS, lambda: check_permissions(account, caller, wanted, simulation)


def _types(account: Account, wanted: Wanted, zones: list[str]) -> Iterator[Finding]:
    """The machines' check; leaves the zones that the stack goes into for those after it."""
    available = machines.available_zones(account)
    offered = machines.offers(account, [tier.instance_type for tier in wanted.tiers])
    zones += machines.plan_zones(wanted, available, offered)
    yield from machines.check_types(wanted, available, offered)


def _made(name: str, check: Callable[[], Iterable[Finding]]) -> Iterator[Finding]:
    """A check's findings, and why there are no more of them."""
    try:
        yield from check()
    except NotPermittedError as error:
        mend = f"Allow {error.action} to whoever runs the doctor (docs/doctor.md has its policy)."
        yield unchecked(name, f"could not check: {error}", "", mend)
    except (ClientError, BotoCoreError) as error:
        yield unchecked(name, f"could not check: {error}", "", "Try again; AWS's own message is above.")
