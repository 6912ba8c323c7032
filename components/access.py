"""What one component hands on to the next, in the shape in which that takes it.

Each is plain data, so one written by hand does for what another stack, or another program, has made.
"""

from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict, cast

import pulumi


class AppReleaseArgs(TypedDict):
    """What Release gives: where releases are, and which one is current."""

    bucket: pulumi.Input[str]
    """The artifact bucket."""
    bucket_arn: pulumi.Input[str]
    """The artifact bucket's ARN."""
    parameter_name: pulumi.Input[str]
    """The SSM parameter that says which release is current."""
    parameter_arn: pulumi.Input[str]
    """The SSM parameter's ARN."""
    runtime_key: pulumi.Input[str]
    """The Node runtime's key in the bucket."""
    runtime_sha256: pulumi.Input[str]
    """The Node runtime's SHA-256."""


class ApmArgs(TypedDict):
    """What watches an app: the agent that is in its artifact (`expressway build --apm`), and whom that tells."""

    vendor: str
    """`newrelic`, `appdynamics`, `datadog` or `opentelemetry`, as the artifact was built for."""
    service: str
    """The app's name, as the vendor shows it."""
    environment: NotRequired[str]
    """What the stack is called there. Default: the component's name."""
    secret: NotRequired[pulumi.Input[str]]
    """Name or ARN of the secret with the vendor's key; with opentelemetry, with OTLP headers as `name=value,...`.
    Default: none, which only opentelemetry can do without."""
    endpoint: NotRequired[str]
    """Where the agent sends to, as a URL; a must with appdynamics and opentelemetry. With datadog, http:// is a Datadog
    Agent. Default: the vendor's own."""
    controller: NotRequired[str]
    """AppDynamics' controller, host and port. Default: none."""


class DatabaseAccessArgs(TypedDict):
    """What Database gives."""

    host: pulumi.Input[str]
    """DNS name."""
    port: pulumi.Input[int]
    """Port."""
    name: pulumi.Input[str]
    """The database."""
    secret_arn: pulumi.Input[str]
    """The secret with username and password of the app."""
    master_secret_arn: NotRequired[pulumi.Input[str]]
    """The secret with those of the master user, with which machines make the app's role as `secret_arn` says it.
    Without it, the role has to be there. Default: none."""
    security_group_id: pulumi.Input[str]
    """The group to be let into."""
    replica_hosts: NotRequired[pulumi.Input[list[str]]]
    """DNS names of read replicas. Default: none."""
    reader_host: NotRequired[pulumi.Input[str]]
    """DNS name that leads to one of Aurora's readers, each time to another. Default: none."""
    proxy_host: NotRequired[pulumi.Input[str]]
    """DNS name of the RDS Proxy before it, which `pooler: rds-proxy` needs. Default: none."""
    proxy_reader_host: NotRequired[pulumi.Input[str]]
    """DNS name of the proxy's endpoint that leads to Aurora's readers. Default: none."""
    proxy_security_group_id: NotRequired[pulumi.Input[str]]
    """The proxy's group, to be let into. Default: none."""
    proxy_percent: NotRequired[int]
    """Percent of its connections that the proxy may have; without it, what machines leave that go past it, as they
    measure the database. Default: none."""
    max_connections: NotRequired[pulumi.Input[int]]
    """How many connections it takes at the least; without it, PostgreSQL's own number. Default: 100."""


class ExternalDatabaseArgs(TypedDict):
    """A PostgreSQL that somebody else keeps, such as Citus or Aurora Limitless."""

    secret: pulumi.Input[str]
    """Name or ARN of the secret whose text is its URL: postgresql://user:password@host:port/name, with sslmode=require
    where its certificate's authority is nobody's whom machines trust. A new value is followed within a minute."""
    egress: list[str]
    """Where it is, which the machines may then connect to: IPv4 CIDRs, and ids of security groups. That it lets them in
    is for whoever keeps it to see to."""
    port: NotRequired[int]
    """Its port, which the URL has to say as well where it is another. Default: 5432."""
    max_connections: NotRequired[int]
    """How many connections it takes from these machines; without it, PostgreSQL's own number. Default: 100."""


class CacheAccessArgs(TypedDict):
    """What Cache gives."""

    host: pulumi.Input[str]
    """DNS name."""
    port: pulumi.Input[int]
    """Port."""
    secret_arn: pulumi.Input[str]
    """The secret with the token."""
    security_group_id: pulumi.Input[str]
    """The group to be let into."""
    cluster: NotRequired[pulumi.Input[bool]]
    """Whether it is a cluster, which takes a client that knows of shards. Default: false."""


class TargetsArgs(TypedDict):
    """What AppServers gives: the machines to balance over. Any Auto Scaling group that answers HTTP will do."""

    group_name: pulumi.Input[str]
    """Their Auto Scaling group."""
    group_arn: pulumi.Input[str]
    """Their Auto Scaling group's ARN."""
    security_group_id: pulumi.Input[str]
    """Their security group, which lets the edge in."""
    port: pulumi.Input[int]
    """The port that they listen on."""
    readiness_path: NotRequired[pulumi.Input[str]]
    """Answers below 500 on a machine that should get traffic. Default: /readyz."""
    lifecycle_hooks: NotRequired[pulumi.Input[list[str]]]
    """The group's lifecycle hooks that the edge completes: on launch when a machine answers, on terminating when it is
    out and requests are through. Others are let be. Default: launch and terminate, as AppServers calls its own."""
    tracks_requests: NotRequired[pulumi.Input[bool]]
    """Whether the edge tells CloudWatch each ten seconds how many requests a second each machine gets: the metric
    RequestsPerServer in the namespace Expressway, by AutoScalingGroupName. Default: false."""


def fields(path: str, given: pulumi.Input[Any], kind: type, **defaults: Any) -> dict[str, Any]:
    """An argument of type `kind` field by field, whether it was given as a mapping or as one output.

    A mapping's fields keep what each of them waits for; an output's fields all wait for the whole. `path` names the
    argument to people: InputPropertiesError when the output turns out to be something else.
    """
    if isinstance(given, Mapping):
        return {**defaults, **cast(Mapping[str, Any], given)}
    # The type checker knows keys of a TypedDict only where it knows the TypedDict.
    required: frozenset[str] = cast(Any, kind).__required_keys__
    whole = pulumi.Output.from_input(given).apply(lambda known: _checked(path, known, required))
    names = cast(Mapping[str, Any], kind.__annotations__)
    return {name: whole.apply(lambda known, name=name: known.get(name, defaults.get(name))) for name in names}


def _checked(path: str, known: Any, required: frozenset[str]) -> Mapping[str, Any]:
    found = cast(Mapping[str, Any], known) if isinstance(known, Mapping) else {}
    if missing := sorted(name for name in required if found.get(name) is None):
        reason = f"the output that was given for it lacks {', '.join(missing)}"
        raise pulumi.InputPropertiesError(f"{path}: {reason}", [{"property_path": path, "reason": reason}])
    return found
