"""Service Quotas as AWS has it for what a stack needs; moto knows the defaults of VPC alone.

https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_GetServiceQuota.html
"""

import json
from typing import Any

from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.models import ServiceQuotasBackend
from moto.servicequotas.responses import ServiceQuotasResponse

from lab.api.account import ADDRESSES, DATABASES, DEFAULT_QUOTAS, NAT_GATEWAYS, PROXIES, STANDARD_VCPUS, VPCS, facts
from lab.api.patching import add, instead

SERVICES = {"ec2": (STANDARD_VCPUS, ADDRESSES), "vpc": (VPCS, NAT_GATEWAYS), "rds": (DATABASES, PROXIES)}


def install() -> None:
    """Change moto's Service Quotas. Once a process, before the first request."""
    instead(ServiceQuotasBackend, "get_service_quota", _applied)
    add(ServiceQuotasResponse, "get_aws_default_service_quota", _default)


def _applied(_backend: Any, service_code: str, quota_code: str) -> dict[str, Any]:
    """The account's own value. For VPC's quotas AWS answers with the default where none was asked for."""
    if quota_code in facts.quotas:
        return _quota(service_code, quota_code, facts.quotas[quota_code])
    if service_code != "vpc":
        raise NoSuchResource
    return _quota(service_code, quota_code, DEFAULT_QUOTAS.get(quota_code))


def _default(response: Any) -> str:
    asked = json.loads(response.body)
    code = asked["QuotaCode"]
    return json.dumps({"Quota": _quota(asked["ServiceCode"], code, DEFAULT_QUOTAS.get(code))})


def _quota(service: str, code: str, value: float | None) -> dict[str, Any]:
    if value is None or code not in SERVICES.get(service, ()):
        raise NoSuchResource
    return {"ServiceCode": service, "QuotaCode": code, "Value": value, "Adjustable": True, "GlobalQuota": False}
