"""Whether a stack is well: alarms that say what to do, who is told, and a dashboard."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import pulumi
import pulumi_aws as aws

from . import planning
from ._checks import Later, check_values, known_each, require, require_names
from ._database_args import CAPACITY_RULES, CapacityArgs
from .planning import NOTHING, Alarm, Finding, Watched

_COMPARISONS = {"above": "GreaterThanThreshold", "below": "LessThanThreshold"}

_RULES = {
    "alarm_topic_arn": planning.ALARM_TOPIC,
    "error_percent": planning.ERROR_PERCENT,
    "p95_ms": planning.P95_MS,
}
_TIER_RULES = {
    "edge": {"instance_type": planning.INSTANCE_TYPE},
    "app": {"instance_type": planning.INSTANCE_TYPE, "min_size": planning.FLEET_SIZE},
    "database": {
        "engine": planning.DATABASE_ENGINE,
        "instance_class": planning.INSTANCE_CLASS,
        "storage_gb": planning.STORAGE_GB,
    },
    "cache": {"node_type": planning.NODE_TYPE, "nodes": planning.CACHE_NODES, "shards": planning.CACHE_SHARDS},
}


class WatchedEdgeArgs(TypedDict):
    """An edge, as LoadBalancer makes it, with `metrics`."""

    group_name: pulumi.Input[str]
    """Its Auto Scaling group."""
    instance_type: NotRequired[str]
    """Its EC2 instance type: a burstable one has an alarm for its CPU credits. Default: t3.small."""
    certificate: NotRequired[bool]
    """Whether it serves HTTPS, by a certificate that expires. Default: false."""


class WatchedServersArgs(TypedDict):
    """App servers, as AppServers makes them, with `metrics`."""

    group_name: pulumi.Input[str]
    """Their Auto Scaling group."""
    instance_type: NotRequired[str]
    """Their EC2 instance type: a burstable one has an alarm for its CPU credits. Default: t3.small."""
    min_size: NotRequired[int]
    """How many of them must get requests from the edge. Default: 1."""


class WatchedDatabaseArgs(TypedDict):
    """An RDS instance, or an Aurora cluster."""

    identifier: pulumi.Input[str]
    """Its identifier."""
    engine: NotRequired[str]
    """`postgresql`, or `aurora` for a cluster. Default: postgresql."""
    serverless: NotRequired[CapacityArgs]
    """With aurora, the bounds of a capacity that follows the load. Default: none."""
    readers: NotRequired[bool]
    """With aurora, whether the cluster has any. Default: false."""
    instance_class: NotRequired[str]
    """Its class, which says how many connections it takes. Default: db.t4g.micro."""
    storage_gb: NotRequired[int]
    """Its storage in GiB: with less than a tenth of it left, there is an alarm. Default: 20."""
    replica_identifiers: NotRequired[dict[str, pulumi.Input[str]]]
    """Identifiers of its read replicas, each by a name of yours. Default: none."""
    shard_identifiers: NotRequired[dict[str, pulumi.Input[str]]]
    """Identifiers of further instances of the same class and storage, each by a name of yours. Default: none."""


class WatchedCacheArgs(TypedDict):
    """An ElastiCache replication group."""

    replication_group_id: pulumi.Input[str]
    """Its id, which its nodes' ids begin with."""
    node_type: NotRequired[str]
    """Its node type: a burstable one has alarms for its CPU credits. Default: cache.t4g.micro."""
    nodes: NotRequired[int]
    """How many nodes it has, or each of its shards, the primary among them, 1 to 6. Default: 1."""
    shards: NotRequired[int]
    """How many shards it has, if it is a cluster, 1 to 90. Default: none."""


class MonitoringArgs(TypedDict):
    """Arguments of Monitoring. There are alarms and graphs for what is given of edge, app, database and cache."""

    edge: NotRequired[WatchedEdgeArgs]
    """The edge, whose metrics tell how the site is. Default: none."""
    app: NotRequired[WatchedServersArgs]
    """The app servers. Default: none."""
    database: NotRequired[WatchedDatabaseArgs]
    """The database. Default: none."""
    cache: NotRequired[WatchedCacheArgs]
    """The cache. Default: none."""
    alarm_emails: NotRequired[list[str]]
    """Who is told by e-mail when an alarm is raised and when it is over; each has to confirm it once. Default: none."""
    alarm_topic_arn: NotRequired[pulumi.Input[str]]
    """An SNS topic of yours that is told, in place of one that is made. Without it and without `alarm_emails`, there
    are no alarms. Default: none."""
    error_percent: NotRequired[int]
    """Percent of answers 5xx above which there is an alarm. Default: 5."""
    p95_ms: NotRequired[int]
    """Milliseconds that 95 in 100 answers must not exceed. Default: 1000."""
    dashboard: NotRequired[bool]
    """Whether there is a dashboard. Default: true."""
    tags: NotRequired[dict[str, pulumi.Input[str]]]
    """Tags for topic and alarms. Default: none."""


class Monitoring(pulumi.ComponentResource):
    """CloudWatch's alarms on the metrics of a stack's tiers, each with what to do in its description; a dashboard.

    Metrics of edge and app servers are those that their machines publish themselves, each ten seconds.
    """

    topic_arn: pulumi.Output[str]
    """The SNS topic that alarms tell; empty where there are none."""
    alarm_names: pulumi.Output[list[str]]
    """The alarms."""
    dashboard_name: pulumi.Output[str]
    """The dashboard; empty where there is none."""
    dashboard_url: pulumi.Output[str]
    """Where it is, in AWS's console; empty where there is none."""

    def __init__(self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("expressway:index:Monitoring", name, None, opts)
        require_names("Monitoring", name, args, MonitoringArgs)
        require("Monitoring", name, _find_mistakes(args))
        child = pulumi.ResourceOptions(parent=self)
        watched, names = _watched(args), _names(args)
        topic = self._find_topic(name, args, child)
        planned = planning.alarms(watched) if topic is not None else ()
        made = [
            self._create_alarm(name, each, names[each.of], topic, args, child) for each in planned if topic is not None
        ]
        board = (
            self._create_dashboard(name, watched, names, planned, made, child) if args.get("dashboard", True) else None
        )

        none = pulumi.Output.from_input("")
        self.topic_arn = topic if topic is not None else none
        self.alarm_names = pulumi.Output.all(*(each.name for each in made)).apply(list)
        self.dashboard_name = board.dashboard_name if board else none
        self.dashboard_url = self._url(self.dashboard_name) if board else none
        self.register_outputs(
            {
                "topic_arn": self.topic_arn,
                "alarm_names": self.alarm_names,
                "dashboard_name": self.dashboard_name,
                "dashboard_url": self.dashboard_url,
            }
        )

    def _find_topic(self, name: str, args: MonitoringArgs, child: pulumi.ResourceOptions) -> pulumi.Output[str] | None:
        emails = args.get("alarm_emails", [])
        if "alarm_topic_arn" in args:
            given = Later("Monitoring", name).check(
                "alarmTopicArn", args["alarm_topic_arn"], planning.ALARM_TOPIC.check
            )
            topic = pulumi.Output.from_input(given)
        elif emails:
            # Not encrypted by SNS's own key: with that, CloudWatch's alarms may not publish to it.
            topic = aws.sns.Topic(f"{name}-alarms", tags=args.get("tags", {}), opts=child).arn
        else:
            return None
        for address in emails:
            aws.sns.TopicSubscription(f"{name}-{address}", topic=topic, protocol="email", endpoint=address, opts=child)
        return topic

    def _create_alarm(
        self,
        name: str,
        alarm: Alarm,
        of: pulumi.Input[str],
        topic: pulumi.Output[str],
        args: MonitoringArgs,
        child: pulumi.ResourceOptions,
    ) -> "aws.cloudwatch.MetricAlarm":
        return aws.cloudwatch.MetricAlarm(
            f"{name}-{alarm.key}",
            alarm_description=alarm.text,
            namespace=alarm.namespace,
            metric_name=alarm.metric,
            dimensions={alarm.dimension: of},
            statistic=None if alarm.percentile else alarm.statistic,
            extended_statistic=alarm.statistic if alarm.percentile else None,
            comparison_operator=_COMPARISONS[alarm.comparison],
            threshold=alarm.threshold,
            period=alarm.period,
            evaluation_periods=alarm.periods,
            datapoints_to_alarm=alarm.needed,
            treat_missing_data=alarm.missing,
            alarm_actions=[topic],
            ok_actions=[topic],
            tags=args.get("tags", {}),
            opts=child,
        )

    def _create_dashboard(
        self,
        name: str,
        watched: Watched,
        names: Mapping[str, pulumi.Input[str]],
        planned: Sequence[Alarm],
        made: "Sequence[aws.cloudwatch.MetricAlarm]",
        child: pulumi.ResourceOptions,
    ) -> "aws.cloudwatch.Dashboard":
        region = self._region()
        body = pulumi.Output.all(names=dict(names), region=region, arns=[each.arn for each in made]).apply(
            lambda told: json.dumps(
                planning.dashboard(watched, told["names"], told["region"], planned, told["arns"]), indent=1
            )
        )
        return aws.cloudwatch.Dashboard(
            f"{name}-dashboard",
            # An account's dashboards are one list for all regions, and putting one of a name that is there replaces it.
            dashboard_name=pulumi.Output.concat(name, "-", region),
            dashboard_body=body,
            opts=child,
        )

    def _url(self, dashboard: pulumi.Output[str]) -> pulumi.Output[str]:
        console = "https://console.aws.amazon.com/cloudwatch/home?region={0}#dashboards/dashboard/{1}"
        return pulumi.Output.format(console, self._region(), dashboard)

    def _region(self) -> pulumi.Output[str]:
        return aws.get_region_output(opts=pulumi.InvokeOutputOptions(parent=self)).region


def _watched(args: MonitoringArgs) -> Watched:
    edge, app, database, cache = (args.get(tier) for tier in ("edge", "app", "database", "cache"))
    facts: dict[str, Any] = {}
    if edge is not None:
        facts |= {"edge_type": edge.get("instance_type", "t3.small"), "certificate": edge.get("certificate", False)}
    if app is not None:
        facts |= {"app_type": app.get("instance_type", "t3.small"), "fewest_servers": app.get("min_size", 1)}
    if database is not None:
        facts |= {
            "database_class": database.get("instance_class", "db.t4g.micro"),
            "aurora": database.get("engine") == planning.AURORA,
            "capacity": (given["min"], given["max"]) if (given := database.get("serverless")) else None,
            "readers": database.get("readers", False),
            "storage_gb": database.get("storage_gb", 20),
            "replicas": tuple(database.get("replica_identifiers", {})),
            "shards": tuple(database.get("shard_identifiers", {})),
        }
    if cache is not None:
        facts |= {
            "cache_type": cache.get("node_type", "cache.t4g.micro"),
            "cache_nodes": cache.get("nodes", 1),
            "cache_shards": cache.get("shards"),
        }
    return Watched(**facts, error_percent=args.get("error_percent", 5), p95_ms=args.get("p95_ms", 1000))


def _names(args: MonitoringArgs) -> dict[str, pulumi.Input[str]]:
    """What AWS calls each thing that a metric is of."""
    names: dict[str, pulumi.Input[str]] = {}
    if "edge" in args:
        names["edge"] = args["edge"]["group_name"]
    if "app" in args:
        names["app"] = args["app"]["group_name"]
    if "database" in args:
        names["database"] = args["database"]["identifier"]
        replicas = args["database"].get("replica_identifiers", {})
        names |= {f"replica-{key}": identifier for key, identifier in replicas.items()}
        shards = args["database"].get("shard_identifiers", {})
        names |= {f"database-{key}": identifier for key, identifier in shards.items()}
    if "cache" in args:
        for number in planning.cache_node_numbers(args["cache"].get("shards"), args["cache"].get("nodes", 1)):
            names[f"cache-{number}"] = pulumi.Output.concat(args["cache"]["replication_group_id"], f"-{number}")
    return names


def _find_mistakes(args: MonitoringArgs) -> list[Finding]:
    findings = check_values(args, _RULES)
    for tier, rules in _TIER_RULES.items():
        findings += check_values(args.get(tier), rules, f"{tier}.")
    findings += planning.check_alarm_emails("alarmEmails", args.get("alarm_emails", []))
    database = args.get("database") or {}
    findings += check_values(database.get("serverless"), CAPACITY_RULES, "database.serverless.")
    findings += planning.check_keys("database.replicaIdentifiers", database.get("replica_identifiers", {}))
    findings += planning.check_keys("database.shardIdentifiers", database.get("shard_identifiers", {}))
    findings += planning.check_tags("tags", known_each(args.get("tags", {})))
    if not any(tier in args for tier in _TIER_RULES):
        rule = "there is nothing to watch"
        findings.append(Finding("edge", NOTHING, rule, "Give one of edge, app, database and cache."))
    elif not args.get("dashboard", True) and not args.get("alarm_emails") and "alarm_topic_arn" not in args:
        rule = "there would be neither alarms nor a dashboard"
        findings.append(Finding("dashboard", NOTHING, rule, "Leave it true, or give alarmEmails or alarmTopicArn."))
    return findings
