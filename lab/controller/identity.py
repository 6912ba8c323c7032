"""Who is who for the metadata service: what each address's machine may learn about itself."""

import contextlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests
from botocore.exceptions import BotoCoreError, ClientError

from lab.api import tls
from lab.machines import describe, guest
from lab.machines.instance import InstanceMetadata, Role
from lab.machines.services import backups, load_balancer, postgresql, proxy, redis, redis_cluster
from lab.network import names

from .api import Api, ApiState
from .wanted import balancer_machine, cache_machine, database_machine, database_nodes, proxy_machine

SERVICE_TYPE = "lab.service"
MACHINES = {"cache": cache_machine, "load-balancer": balancer_machine, "proxy": proxy_machine}


class Identities:
    """Answers by source address. What cannot change is read from the API once.

    `certificates` is the directory of the lab's authority.
    """

    def __init__(self, api: Api, certificates: Path, region: str) -> None:
        self._api = api
        self._certificates = certificates
        self._region = region
        self._lock = threading.Lock()
        self._instances: dict[str, Any] = {}
        self._services: dict[str, tuple[str, Any]] = {}
        self._subnets: dict[str, Any] = {}
        self._vpcs: dict[str, Any] = {}
        self._user_data: dict[str, bytes | None] = {}
        self._roles: dict[tuple[str, str], Role | None] = {}

    def update(self, state: ApiState) -> None:
        """Answer by `state` from now on."""
        instances = [one for reservation in state.reservations for one in reservation["Instances"]]
        with self._lock:
            self._instances = {one["PrivateIpAddress"]: one for one in instances if one.get("PrivateIpAddress")}
            self._services = {
                node["address"]: ("database", {**node, "database": item})
                for item in state.databases
                for node in database_nodes(item)
            }
            self._services |= {
                node["address"]: ("cache", {**cache, **node, "cache": cache})
                for cache in state.caches
                for node in cache["nodes"]
            }
            self._services |= {item["address"]: ("load-balancer", item) for item in state.load_balancers}
            self._services |= {item["address"]: ("proxy", item) for item in state.proxies}
            self._subnets = {subnet["SubnetId"]: subnet for subnet in state.subnets}
            self._vpcs = {vpc["VpcId"]: vpc for vpc in state.vpcs}

    def lookup(self, address: str) -> InstanceMetadata | None:
        """For the metadata service. None while the API does not know the address, or cannot say enough about it."""
        with self._lock:
            instance, service = self._instances.get(address), self._services.get(address)
        with contextlib.suppress(BotoCoreError, ClientError, requests.RequestException):
            if instance is not None:
                return self._instance(instance)
            if service is not None:
                return self._service(*service)
        return None

    def _instance(self, instance: Mapping[str, Any]) -> InstanceMetadata:
        identifier = instance["InstanceId"]
        if identifier not in self._user_data:
            # A running instance's user data cannot be changed.
            attribute = self._api.aws("ec2").describe_instance_attribute(InstanceId=identifier, Attribute="userData")
            self._user_data[identifier] = describe.user_data(attribute)
        return describe.instance_metadata(
            instance,
            user_data=self._user_data[identifier],
            role=self._role(identifier, instance.get("IamInstanceProfile", {}).get("Arn")),
            subnet=self._subnets.get(instance["SubnetId"]),
            vpc=self._vpcs.get(instance["VpcId"]),
        )

    def _role(self, instance: str, profile_arn: str | None) -> Role | None:
        if profile_arn is None:
            return None
        if (instance, profile_arn) not in self._roles:
            name = profile_arn.rpartition("/")[2]
            profile = self._api.aws("iam").get_instance_profile(InstanceProfileName=name)["InstanceProfile"]
            self._roles[instance, profile_arn] = describe.role(profile, instance, self._api.aws("sts").assume_role)
        return self._roles[instance, profile_arn]

    def _service(self, kind: str, item: Mapping[str, Any]) -> InstanceMetadata:
        machine = database_machine(item["id"], item["node"]) if kind == "database" else MACHINES[kind](item["id"])
        return InstanceMetadata(
            instance_id=machine,
            image_id="ami-lab",
            instance_type=SERVICE_TYPE,
            hostname=names.internal(item["address"], self._region),
            private_ip=item["address"],
            mac=guest.mac_address(machine),
            zone=f"{self._region}a",
            user_data=self._service_user_data(machine, kind, item),
        )

    def _service_user_data(self, machine: str, kind: str, item: Mapping[str, Any]) -> bytes:
        if kind == "load-balancer":
            return load_balancer.user_data()
        if kind == "proxy":
            return proxy.user_data(*self._certificate([item["endpoint"]]))
        # A machine that is started anew, empty, gets what counts by then.
        state = _of_database(item) if kind == "database" else _of_cache(item)
        known = f"{machine} {state}"
        if known not in self._user_data:
            make = self._database_user_data if kind == "database" else self._cache_user_data
            self._user_data[known] = make(item)
        return self._user_data[known] or b""

    def _certificate(self, names: list[str]) -> tuple[str, str]:
        """With its chain, and its key."""
        certificate, key = tls.issue(self._certificates, names)
        return certificate.read_text(), key.read_text()

    def _database_user_data(self, item: Mapping[str, Any]) -> bytes:
        certificate, key = self._certificate([item["endpoint"]])
        login = self._api.get(f"db-instances/{item['id']}/login")
        upstream = _upstream(item)
        return postgresql.user_data(
            postgresql.PostgresqlServer(
                certificate=certificate,
                key=key,
                **login,
                database=item["name"],
                port=int(item["port"]),
                settings=item["settings"],
                upstream=upstream,
                source=None if upstream else _source(item),
                kept=backups.folder(item["resource"]),
            )
        )

    def _cache_user_data(self, item: Mapping[str, Any]) -> bytes:
        cache = item["cache"]
        certificate, key = self._certificate(_cache_names(cache))
        known = self._api.get(f"replication-groups/{cache['id']}/tokens")
        return redis.user_data(
            redis.RedisServer(
                certificate=certificate,
                key=key,
                tokens=tuple(known["tokens"]),
                replication=known["replication"],
                port=int(cache["port"]),
                primary=cache["address"] if item["role"] == "replica" and not cache["cluster"] else None,
                cluster=_cluster(item) if cache["cluster"] else None,
                memory=cache["memory"],
                parameters=cache["parameters"],
            )
        )


def _upstream(item: Mapping[str, Any]) -> postgresql.Upstream | None:
    """Whom a database's machine streams from: a standby from the primary's machine, wherever their name leads."""
    primary = item["database"]
    if item["node"] != primary["node"]:
        return postgresql.Upstream(item["endpoint"], int(item["port"]), primary["address"], postgresql.STANDBY)
    if source := item["source_endpoint"]:
        return postgresql.Upstream(source, int(item["source_port"]))
    return None


def _source(item: Mapping[str, Any]) -> backups.Source | None:
    """What a database's machine begins with that is made anew."""
    if (found := item["beginning"]) is None:
        return None
    return backups.Source(backups.folder(found["resource"]), found["base"], found["archived"], found["at"])


def _of_database(item: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a database's user data says that changes."""
    return item["secret_version"], item["settings_version"], _upstream(item), _source(item)


def _cache_names(cache: Mapping[str, Any]) -> list[str]:
    """Any node may become the primary, so each has the names of all; in cluster mode also of those to come."""
    if cache["cluster"]:
        return [f"*.{cache['endpoint'].partition('.')[2]}"]
    return [cache["endpoint"], cache["reader_endpoint"], *(node["endpoint"] for node in cache["nodes"])]


def _cluster(item: Mapping[str, Any]) -> redis_cluster.Cluster:
    """What a node of a cluster begins with. A shard's number is its epoch."""
    nodes = item["cache"]["nodes"]
    primaries = {node["shard"]: node["endpoint"] for node in nodes if node["role"] == "primary"}
    members = tuple(
        redis_cluster.Member(
            node["endpoint"], node["address"], primaries[node["shard"]] if node["role"] == "replica" else None
        )
        for node in nodes
    )
    slots = next(shard["slots"] for shard in item["cache"]["shards"] if shard["id"] == item["shard"])
    own = slots if item["role"] == "primary" else ""
    return redis_cluster.Cluster(item["endpoint"], members, own, int(item["shard"]) if own else 0)


def _of_cache(item: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a node's user data says that changes."""
    cache = item["cache"]
    shape = _cluster(item) if cache["cluster"] else None
    return cache["tokens_version"], cache["parameters_version"], item["role"], shape
