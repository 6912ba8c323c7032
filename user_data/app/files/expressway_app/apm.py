"""What the APM agent is told, which comes with the release: by environment variables alone, as each vendor has them.

apm.cjs starts it in each of the app's processes. A team's own variables win over these.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from expressway_machine import config

from . import paths

UNITS = {"newrelic": "events", "appdynamics": "spans", "datadog": "traces", "opentelemetry": "spans"}
"""What each agent counts that it drops."""

SPAN_QUEUE = 2048
"""Spans that OpenTelemetry's SDK keeps in each process; what comes while it is full is dropped."""


def variables(machine: config.Machine, key: str | None, release_id: str, instance_id: str) -> dict[str, str]:
    """The agent's variables. `key` is the secret's value; None when there is to be one and it can't be read.

    Without it the agent isn't started, and apm.cjs says so.
    """
    apm, app = machine["apm"], machine["app"]
    quiet = sorted({app["liveness_path"], app["readiness_path"]})
    told = {
        "vendor": apm["vendor"],
        "unit": UNITS[apm["vendor"]],
        "ready": key is not None,
        "quiet": quiet,
        "endpoint": apm["endpoint"],
    }
    for_all = {"EXPRESSWAY_APM": json.dumps(told, sort_keys=True)}
    if key is None:
        return for_all
    about = {"environment": apm["environment"], "release": release_id, "instance": instance_id}
    return for_all | _VENDORS[apm["vendor"]](apm, key.strip(), about, quiet)


def node_option() -> str:
    """What has Node load the agent before the app."""
    return f"--require={paths.APM}"


def _newrelic(apm: Mapping[str, Any], key: str, about: Mapping[str, str], quiet: Sequence[str]) -> dict[str, str]:
    found = {
        "NEW_RELIC_APP_NAME": apm["service"],
        "NEW_RELIC_LICENSE_KEY": key,
        "NEW_RELIC_LABELS": ";".join(f"{name}:{value}" for name, value in about.items() if name != "instance"),
        "NEW_RELIC_PROCESS_HOST_DISPLAY_NAME": about["instance"],
        "NEW_RELIC_IGNORING_RULES": ",".join(f"^{_escaped(path)}$" for path in quiet),
        # Its own file would be in the app's folder, and grow there.
        "NEW_RELIC_LOG": "stderr",
        "NEW_RELIC_LOG_LEVEL": "error",
        # The machines tell the app's logs themselves.
        "NEW_RELIC_APPLICATION_LOGGING_FORWARDING_ENABLED": "false",
    }
    if apm["endpoint"]:
        where = urlsplit(apm["endpoint"])
        found |= {"NEW_RELIC_HOST": where.hostname or "", "NEW_RELIC_PORT": str(where.port or 443)}
    return found


def _datadog(apm: Mapping[str, Any], key: str, about: Mapping[str, str], _quiet: Sequence[str]) -> dict[str, str]:
    found = {
        "DD_SERVICE": apm["service"],
        "DD_ENV": about["environment"],
        "DD_VERSION": about["release"],
        "DD_TAGS": f"instance:{about['instance']}",
        "DD_TRACE_STARTUP_LOGS": "false",
        # Traces alone: no other connection to Datadog than theirs.
        "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
        "DD_REMOTE_CONFIGURATION_ENABLED": "false",
    }
    if (apm["endpoint"] or "").startswith("http://"):
        # A Datadog Agent, which has a key of its own.
        return found | {"DD_TRACE_AGENT_URL": apm["endpoint"]}
    return found | {
        "DD_API_KEY": key,
        "DD_AGENTLESS_ENABLED": "true",
        "DD_AGENTLESS_LOG_SUBMISSION_ENABLED": "false",
        "DD_LLMOBS_ENABLED": "false",
    }


def _opentelemetry(
    apm: Mapping[str, Any], headers: str, about: Mapping[str, str], _quiet: Sequence[str]
) -> dict[str, str]:
    attributes = {
        "deployment.environment.name": about["environment"],
        "service.version": about["release"],
        "service.instance.id": about["instance"],
        "host.id": about["instance"],
    }
    if apm["vendor"] == "appdynamics":
        controller = urlsplit(f"//{apm['controller']}")
        host = controller.hostname or ""
        attributes |= {
            "service.namespace": apm["service"],
            "appdynamics.controller.account": host.partition(".")[0],
            "appdynamics.controller.host": host,
            "appdynamics.controller.port": str(controller.port or 443),
        }
        headers = f"x-api-key={quote(headers, safe='')}"
    found = {
        "OTEL_SERVICE_NAME": apm["service"],
        "OTEL_RESOURCE_ATTRIBUTES": ",".join(f"{name}={quote(value, safe='')}" for name, value in attributes.items()),
        "OTEL_EXPORTER_OTLP_ENDPOINT": apm["endpoint"],
        # Traces: the machines measure themselves, and tell their logs.
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "1000",
        "OTEL_BSP_MAX_QUEUE_SIZE": str(SPAN_QUEUE),
        "OTEL_EXPORTER_OTLP_TIMEOUT": "5000",
    }
    return found | ({"OTEL_EXPORTER_OTLP_HEADERS": headers} if headers else {})


def _escaped(path: str) -> str:
    return "".join(f"\\{each}" if each in ".?+*()[]{}|^$\\" else each for each in path)


_VENDORS = {
    "newrelic": _newrelic,
    "appdynamics": _opentelemetry,
    "datadog": _datadog,
    "opentelemetry": _opentelemetry,
}
