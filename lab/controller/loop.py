"""The controller's loop: observe, plan, act, twice a second."""

import logging
import threading
import time
from collections.abc import Collection, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any, Final

import requests

from lab import paths
from lab.api import tls
from lab.config import LabConfig
from lab.machines import machine, observation
from lab.machines.metadata import MetadataServer
from lab.network import addresses, connections, dns, links, nft, security_groups
from lab.network.model import Network

from .api import Api, ApiState
from .background import Background
from .backups import Archives, take
from .boots import Boots
from .changes import carry_out
from .database_logs import DatabaseLogs
from .health import HealthRelay
from .heartbeat import Heartbeats
from .identity import Identities
from .limits import Limits
from .load import LoadMeter
from .plan import (
    Action,
    CarryOut,
    Halt,
    Promote,
    Reboot,
    ReportInstance,
    ReportService,
    Resume,
    Service,
    Start,
    Stop,
    TakeBase,
    Wanted,
    plan,
)
from .service_load import ServiceMeter
from .wanted import wanted

PERIOD_SECONDS: Final = 0.5
"""Between two looks; the API's version call costs about 2 ms."""

LINKS_PERIOD: Final = 20
"""Links are looked at again every so many rounds, should somebody have taken one down."""

SHUTDOWN_GRACE_SECONDS: Final = 30.0
"""How long a machine may take to shut down when its instance is stopped or terminated; EC2 gives it a few minutes."""

REBOOT_GRACE_SECONDS: Final = 60.0
"""How long a machine may take to shut down for a reboot; EC2 gives it a few minutes."""

METADATA_PORT: Final = 80

COLLECTIONS: Final = {
    "database": "db-instances",
    "cache": "replication-groups",
    "load-balancer": "load-balancers",
    "proxy": "db-proxies",
}

log = logging.getLogger("lab.controller")


class Controller:
    """Makes this host as the API says."""

    def __init__(self, config: LabConfig, state: Path) -> None:
        self._config = config
        self._state = state
        self._authority = state / "tls" / tls.CERTIFICATE
        self._api = Api(config.endpoint, config.region, config.images.keys())
        self._identities = Identities(self._api, state / "tls", config.region)
        self._health = HealthRelay(self._api, state / "machines")
        self._load = LoadMeter()
        self._services = ServiceMeter(state / "machines", core_per_vcpu=config.core_per_vcpu)
        self._heartbeats = Heartbeats(state / "machines")
        self._boots = Boots()
        self._limits = Limits()
        # Of its own: a machine that does not answer must keep no other from starting.
        self._measuring = ThreadPoolExecutor(1, thread_name_prefix="measuring")
        self._measured: Future[None] | None = None
        self._logs = DatabaseLogs(self._api, state / "machines")
        self._databases: list[Any] = []
        self._kept = state / paths.BACKUPS.name
        self._archives = Archives(self._api, self._kept)
        self._backups: list[Any] = []
        self._background = Background()
        self._version: int | None = None
        self._network: Network | None = None
        self._round = 0

    def run(self, stopped: threading.Event) -> None:
        """Serve metadata and reconcile until `stopped`. What fails is logged and tried again."""
        links.ensure_host(self._state)
        metadata = MetadataServer(self._identities.lookup, (str(addresses.METADATA_SERVER), METADATA_PORT))
        threading.Thread(target=metadata.serve_forever, name="metadata", daemon=True).start()
        current: Wanted | None = None
        while not stopped.wait(0 if current is None else PERIOD_SECONDS):
            try:
                current = self._reconcile(current)
            except Exception:
                # An API that restarts or a host that refuses one command must not end the controller.
                log.exception("this round failed; trying again")
                current = None
                stopped.wait(PERIOD_SECONDS)
        metadata.shutdown()
        self._background.end()
        self._measuring.shutdown(wait=True)

    def _reconcile(self, current: Wanted | None) -> Wanted:
        version = self._api.version()
        if current is None or version != self._version:
            state = self._api.read()
            current = self._apply_network(state)
            self._databases, self._backups = state.databases, state.backups
            self._version = version
        found = observation.observe(self._state / "machines")
        busy = self._background.busy()
        ready = {each.id for each in found if each.state is observation.State.READY}
        pulses = self._heartbeats.look(current.services, ready, time.monotonic())
        for action in plan(self._boots.look(current, found), found, busy, pulses):
            if not self._background.waits(work_of(action)):
                self._begin(action)
        self._limits.hold(current.machines, found)
        self._health.relay(service for service in current.services if service.kind == "load-balancer")
        self._logs.relay(self._databases, time.monotonic())
        self._archives.look(self._backups, time.monotonic())
        limits = {spec.id: spec.cpus for spec in current.machines if spec.cpus is not None}
        if measured := self._load.measure([spec.id for spec in current.machines], time.time(), limits):
            self._api.report_cpu(*measured)
            self._measure(current.services, *measured)
        self._round += 1
        if self._round % LINKS_PERIOD == 0:
            for spec in current.machines:
                links.ensure(addresses.interface(spec.id), IPv4Address(spec.address))
        return current

    def _measure(self, services: Collection[Service], percent: Mapping[str, float], at: float) -> None:
        """Look at databases and caches in the background, unless the last look is still under way."""
        if self._measured is None or self._measured.done():
            now = time.time()

            def work() -> None:
                try:
                    self._api.report_services(self._services.measure(services, percent, now), at)
                except requests.RequestException as error:
                    log.debug("what services do is not told: %s", error)

            self._measured = self._measuring.submit(work)

    def _apply_network(self, state: ApiState) -> Wanted:
        current = wanted(state, self._config, self._authority, self._kept)
        # Filters before machines: a link without a ruleset would let everything through.
        nft.apply(security_groups.ruleset(current.network))
        if self._network is not None:
            for public in connections.moved(self._network, current.network):
                connections.forget(public)
        self._network = current.network
        dns.ensure(self._state, current.records)
        self._identities.update(state)
        return current

    def _begin(self, action: Action) -> None:
        work, homes = work_of(action), self._state / "machines"
        match action:
            case Start(spec):
                self._background.queue(spec.id, work, lambda: self._start(spec))
            case Resume(spec):
                self._background.queue(spec.id, work, lambda: self._resume(spec))
            case Reboot(spec):
                self._background.queue(spec.id, work, lambda: self._reboot(spec))
            case Halt(identifier):
                self._background.aside(identifier, work, lambda: self._halt(identifier))
            case Stop(identifier):
                self._background.aside(identifier, work, lambda: self._stop(identifier))
            case CarryOut(service, identifier, change):
                log.info("%s: %s", service, type(change).__name__)
                do = partial(carry_out, self._api, service, identifier, change, homes)
                self._background.queue(identifier, work, do)
            case TakeBase(base):
                log.info("%s: a base backup", base.machine)
                self._background.aside(base.key, work, lambda: take(self._api, base, homes))
            case Promote(kind, identifier, node):
                log.info("the primary of %s is gone: %s takes over", identifier, node)
                self._api.put(f"{COLLECTIONS[kind]}/{identifier}/failover/{node}")
            case ReportInstance(instance, status):
                log.info("%s is %s", instance, status)
                self._api.report("instances", instance, status)
            case ReportService(kind, identifier, status):
                log.info("%s %s is %s", kind, identifier, status)
                self._api.report(COLLECTIONS[kind], identifier, status)

    def _start(self, spec: machine.MachineSpec) -> None:
        log.info("starting %s (%s) at %s", spec.id, spec.tier, spec.address)
        machine.start(spec, self._state / "machines")
        links.ensure(addresses.interface(spec.id), IPv4Address(spec.address))

    def _resume(self, spec: machine.MachineSpec) -> None:
        log.info("starting %s (%s) again", spec.id, spec.tier)
        machine.resume(spec, self._state / "machines")
        links.ensure(addresses.interface(spec.id), IPv4Address(spec.address))

    def _reboot(self, spec: machine.MachineSpec) -> None:
        log.info("rebooting %s", spec.id)
        machine.halt(spec.id, self._state / "machines", REBOOT_GRACE_SECONDS)
        self._resume(spec)

    def _halt(self, identifier: str) -> None:
        log.info("turning %s off", identifier)
        machine.halt(identifier, self._state / "machines", SHUTDOWN_GRACE_SECONDS)

    def _stop(self, identifier: str) -> None:
        log.info("stopping %s", identifier)
        machine.stop(identifier, self._state / "machines", SHUTDOWN_GRACE_SECONDS)


def work_of(action: Action) -> Hashable:
    """What makes it the same as before: a base backup that fails is followed by another one of the same database."""
    return TakeBase(replace(action.base, base="")) if isinstance(action, TakeBase) else action
