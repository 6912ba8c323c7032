"""The account's quotas against what the stack needs and what others in the account use already.

Codes: https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html,
https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html and
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from .account import Account, code, tags
from .finding import Finding, failed, ok, unchecked, warning
from .wanted import Machines, Wanted

CHECK = "quotas"

STANDARD = "L-1216C47A"
"""vCPUs of running on-demand instances of the families A, C, D, H, I, M, R, T and Z."""

FAMILIES = {"f": "L-74FC7D96", "g": "L-DB2E81BA", "inf": "L-1945791B", "p": "L-417A185B", "vt": "L-DB2E81BA"} | {
    "x": "L-7295265B",
    "trn": "L-2C3B7624",
    "dl": "L-6E869C2A",
    "hpc": "L-F7808C92",
}
"""The quota of each other family, by the letters that its types begin with."""

ADDRESSES, VPCS, NAT_GATEWAYS = "L-0263D0A3", "L-F678F1CE", "L-FE5A380F"
DATABASES = "L-7B6409FD"
"""RDS's DB instances."""
PROXIES = "L-D94C7EA3"
"""RDS's proxies."""

ADDRESS_NAME, VPC_NAME, NAT_NAME = "Elastic IPs", "VPCs", "NAT gateways"
_SERVICES = {VPCS: "vpc", NAT_GATEWAYS: "vpc", DATABASES: "rds", PROXIES: "rds"}
"""Whose quota it is, where it isn't EC2's."""


@dataclass(frozen=True)
class Need:
    """How much of a quota a stack takes."""

    name: str
    code: str
    where: str
    now: int
    """To be up at all."""
    most: int
    """Scaled out as far as the settings allow."""
    rolling: int
    """While each machine's successor is started before it is stopped."""


def quota_of(instance_type: str) -> str | None:
    """The quota that counts a type's vCPUs; None for a family that is not known here."""
    match = re.match(r"[a-z]+", instance_type)
    family = match[0] if match else ""
    if family in FAMILIES:
        return FAMILIES[family]
    return STANDARD if family in {"a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"} else None


def check_vcpus(account: Account, wanted: Wanted) -> Iterator[Finding]:
    """vCPUs, of each family that the stack uses."""
    running = [each for each in _running(account) if not wanted.owns(tags(each))]
    types = {each["InstanceType"] for each in running} | {tier.instance_type for tier in wanted.tiers}
    sizes = _sizes(account, types)
    used = Counter[str | None]()
    for each in running:
        used[quota_of(each["InstanceType"])] += sizes.get(each["InstanceType"], 0)
    for need in vcpu_needs(wanted.tiers, sizes):
        if not need.code:
            mend = "Look for its family in Service Quotas."
            yield unchecked(CHECK, f"no quota is known here for {need.name}", need.where, mend)
            continue
        yield judge(need, _limit(account, "ec2", need.code), used[need.code])


def check_addresses(account: Account, wanted: Wanted) -> Iterator[Finding]:
    """Elastic IPs: the edge's, and each NAT gateway's."""
    count = 1 + wanted.nat_gateways
    need = Need(ADDRESS_NAME, ADDRESSES, "expressway:network.nat", count, count, count)
    used = [each for each in account.ask("ec2", "DescribeAddresses")["Addresses"] if not wanted.owns(tags(each))]
    yield judge(need, _limit(account, "ec2", ADDRESSES), len(used))


def check_vpcs(account: Account, wanted: Wanted) -> Iterator[Finding]:
    """The stack's VPC."""
    used = [each for each in account.every("ec2", "DescribeVpcs", "Vpcs") if not wanted.owns(tags(each))]
    yield judge(Need(VPC_NAME, VPCS, "expressway:network", 1, 1, 1), _limit(account, "vpc", VPCS), len(used))


def check_nat_gateways(account: Account, wanted: Wanted, zones: Iterable[str]) -> Iterator[Finding]:
    """NAT gateways, which are counted by zone."""
    if not wanted.nat_gateways:
        return
    gateways = account.every(
        "ec2", "DescribeNatGateways", "NatGateways", Filter=[{"Name": "state", "Values": ["pending", "available"]}]
    )
    subnets = {each["SubnetId"]: each for each in account.every("ec2", "DescribeSubnets", "Subnets")}
    others = [each for each in gateways if not wanted.owns(tags(each))]
    used = Counter(subnets.get(each["SubnetId"], {}).get("AvailabilityZone") for each in others)
    limit = _limit(account, "vpc", NAT_GATEWAYS)
    for zone in list(zones)[: wanted.nat_gateways]:
        yield judge(Need(f"{NAT_NAME} in {zone}", NAT_GATEWAYS, "expressway:network.nat", 1, 1, 1), limit, used[zone])


def check_databases(account: Account, wanted: Wanted) -> Iterator[Finding]:
    """RDS instances: one for each shard, and its replicas, also those that Aurora adds by itself."""
    count, most = wanted.database.instances, wanted.database.most_instances
    if not most:
        return
    instances = account.every("rds", "DescribeDBInstances", "DBInstances")
    others = [each for each in instances if not wanted.owns_database(str(each["DBInstanceIdentifier"]))]
    need = Need("RDS instances", DATABASES, "expressway:database.shards", count, most, most)
    yield judge(need, _limit(account, "rds", DATABASES), len(others))


def check_proxies(account: Account, wanted: Wanted) -> Iterator[Finding]:
    """RDS proxies: one for each shard, where the app goes by them."""
    if not wanted.database.proxied:
        return
    count = wanted.database.shards
    proxies = account.every("rds", "DescribeDBProxies", "DBProxies")
    others = [each for each in proxies if not wanted.owns_database(str(each["DBProxyName"]))]
    need = Need("RDS proxies", PROXIES, "expressway:database.shards", count, count, count)
    yield judge(need, _limit(account, "rds", PROXIES), len(others))


def vcpu_needs(tiers: Iterable[Machines], sizes: Mapping[str, int]) -> list[Need]:
    """What the tiers take together, by quota."""
    needs: dict[str, list[Machines]] = {}
    for tier in tiers:
        needs.setdefault(quota_of(tier.instance_type) or "", []).append(tier)
    found: list[Need] = []
    for quota, members in needs.items():
        now = sum(tier.fewest * sizes.get(tier.instance_type, 0) for tier in members)
        most = sum(tier.most * sizes.get(tier.instance_type, 0) for tier in members)
        types = ", ".join(sorted({tier.instance_type for tier in members}))
        where = ", ".join(f"{tier.setting}.instanceType" for tier in members)
        found.append(Need(f"vCPUs of {types}" if quota else types, quota, where, now, most, 2 * most))
    return found


def judge(need: Need, limit: int, used: int) -> Finding:
    """A quota against what is wanted of it."""
    free = max(0, limit - used)
    has = f"{need.name}: {free} of {limit} free"
    rule = f"quota {need.code} must leave {need.most}"
    if need.now > free:
        return failed(CHECK, f"{has}, {need.now} needed", need.where, rule, _raise(need, used, need.rolling))
    if need.most > free:
        rule = f"quota {need.code} must leave {need.most} for scaling out"
        return failed(CHECK, f"{has}, up to {need.most} needed", need.where, rule, _raise(need, used, need.rolling))
    if need.rolling > free:
        rule = f"replacing all machines at the largest size takes {need.rolling} for a while"
        return warning(CHECK, f"{has}", need.where, rule, _raise(need, used, need.rolling))
    return ok(CHECK, f"{has}, {need.rolling} needed", need.where)


def _raise(need: Need, used: int, amount: int) -> str:
    service = _SERVICES.get(need.code, "ec2")
    return (
        f"Ask for {used + amount} (aws service-quotas request-service-quota-increase --service-code {service} "
        f"--quota-code {need.code} --desired-value {used + amount}), or want less."
    )


def _limit(account: Account, service: str, quota: str) -> int:
    """The account's own value, or AWS's default where it has none."""
    try:
        answer = account.ask("service-quotas", "GetServiceQuota", ServiceCode=service, QuotaCode=quota)
    except ClientError as error:
        if code(error) != "NoSuchResourceException":
            raise
        answer = account.ask("service-quotas", "GetAWSDefaultServiceQuota", ServiceCode=service, QuotaCode=quota)
    return int(answer["Quota"]["Value"])


def _running(account: Account) -> list[dict[str, Any]]:
    """On-demand instances that count: neither spot ones nor those on dedicated hosts do."""
    filters = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    reservations = account.every("ec2", "DescribeInstances", "Reservations", Filters=filters)
    instances = [each for reservation in reservations for each in reservation["Instances"]]
    return [
        each
        for each in instances
        if "InstanceLifecycle" not in each and each.get("Placement", {}).get("Tenancy") != "host"
    ]


def _sizes(account: Account, types: set[str]) -> dict[str, int]:
    """vCPUs by type; a type that does not exist is the machines check's to report, and counts as none."""
    filters = [{"Name": "instance-type", "Values": sorted(types)}]
    found = account.every("ec2", "DescribeInstanceTypes", "InstanceTypes", Filters=filters)
    return {each["InstanceType"]: int(each["VCpuInfo"]["DefaultVCpus"]) for each in found}
