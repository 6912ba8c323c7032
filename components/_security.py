"""Security groups, and one rule each as a resource of its own, so that two components can add to one group."""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from .planning import is_group

HTTP, HTTPS = 80, 443
METRICS = 9464
"""Where machines answer Prometheus."""
ANYWHERE = "0.0.0.0/0"


def group(
    name: str, vpc_id: pulumi.Input[str], description: str, child: pulumi.ResourceOptions
) -> "aws.ec2.SecurityGroup":
    """A group that lets nothing through, in or out, until rules say so."""
    return aws.ec2.SecurityGroup(name, vpc_id=vpc_id, description=description, tags={"Name": name}, opts=child)


def accept(name: str, target: pulumi.Input[str], protocol: str, child: pulumi.ResourceOptions) -> pulumi.Resource:
    """Let everybody open connections of `protocol` (`HTTP` or `HTTPS`) to members of group `target`."""
    port = HTTPS if protocol == "HTTPS" else HTTP
    return aws.vpc.SecurityGroupIngressRule(
        f"{name}-{protocol.lower()}-in",
        security_group_id=target,
        cidr_ipv4=ANYWHERE,
        ip_protocol="tcp",
        from_port=port,
        to_port=port,
        description=f"{protocol} from anywhere",
        opts=child,
    )


def connect(
    name: str,
    source: pulumi.Input[str],
    target: pulumi.Input[str],
    port: pulumi.Input[int],
    description: str,
    child: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Let members of group `source` open connections to members of group `target`, by reference on both sides."""
    return [
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-out",
            security_group_id=source,
            referenced_security_group_id=target,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description=description,
            opts=child,
        ),
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-in",
            security_group_id=target,
            referenced_security_group_id=source,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description=description,
            opts=child,
        ),
    ]


def accept_from(
    name: str,
    target: pulumi.Input[str],
    sources: Mapping[str, pulumi.Input[str]],
    port: int,
    child: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Let members of other people's groups open connections to members of group `target`.

    On this side alone: rules of a group that somebody else keeps are not ours to add. The keys of `sources` tell the
    rules apart.
    """
    return [
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-from-{key}",
            security_group_id=target,
            referenced_security_group_id=source,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description=f"{key} to {name}",
            opts=child,
        )
        for key, source in sources.items()
    ]


def accept_scrapers(
    name: str, target: pulumi.Input[str], ranges: Sequence[str], child: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Let machines in `ranges` (CIDRs) fetch what members of group `target` measure."""
    return [
        aws.vpc.SecurityGroupIngressRule(
            f"{name}-metrics-from-{cidr.replace('/', '-')}",
            security_group_id=target,
            cidr_ipv4=cidr,
            ip_protocol="tcp",
            from_port=METRICS,
            to_port=METRICS,
            description=f"Metrics of {name}",
            opts=child,
        )
        for cidr in ranges
    ]


def call_out(
    name: str, source: pulumi.Input[str], ports: Sequence[int], child: pulumi.ResourceOptions
) -> list[pulumi.Resource]:
    """Let members of group `source` open TCP connections to anybody at `ports`."""
    return [
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-to-{port}",
            security_group_id=source,
            cidr_ipv4=ANYWHERE,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description=f"{name} to anywhere, port {port}",
            opts=child,
        )
        for port in ports
    ]


def reach(
    name: str,
    source: pulumi.Input[str],
    places: Sequence[str],
    port: int,
    description: str,
    child: pulumi.ResourceOptions,
) -> list[pulumi.Resource]:
    """Let members of group `source` open connections at `port` to `places`, which are CIDRs and groups' ids.

    On this side alone, as with `accept_from`.
    """
    return [
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-to-{place.replace('/', '-')}",
            security_group_id=source,
            cidr_ipv4=None if is_group(place) else place,
            referenced_security_group_id=place if is_group(place) else None,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description=description,
            opts=child,
        )
        for place in places
    ]


def reach_internet(name: str, source: pulumi.Input[str], child: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Let members of group `source` call out for AWS's APIs (HTTPS) and Debian's signed packages (HTTP)."""
    return [
        aws.vpc.SecurityGroupEgressRule(
            f"{name}-{protocol}-out",
            security_group_id=source,
            cidr_ipv4=ANYWHERE,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description=description,
            opts=child,
        )
        for protocol, port, description in (
            ("https", HTTPS, "AWS APIs"),
            ("http", HTTP, "Debian packages, checked by signature"),
        )
    ]
