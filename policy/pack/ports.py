"""What the internet may reach: a few ports, and those only on the edge.

The edge is what is meant to face the internet: AWS's load balancers, and what carries the edge's tag.
"""

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .model import HUB, UNKNOWN, Resource, Rule, Settings, StackRule, dig, listed, wrong

GROUP_TYPES: Final = ("aws:ec2/securityGroup:SecurityGroup", "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup")
INGRESS_RULE: Final = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
EITHER_RULE: Final = "aws:ec2/securityGroupRule:SecurityGroupRule"
LOAD_BALANCERS: Final = (
    "aws:lb/loadBalancer:LoadBalancer",
    "aws:alb/loadBalancer:LoadBalancer",
    "aws:elb/loadBalancer:LoadBalancer",
)
MEMBERSHIP: Final = (
    "vpcSecurityGroupIds",
    "securityGroups",
    "securityGroupIds",
    "networkInterfaces",
    "networkConfiguration",
    "vpcConfig",
)
"""Properties by which a resource is a member of security groups."""

PORTS: Final = {
    "publicPorts": {
        "type": "array",
        "items": {"type": "integer", "minimum": 0, "maximum": 65535},
        "default": [80, 443],
        "description": "Ports that may be open to the internet, on the edge.",
    }
}


@dataclass(frozen=True)
class Opening:
    """The internet, let in."""

    path: str
    """The property that names the internet."""
    cidr: str
    protocol: Any
    first: Any
    last: Any

    @property
    def known(self) -> bool:
        """Whether it is told already how wide it is."""
        return UNKNOWN not in (self.protocol, self.first, self.last)

    def within(self, ports: Sequence[Any]) -> bool:
        """Whether it is no wider than these TCP and UDP ports."""
        if str(self.protocol).lower() not in ("tcp", "udp", "6", "17") or self.first is None or self.last is None:
            return False
        return set(range(int(self.first), int(self.last) + 1)) <= {int(port) for port in ports}

    def __str__(self) -> str:
        if self.first is None or str(self.protocol) in ("-1", "all"):
            return f"protocol {self.protocol}"
        return f"{self.protocol} {int(self.first)}" + (f"-{int(self.last)}" if self.last != self.first else "")


def _check_ports(resource: Resource, settings: Settings) -> Iterator[str]:
    public = ", ".join(str(int(port)) for port in settings["publicPorts"])
    for opening in _openings(resource):
        if opening.known and not opening.within(settings["publicPorts"]):
            remedy = f"Only ports {public} may be. Name the security group to let in, not an address."
            yield wrong(opening.path, opening.cidr, f"It opens {opening} to the internet. {remedy}")


def _check_edge(resources: Sequence[Resource], settings: Settings) -> Iterator[tuple[Resource, str]]:
    told: set[str] = set()
    for rule in resources:
        group = _group(rule, resources)
        # A group may show what rules of their own add to it: tell it once.
        at = group.urn if group else rule.urn
        for opening in _openings(rule):
            # A wider one is the other rule's matter.
            public = opening.known and opening.within(settings["publicPorts"])
            if public and at not in told and not _edge(rule, group, resources, settings):
                told.add(at)
                remedy = f"If this is the edge, tag its machines or the group {settings['edgeTag']}."
                yield rule, f"It opens {opening} to the internet. Only the edge may be. {remedy}"


def _edge(rule: Resource, group: Resource | None, resources: Sequence[Resource], settings: Settings) -> bool:
    """Whether the rule or its group says so, or all members of the group are."""
    key, _, value = settings["edgeTag"].partition("=")
    if _tagged(rule, key, value) or (group and _tagged(group, key, value)):
        return True
    if group is None:
        # One of another stack, or one that isn't known yet.
        return rule.get("securityGroupId") is UNKNOWN
    members = [each for each in resources if any(each.refers(path, group, "id") for path in MEMBERSHIP)]
    return bool(members) and all(each.type in LOAD_BALANCERS or _tagged(each, key, value) for each in members)


def _group(rule: Resource, resources: Sequence[Resource]) -> Resource | None:
    if rule.type in GROUP_TYPES:
        return rule
    groups = (each for each in resources if each.type in GROUP_TYPES)
    return next((each for each in groups if rule.refers("securityGroupId", each, "id")), None)


def _tagged(resource: Resource, key: str, value: str) -> bool:
    """Whether it has the tag, or the machines of its template do."""
    launched = (
        dig(each, "tags")
        for each in listed(resource.get("tagSpecifications"))
        if dig(each, "resourceType") == "instance"
    )
    for tags in (resource.get("tags"), resource.get("tagsAll"), *launched):
        if tags is UNKNOWN or (isinstance(tags, Mapping) and tags.get(key) in (UNKNOWN, value)):
            return True
    return False


def _openings(resource: Resource) -> Iterator[Opening]:
    """Each way in from everywhere, whichever of the four resource types it is written in."""
    if resource.type == INGRESS_RULE:
        for path in ("cidrIpv4", "cidrIpv6"):
            if _everywhere(cidr := resource.get(path)):
                yield Opening(path, cidr, *(resource.get(each) for each in ("ipProtocol", "fromPort", "toPort")))
    elif resource.type == EITHER_RULE and resource.get("type") == "ingress":
        yield from _inline("", resource.props)
    elif resource.type in GROUP_TYPES:
        for index, ingress in enumerate(listed(resource.get("ingress"))):
            yield from _inline(f"ingress[{index}].", ingress)


def _inline(at: str, ingress: Any) -> Iterator[Opening]:
    for path in ("cidrBlocks", "ipv6CidrBlocks"):
        for index, cidr in enumerate(listed(dig(ingress, path))):
            if _everywhere(cidr):
                yield Opening(
                    f"{at}{path}[{index}]", cidr, *(dig(ingress, each) for each in ("protocol", "fromPort", "toPort"))
                )


def _everywhere(cidr: Any) -> bool:
    try:
        return isinstance(cidr, str) and ipaddress.ip_network(cidr, strict=False).prefixlen == 0
    except ValueError:
        return False  # AWS will refuse it.


OPEN_PORTS: Final = Rule(
    name="open-ports",
    says="Nothing but the public ports is open to the internet.",
    source=f"{HUB}/ec2-controls.html#ec2-18",
    check=_check_ports,
    options=PORTS,
)

EDGE_ONLY: Final = StackRule(
    name="edge-only",
    says="Nothing but the edge is open to the internet.",
    source=f"{HUB}/ec2-controls.html#ec2-18",
    check=_check_edge,
    options={
        **PORTS,
        "edgeTag": {
            "type": "string",
            "default": "expressway:tier=edge",
            "description": "The tag, as key=value, of machines, security groups or rules that belong to the edge.",
        },
    },
)
