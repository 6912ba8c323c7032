"""Rules that join several settings, or look beyond them: at the app's folder, the region, the stack's name."""

from collections.abc import Callable, Iterator

import artifact
from components import planning

from .model import Document
from .problems import Problem

ZONES = {
    "ap-northeast-1": 3,
    "ap-northeast-2": 4,
    "ap-northeast-3": 3,
    "ap-south-1": 3,
    "ap-southeast-1": 3,
    "ap-southeast-2": 3,
    "ca-central-1": 3,
    "eu-central-1": 3,
    "eu-north-1": 3,
    "eu-west-1": 3,
    "eu-west-2": 3,
    "eu-west-3": 3,
    "sa-east-1": 3,
    "us-east-1": 6,
    "us-east-2": 3,
    "us-west-1": 2,
    "us-west-2": 4,
}
"""Availability zones that a new account gets, in regions that are on by default.
https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html"""

COMPONENTS = {
    "app": "AppServers",
    "cache": "Cache",
    "database": "Database",
    "edge": "LoadBalancer",
    "monitoring": "Monitoring",
    "network": "Network",
    "release": "Release",
}
"""The stack's components, by the role that their names end in."""

_STRICTEST_FIRST = sorted(COMPONENTS.items(), key=lambda each: planning.NAME_LIMITS[each[1]] - len(each[0]))

Sound = Callable[[str], bool]
"""Whether the setting at a path has no mistake of its own, so that rules about it make sense."""


def check(document: Document, stack: str, region: str | None, sound: Sound) -> Iterator[Problem]:
    """Every broken rule. Reads the app's folder; asks no network."""
    yield from _stack_name(stack)
    yield from _network(document, region, sound)
    yield from _app_folder(document, sound)
    yield from _app(document, sound)
    yield from _connections(document, sound)
    yield from _edge(document)
    yield from _cache(document, sound)
    yield from _session_manager(document, sound)
    yield from _database(document, sound)
    yield from _monitoring(document)


def _stack_name(stack: str) -> Iterator[Problem]:
    """The strictest component's rule: they are all named after the stack."""
    for role, component in _STRICTEST_FIRST:
        for finding in planning.check_name(component, stack, f"-{role}"):
            yield Problem("the stack's name", finding.shown, finding.rule, "Make a stack with another name.")
            return


def _network(document: Document, region: str | None, sound: Sound) -> Iterator[Problem]:
    network = document.network
    subnets = [planning.Subnet(each.zone, each.public, each.private) for each in network.subnets or []]
    findings: list[planning.Finding] = []
    if sound("network.cidr"):
        findings += planning.check_vpc(network.cidr)
    if network.subnets is not None and sound("network.subnets"):
        findings += planning.check_subnets(network.cidr if sound("network.cidr") else None, subnets)
    yield from (Problem.of(each, "expressway:network.") for each in findings)
    if region is None:
        return
    has = ZONES.get(region)
    if network.subnets is None and has is not None and sound("network.zones") and network.zones > has:
        rule = f"it must be at most {has}, the zones of {region}"
        yield Problem("expressway:network.zones", str(network.zones), rule, "Lower it, or choose another region.")
    zone_of_region = planning.matching(rf"{region}[a-z]", f"it must be a zone of {region}", f"Write it like {region}a.")
    for index, subnet in enumerate(subnets):
        path = f"subnets[{index}].zone"
        if not planning.ZONE.check(path, subnet.zone):
            yield from (Problem.of(each, "expressway:network.") for each in zone_of_region.check(path, subnet.zone))


def _app_folder(document: Document, sound: Sound) -> Iterator[Problem]:
    if not sound("app.path"):
        return
    try:
        artifact.inspect(document.app.path)
    except artifact.AppError as error:
        folder = str(document.app.path)
        for problem in error.problems:
            rule = problem.rule if problem.path == folder else f"{problem.path}: {problem.rule}"
            yield Problem("expressway:app.path", folder, rule, problem.remedy)


def _edge(document: Document) -> Iterator[Problem]:
    edge = document.edge
    findings = planning.check_trusted_proxies("trustedProxies", edge.trusted_proxies)
    if edge.certificate is not None:
        # Whoever puts the key itself there must not see it in a message, so the field has no rule of its own.
        findings += planning.check_secret_name("certificate", edge.certificate)
    yield from (Problem.of(each, "expressway:edge.") for each in findings)


def _cache(document: Document, sound: Sound) -> Iterator[Problem]:
    cache, findings = document.cache, list[planning.Finding]()
    if sound("cache.engine") and sound("cache.engineVersion"):
        findings += planning.check_cache_version("engineVersion", cache.engine, cache.engine_version)
    if sound("cache.shards") and sound("cache.replicas"):
        findings += planning.check_cache_shards("shards", cache.shards, cache.replicas)
    if sound("cache.snapshotWindow") and sound("cache.maintenanceWindow"):
        findings += planning.check_cache_windows(cache.snapshot_window, cache.maintenance_window)
    yield from (Problem.of(each, "expressway:cache.") for each in findings)


def _database(document: Document, sound: Sound) -> Iterator[Problem]:
    database = document.database
    findings = planning.check_parameters("parameters", database.parameters) if sound("database.parameters") else []
    if sound("database.backupWindow") and sound("database.maintenanceWindow"):
        findings += planning.check_windows(database.backup_window, database.maintenance_window)
    if sound("database.storageGb") and sound("database.maxStorageGb"):
        findings += planning.check_max_storage("maxStorageGb", database.max_storage_gb, database.storage_gb)
    if all(sound(f"database.{name}") for name in ("snapshot", "restoreFrom", "restoreTime")):
        findings += planning.check_start(database.snapshot, database.restore_from, database.restore_time)
    if all(sound(f"database.{name}") for name in ("shards", "snapshot", "restoreFrom")):
        findings += planning.check_shards("shards", database.shards, database.snapshot, database.restore_from)
    findings += _engine(document, sound)
    yield from (Problem.of(each, "expressway:database.") for each in findings)


def _engine(document: Document, sound: Sound) -> Iterator[planning.Finding]:
    """Whether the engine has what is asked of it."""
    database = document.database
    if not sound("database.engine"):
        return
    fields = type(database).model_fields
    given = [fields[name].alias or name for name in database.model_fields_set]
    yield from planning.check_external(database.engine, given, [each.alias or name for name, each in fields.items()])
    if database.external:
        if sound("database.pooler"):
            yield from planning.check_external_pooler("pooler", database.pooler)
        if database.secret is not None:
            yield from planning.check_secret_name("secret", database.secret)
        if database.egress is not None and sound("database.egress"):
            yield from planning.check_egress("egress", database.egress)
        return
    yield from planning.check_engine(database.engine, given)
    if sound("database.instanceClass"):
        yield from planning.check_class("instanceClass", database.engine, database.instance_class)
    if sound("database.snapshot"):
        yield from planning.check_snapshot("snapshot", database.engine, database.snapshot)
    if not database.aurora:
        return
    if all(sound(f"database.{name}") for name in ("instanceClass", "engineVersion", "serverless")):
        paths = ("instanceClass", "serverless")
        yield from planning.check_capacity(paths, database.instance_class, database.capacity, database.engine_version)
    if sound("database.replicas") and sound("database.maxReplicas"):
        yield from planning.check_readers("maxReplicas", database.max_replicas, database.replicas)
        yield from planning.check_reader_cpu("replicaCpu", database.replica_cpu, database.max_replicas)


def _monitoring(document: Document) -> Iterator[Problem]:
    monitoring = document.monitoring
    findings = planning.check_scrapers("scrapeFrom", monitoring.scrape_from)
    findings += planning.check_alarm_emails("alarmEmails", monitoring.alarm_emails)
    if not monitoring.metrics and (monitoring.alarms or monitoring.dashboard):
        rule = "it must be true with alarms or a dashboard, which look at what machines measure"
        findings.append(planning.Finding("metrics", False, rule, "Leave it out, or remove alarms and dashboard."))
    yield from (Problem.of(each, "expressway:monitoring.") for each in findings)


def _app(document: Document, sound: Sound) -> Iterator[Problem]:
    app = document.app
    findings = planning.check_variables(app.environment, app.secrets)
    if sound("app.apm"):
        given = (app.apm, app.apm_secret, app.apm_endpoint, app.apm_controller)
        findings += planning.check_apm(*given, ("apm", "apmSecret", "apmEndpoint", "apmController"))
    if sound("app.minSize") and sound("app.maxSize"):
        findings += planning.check_sizes(app.min_size, app.max_size)
    if sound("app.outgoingPorts"):
        findings += planning.check_outgoing_ports("outgoingPorts", app.outgoing_ports)
    if sound("app.cpuCredits") and sound("app.instanceType"):
        findings += planning.check_cpu_credits("cpuCredits", app.cpu_credits, app.instance_type)
    yield from (Problem.of(each, "expressway:app.") for each in findings)


def _connections(document: Document, sound: Sound) -> Iterator[Problem]:
    """The servers' connections, against those that the database takes."""
    keys = {"poolSize": "database.poolSize", "pooler": "database.pooler", "maxSize": "app.maxSize"}
    others = ("app.instanceType", "database.engine", "database.instanceClass", "database.parameters")
    others += ("database.maxConnections", "database.serverless")
    capacity = document.database.capacity
    if capacity and capacity[1] < planning.LEAST_MOST_CAPACITY:
        return  # which is refused itself, and would leave no connections to count
    if all(sound(key) for key in (*keys.values(), *others)):
        for finding in document.connections.check():
            yield Problem(f"expressway:{keys[finding.path]}", finding.shown, finding.rule, finding.remedy)


def _session_manager(document: Document, sound: Sound) -> Iterator[Problem]:
    path = document.session_manager.agent_key
    if path is None or not sound("sessionManager.agentKey"):
        return
    try:
        text = path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        text = ""
    for finding in planning.SESSION_MANAGER_KEY.check("", text):
        rule = "it must be a file with a PGP public key, as text"
        yield Problem("expressway:sessionManager.agentKey", f'"{path}"', rule, finding.remedy)
