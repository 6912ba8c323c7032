"""The machines' side of the lab's API: AWS's own host names, over TLS, by the lab's certificate authority."""

import socket
import ssl
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from lab.api import tls
from tests.plan.lab_api_server import ApiServer
from tests.plan.machine_session import with_permissions


@contextmanager
def _names_lead_to(api: ApiServer) -> Generator[None]:
    """As the lab's DNS does for machines: each of AWS's names is the API."""
    resolve = socket.getaddrinfo

    def lab_dns(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if str(host).endswith(".amazonaws.com"):
            return resolve("127.0.0.1", api.tls_port, *args, **kwargs)
        return resolve(host, port, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", lab_dns)
        yield


def _client(api: ApiServer, service: str, addressing: str = "auto") -> Any:
    """A client as a machine has it: no endpoint, no switch, only the lab's authority in its trust store."""
    machine = with_permissions(api, [{"Action": "*", "Resource": "*"}])
    return machine.client(
        service,
        endpoint_url=None,
        verify=str(api.tls_dir / tls.CERTIFICATE),
        config=Config(s3={"addressing_style": addressing}, retries={"total_max_attempts": 1}),
    )


def test_machines_reach_each_service_under_its_own_name(api: ApiServer) -> None:
    with _names_lead_to(api):
        assert _client(api, "sts").get_caller_identity()["Account"] == "123456789012"
        _client(api, "ssm").put_parameter(Name="/tls", Type="String", Value="pointer", Overwrite=True)
        _client(api, "ec2").describe_instances()
        _client(api, "autoscaling").describe_auto_scaling_groups()
        _client(api, "secretsmanager").list_secrets()
    found = api.client("ssm").get_parameter(Name="/tls")["Parameter"]["Value"]
    assert found == "pointer", "both sides have the same state"


def test_a_key_that_is_nobodys_is_refused_to_machines_in_the_words_of_each_service(api: ApiServer) -> None:
    one, two = (with_permissions(api, [{"Action": "*", "Resource": "*"}]) for _ in range(2))
    # A key is one with its session's token.
    mixed = replace(one, credentials=one.credentials | {"aws_session_token": two.credentials["aws_session_token"]})
    authority = str(api.tls_dir / tls.CERTIFICATE)
    calls = {
        "ssm": ("describe_parameters", "UnrecognizedClientException"),
        "ec2": ("describe_vpcs", "AuthFailure"),
        "s3": ("list_buckets", "InvalidAccessKeyId"),
        "autoscaling": ("describe_policies", "InvalidClientTokenId"),
    }
    with _names_lead_to(api):
        for service, (call, code) in calls.items():
            machine = {"endpoint_url": None, "verify": authority}
            with pytest.raises(ClientError, match=code):
                getattr(mixed.client(service, **machine), call)()
            getattr(one.client(service, **machine), call)()
        unsigned = requests.get("https://bucket.s3.us-east-1.amazonaws.com/a", verify=authority, timeout=10)
    assert (unsigned.status_code, "AccessDenied" in unsigned.text) == (403, True), "nor may nobody"


@pytest.mark.parametrize("style", ["virtual", "path"])
def test_buckets_are_reached_in_both_styles(api: ApiServer, style: str) -> None:
    bucket, key = f"tls-{style}", "releases/1.tar.gz"
    api.client("s3").create_bucket(Bucket=bucket)
    api.client("s3").put_object(Bucket=bucket, Key=key, Body=b"artifact")
    with _names_lead_to(api):
        s3 = _client(api, "s3", style)
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"artifact"
        assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 1


def test_the_rds_trust_store_holds_the_labs_authority(api: ApiServer) -> None:
    url = f"https://{tls.TRUSTSTORE_HOST}/global/global-bundle.pem"
    with _names_lead_to(api):
        answer = requests.get(url, verify=str(api.tls_dir / tls.CERTIFICATE), timeout=10)
    assert answer.text == (api.tls_dir / tls.CERTIFICATE).read_text()


@pytest.mark.parametrize("path", ["/lab/v1/version", "/lab/v1/db-instances", "/moto-api/data.json"])
def test_machines_may_not_use_the_control_surface(api: ApiServer, path: str) -> None:
    with _names_lead_to(api):
        url = f"https://ssm.us-east-1.amazonaws.com{path}"
        answer = requests.get(url, verify=str(api.tls_dir / tls.CERTIFICATE), timeout=10)
    assert answer.status_code == 403


def test_nobody_else_trusts_the_labs_certificates(api: ApiServer) -> None:
    with _names_lead_to(api), pytest.raises(requests.exceptions.SSLError):
        requests.get("https://ssm.us-east-1.amazonaws.com/", timeout=10)


def test_a_client_that_never_shakes_hands_does_not_hold_up_the_others(api: ApiServer) -> None:
    with socket.create_connection(("127.0.0.1", api.tls_port)), _names_lead_to(api):
        assert _client(api, "sts").get_caller_identity()["Account"], "answered while the silent one is connected"


def test_an_authority_is_made_once_and_a_pair_is_issued_once(tmp_path: Path) -> None:
    first = tls.ca(tmp_path).cert_pem.bytes()
    assert tls.ca(tmp_path).cert_pem.bytes() == first, "a lab has one authority"
    names = ["db.c1.us-east-1.rds.amazonaws.com"]
    pair = tls.issue(tmp_path, names)
    content = [path.read_bytes() for path in pair]
    assert [path.read_bytes() for path in tls.issue(tmp_path, names)] == content, "asked again, the same pair"
    assert tls.issue(tmp_path, [*names, "other"]) != pair, "other names, another pair"
    for key in (tmp_path / tls.KEY, pair[1]):
        assert key.stat().st_mode & 0o777 == 0o600, f"{key.name} is for its owner only"


def test_who_asks_for_a_pair_at_once_gets_the_same_one(tmp_path: Path) -> None:
    def asked(name: str) -> tuple[bytes, bytes]:
        certificate, key = (path.read_bytes() for path in tls.issue(tmp_path, [name]))
        return certificate, key

    with ThreadPoolExecutor(4) as threads:
        for name in (f"master.cache{number}.amazonaws.com" for number in range(5)):
            pairs = set(threads.map(asked, [name] * 4))
            assert len(pairs) == 1, "a certificate, and the key of another"
            assert pairs == {asked(name)}


def test_an_issued_certificate_is_valid_for_its_names_only(tmp_path: Path) -> None:
    certificate, key = tls.issue(tmp_path, ["master.cache.x.use1.cache.amazonaws.com"])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    client = ssl.create_default_context(cafile=str(tmp_path / tls.CERTIFICATE))
    assert _handshake(server, client, "master.cache.x.use1.cache.amazonaws.com")
    assert not _handshake(server, client, "evil.cache.x.use1.cache.amazonaws.com")


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> bool:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, server_hostname=name),
    ]
    done: set[int] = set()
    for _ in range(10):
        for number, end in enumerate(ends):
            try:
                end.do_handshake()
                done.add(number)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return False
    return done == {0, 1}
