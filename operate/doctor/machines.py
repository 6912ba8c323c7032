"""Instance types in the zones, and the images that machines start from."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .account import Account
from .finding import Finding, failed, ok
from .wanted import Machines, Wanted

TYPES, IMAGES = "machines", "images"


def available_zones(account: Account) -> list[str]:
    """The account's zones, in order; Local Zones, which have to be opted into, are none."""
    filters = [
        {"Name": "opt-in-status", "Values": ["opt-in-not-required"]},
        {"Name": "state", "Values": ["available"]},
    ]
    answer = account.ask("ec2", "DescribeAvailabilityZones", Filters=filters)
    return sorted(str(each["ZoneName"]) for each in answer["AvailabilityZones"])


def offers(account: Account, types: Iterable[str]) -> dict[str, set[str]]:
    """The zones that each type is offered in."""
    wanted = sorted(set(types))
    found = account.every(
        "ec2",
        "DescribeInstanceTypeOfferings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": wanted}],
    )
    return {kind: {each["Location"] for each in found if each["InstanceType"] == kind} for kind in wanted}


def plan_zones(wanted: Wanted, available: list[str], offered: Mapping[str, set[str]]) -> list[str]:
    """The zones that the stack is put into: those that the settings name, else the first that have every type."""
    if wanted.named_zones:
        return list(wanted.named_zones)
    common = [zone for zone in available if all(zone in zones for zones in offered.values())]
    return common[: wanted.zones]


def check_types(wanted: Wanted, available: list[str], offered: Mapping[str, set[str]]) -> Iterator[Finding]:
    """Each type where machines of it are to run."""
    sound = True
    for tier in wanted.tiers:
        where, zones = f"{tier.setting}.instanceType", offered[tier.instance_type]
        missing = [zone for zone in wanted.named_zones if zone not in zones]
        if not zones:
            rule = "EC2 must offer it in the region"
            what = f"{wanted.region} has no {tier.instance_type}"
            yield failed(TYPES, what, where, rule, "Choose another type, or another region.")
        elif missing:
            mend = f"Choose another type, or zones out of {', '.join(sorted(zones))} in expressway:network.subnets."
            what = f"{tier.instance_type} is not offered in {', '.join(missing)}"
            yield failed(TYPES, what, where, "EC2 must offer it in each zone", mend)
        else:
            continue
        sound = False
    if not sound:
        return
    zones = plan_zones(wanted, available, offered)
    kinds = " and ".join(sorted({tier.instance_type for tier in wanted.tiers}))
    if absent := [zone for zone in wanted.named_zones if zone not in available]:
        mend = f"Name zones out of {', '.join(available)}."
        what = f"this account has no zone {', '.join(absent)}"
        yield failed(TYPES, what, "expressway:network.subnets", "its zones must be there", mend)
    elif len(zones) < wanted.zones:
        what = f"{kinds}: offered together in {', '.join(zones) or 'no zone'}"
        rule = f"{wanted.zones} zones must have both"
        yield failed(TYPES, what, "expressway:network.zones", rule, "Choose other types, or fewer zones.")
    else:
        yield ok(TYPES, f"{kinds} in {', '.join(zones)}")


def check_image(account: Account, tier: Machines) -> Iterator[Finding]:
    """The image that the next machine of a tier starts from."""
    key, value = tier.image_filter
    arguments: dict[str, Any] = {"Filters": [{"Name": key, "Values": [value]}]}
    if tier.image_owners:
        arguments["Owners"] = list(tier.image_owners)
    yield judge_image(tier, account.every("ec2", "DescribeImages", "Images", **arguments))


def judge_image(tier: Machines, images: list[dict[str, Any]]) -> Finding:
    """The newest of `images` that the tier's type can run."""
    where = f"{tier.setting}.image"
    usable = [each for each in images if each["Architecture"] == tier.architecture and each["State"] == "available"]
    if usable:
        newest = max(usable, key=lambda each: str(each["CreationDate"]))
        return ok(IMAGES, f"{tier.name}: {newest['ImageId']}, {newest.get('Name', '')}", where)
    if images:
        kinds = ", ".join(sorted({f"{each['Architecture']} ({each['State']})" for each in images}))
        what = f"{tier.image} is there for {kinds}, and {tier.instance_type} is {tier.architecture}"
        mend = f"Choose an image for {tier.architecture}, or another instance type."
        return failed(IMAGES, what, where, "it must be an image that the instance type can run", mend)
    mend = "Check its spelling and its region, or share it with this account."
    return failed(IMAGES, f"there is no image {tier.image}", where, "the account must see the image", mend)
