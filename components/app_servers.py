"""The app's servers: an Auto Scaling group of Debian machines that run it under PM2."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from . import _bundle, _logs, _machines, _proxy, _secrets, _security, _user_data, planning
from ._checks import Later, camel, check_values, known, known_each, require, require_names
from .access import (
    ApmArgs,
    AppReleaseArgs,
    CacheAccessArgs,
    DatabaseAccessArgs,
    ExternalDatabaseArgs,
    TargetsArgs,
    fields,
)
from .planning import Finding

_RULES = {
    "instance_type": planning.INSTANCE_TYPE,
    "image": planning.IMAGE,
    "volume_size": planning.VOLUME_SIZE,
    "target_cpu": planning.TARGET_CPU,
    "target_requests": planning.TARGET_REQUESTS,
    "launch_completed_by": planning.COMPLETED_BY,
    "packages": planning.Each(planning.PACKAGE),
    "port": planning.APP_PORT,
    "liveness_path": planning.HTTP_PATH,
    "readiness_path": planning.HTTP_PATH,
    "session_manager_key": planning.SESSION_MANAGER_KEY,
    "log_retention_days": planning.LOG_RETENTION_DAYS,
    "pooler": planning.POOLER,
    "pool_size": planning.POOL_SIZE,
}
_APM_RULES = {"service": planning.APM_NAME, "environment": planning.APM_NAME}
_CACHE_RULES = {"host": planning.HOST, "port": planning.PORT}
_GIVEN_RULES = {
    **_CACHE_RULES,
    "replica_hosts": planning.HOSTS,
    "reader_host": planning.READER_HOST,
    "proxy_host": planning.READER_HOST,
    "proxy_reader_host": planning.READER_HOST,
    "max_connections": planning.POOL_SIZE,
}
_EXTERNAL_RULES = {"port": planning.PORT, "max_connections": planning.POOL_SIZE}
_OF_A_PROXY = ("proxy_host", "proxy_security_group_id")
"""What a database that has one tells of it."""
_DATABASE_RULES = {**_GIVEN_RULES, "proxy_percent": planning.PROXY_PERCENT}

BOOT_SECONDS = 600
"""How long a machine may take to become ready, and to drain, before AWS gives it up."""

LAUNCH, TERMINATE = "launch", "terminate"
"""The group's lifecycle hooks."""

WARM_UP_SECONDS = 120
"""How long a new machine's CPU load says more about booting than about traffic."""


class AppServersArgs(TypedDict):
    """Arguments of AppServers."""

    vpc_id: pulumi.Input[str]
    """The VPC."""
    subnet_ids: pulumi.Input[list[str]]
    """The subnets to spread machines over; they need a way to the internet."""
    release: pulumi.Input[AppReleaseArgs]
    """Where to fetch the app and its runtime."""
    instance_type: NotRequired[str]
    """EC2 instance type; it decides the architecture (t3 is x86_64, t4g is arm64). Default: t3.small."""
    image: NotRequired[str]
    """`debian-13`, an AMI's id, or a name pattern of your own AMIs, the newest of which counts. Default: debian-13."""
    volume_size: NotRequired[int]
    """Disk in GiB (gp3, encrypted). Default: 10."""
    min_size: NotRequired[int]
    """Fewest machines. Default: 2."""
    max_size: NotRequired[int]
    """Most machines. Default: 4."""
    target_cpu: NotRequired[int]
    """Average CPU load, in percent, that scaling aims at. Default: 60."""
    target_requests: NotRequired[int]
    """Requests a second for each machine that scaling aims at besides, as LoadBalancer measures them each ten seconds.
    Default: none."""
    port: NotRequired[int]
    """The port that the app listens on. Default: 3000."""
    liveness_path: NotRequired[str]
    """Answers below 500 once the process is up; it then has 90 s more to be ready. Default: /healthz."""
    readiness_path: NotRequired[str]
    """Answers below 500 while the app should get traffic. Default: /readyz."""
    environment: NotRequired[dict[str, pulumi.Input[str]]]
    """Plain variables of the app; they are part of the user data, so nothing secret. Default: none."""
    secrets: NotRequired[dict[str, pulumi.Input[str]]]
    """Variables that machines fetch from Secrets Manager: names or ARNs of secrets, by variable. Default: none."""
    apm: NotRequired[ApmArgs]
    """The agent that watches the app, and whom it tells. Default: none."""
    database: NotRequired[pulumi.Input[DatabaseAccessArgs]]
    """The database, told to the app as DATABASE_URL. Default: none."""
    shards: NotRequired[list[pulumi.Input[DatabaseAccessArgs]]]
    """Further databases, each with a part of the data and a security group of its own. The app is told of `database`
    and these, in their order, as DATABASE_SHARD_URLS: add at the end only. Default: none."""
    external_database: NotRequired[ExternalDatabaseArgs]
    """A database that somebody else keeps, told to the app as DATABASE_URL, in place of `database` and `shards`.
    Default: none."""
    pooler: NotRequired[str]
    """What keeps connections to the database few: `pgbouncer` on each machine, which DATABASE_URL then leads to;
    `rds-proxy`, which Database makes and it leads to then; or `none`. Default: pgbouncer."""
    keep_proxy: NotRequired[bool]
    """Whether machines that were made while `pooler` was `rds-proxy` still reach each database's proxy, which Database
    has to keep. Default: false."""
    pool_size: NotRequired[int]
    """Connections to the database of each machine: as many as fit while all are replaced, unless it is given. With
    `rds-proxy` and `none`, of each worker, as DATABASE_POOL_SIZE tells the app; with `none` 10 unless it is given. Each
    of `shards` has as many for itself. Default: as many as fit."""
    cache: NotRequired[pulumi.Input[CacheAccessArgs]]
    """The cache, told to the app as REDIS_URL, and as REDIS_CLUSTER=true where it is a cluster. Default: none."""
    target_group_arns: NotRequired[pulumi.Input[list[str]]]
    """Target groups of an Application or Network Load Balancer, which then also decides on health. Default: none."""
    launch_completed_by: NotRequired[str]
    """Who completes a new machine's launch lifecycle hook: `edge`, which is LoadBalancer, when the machine answers; or
    `machine`, itself when its app is ready. Default: machine with target groups, else edge."""
    ingress: NotRequired[dict[str, pulumi.Input[str]]]
    """Security groups whose members may connect to the port, by a name of your own for each. Default: none."""
    outgoing_ports: NotRequired[list[int]]
    """TCP ports that the app may call anywhere, besides 80 and 443. Default: none."""
    security_group_ids: NotRequired[pulumi.Input[list[str]]]
    """Further security groups for the machines. Default: none."""
    role_name: NotRequired[pulumi.Input[str]]
    """An IAM role of yours that EC2 may assume; what the machines need is added to it. Default: one is made."""
    policy_arns: NotRequired[dict[str, pulumi.Input[str]]]
    """Further managed policies for the role, by a name of your own for each. Default: none."""
    packages: NotRequired[list[str]]
    """Debian packages that the app needs, such as ffmpeg. Default: none."""
    detailed_monitoring: NotRequired[bool]
    """CPU load each minute instead of every five, at a price, so that scaling acts sooner. Default: false."""
    cpu_credits: NotRequired[str]
    """For burstable types: `standard`, slow without credits, or `unlimited`, at a price. Default: the type's own."""
    metrics: NotRequired[bool]
    """Whether each machine measures itself each ten seconds, for Prometheus on its port 9464 and, at a price, for
    CloudWatch: the namespace Expressway, by AutoScalingGroupName. Default: true."""
    scrape_from: NotRequired[list[str]]
    """CIDRs that may fetch a machine's metrics from port 9464, where nobody else is let in. Default: none."""
    logs: NotRequired[bool]
    """Whether machines tell CloudWatch Logs, at a price, what they log. Default: true."""
    log_retention_days: NotRequired[int]
    """Days that CloudWatch keeps it, one of the numbers that it has. Default: 30."""
    session_manager_key: NotRequired[str]
    """AWS's public key for its SSM agent, as text. With it, machines install the agent when that key has signed it, and
    whom IAM permits gets a shell through Session Manager. Default: none."""
    tags: NotRequired[dict[str, pulumi.Input[str]]]
    """Tags for machines and their disks, which a provider's default tags don't reach. Default: none."""


class AppServers(pulumi.ComponentResource):
    """Machines that fetch the current release at boot, and take traffic once they are ready.

    Every launch waits in a lifecycle hook. LoadBalancer completes it when the machine answers; behind another load
    balancer the machine does. One that nobody completes is given up after ten minutes. With LoadBalancer, a termination
    waits as well, until requests are through; target groups have their deregistration delay for that.
    """

    group_name: pulumi.Output[str]
    """The Auto Scaling group."""
    group_arn: pulumi.Output[str]
    """The Auto Scaling group's ARN."""
    security_group_id: pulumi.Output[str]
    """The machines' security group; it lets nobody in until somebody adds a rule."""
    launch_template_id: pulumi.Output[str]
    """The launch template."""
    role_name: pulumi.Output[str]
    """The machines' IAM role."""
    role_arn: pulumi.Output[str]
    """The machines' IAM role's ARN."""
    log_group: pulumi.Output[str]
    """The group of CloudWatch Logs, with streams `<instance id>/<kind>`; empty without logs."""
    targets: TargetsArgs
    """What LoadBalancer takes: these machines, and the port and path that they answer at."""

    def __init__(self, name: str, args: AppServersArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("expressway:index:AppServers", name, None, opts)
        require_names("AppServers", name, args, AppServersArgs)
        instance_type = args.get("instance_type", "t3.small")
        require("AppServers", name, _find_mistakes(args))
        child = pulumi.ResourceOptions(parent=self)
        given = _Given.by(args, Later("AppServers", name))
        secrets = _secrets.find("AppServers", name, "secrets.", given.secrets, self)
        apm = self._find_apm(name, args)
        external = self._find_external(name, args)
        group_id, rules = self._create_firewall(name, args, given, child)
        bundle = _bundle.build("app")
        stored = bundle.upload(name, given.release["bucket"], child)
        role = _machines.role(name, f"App servers of {name}", args.get("role_name"), self)
        logs = _logs.group(name, args, child)
        statements = [*_boot_permissions(args, given, secrets, apm, external), *_logs.permissions(logs)]
        permissions = [
            _machines.allow(f"{name}-boot", role, statements, child),
            *_machines.allow_sessions(name, role, args.get("session_manager_key"), child),
            *_machines.attach(name, role, args.get("policy_arns", {}), child),
        ]
        tags = _machines.tags(name, "app", args.get("tags", {}))
        template = _machines.launch_template(
            name,
            image=_machines.find_image(args.get("image", "debian-13"), instance_type, self),
            instance_type=instance_type,
            volume_size=args.get("volume_size", 10),
            user_data=_user_data.encoded(
                "app",
                self._machine(name, args, given, bundle, stored.key, secrets, apm, external, logs),
                args.get("packages", []),
            ),
            role=role,
            security_group_ids=_machines.security_groups(group_id, args.get("security_group_ids")),
            tags=tags,
            detailed_monitoring=args.get("detailed_monitoring", False),
            cpu_credits=args.get("cpu_credits"),
            child=child,
            # By tags they hear of a deploy in place, and of which group they are.
            reads_tags=True,
        )
        group = self._create_group(name, args, template, tags, [*permissions, *rules])
        if _completes_itself(args):
            # After the group, whose name it is about; a machine takes longer to become ready.
            _machines.allow(f"{name}-launch", role, _launch_permissions(group), child)

        self.group_name = group.name
        self.group_arn = group.arn
        self.security_group_id = group_id
        self.launch_template_id = template.id
        self.role_name = role.name
        self.role_arn = role.arn
        self.log_group = _logs.name_of(logs)
        self.targets = {
            "group_name": group.name,
            "group_arn": group.arn,
            "security_group_id": group_id,
            "port": args.get("port", 3000),
            "readiness_path": args.get("readiness_path", "/readyz"),
            "lifecycle_hooks": [] if _completes_itself(args) else [LAUNCH, TERMINATE],
            "tracks_requests": "target_requests" in args,
        }
        self.register_outputs(
            {
                "group_name": self.group_name,
                "group_arn": self.group_arn,
                "security_group_id": self.security_group_id,
                "launch_template_id": self.launch_template_id,
                "role_name": self.role_name,
                "role_arn": self.role_arn,
                "log_group": self.log_group,
                "targets": self.targets,
            }
        )

    def _create_firewall(
        self, name: str, args: AppServersArgs, given: "_Given", child: pulumi.ResourceOptions
    ) -> tuple[pulumi.Output[str], list[pulumi.Resource]]:
        group = _security.group(f"{name}-group", args["vpc_id"], f"App servers {name}", child)
        rules = _security.reach_internet(name, group.id, child)
        rules += _security.call_out(name, group.id, _outgoing_ports(args), child)
        _security.accept_from(name, group.id, args.get("ingress", {}), args.get("port", 3000), child)
        _security.accept_scrapers(name, group.id, args.get("scrape_from", []), child)
        shards = ((f"database-{number}", shard) for number, shard in enumerate(given.shards, 2))
        databases = (("database", given.database), *shards)
        for role, target in (*databases, ("cache", given.cache)):
            if target is not None:
                rules += _security.connect(
                    f"{name}-{role}", group.id, target["security_group_id"], target["port"], f"{name} to {role}", child
                )
        if external := args.get("external_database"):
            place = (external["egress"], external.get("port", planning.POSTGRESQL_PORT), f"{name} to database")
            rules += _security.reach(f"{name}-database", group.id, *place, child)
        # Besides: what goes past the proxy goes on to, DATABASE_DIRECT_URL, replicas and what measures among it.
        for role, target in databases if _reaches_proxy(args) else ():
            if target is not None:
                where = target["proxy_security_group_id"]
                rules += _security.connect(
                    f"{name}-{role}-proxy", group.id, where, _proxy.PORT, f"{name} to RDS Proxy of {role}", child
                )
        return group.id, rules

    def _find_external(self, name: str, args: AppServersArgs) -> pulumi.Output[str] | None:
        """The ARN of the secret with the URL of a database that isn't the stack's."""
        given = args.get("external_database")
        if given is None:
            return None
        named = Later("AppServers", name).check_each(
            {"secret": given["secret"]}, planning.check_secret_name, "externalDatabase."
        )
        return _secrets.find("AppServers", name, "externalDatabase.", named, self)["secret"]

    def _find_apm(self, name: str, args: AppServersArgs) -> dict[str, Any] | None:
        """What machines are told of the agent; its secret has to be there, as the app's own have."""
        given = args.get("apm")
        if given is None:
            return None
        secret = given.get("secret")
        found = {} if secret is None else _secrets.find("AppServers", name, "apm.", {"secret": secret}, self)
        return {
            "vendor": given["vendor"],
            "service": given["service"],
            "environment": given.get("environment", name),
            "secret": found.get("secret"),
            "endpoint": given.get("endpoint"),
            "controller": given.get("controller"),
        }

    def _machine(
        self,
        name: str,
        args: AppServersArgs,
        given: "_Given",
        bundle: _bundle.Bundle,
        bundle_key: pulumi.Input[str],
        secrets: dict[str, pulumi.Output[str]],
        apm: dict[str, Any] | None,
        external: pulumi.Output[str] | None,
        logs: "aws.cloudwatch.LogGroup | None",
    ) -> dict[str, Any]:
        """What a machine is told: /etc/expressway/machine.json."""
        release, database, cache = given.release, given.database, given.cache
        return {
            "tier": "app",
            "name": name,
            "region": aws.get_region_output(opts=pulumi.InvokeOutputOptions(parent=self)).region,
            "bucket": release["bucket"],
            "bundle": {"key": bundle_key, "sha256": bundle.sha256},
            "session_manager": args.get("session_manager_key"),
            "runtime": {"key": release["runtime_key"], "sha256": release["runtime_sha256"]},
            "release_parameter": release["parameter_name"],
            "launch_hook": LAUNCH if _completes_itself(args) else None,
            "metrics": _machines.told_of_metrics(args),
            "logs": _logs.told(logs),
            "app": {
                "port": args.get("port", 3000),
                "liveness_path": args.get("liveness_path", "/healthz"),
                "readiness_path": args.get("readiness_path", "/readyz"),
                "environment": given.environment,
                "secrets": secrets,
            },
            "apm": apm,
            "database": _told_of_external(args, external)
            if external is not None
            else database
            and {
                **_told_of_database(args, database),
                "pooler": args.get("pooler", planning.PGBOUNCER),
                # Absent, not empty: machines of a stack without shards are told what they were before there were any.
                **({"shards": [_told_of_database(args, each) for each in given.shards]} if given.shards else {}),
            },
            "cache": cache
            and {
                "host": cache["host"],
                "port": cache["port"],
                "secret": cache["secret_arn"],
                "cluster": cache["cluster"],
            },
        }

    def _create_group(
        self,
        name: str,
        args: AppServersArgs,
        template: "aws.ec2.LaunchTemplate",
        tags: dict[str, pulumi.Input[str]],
        needed_at_boot: list[pulumi.Resource],
    ) -> "aws.autoscaling.Group":
        group = aws.autoscaling.Group(
            f"{name}-group",
            # No desired capacity: it is scaling's and the operator's to change, and an update must not undo that.
            min_size=args.get("min_size", 2),
            max_size=args.get("max_size", 4),
            vpc_zone_identifiers=args["subnet_ids"],
            launch_template=_machines.latest(template),
            target_group_arns=args.get("target_group_arns"),
            health_check_type="ELB" if _has_target_groups(args) else "EC2",
            health_check_grace_period=BOOT_SECONDS,
            default_instance_warmup=WARM_UP_SECONDS,
            # Hooks made with the group: made after it, they would miss its first machines.
            initial_lifecycle_hooks=[
                {
                    "name": hook,
                    "lifecycle_transition": f"autoscaling:EC2_INSTANCE_{transition}",
                    "default_result": "ABANDON",
                    "heartbeat_timeout": BOOT_SECONDS,
                }
                for hook, transition in _hooks(args)
            ],
            # The launch hook is completed later: by a load balancer that may come after this group, or by the machine.
            wait_for_capacity_timeout="0",
            # A destroy takes the load balancer first; after it, nobody would complete a terminate hook.
            force_delete=True,
            tags=_machines.group_tags(tags),
            opts=pulumi.ResourceOptions(parent=self, depends_on=needed_at_boot),
        )
        aws.autoscaling.Policy(
            f"{name}-cpu",
            autoscaling_group_name=group.name,
            policy_type="TargetTrackingScaling",
            target_tracking_configuration={
                "predefined_metric_specification": {"predefined_metric_type": "ASGAverageCPUUtilization"},
                "target_value": args.get("target_cpu", 60),
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        if "target_requests" in args:
            aws.autoscaling.Policy(
                f"{name}-requests",
                autoscaling_group_name=group.name,
                policy_type="TargetTrackingScaling",
                target_tracking_configuration={
                    # What LoadBalancer publishes: one value each ten seconds from each edge.
                    "customized_metric_specification": {
                        "namespace": "Expressway",
                        "metric_name": "RequestsPerServer",
                        "metric_dimensions": [{"name": "AutoScalingGroupName", "value": group.name}],
                        "statistic": "Sum",
                        "period": 10,
                    },
                    "target_value": args["target_requests"],
                },
                opts=pulumi.ResourceOptions(parent=self),
            )
        return group


@dataclass(frozen=True)
class _Given:
    """What other components and resources hand on, field by field, each held to its rule once it is known."""

    release: Mapping[str, Any]
    database: Mapping[str, Any] | None
    shards: list[Mapping[str, Any]]
    cache: Mapping[str, Any] | None
    environment: Mapping[str, Any]
    secrets: Mapping[str, Any]

    @staticmethod
    def by(args: AppServersArgs, later: Later) -> "_Given":
        """Take them from the arguments, each of which may be a mapping or one output."""

        def held(path: str, given: pulumi.Input[DatabaseAccessArgs]) -> Mapping[str, Any]:
            found = fields(
                *(path, given, DatabaseAccessArgs),
                master_secret_arn=None,
                replica_hosts=[],
                reader_host="",
                proxy_host="",
                proxy_reader_host="",
                proxy_security_group_id=None,
                proxy_percent=None,
                max_connections=planning.DEFAULT_CONNECTIONS,
            )
            found = later.check_values(found, _GIVEN_RULES, f"{path}.")
            most = later.check("", found["max_connections"], lambda _, most: _check_connections(args, most, found))
            proxy = {
                name: later.check(f"{path}.{camel(name)}", found[name], lambda at, value: _check_proxy(args, at, value))
                for name in _OF_A_PROXY
            }
            return {**found, **proxy, "max_connections": most}

        database, cache = args.get("database"), args.get("cache")
        if cache is not None:
            cache = later.check_values(fields("cache", cache, CacheAccessArgs, cluster=False), _CACHE_RULES, "cache.")
        return _Given(
            release=fields("release", args["release"], AppReleaseArgs),
            database=None if database is None else held("database", database),
            shards=[held(f"shards[{index}]", each) for index, each in enumerate(args.get("shards", []))],
            cache=cache,
            environment=later.check_each(args.get("environment", {}), planning.check_plain_value, "environment."),
            secrets=later.check_each(args.get("secrets", {}), planning.check_secret_name, "secrets."),
        )


def _find_mistakes(args: AppServersArgs) -> list[Finding]:
    instance_type = args.get("instance_type", "t3.small")
    return [
        *check_values(args, _RULES),
        *planning.check_sizes(args.get("min_size", 2), args.get("max_size", 4)),
        *planning.check_variables(known_each(args.get("environment", {})), known_each(args.get("secrets", {}))),
        *_check_apm(args),
        *planning.check_tags("tags", known_each(args.get("tags", {}))),
        *planning.check_outgoing_ports("outgoingPorts", args.get("outgoing_ports", [])),
        *planning.check_cpu_credits("cpuCredits", args.get("cpu_credits"), instance_type),
        *planning.check_keys("ingress", args.get("ingress", {})),
        *planning.check_scrapers("scrapeFrom", args.get("scrape_from", [])),
        *planning.check_keys("policyArns", args.get("policy_arns", {})),
        *check_values(args.get("database"), _DATABASE_RULES, "database."),
        *_check_shards(args),
        *_check_external(args),
        *_check_proxies(args),
        *_find_too_many_connections(args),
        *check_values(args.get("cache"), _CACHE_RULES, "cache."),
    ]


def _check_shards(args: AppServersArgs) -> list[Finding]:
    shards = args.get("shards", [])
    findings = [
        finding
        for index, each in enumerate(shards)
        for finding in check_values(each, _DATABASE_RULES, f"shards[{index}].")
    ]
    if shards and args.get("database") is None:
        rule = "there is no database, which is the first of them"
        findings.append(Finding("shards", planning.NOTHING, rule, "Give the first as database."))
    return findings + planning.check_further_shards("shards", len(shards))


def _check_external(args: AppServersArgs) -> list[Finding]:
    given = args.get("external_database")
    if given is None:
        return []
    findings = check_values(given, _EXTERNAL_RULES, "externalDatabase.")
    findings += planning.check_secret_name("externalDatabase.secret", known(given["secret"]))
    findings += planning.check_egress("externalDatabase.egress", given["egress"])
    findings += planning.check_external_pooler("pooler", args.get("pooler", planning.PGBOUNCER))
    if args.get("database") is not None:
        rule = "it must not be there with database: the app is told of one of them"
        findings.append(Finding("externalDatabase", planning.NOTHING, rule, "Leave one of them out."))
    return findings


def _told_of_external(args: AppServersArgs, secret: pulumi.Output[str]) -> dict[str, Any]:
    """The same of one that isn't the stack's: all but its port is in the secret."""
    given = args.get("external_database", {})
    most = given.get("max_connections", planning.DEFAULT_CONNECTIONS)
    return {
        "url_secret": True,
        "secret": secret,
        "port": given.get("port", planning.POSTGRESQL_PORT),
        "pool_size": _budget(args, most, {}).size,
        "pooler": args.get("pooler", planning.PGBOUNCER),
    }


def _proxied(args: AppServersArgs) -> bool:
    return args.get("pooler") == planning.RDS_PROXY


def _reaches_proxy(args: AppServersArgs) -> bool:
    return _proxied(args) or args.get("keep_proxy", False)


def _check_proxies(args: AppServersArgs) -> list[Finding]:
    """Each database that is known as a mapping has a proxy, where machines go by it."""
    shards = ((f"shards[{index}]", each) for index, each in enumerate(args.get("shards", [])))
    return [
        finding
        for path, each in (("database", args.get("database")), *shards)
        if isinstance(each, Mapping)
        for name in _OF_A_PROXY
        for finding in _check_proxy(args, f"{path}.{camel(name)}", known(each.get(name)))
    ]


def _check_proxy(args: AppServersArgs, path: str, value: object) -> list[Finding]:
    if not _reaches_proxy(args) or value:
        return []
    if not _proxied(args):
        rule = "it must be there with keepProxy"
        return [Finding(path, planning.NOTHING, rule, "Give Database proxyPercent, or leave keepProxy out.")]
    rule = f"it must be there with pooler {planning.RDS_PROXY}"
    return [Finding(path, planning.NOTHING, rule, "Give Database proxyPercent, or set pooler to pgbouncer.")]


def _told_of_database(args: AppServersArgs, database: Mapping[str, Any]) -> dict[str, Any]:
    """What a machine is told of one."""
    most = pulumi.Output.from_input(database["max_connections"])
    # Absent, not empty: machines without a proxy are told what they were before there was any.
    proxy = {name: database[name] for name in ("proxy_host", "proxy_reader_host")} if _proxied(args) else {}
    return {
        **proxy,
        "host": database["host"],
        "port": database["port"],
        "name": database["name"],
        "secret": database["secret_arn"],
        "master_secret": database["master_secret_arn"],
        "replica_hosts": database["replica_hosts"],
        "reader_host": database["reader_host"],
        "pool_size": most.apply(lambda most: _budget(args, most, database).size),
    }


def _check_apm(args: AppServersArgs) -> list[Finding]:
    apm = args.get("apm")
    if apm is None:
        return []
    secret = known(apm["secret"]) if "secret" in apm else None
    given = (apm["vendor"], secret, apm.get("endpoint"), apm.get("controller"))
    names = check_values(apm, _APM_RULES, "apm.")
    return names + planning.check_apm(*given, ("apm.vendor", "apm.secret", "apm.endpoint", "apm.controller"))


def _outgoing_ports(args: AppServersArgs) -> list[int]:
    """What the app calls, and what its agent does."""
    ports = args.get("outgoing_ports", [])
    apm = args.get("apm")
    own = [planning.apm_port(apm.get("endpoint"))] if apm else []
    return [*ports, *(port for port in own if port not in (*ports, *planning.OPEN_ANYWAY))]


def _find_too_many_connections(args: AppServersArgs) -> list[Finding]:
    """Of the databases whose number is known already: of that with the fewest."""
    all_of_them = (args.get("database"), *args.get("shards", []), args.get("external_database"))
    databases = [each for each in all_of_them if isinstance(each, Mapping)]
    counted = [(known(each.get("max_connections", planning.DEFAULT_CONNECTIONS)), each) for each in databases]
    most, fewest = min(
        ((most, each) for most, each in counted if isinstance(most, int)), key=lambda both: both[0], default=(None, {})
    )
    return _check_connections(args, most, fewest)


def _check_connections(args: AppServersArgs, most: object, database: Mapping[str, Any]) -> list[Finding]:
    alone = check_values(args, {name: _RULES[name] for name in ("pooler", "pool_size", "instance_type")})
    alone += planning.FLEET_SIZE.check("maxSize", args.get("max_size", 4))
    alone += planning.POOL_SIZE.check("database.maxConnections", most)
    alone += planning.PROXY_PERCENT.check("proxyPercent", percent) if (percent := _percent(database)) else []
    # What is wrong by itself has a finding of its own.
    return [] if alone or not isinstance(most, int) else _budget(args, most, database).check()


def _budget(args: AppServersArgs, most: int, database: Mapping[str, Any]) -> planning.Budget:
    """The machines' connections, against those of a database that takes `most`."""
    return planning.Budget(
        most=most,
        servers=args.get("max_size", 4),
        pooler=args.get("pooler", planning.PGBOUNCER),
        pool_size=args.get("pool_size"),
        workers=planning.workers(args.get("instance_type", "t3.small")),
        percent=_percent(database),
        replicas=isinstance(there := known(database.get("replica_hosts")), list) and bool(there),
        **({"place_for_more": planning.PLACE_FOR_MORE} if "external_database" in args else {}),
    )


def _percent(database: Mapping[str, Any]) -> int | None:
    """What its proxy may have; None where nobody has said so, or another resource has yet to."""
    found = known(database.get("proxy_percent"))
    return found if isinstance(found, int) else None


def _has_target_groups(args: AppServersArgs) -> bool:
    return args.get("target_group_arns") not in (None, [])


def _completes_itself(args: AppServersArgs) -> bool:
    default = "machine" if _has_target_groups(args) else "edge"
    return args.get("launch_completed_by", default) == "machine"


def _hooks(args: AppServersArgs) -> list[tuple[str, str]]:
    """Names and transitions. Nobody but LoadBalancer would complete one on terminating."""
    launch, terminate = (LAUNCH, "LAUNCHING"), (TERMINATE, "TERMINATING")
    return [launch] if _completes_itself(args) else [launch, terminate]


def _boot_permissions(
    args: AppServersArgs,
    given: _Given,
    secrets: dict[str, pulumi.Output[str]],
    apm: dict[str, Any] | None,
    external: pulumi.Output[str] | None,
) -> list[Mapping[str, Any]]:
    release = given.release
    wanted: list[pulumi.Input[str]] = [*secrets.values()]
    wanted += [apm["secret"]] if apm and apm["secret"] is not None else []
    wanted += [external] if external is not None else []
    wanted += [target["secret_arn"] for target in (given.database, *given.shards, given.cache) if target is not None]
    wanted += [
        # Of a database that is given as one output, it is known late whether there is any.
        pulumi.Output.all(master, target["secret_arn"]).apply(lambda found: found[0] or found[1])
        for target in (given.database, *given.shards)
        if target is not None and (master := target["master_secret_arn"]) is not None
    ]
    statements: list[Mapping[str, Any]] = [
        {
            "Action": "s3:GetObject",
            "Resource": [
                pulumi.Output.concat(release["bucket_arn"], f"/{folder}/*")
                for folder in ("bundles", "releases", "runtime", "deploys/commands", "leases")
            ],
        },
        {"Action": "ssm:GetParameter", "Resource": release["parameter_arn"]},
        {
            "Action": "s3:PutObject",
            "Resource": [
                pulumi.Output.concat(release["bucket_arn"], f"/{folder}/*")
                for folder in ("reports/app", "deploys/commands", "leases")
            ],
        },
    ]
    if args.get("metrics", True):
        statements.append(_machines.TELLS_METRICS)
    if wanted:
        named = pulumi.Output.all(*wanted).apply(lambda found: list(dict.fromkeys(found)))
        statements.append({"Action": "secretsmanager:GetSecretValue", "Resource": named})
    return statements


def _launch_permissions(group: "aws.autoscaling.Group") -> list[dict[str, Any]]:
    return [
        {"Action": "autoscaling:CompleteLifecycleAction", "Resource": group.arn},
        # The machine asks which group it is in, and whether it waits. AWS can't restrict this to resources.
        {"Action": "autoscaling:DescribeAutoScalingInstances", "Resource": "*"},
    ]
