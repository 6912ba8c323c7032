"""What the API says, read in one go."""

import urllib.parse
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from lab.aws import Aws

CALL_SECONDS = 10


@dataclass(frozen=True)
class ApiState:
    """The lists inside the API's `describe_*` answers, and what it alone knows of instances and services."""

    reservations: list[Any]
    security_groups: list[Any]
    subnets: list[Any]
    vpcs: list[Any]
    route_tables: list[Any]
    elastic_addresses: list[Any]
    nat_gateways: list[Any]
    instances: list[Any]
    databases: list[Any]
    caches: list[Any]
    load_balancers: list[Any]
    proxies: list[Any]
    backups: list[Any]


class Api:
    """The lab's API at `endpoint`, as AWS clients see it and through the lab's own control calls."""

    def __init__(self, endpoint: str, region: str, images: Collection[str] = ()) -> None:
        """`images` are those that machines are booted from: instances of others are passed over, however many."""
        self._booted = {"Filters": [{"Name": "image-id", "Values": sorted(images)}]} if images else {}
        self.aws = Aws(endpoint, region, CALL_SECONDS)
        self._endpoint = endpoint
        self._control = f"{endpoint}/lab/v1/"
        self._http = requests.Session()
        # A proxy of the environment is not for this host's own address.
        self._http.trust_env = False

    def as_role(self, arn: str, session: str) -> Aws:
        """AWS as this role sees it: it may do what its policies say. Raises ClientError where nobody may take it on."""
        given = self.aws("sts").assume_role(RoleArn=arn, RoleSessionName=session)["Credentials"]
        credentials = {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }
        return Aws(self._endpoint, self.aws.region, CALL_SECONDS, credentials)

    def version(self) -> int:
        """A number that changes whenever anything was changed."""
        return int(self.get("version")["version"])

    def read(self) -> ApiState:
        """Everything the controller acts on."""
        return ApiState(
            reservations=self.aws.pages("ec2", "describe_instances", "Reservations", **self._booted),
            security_groups=self.aws.pages("ec2", "describe_security_groups", "SecurityGroups"),
            subnets=self.aws.pages("ec2", "describe_subnets", "Subnets"),
            vpcs=self.aws.pages("ec2", "describe_vpcs", "Vpcs"),
            route_tables=self.aws.pages("ec2", "describe_route_tables", "RouteTables"),
            elastic_addresses=self.aws.pages("ec2", "describe_addresses", "Addresses"),
            nat_gateways=self.aws.pages("ec2", "describe_nat_gateways", "NatGateways"),
            instances=self.get("instances"),
            databases=self.get("db-instances"),
            caches=self.get("replication-groups"),
            load_balancers=self.get("load-balancers"),
            proxies=self.get("db-proxies"),
            backups=self.get("db-backups"),
        )

    def get(self, path: str) -> Any:
        """A control call's answer. Raises requests.RequestException."""
        answer = self._http.get(self._control + path, timeout=CALL_SECONDS)
        answer.raise_for_status()
        return answer.json()

    def put(self, path: str) -> None:
        """A control call that says that something is done. Raises requests.RequestException."""
        self._http.put(self._control + path, timeout=CALL_SECONDS).raise_for_status()

    def tell(self, path: str, what: Mapping[str, Any]) -> None:
        """The same, with more to say. Raises requests.RequestException."""
        self._http.put(self._control + path, json=what, timeout=CALL_SECONDS).raise_for_status()

    def report_health(self, load_balancer: str, found: str) -> None:
        """Say what a load balancer's probes found, in the JSON that its machine writes."""
        url = f"{self._control}load-balancers/{urllib.parse.quote(load_balancer)}/health"
        self._http.put(url, data=found, timeout=CALL_SECONDS).raise_for_status()

    def report_cpu(self, percent: Mapping[str, float], at: float) -> None:
        """Say how busy the instances' CPUs were in the period that began at this time of day."""
        told = {"percent": percent, "at": at}
        self._http.put(f"{self._control}cpu", json=told, timeout=CALL_SECONDS).raise_for_status()

    def report_services(self, services: Mapping[str, Any], at: float) -> None:
        """Say what databases and caches did in the period that began at this time of day."""
        told = {"services": services, "at": at}
        self._http.put(f"{self._control}service-metrics", json=told, timeout=CALL_SECONDS).raise_for_status()

    def report(self, collection: str, identifier: str, status: str) -> None:
        """Say how one of `instances`, `db-instances`, `db-proxies`, `replication-groups` or `load-balancers` is."""
        url = f"{self._control}{collection}/{urllib.parse.quote(identifier)}"
        self._http.put(url, json={"status": status}, timeout=CALL_SECONDS).raise_for_status()
