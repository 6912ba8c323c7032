"""Networks for property tests: a few machines in two VPCs, with any rules between their groups."""

from ipaddress import IPv4Address, IPv4Network

from hypothesis import strategies as st

from lab.network.model import ANYWHERE, Direction, Group, Machine, Network, PrefixList, Rule, WayOut

GROUPS = ("sg-a", "sg-b", "sg-c", "sg-empty")
SUBNETS = (IPv4Network("10.98.0.0/24"), IPv4Network("10.98.1.0/24"))

ports = st.one_of(
    st.just((None, None)),
    st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(lambda pair: (min(pair), max(pair))),
    st.sampled_from([22, 80, 443, 3000]).map(lambda port: (port, port)),
)
icmp = st.one_of(st.just((None, None)), st.tuples(st.integers(0, 40), st.one_of(st.none(), st.integers(0, 15))))
peers = st.one_of(
    st.just(ANYWHERE),
    st.sampled_from([IPv4Network("10.98.0.0/25"), IPv4Network("10.98.1.5/32"), IPv4Network("198.51.100.0/24")]),
    st.sampled_from(GROUPS).map(Group),
    st.just(PrefixList("pl-1")),
)
protocols = st.one_of(
    st.tuples(st.just("all"), st.just((None, None))),
    st.tuples(st.sampled_from(["tcp", "udp"]), ports),
    st.tuples(st.just("icmp"), icmp),
    st.tuples(st.just("50"), st.just((None, None))),
)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    protocol, (first, last) = draw(protocols)
    return Rule(draw(st.sampled_from(GROUPS)), draw(st.sampled_from(Direction)), protocol, first, last, draw(peers))


@st.composite
def networks(draw: st.DrawFn) -> Network:
    """Any network that `model.from_api` could have made."""
    machines: list[Machine] = []
    for index in range(draw(st.integers(0, 6))):
        way_out = draw(st.sampled_from(WayOut))
        public = IPv4Address(f"198.51.100.{index + 10}")
        machines.append(
            Machine(
                id=f"i-{index}",
                address=SUBNETS[index % 2][index + 4],
                groups=draw(st.frozensets(st.sampled_from(GROUPS[:3]), max_size=3)),
                subnet=f"subnet-{index % 2}",
                vpc=draw(st.sampled_from(["vpc-1", "vpc-2"])),
                way_out=way_out,
                public_address=public if way_out is WayOut.INTERNET_GATEWAY else None,
                nat_address=IPv4Address("198.51.100.99") if way_out is WayOut.NAT else None,
            )
        )
    machines.sort(key=lambda machine: machine.address)
    return Network(tuple(machines), draw(st.frozensets(rules(), max_size=12)), frozenset(SUBNETS))
