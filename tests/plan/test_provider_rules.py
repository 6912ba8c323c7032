"""Security group rules with a group at the other end, through the provider: made, described, changed."""

import pytest

from tests.plan.lab_api_server import ApiServer
from tests.plan.provider_client import ProviderClient
from tests.plan.provider_world import World

INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"


@pytest.mark.parametrize(
    ("protocol", "ports"), [("tcp", {"fromPort": 3000, "toPort": 3000}), ("-1", {})], ids=["one port", "all traffic"]
)
def test_a_rule_that_refers_to_a_group_changes_in_place(
    provider: ProviderClient, world: World, api: ApiServer, protocol: str, ports: dict[str, int]
) -> None:
    mine, first, second = (world.security_group() for _ in range(3))
    given = {"securityGroupId": mine, "ipProtocol": protocol, "referencedSecurityGroupId": first, **ports}
    old = provider.check(INGRESS, "it", {**given, "description": "from the first"})
    identifier, state = provider.create(INGRESS, old)
    assert provider.read(INGRESS, identifier, state, old)[2] == old, "its description is kept"

    new = provider.check(INGRESS, "it", {**given, "referencedSecurityGroupId": second, "description": "from the other"})
    assert not provider.diff(INGRESS, identifier, state, old, new).replaces
    state = provider.update(INGRESS, identifier, state, old, new)
    assert provider.read(INGRESS, identifier, state, new)[2] == new

    group = api.client("ec2").describe_security_groups(GroupIds=[mine])["SecurityGroups"][0]
    (permission,) = group["IpPermissions"]
    assert [pair["GroupId"] for pair in permission["UserIdGroupPairs"]] == [second]
    assert permission["IpRanges"] == [], "and no range without an address, which no packet filter could be made from"
