"""What the doctor is told of a stack: plain values out of its settings and out of Pulumi.yaml."""

import os
from pathlib import Path
from typing import Any

import yaml

from components import planning
from operate.doctor import Cache, Database, Machines, Wanted
from settings import AppSettings, EdgeSettings, Settings

MINUTE = 60
"""Alarms that look more often cost more."""


def wanted(settings: Settings, folder: Path) -> Wanted:
    """The stack's wants. `folder` has Pulumi.yaml."""
    project = _project(folder)
    network, database, cache = settings.network, settings.database, settings.cache
    named = tuple(each.zone for each in network.subnets or ())
    quick = sum(each.period < MINUTE for each in settings.alarms)
    return Wanted(
        stack=settings.stack,
        project=str(project.get("name", "expressway")),
        region=settings.region,
        network=settings.name("network"),
        app=_machines(settings, "app", settings.app, settings.app.min_size, settings.app.max_size),
        edge=_machines(settings, "edge", settings.edge, 1, 2),
        database=Database(
            database.engine_version,
            database.instance_class,
            database.storage_gb,
            multi_az=database.multi_az,
            max_storage_gb=database.max_storage_gb,
            replicas=database.replicas,
            app_user=database.app_user is not None,
            insights=database.insights,
            connections=settings.connections.line,
            proxied=database.proxied,
            vcpus=planning.workers(database.instance_class),
            shards=database.shards,
            aurora=database.aurora,
            capacity=database.capacity,
            max_replicas=database.max_replicas,
            external=database.external,
            connections_known=not database.external or database.max_connections is not None,
        ),
        cache=Cache(cache.version, cache.node_type, cache.nodes, cache.engine),
        zones=len(named) or network.zones,
        named_zones=named,
        nat=network.nat == "gateway",
        nat_per_zone=settings.production,
        metrics=settings.monitoring.metrics,
        certificate=settings.edge.certificate is not None,
        logs=settings.monitoring.logs,
        every_request=settings.monitoring.access_logs == "all",
        quick_alarms=quick,
        alarms=len(settings.alarms) - quick,
        dashboard=settings.monitoring.dashboard,
        secrets=_secrets(settings),
        tags=settings.tags,
        backend=_backend(project),
    )


def _machines(settings: Settings, role: str, tier: AppSettings | EdgeSettings, fewest: int, most: int) -> Machines:
    query = tier.image_query
    return Machines(
        setting=f"expressway:{role}",
        name=settings.name(role),
        instance_type=tier.instance_type,
        architecture=query.architecture,
        image=tier.image,
        image_owners=query.owners,
        image_filter=(query.key, query.value),
        fewest=fewest,
        most=most,
    )


def _secrets(settings: Settings) -> dict[str, str]:
    """What machines of either tier read."""
    found = {f"expressway:app.secrets.{name}": secret for name, secret in settings.app.secrets.items()}
    if settings.app.apm_secret is not None:
        found["expressway:app.apmSecret"] = settings.app.apm_secret
    if settings.database.secret is not None:
        found["expressway:database.secret"] = settings.database.secret
    if settings.edge.certificate is not None:
        found["expressway:edge.certificate"] = settings.edge.certificate
    return found


def _project(folder: Path) -> dict[str, Any]:
    """Pulumi.yaml; nothing where there is none that can be read: that is Pulumi's to complain of."""
    try:
        content = yaml.safe_load((folder / "Pulumi.yaml").read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def _backend(project: dict[str, Any]) -> str | None:
    """Where the state is, in Pulumi's own order; what `pulumi login` has noted is Pulumi's own business."""
    given = project.get("backend")
    url = given.get("url") if isinstance(given, dict) else None
    return os.environ.get("PULUMI_BACKEND_URL") or url
