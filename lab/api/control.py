"""What the lab itself asks of the API, under /lab/v1/ and on loopback only: machines to run, and how they are."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from werkzeug.wrappers import Request, Response

from lab.api import (
    account,
    elasticache,
    elasticache_failover,
    elasticache_shape,
    instances,
    load_balancers,
    metrics,
    rds,
    rds_backups,
    rds_parameters,
    rds_passwords,
    rds_proxies,
    rds_replicas,
    rds_rotation,
    rds_standby,
    rds_window,
    service_metrics,
)
from lab.api.authorization.gate import Gate
from lab.api.changes import Changes
from lab.api.faults import Faults, UnknownFaultError

PREFIX = "/lab/v1/"

DATABASE_STATUSES = ("creating", "available", "failed", "stopped", "rebooting")
CACHE_STATUSES = ("creating", "available", "create-failed")


class Control:
    """The control surface. Everything but a token is safe to log."""

    def __init__(self, changes: Changes, ready: Callable[[], bool], gate: Gate, faults: Faults) -> None:
        self._changes = changes
        self._faults = faults
        self._ready = ready
        self._gate = gate

    def __call__(self, request: Request) -> Response:
        """Answer one request; the caller holds the API's lock."""
        match request.method, request.path.removeprefix(PREFIX).split("/"):
            case "GET", ["health"]:
                return _answer({"ready": True, "prewarmed": self._ready()})
            case "GET", ["version"]:
                return _answer({"version": self._changes.version})
            case "GET", ["permissions"]:
                return _answer(self._gate.permissions())
            case "GET", ["instances"]:
                return _answer([asdict(state) for state in instances.states()])
            case "PUT", ["instances", identifier]:
                return self._status(request, identifier, instances.set_status, instances.STATUSES)
            case "GET", ["db-instances"]:
                return _answer([asdict(machine) for machine in rds.machines()])
            case "PUT", ["db-instances", identifier]:
                return self._status(request, identifier, rds.set_status, DATABASE_STATUSES)
            case "POST", ["db-instances", identifier, "maintenance-window"]:
                return self._maintenance_window(identifier)
            case "PUT", ["db-instances", identifier, "password", version]:
                known = rds_passwords.finish(identifier, version) or rds_rotation.finish(identifier, version)
                return self._done(known, f"{identifier} waits for no {version}")
            case "GET", ["db-instances", identifier, "login"]:
                login = rds_passwords.login(identifier)
                return _answer(login) if login else _error(404, f"there is no {identifier}")
            case "PUT", ["db-instances", identifier, "promoted"]:
                done = rds_replicas.finish_promotion(identifier)
                return self._done(done, f"{identifier} waits for no promotion")
            case "PUT", ["db-instances", identifier, "standby", state]:
                return self._done(_standby(identifier, state), f"{identifier} has no standby that becomes {state}")
            case "PUT", ["db-instances", identifier, "failover", node]:
                known = rds_standby.begin_failover(identifier, node)
                return self._done(known, f"{identifier} has no failover to {node}")
            case "PUT", ["db-instances", identifier, "primary", node]:
                return self._done(rds_standby.finish_failover(identifier, node), f"{identifier} waits for no {node}")
            case "PUT", ["db-instances", identifier, "settings", version]:
                return self._done(rds_parameters.finish(identifier, version), f"{identifier} waits for no {version}")
            case "PUT", ["db-instances", identifier, "rebooted"]:
                return self._done(rds_standby.finish_reboot(identifier), f"{identifier} waits for no reboot")
            case "PUT", ["db-instances", identifier, "incompatible"]:
                return self._done(rds_standby.fail_reboot(identifier), f"{identifier} waits for no reboot")
            case "GET", ["db-backups"]:
                return _answer([asdict(each) for each in rds_backups.kept()])
            case "PUT", ["db-backups", resource, "archived"]:
                # Measured, not changed: nothing is counted.
                rds_backups.set_latest(resource, request.get_json(force=True)["until"])
                return _answer({})
            case "PUT", ["db-backups", base]:
                ended = request.get_json(force=True)["ended"]
                return self._done(rds_backups.taken(base, ended), f"nothing waits for {base}")
            case "GET", ["db-proxies"]:
                return _answer([asdict(machine) for machine in rds_proxies.machines()])
            case "PUT", ["db-proxies", identifier]:
                return self._status(request, identifier, rds_proxies.set_status, rds_proxies.STATUSES)
            case "PUT", ["db-proxies", identifier, "configuration", version]:
                return self._done(rds_proxies.set_applied(identifier, version), f"there is no {identifier}")
            case "PUT", ["db-proxies", identifier, "unreadable"]:
                # Tried again anyway, so nothing is counted.
                known = rds_proxies.set_unreadable(identifier, request.get_json(force=True)["why"])
                return _answer({}) if known else _error(404, f"there is no {identifier}")
            case "GET", ["replication-groups"]:
                return _answer([asdict(machine) for machine in elasticache.machines()])
            case "PUT", ["replication-groups", identifier]:
                return self._status(request, identifier, elasticache.set_status, CACHE_STATUSES)
            case "GET", ["replication-groups", identifier, "auth-token"]:
                token = elasticache.auth_token(identifier)
                return _answer({"token": token}) if token else _error(404, f"no auth token for {identifier}")
            case "GET", ["load-balancers"]:
                return _answer([asdict(machine) for machine in load_balancers.machines()])
            case "PUT", ["load-balancers", identifier]:
                return self._status(request, identifier, load_balancers.set_status, load_balancers.STATUSES)
            case "PUT", ["load-balancers", identifier, "configuration", version]:
                return self._done(load_balancers.set_applied(identifier, version), f"there is no {identifier}")
            case "PUT", ["load-balancers", identifier, "health"]:
                # No change of what should run here, so nothing is counted.
                known = load_balancers.set_health(identifier, request.get_json(force=True))
                return _answer({}) if known else _error(404, f"there is no {identifier}")
            case "PUT", ["cpu"]:
                # Measured, not changed: nothing is counted. The next second's step looks at it.
                told = request.get_json(force=True)
                metrics.record(told["percent"], told["at"], time.monotonic())
                return _answer({})
            case "PUT", ["service-metrics"]:
                told = request.get_json(force=True)
                service_metrics.record(told["services"], told["at"])
                return _answer({})
            case "PUT", ["account"]:
                return _plant(request)
            case "PUT", ["fault"]:
                return self._plant_fault(request)
            case "GET", ["replication-groups", identifier, "tokens"]:
                tokens = elasticache_failover.tokens(identifier)
                return _answer(tokens) if tokens else _error(404, f"there is no {identifier}")
            case "PUT", ["replication-groups", identifier, "tokens", version]:
                return self._done(
                    elasticache_failover.finish_tokens(identifier, version), f"{identifier} waits for no {version}"
                )
            case "PUT", ["replication-groups", identifier, "primary", node]:
                return self._done(
                    elasticache_failover.finish_failover(identifier, node), f"{identifier} waits for no {node}"
                )
            case "PUT", ["replication-groups", identifier, "failover", node]:
                known = elasticache_failover.begin_failover(identifier, node)
                return self._done(known, f"{identifier} has no failover to {node}")
            case "PUT", ["replication-groups", identifier, "parameters", version]:
                return self._done(
                    elasticache.finish_parameters(identifier, version), f"{identifier} waits for no {version}"
                )
            case "PUT", ["replication-groups", identifier, "slots"]:
                known = elasticache_shape.record_slots(identifier, request.get_json(force=True))
                return self._done(known, f"there is no cluster {identifier}")
            case "PUT", ["replication-groups", identifier, "shape", version]:
                return self._done(elasticache_shape.finish(identifier, version), f"{identifier} waits for no {version}")
            case method, _:
                return _error(404, f"no such control call: {method} {request.path}")

    def _plant_fault(self, request: Request) -> Response:
        """The API fails towards the machines from now on, or no longer."""
        try:
            self._faults.plant(request.get_json(force=True).get("fault"))
        except UnknownFaultError as error:
            return _error(400, str(error))
        return _answer({})

    def _maintenance_window(self, identifier: str) -> Response:
        """The window comes: what waits for it is made."""
        made = rds_window.open_window(identifier)
        if made is None:
            return _error(404, f"there is no {identifier}")
        self._changes.record()
        return _answer({"id": identifier, "made": made})

    def _status(
        self, request: Request, identifier: str, set_status: Callable[[str, str], bool], allowed: tuple[str, ...]
    ) -> Response:
        body = request.get_json(force=True, silent=True)
        status = body.get("status") if isinstance(body, dict) else None
        if status not in allowed:
            return _error(400, f"status must be one of {', '.join(allowed)}, and is {status!r}")
        if not set_status(identifier, status):
            return _error(404, f"there is no {identifier}")
        self._changes.record()
        return _answer({"id": identifier, "status": status})

    def _done(self, changed: bool, otherwise: str) -> Response:
        if not changed:
            return _error(404, otherwise)
        self._changes.record()
        return _answer({})


def _standby(identifier: str, state: str) -> bool:
    if state == "gone":
        return rds_standby.finish_leaving(identifier)
    return state in ("synchronous", "behind") and rds_standby.set_synchronous(identifier, state == "synchronous")


def _plant(request: Request) -> Response:
    try:
        account.plant(request.get_json(force=True))
    except account.UnknownFactError as error:
        return _error(400, str(error))
    return _answer(vars(account.facts))


def _answer(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status=status, content_type="application/json")


def _error(status: int, message: str) -> Response:
    return _answer({"error": message}, status)
