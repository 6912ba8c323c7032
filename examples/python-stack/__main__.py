"""An app's servers and their load balancer, in a VPC that another stack made."""

from typing import Any

import pulumi
from expressway import AppServers, LoadBalancer, Release

config = pulumi.Config()
archives = config.require("archives")
network_stack = config.require("networkStack")
network = pulumi.StackReference(network_stack)


def from_network(name: str) -> pulumi.Output[Any]:
    """What the other stack tells; `require_output` would end in a traceback where it doesn't."""

    def known(value: Any) -> Any:
        if value is None:
            raise pulumi.RunError(f"stack {network_stack} has no output {name!r}: run `pulumi up` there first")
        return value

    return network.get_output(name).apply(known)


vpc_id = from_network("vpcId")

release = Release(
    "shop",
    {
        "app": {"path": f"{archives}/app.tar.gz"},
        "runtime": {"path": f"{archives}/runtime.tar.gz"},
        "force_destroy": True,
    },
)
servers = AppServers(
    "shop-app",
    {
        "vpc_id": vpc_id,
        "subnet_ids": from_network("privateSubnetIds"),
        "release": release.access,
        "min_size": 2,
        "max_size": 6,
        "environment": {"GREETING": "hello"},
    },
)
edge = LoadBalancer(
    "shop-edge",
    {
        "vpc_id": vpc_id,
        "subnet_ids": from_network("publicSubnetIds"),
        "bucket": release.bucket,
        "bucket_arn": release.bucket_arn,
        "targets": servers.targets,
    },
)

pulumi.export("url", edge.url)
