"""The edge: Nginx on a Debian machine that heals, at an address that stays."""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict, cast

import pulumi
import pulumi_aws as aws

from . import _bucket, _bundle, _events, _logs, _machines, _secrets, _security, _user_data, planning
from ._checks import Later, check_values, known, known_each, require, require_names
from .access import TargetsArgs, fields
from .planning import Finding

_RULES = {
    "instance_type": planning.INSTANCE_TYPE,
    "image": planning.IMAGE,
    "volume_size": planning.VOLUME_SIZE,
    "max_body_size": planning.BODY_SIZE,
    "session_manager_key": planning.SESSION_MANAGER_KEY,
    "log_retention_days": planning.LOG_RETENTION_DAYS,
    "access_logs": planning.ACCESS_LOGS,
}
OLD_VERSIONS_DAYS = 30
"""Days to keep overwritten or deleted objects in a bucket of its own."""

LAUNCH = "launch"
"""The lifecycle hook of the edge's own group, which the machine completes once it holds the address."""
BOOT_SECONDS = 600
"""How long that may take before AWS gives the machine up. One whose boot fails says so itself, and at once."""

_TARGET_RULES = {"port": planning.PORT, "readiness_path": planning.HTTP_PATH}


class LoadBalancerArgs(TypedDict):
    """Arguments of LoadBalancer."""

    vpc_id: pulumi.Input[str]
    """The VPC."""
    subnet_ids: pulumi.Input[list[str]]
    """Public subnets, whose machines get public addresses."""
    bucket: NotRequired[pulumi.Input[str]]
    """The artifact bucket, or another of yours, to carry the edge's own files. Default: one is made."""
    bucket_arn: NotRequired[pulumi.Input[str]]
    """The bucket's ARN. Default: looked up by its name."""
    targets: pulumi.Input[TargetsArgs]
    """The machines to balance over."""
    instance_type: NotRequired[str]
    """EC2 instance type; it decides the architecture (t3 is x86_64, t4g is arm64). Default: t3.small."""
    image: NotRequired[str]
    """`debian-13`, an AMI's id, or a name pattern of your own AMIs, the newest of which counts. Default: debian-13."""
    volume_size: NotRequired[int]
    """Disk in GiB (gp3, encrypted). Default: 10."""
    max_body_size: NotRequired[str]
    """Largest request body that Nginx takes, in its own notation. Default: 1m."""
    security_group_ids: NotRequired[pulumi.Input[list[str]]]
    """Further security groups for the machine. Default: none."""
    role_name: NotRequired[pulumi.Input[str]]
    """An IAM role of yours that EC2 may assume; what the machine needs is added to it. Default: one is made."""
    certificate: NotRequired[pulumi.Input[str]]
    """Name or ARN of a secret with chain and key in PEM; with it, HTTP is redirected to HTTPS. Default: none."""
    trusted_proxies: NotRequired[pulumi.Input[list[str]]]
    """CIDRs of proxies in front (a CDN, an ALB): they alone say who asks, and over what protocol. Default: none."""
    metrics: NotRequired[bool]
    """Whether each machine measures itself each ten seconds, for Prometheus on its port 9464 and, at a price, for
    CloudWatch: the namespace Expressway, by AutoScalingGroupName. Default: true."""
    scrape_from: NotRequired[list[str]]
    """CIDRs that may fetch a machine's metrics from port 9464, where nobody else is let in. Default: none."""
    logs: NotRequired[bool]
    """Whether machines tell CloudWatch Logs, at a price, what they log. Default: true."""
    log_retention_days: NotRequired[int]
    """Days that CloudWatch keeps it, one of the numbers that it has. Default: 30."""
    access_logs: NotRequired[str]
    """Of which requests CloudWatch Logs is told: `all`; `errors`, those answered with 5xx or after a second or more; or
    `none`. All are in Nginx's own log. Default: all."""
    session_manager_key: NotRequired[str]
    """AWS's public key for its SSM agent, as text. With it, machines install the agent when that key has signed it, and
    whom IAM permits gets a shell through Session Manager. Default: none."""
    events: NotRequired[bool]
    """Whether EventBridge tells the edge of launches and terminations, by a queue, so that it looks at once and not two
    seconds later. Default: false."""
    tags: NotRequired[dict[str, pulumi.Input[str]]]
    """Tags for machines and their disks, which a provider's default tags don't reach. Default: none."""


class LoadBalancer(pulumi.ComponentResource):
    """One Nginx machine at an Elastic IP that it claims, in an Auto Scaling group of its own so that AWS replaces it.

    It is in service only once it holds the address; one that breaks later says so, and goes when another is in service.
    It finds its targets in their Auto Scaling group, lets each in once it answers, and lets it go once it is drained.
    """

    address: pulumi.Output[str]
    """The public IPv4 address."""
    url: pulumi.Output[str]
    """Where it answers."""
    group_name: pulumi.Output[str]
    """The edge's own Auto Scaling group."""
    security_group_id: pulumi.Output[str]
    """The edge's security group."""
    log_group: pulumi.Output[str]
    """The group of CloudWatch Logs, with streams `<instance id>/<kind>`; empty without logs."""

    def __init__(self, name: str, args: LoadBalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("expressway:index:LoadBalancer", name, None, opts)
        require_names("LoadBalancer", name, args, LoadBalancerArgs)
        instance_type = args.get("instance_type", "t3.small")
        require("LoadBalancer", name, _find_mistakes(args))
        args = _checked_once_known(name, args)
        named = {key: args[key] for key in ("certificate",) if key in args}
        certificate = _secrets.find("LoadBalancer", name, "", named, self).get("certificate")
        child = pulumi.ResourceOptions(parent=self)
        # Hooks are AppServers' own.
        defaults = {"readiness_path": "/readyz", "lifecycle_hooks": ["launch", "terminate"], "tracks_requests": False}
        targets = fields("targets", args["targets"], TargetsArgs, **defaults)
        targets = Later("LoadBalancer", name).check_values(targets, _TARGET_RULES, "targets.")
        group_id, rules = self._create_firewall(name, args, targets, child)
        address = aws.ec2.Eip(f"{name}-address", domain="vpc", tags={"Name": name}, opts=child)
        bundle = _bundle.build("edge")
        bucket = self._find_bucket(name, args)
        stored = bundle.upload(name, bucket.name, child)
        role = _machines.role(name, f"Edge of {name}", args.get("role_name"), self)
        queue = _events.queue(name, targets["group_name"], child) if args.get("events", False) else None
        logs = _logs.group(name, args, child)
        statements = [*_permissions(bucket, targets, address, certificate, queue), *_logs.permissions(logs)]
        permissions = _machines.allow(f"{name}-boot", role, _measuring(statements, args, targets), child)
        sessions = _machines.allow_sessions(name, role, args.get("session_manager_key"), child)
        tags = _machines.tags(name, "edge", args.get("tags", {}))
        template = _machines.launch_template(
            name,
            image=_machines.find_image(args.get("image", "debian-13"), instance_type, self),
            instance_type=instance_type,
            volume_size=args.get("volume_size", 10),
            user_data=_user_data.encoded(
                "edge",
                self._machine(name, args, targets, bucket, bundle, stored.key, address, certificate, queue, logs),
            ),
            role=role,
            security_group_ids=_machines.security_groups(group_id, args.get("security_group_ids")),
            tags=tags,
            detailed_monitoring=False,
            cpu_credits=None,
            child=child,
            # By a tag it hears which group it is of.
            reads_tags=True,
        )
        group = self._create_group(name, args, template, tags, [permissions, *sessions, *rules])
        # After the group, whose name it is about; a machine takes longer to hold the address.
        _machines.allow(f"{name}-launch", role, _permissions_on(group), child)

        self.address = address.public_ip
        self.url = pulumi.Output.concat("https://" if certificate else "http://", address.public_ip)
        self.group_name = group.name
        self.security_group_id = group_id
        self.log_group = _logs.name_of(logs)
        self.register_outputs(
            {
                "address": self.address,
                "url": self.url,
                "group_name": self.group_name,
                "security_group_id": self.security_group_id,
                "log_group": self.log_group,
            }
        )

    def _create_group(
        self,
        name: str,
        args: LoadBalancerArgs,
        template: "aws.ec2.LaunchTemplate",
        tags: dict[str, pulumi.Input[str]],
        needed_at_boot: list[pulumi.Resource],
    ) -> "aws.autoscaling.Group":
        transition, result = "autoscaling:EC2_INSTANCE_LAUNCHING", "ABANDON"
        group = aws.autoscaling.Group(
            f"{name}-group",
            # One machine holds the one address. A second one is its successor, which starts before it goes.
            min_size=1,
            max_size=2,
            instance_maintenance_policy={"min_healthy_percentage": 100, "max_healthy_percentage": 200},
            vpc_zone_identifiers=args["subnet_ids"],
            launch_template=_machines.latest(template),
            health_check_type="EC2",
            # In service means at work: the hook has waited for that.
            health_check_grace_period=0,
            # Made with the group: made after it, the hook would miss its first machine.
            initial_lifecycle_hooks=[
                {
                    "name": LAUNCH,
                    "lifecycle_transition": transition,
                    "default_result": result,
                    "heartbeat_timeout": BOOT_SECONDS,
                }
            ],
            # The machine may complete its hook only once the policy is there that is made after this group.
            wait_for_capacity_timeout="0",
            tags=_machines.group_tags(tags),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=needed_at_boot,
                # To give a group its first hooks is to replace it, and one that stands may have none.
                ignore_changes=["initialLifecycleHooks"],
            ),
        )
        # The same hook, for a group of a release that had none; AWS takes it for one and the same by its name.
        aws.autoscaling.LifecycleHook(
            f"{name}-launch",
            name=LAUNCH,
            autoscaling_group_name=group.name,
            lifecycle_transition=transition,
            default_result=result,
            heartbeat_timeout=BOOT_SECONDS,
            opts=pulumi.ResourceOptions(parent=self, deleted_with=group),
        )
        return group

    def _find_bucket(self, name: str, args: LoadBalancerArgs) -> _bucket.ArchiveBucket:
        if "bucket" not in args:
            # Nothing but what this component puts there: it goes with it.
            return _bucket.private(name, OLD_VERSIONS_DAYS, force_destroy=True, parent=self)
        if "bucket_arn" not in args:
            return _bucket.existing(args["bucket"], self)
        return _bucket.ArchiveBucket(
            pulumi.Output.from_input(args["bucket"]), pulumi.Output.from_input(args["bucket_arn"])
        )

    def _create_firewall(
        self, name: str, args: LoadBalancerArgs, targets: Mapping[str, Any], child: pulumi.ResourceOptions
    ) -> tuple[pulumi.Output[str], list[pulumi.Resource]]:
        group = _security.group(f"{name}-group", args["vpc_id"], f"Edge {name}", child)
        _security.accept_scrapers(name, group.id, args.get("scrape_from", []), child)
        return group.id, [
            _security.accept(name, group.id, "HTTP", child),
            *([_security.accept(name, group.id, "HTTPS", child)] if "certificate" in args else []),
            *_security.reach_internet(name, group.id, child),
            *_security.connect(
                f"{name}-app", group.id, targets["security_group_id"], targets["port"], f"{name} to its targets", child
            ),
        ]

    def _machine(
        self,
        name: str,
        args: LoadBalancerArgs,
        targets: Mapping[str, Any],
        bucket: _bucket.ArchiveBucket,
        bundle: _bundle.Bundle,
        bundle_key: pulumi.Input[str],
        address: "aws.ec2.Eip",
        certificate: pulumi.Output[str] | None,
        queue: "aws.sqs.Queue | None",
        logs: "aws.cloudwatch.LogGroup | None",
    ) -> dict[str, Any]:
        """What a machine is told: /etc/expressway/machine.json."""
        return {
            "tier": "edge",
            "name": name,
            "region": aws.get_region_output(opts=pulumi.InvokeOutputOptions(parent=self)).region,
            "bucket": bucket.name,
            "bundle": {"key": bundle_key, "sha256": bundle.sha256},
            "session_manager": args.get("session_manager_key"),
            "eip_allocation_id": address.allocation_id,
            "launch_hook": LAUNCH,
            "metrics": _machines.told_of_metrics(args),
            "logs": _logs.told(logs, access=args.get("access_logs", "all")),
            "upstream": {
                "auto_scaling_group": targets["group_name"],
                "port": targets["port"],
                "readiness_path": targets["readiness_path"],
                "lifecycle_hooks": targets["lifecycle_hooks"],
                "tracks_requests": targets["tracks_requests"],
            },
            "events_queue_url": queue.url if queue else None,
            "max_body_size": args.get("max_body_size", "1m"),
            "certificate": certificate,
            "trusted_proxies": args.get("trusted_proxies", []),
        }


def _find_mistakes(args: LoadBalancerArgs) -> list[Finding]:
    findings = check_values(args, _RULES) + check_values(args["targets"], _TARGET_RULES, "targets.")
    if "certificate" in args:
        findings += planning.check_secret_name("certificate", known(args["certificate"]))
    findings += planning.check_trusted_proxies("trustedProxies", known(args.get("trusted_proxies", [])))
    findings += planning.check_scrapers("scrapeFrom", args.get("scrape_from", []))
    return findings + planning.check_tags("tags", known_each(args.get("tags", {})))


def _checked_once_known(name: str, args: LoadBalancerArgs) -> LoadBalancerArgs:
    """The arguments, with what other resources give held to the same rules."""
    later = Later("LoadBalancer", name)
    held: dict[str, Any] = {**args}
    for key, path, check in (
        ("certificate", "certificate", planning.check_secret_name),
        ("trusted_proxies", "trustedProxies", planning.check_trusted_proxies),
    ):
        if key in args:
            held[key] = later.check(path, args[key], check)
    return cast(LoadBalancerArgs, held)


def _permissions(
    bucket: _bucket.ArchiveBucket,
    targets: Mapping[str, Any],
    address: "aws.ec2.Eip",
    certificate: pulumi.Output[str] | None,
    queue: "aws.sqs.Queue | None",
) -> list[dict[str, Any]]:
    # arn:aws:ec2:<region>:<account>, which AWS gives with the address
    here = address.arn.apply(lambda arn: arn.rpartition(":")[0])
    on_targets = ["autoscaling:SetInstanceHealth"]
    if targets["lifecycle_hooks"] != []:
        on_targets += ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"]
    reports = pulumi.Output.concat(bucket.arn, "/reports/edge/*")
    reads_certificate = [{"Action": "secretsmanager:GetSecretValue", "Resource": certificate}] if certificate else []
    return [
        *reads_certificate,
        *([_events.permissions(queue)] if queue else []),
        {"Action": "s3:GetObject", "Resource": [pulumi.Output.concat(bucket.arn, "/bundles/*"), reports]},
        {"Action": "s3:PutObject", "Resource": reports},
        {"Action": on_targets, "Resource": targets["group_arn"]},
        {
            # AWS checks the address and the machine that gets it; which machine that is, only the machine knows.
            "Action": "ec2:AssociateAddress",
            "Resource": [
                address.arn,
                *(pulumi.Output.concat(here, f":{kind}/*") for kind in ("instance", "network-interface")),
            ],
        },
        {
            # AWS can't restrict these to resources.
            "Action": [
                "autoscaling:DescribeAutoScalingGroups",
                "autoscaling:DescribeAutoScalingInstances",
                "autoscaling:DescribeLifecycleHooks",
                "ec2:DescribeAddresses",
                "ec2:DescribeInstances",
                "ec2:DescribeTags",
            ],
            "Resource": "*",
        },
    ]


def _measuring(
    statements: list[dict[str, Any]], args: LoadBalancerArgs, targets: Mapping[str, Any]
) -> pulumi.Output[list[Mapping[str, Any]]]:
    """With what it takes to tell CloudWatch, where that is wanted, which another stack's output may say later."""
    tells = pulumi.Output.from_input(targets["tracks_requests"]).apply(
        lambda tracks: tracks or args.get("metrics", True)
    )
    return pulumi.Output.all(statements, tells).apply(
        lambda known: [*known[0], *([_machines.TELLS_METRICS] if known[1] else [])]
    )


def _permissions_on(group: "aws.autoscaling.Group") -> list[dict[str, Any]]:
    return [
        {"Action": ["autoscaling:CompleteLifecycleAction", "autoscaling:SetInstanceHealth"], "Resource": group.arn},
        # The machine asks which group it is in, and whether it waits. AWS can't restrict this to resources.
        {"Action": "autoscaling:DescribeAutoScalingInstances", "Resource": "*"},
    ]
