"""RDS Proxy before a database: it shares the database's connections between the clients of all app servers.

What it takes, what it breaks: docs/connections.md.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from . import _logs, _machines, _security

PORT = 5432
"""Of each proxy of PostgreSQL's, whatever the database's own is.
https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy.html#rds-proxy.limitations-pg"""

_BORROW_SECONDS = 20
"""A request waits so long for a connection, then fails, as with PgBouncer: the edge gives up after 30 s."""
_IDLE_SECONDS = 1800
"""AWS's own. An app's pool may keep a connection unused for minutes, and one that is closed fails its next request;
one that is pinned and forgotten keeps one of the database's so long."""

_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "rds.amazonaws.com"}},
        ],
    }
)


@dataclass(frozen=True)
class Made:
    """What there is to tell of a proxy, once it leads to its database."""

    host: pulumi.Output[str]
    reader_host: pulumi.Output[str]
    """Leads to Aurora's readers; empty without them."""
    security_group_id: pulumi.Output[str]


def create(
    name: str,
    args: Mapping[str, Any],
    *,
    percent: int,
    secret_arns: Sequence[pulumi.Input[str]],
    port: pulumi.Input[int],
    subnets: "aws.rds.SubnetGroup",
    database_group_id: pulumi.Input[str],
    target: Mapping[str, pulumi.Input[str]],
    instances: Sequence[pulumi.Resource] = (),
    opts: pulumi.ResourceOptions,
) -> Made:
    """A proxy of the database `name`, whose `args` are Database's.

    It may have `percent` of the database's connections, and reads the logins in `secret_arns`, which clients connect
    with. `target` is the identifier of the instance or cluster, as ProxyTarget takes it; `instances` are a cluster's,
    the writer first.
    """
    # Known before the proxy is there, for its log group; and as random as a name that the engine draws.
    identifier = subnets.name.apply(lambda drawn: drawn.replace(f"{name}-subnets", f"{name}-proxy"))
    group = _security.group(f"{name}-proxy-group", args["vpc_id"], f"RDS Proxy of {name}", opts)
    _security.connect(f"{name}-proxy", group.id, database_group_id, port, f"RDS Proxy of {name}", opts)
    role = aws.iam.Role(f"{name}-role", assume_role_policy=_TRUST, description=f"RDS Proxy of {name}", opts=opts)
    # The key of Secrets Manager's own, which such secrets are encrypted with, needs no permission.
    reads = _machines.allow(
        f"{name}-proxy-secret",
        _machines.MachineRole(role.name, role.arn),
        [{"Action": "secretsmanager:GetSecretValue", "Resource": list(secret_arns)}],
        opts,
    )
    # RDS makes it itself where there is none, and keeps it for good.
    logs = aws.cloudwatch.LogGroup(
        f"{name}-proxy-logs",
        name=pulumi.Output.concat("/aws/rds/proxy/", identifier),
        retention_in_days=args.get("log_retention_days", _logs.RETENTION_DAYS),
        opts=opts,
    )
    proxy = aws.rds.Proxy(
        f"{name}-proxy",
        name=identifier,
        engine_family="POSTGRESQL",
        role_arn=role.arn,
        auths=[
            {
                "auth_scheme": "SECRETS",
                "secret_arn": each,
                # A token of IAM lives for 15 minutes, and an app that reads its address once knows none.
                "iam_auth": "DISABLED",
                "client_password_auth_type": "POSTGRES_SCRAM_SHA_256",
            }
            for each in secret_arns
        ],
        require_tls=True,
        # It would have each statement in its log, with its values.
        debug_logging=False,
        idle_client_timeout=_IDLE_SECONDS,
        vpc_subnet_ids=args["subnet_ids"],
        vpc_security_group_ids=[group.id],
        opts=pulumi.ResourceOptions(
            parent=opts.parent,
            # Its replacement has the same name, of which RDS takes no two.
            delete_before_replace=True,
            depends_on=[reads, logs],
        ),
    )
    pool = aws.rds.ProxyDefaultTargetGroup(
        f"{name}-proxy-pool",
        db_proxy_name=proxy.name,
        connection_pool_config={
            "max_connections_percent": percent,
            # The rest is closed after five minutes without use, as memory of the database's.
            "max_idle_connections_percent": percent // 2,
            "connection_borrow_timeout": _BORROW_SECONDS,
        },
        opts=opts,
    )
    leads = aws.rds.ProxyTarget(
        f"{name}-proxy-target",
        db_proxy_name=proxy.name,
        target_group_name=pool.name,
        # A cluster without an instance has nothing to lead to.
        opts=pulumi.ResourceOptions(parent=opts.parent, depends_on=list(instances)),
        **target,
    )

    def once_it_leads(host: pulumi.Output[str]) -> pulumi.Output[str]:
        """Servers that boot before that would be refused."""
        return pulumi.Output.all(host, leads.id).apply(lambda known: str(known[0]))

    reader_host = pulumi.Output.from_input("")
    if instances[1:]:
        endpoint = aws.rds.ProxyEndpoint(
            f"{name}-proxy-readers",
            db_proxy_name=proxy.name,
            db_proxy_endpoint_name=identifier.apply(lambda own: f"{own}-ro"),
            target_role="READ_ONLY",
            vpc_subnet_ids=args["subnet_ids"],
            vpc_security_group_ids=[group.id],
            opts=opts,
        )
        reader_host = once_it_leads(endpoint.endpoint)
    return Made(once_it_leads(proxy.endpoint), reader_host, group.id)
