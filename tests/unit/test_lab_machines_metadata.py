"""The metadata service: what it answers to whom."""

import http.client
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from lab.machines.instance import Credentials, InstanceMetadata, Role
from lab.machines.metadata import MetadataServer, Tokens, find

LAUNCHED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CREDENTIALS = Credentials("ASIAEXAMPLE", "the-secret", "the-token", LAUNCHED, datetime(2026, 1, 2, 4, 4, 5, tzinfo=UTC))
MACHINE = InstanceMetadata(
    instance_id="i-0123",
    image_id="ami-42",
    instance_type="t3.small",
    hostname="ip-10-20-1-5.ec2.internal",
    private_ip="10.20.1.5",
    mac="02:00:00:00:00:05",
    zone="us-east-1a",
    zone_id="use1-az6",
    user_data=b"#cloud-config\n\x00\xff",
    public_ip="198.51.100.7",
    subnet_id="subnet-1",
    subnet_cidr="10.20.1.0/24",
    vpc_id="vpc-1",
    vpc_cidrs=("10.20.0.0/16", "10.30.0.0/16"),
    security_groups={"sg-1": "app", "sg-2": "ssh"},
    launched=LAUNCHED,
    role=Role("web", "arn:aws:iam::123456789012:instance-profile/web", "AIPA1", lambda: CREDENTIALS),
)


def text(path: str, machine: InstanceMetadata = MACHINE) -> str | None:
    found = find(machine, path)
    return None if found is None else found.decode()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/latest/meta-data/instance-id", "i-0123"),
        ("/2021-03-23/meta-data/local-ipv4", "10.20.1.5"),
        ("/latest/meta-data/placement/region", "us-east-1"),
        ("/latest/meta-data/placement/availability-zone/", "us-east-1a"),
        ("/latest/meta-data/public-ipv4", "198.51.100.7"),
        ("/latest/meta-data/security-groups", "app\nssh"),
        ("/latest/meta-data/network/interfaces/macs/02:00:00:00:00:05/security-group-ids", "sg-1\nsg-2"),
        ("/latest/meta-data/network/interfaces/macs/02:00:00:00:00:05/subnet-ipv4-cidr-block", "10.20.1.0/24"),
        ("/latest/meta-data/network/interfaces/macs/02:00:00:00:00:05/vpc-ipv4-cidr-block", "10.20.0.0/16"),
        (
            "/latest/meta-data/network/interfaces/macs/02:00:00:00:00:05/vpc-ipv4-cidr-blocks",
            "10.20.0.0/16\n10.30.0.0/16",
        ),
        ("/latest/meta-data/placement/availability-zone-id", "use1-az6"),
        ("/latest/meta-data/services/domain", "amazonaws.com"),
        ("/latest/meta-data/services/partition", "aws"),
        ("/latest/meta-data/public-hostname", "ec2-198-51-100-7.compute-1.amazonaws.com"),
        ("/latest/meta-data/iam/security-credentials/", "web"),
        ("/latest/meta-data/network/interfaces/macs", "02:00:00:00:00:05/"),
        ("/latest", "dynamic/\nmeta-data/\nuser-data"),
        ("/latest/meta-data/no-such-thing", None),
        ("/latest/meta-data/instance-id/below", None),
        ("/latest/meta-data/public-keys/", None),
        ("/latest/meta-data/tags/instance/Name", None),
        ("/newest/meta-data/", None),
    ],
)
def test_a_path_gives_a_value_a_listing_or_nothing(path: str, expected: str | None) -> None:
    assert text(path) == expected, path


def test_the_root_lists_versions() -> None:
    assert "latest" in (text("/") or "").splitlines(), "clients look for the newest one there"


def test_user_data_is_served_byte_for_byte() -> None:
    assert find(MACHINE, "/latest/user-data") == MACHINE.user_data, "it may be compressed"


def test_without_user_data_or_role_or_public_address_their_paths_do_not_exist() -> None:
    bare = replace(MACHINE, zone="eu-west-1b", user_data=None, role=None, public_ip=None)
    assert text("/latest/meta-data/placement/region", bare) == "eu-west-1", "the zone without its letter"
    for path in ("meta-data/iam/info", "meta-data/public-ipv4", "meta-data/iam/security-credentials/", "user-data"):
        assert text(f"/latest/{path}", bare) is None, path


@pytest.mark.parametrize(
    ("zone", "partition", "domain", "public"),
    [
        ("eu-west-1b", "aws", "amazonaws.com", "ec2-198-51-100-7.eu-west-1.compute.amazonaws.com"),
        ("cn-north-1a", "aws-cn", "amazonaws.com.cn", "ec2-198-51-100-7.cn-north-1.compute.amazonaws.com.cn"),
        ("us-gov-west-1a", "aws-us-gov", "amazonaws.com", "ec2-198-51-100-7.us-gov-west-1.compute.amazonaws.com"),
    ],
)
def test_names_are_the_regions_own(zone: str, partition: str, domain: str, public: str) -> None:
    there = replace(MACHINE, zone=zone)
    assert text("/latest/meta-data/services/partition", there) == partition
    assert text("/latest/meta-data/services/domain", there) == domain
    assert text("/latest/meta-data/public-hostname", there) == public


def test_tags_are_served_only_where_the_instance_allows_it() -> None:
    tagged = replace(MACHINE, tags={"Name": "web-1"})
    assert text("/latest/meta-data/tags/instance/Name", tagged) == "web-1", "allowed"


def test_credentials_have_the_form_that_sdks_read() -> None:
    served = json.loads(text("/latest/meta-data/iam/security-credentials/web") or "")
    assert served["Code"] == "Success", served
    assert served["Expiration"] == "2026-01-02T04:04:05Z", served
    assert (served["AccessKeyId"], served["Token"]) == ("ASIAEXAMPLE", "the-token"), served


def test_the_identity_document_names_account_region_and_instance() -> None:
    served = json.loads(text("/latest/dynamic/instance-identity/document") or "")
    assert (served["accountId"], served["region"], served["instanceId"]) == ("123456789012", "us-east-1", "i-0123")


def test_no_secret_shows_when_metadata_is_printed() -> None:
    assert "the-secret" not in repr(CREDENTIALS), repr(CREDENTIALS)
    assert "cloud-config" not in repr(MACHINE), repr(MACHINE)


def test_a_token_is_good_for_its_address_until_it_expires() -> None:
    now = 1000.0
    tokens = Tokens(clock=lambda: now)
    token = tokens.issue("10.20.1.5", 60)
    assert tokens.valid("10.20.1.5", token), "for its address"
    assert not tokens.valid("10.20.1.6", token), "for another one"
    assert not Tokens(clock=lambda: now).valid("10.20.1.5", token), "of another service"
    assert not tokens.valid("10.20.1.5", "not a token"), "nonsense"
    assert not tokens.valid("10.20.1.5", token[:8]), "a part of it"
    now = 1060.0
    assert not tokens.valid("10.20.1.5", token), "after its time"


class Service:
    """The service on a free port, with one machine that has this test's address, or none."""

    def __init__(self, machine: InstanceMetadata | None) -> None:
        self.server = MetadataServer(lambda address: machine if address == "127.0.0.1" else None, ("127.0.0.1", 0))
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        host, port = self.server.server_address[:2]
        connection = http.client.HTTPConnection(str(host), int(port), timeout=60)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body

    def token(self) -> str:
        return self.ask("/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")[1]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service(MACHINE)
    yield made
    made.close()


def test_a_session_token_opens_the_tree(service: Service) -> None:
    assert service.ask("/latest/meta-data/instance-id", X_aws_ec2_metadata_token=service.token()) == (200, "i-0123")


def test_plain_requests_and_wrong_tokens_are_unauthorized(service: Service) -> None:
    assert service.ask("/latest/meta-data/instance-id")[0] == 401, "IMDSv1"
    assert service.ask("/latest/meta-data/instance-id", X_aws_ec2_metadata_token="made-up")[0] == 401, "made up"


@pytest.mark.parametrize("seconds", ["", "0", "21601", "-5", "ten", "²"])
def test_a_token_for_an_impossible_time_is_refused(service: Service, seconds: str) -> None:
    headers = {"X_aws_ec2_metadata_token_ttl_seconds": seconds.encode().decode("latin-1")} if seconds else {}
    assert service.ask("/latest/api/token", "PUT", **headers)[0] == 400, seconds


def test_a_token_is_refused_to_a_forwarding_proxy(service: Service) -> None:
    headers = {"X_aws_ec2_metadata_token_ttl_seconds": "60", "X_Forwarded_For": "10.0.0.1"}
    assert service.ask("/latest/api/token", "PUT", **headers)[0] == 403, "as EC2 does"


def test_plain_requests_are_answered_where_tokens_are_optional() -> None:
    relaxed = Service(replace(MACHINE, tokens_required=False))
    assert relaxed.ask("/latest/meta-data/instance-id") == (200, "i-0123"), "IMDSv1"
    assert relaxed.ask("/latest/meta-data/instance-id", X_aws_ec2_metadata_token="made-up")[0] == 401, "a wrong token"
    relaxed.close()


def test_a_machine_that_is_not_known_yet_is_told_to_try_again() -> None:
    empty = Service(None)
    assert empty.ask("/latest/meta-data/")[0] == 503, "no final answer"
    empty.close()
