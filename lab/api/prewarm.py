"""Calls that make moto load what it loads at first use, so that the first apply doesn't wait for it."""

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from werkzeug.test import Client

log = logging.getLogger(__name__)

QUERY = {
    "autoscaling": "DescribeAutoScalingGroups",
    "ec2": "DescribeVpcs",
    "elasticache": "DescribeReplicationGroups",
    "iam": "ListRoles",
    "rds": "DescribeDBInstances",
    "sts": "GetCallerIdentity",
}
JSON = {
    "logs": "Logs_20140328.DescribeLogGroups",
    "ssm": "AmazonSSM.DescribeParameters",
    "secretsmanager": "secretsmanager.ListSecrets",
}


def prewarm(application: Any, region: str) -> None:
    """Use each service once, and the tables that launching an instance reads."""
    calls = [(service, _query(service, action)) for service, action in QUERY.items()]
    calls += [(service, _json(target)) for service, target in JSON.items()]
    calls += [("s3", {"method": "GET"}), ("ec2", _query("ec2", "DescribeImages"))]
    with ThreadPoolExecutor(len(calls)) as pool:
        list(pool.map(lambda call: _call(application, region, *call), calls))


def _call(application: Any, region: str, service: str, request: dict[str, Any]) -> None:
    scope = f"Credential=prewarm/20200101/{region}/{service}/aws4_request"
    headers = {"Authorization": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0"} | request.pop(
        "headers", {}
    )
    answer = Client(application).open(
        path="/", base_url=f"http://{service}.{region}.amazonaws.com", headers=headers, **request
    )
    if answer.status_code >= 400:
        log.warning("prewarming %s answered %s", service, answer.status)


def _query(service: str, action: str) -> dict[str, Any]:
    versions = {"autoscaling": "2011-01-01", "ec2": "2016-11-15", "elasticache": "2015-02-02", "iam": "2010-05-08",
                "rds": "2014-10-31", "sts": "2011-06-15"}  # fmt: skip
    return {"method": "POST", "data": {"Action": action, "Version": versions[service]}}


def _json(target: str) -> dict[str, Any]:
    headers = {"X-Amz-Target": target}
    return {"method": "POST", "data": "{}", "content_type": "application/x-amz-json-1.1", "headers": headers}
