"""Which inputs of a resource don't go together, by its type. Pure.

Sources: the pages in limits.py, of the same types.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

Properties = Mapping[str, Any]
Finding = tuple[str, str]
"""A property, and what is wrong with it."""


def _sizes(given: Properties) -> Iterator[Finding]:
    low, high, wanted = (given.get(key) for key in ("minSize", "maxSize", "desiredCapacity"))
    if low is not None and high is not None and low > high:
        yield "minSize", f"must not be above maxSize, {high}, and is {low}"
    elif wanted is not None and ((low is not None and wanted < low) or (high is not None and wanted > high)):
        yield "desiredCapacity", f"must be from minSize to maxSize, and is {wanted}"


def _nodes(given: Properties) -> Iterator[Finding]:
    nodes = given.get("numCacheClusters")
    if given.get("automaticFailoverEnabled") is True and nodes is not None and nodes < 2:
        yield "numCacheClusters", f"must be 2 or more with automaticFailoverEnabled, and is {nodes}"
    if given.get("multiAzEnabled") is True and given.get("automaticFailoverEnabled", False) is False:
        yield "automaticFailoverEnabled", "must be true with multiAzEnabled"


def _shards(given: Properties) -> Iterator[Finding]:
    if "numNodeGroups" in given and "numCacheClusters" in given:
        yield (
            "numCacheClusters",
            "must not be given beside numNodeGroups: members are replicasPerNodeGroup of each, and 1",
        )
    elif "replicasPerNodeGroup" in given and "numNodeGroups" not in given:
        yield "replicasPerNodeGroup", "must be given beside numNodeGroups alone"
    if given.get("numNodeGroups", 1) > 1 and given.get("automaticFailoverEnabled", False) is False:
        yield "automaticFailoverEnabled", "must be true with numNodeGroups of 2 or more"


def _token(given: Properties) -> Iterator[Finding]:
    if "authToken" in given and given.get("transitEncryptionEnabled") is False:
        yield "transitEncryptionEnabled", "must be true with authToken"


def _peer(given: Properties) -> Iterator[Finding]:
    peers = [key for key in ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId") if key in given]
    if len(peers) > 1:
        yield peers[1], f"must not be given beside {peers[0]}: a rule has one peer"


def _ports(given: Properties) -> Iterator[Finding]:
    protocol = str(given.get("ipProtocol"))
    ports = [key for key in ("fromPort", "toPort") if given.get(key, -1) != -1]
    if protocol == "-1" and ports:
        yield ports[0], "must not be given with the ipProtocol -1, which means every port"
    low, high = given.get("fromPort"), given.get("toPort")
    if protocol in ("tcp", "udp") and low is not None and high is not None and low > high:
        yield "fromPort", f"must not be above toPort, {high}, and is {low}"


def _target(given: Properties) -> Iterator[Finding]:
    if "gatewayId" in given and "natGatewayId" in given:
        yield "natGatewayId", "must not be given beside gatewayId: a route has one target"


def _database(given: Properties) -> Iterator[Finding]:
    if "dbClusterIdentifier" in given and "dbInstanceIdentifier" in given:
        yield "dbInstanceIdentifier", "must not be given beside dbClusterIdentifier: a proxy leads to one database"


def _actions(given: Properties) -> Iterator[Finding]:
    actions = ("expiration", "noncurrentVersionExpiration", "abortIncompleteMultipartUpload")
    for index, rule in enumerate(given.get("rules", ())):
        if not any(rule.get(action) for action in actions):
            yield f"rules[{index}]", f"must have an action: one of {', '.join(actions)}"


def _statistic(given: Properties) -> Iterator[Finding]:
    if "statistic" in given and "extendedStatistic" in given:
        yield "extendedStatistic", "must not be given beside statistic: an alarm looks at one"


TOGETHER: Mapping[str, tuple[Callable[[Properties], Iterator[Finding]], ...]] = {
    "aws:autoscaling/group:Group": (_sizes,),
    "aws:cloudwatch/metricAlarm:MetricAlarm": (_statistic,),
    "aws:elasticache/replicationGroup:ReplicationGroup": (_nodes, _shards, _token),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": (_peer, _ports),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": (_peer, _ports),
    "aws:ec2/route:Route": (_target,),
    "aws:rds/proxyTarget:ProxyTarget": (_database,),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": (_actions,),
}
