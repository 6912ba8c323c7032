"""The site's certificate: what a secret may hold, how Nginx gets it, and what a mistake in it does."""

import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
import trustme
from botocore.exceptions import EndpointConnectionError
from certificate import pair
from certificate.keeper import Keeper, UnreadableError
from certificate.pair import CertificateError
from certificate.store import Store
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from expressway_edge import nginx
from moto import mock_aws

from tests.paths import ROOT

NOW = datetime.now(UTC)
SECRET = "shop/tls"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority with one intermediate, which signs."""
    return trustme.CA().create_child_ca()


def pem(leaf: trustme.LeafCert) -> tuple[str, str]:
    """Chain and key."""
    return "".join(each.bytes().decode() for each in leaf.cert_chain_pems), leaf.private_key_pem.bytes().decode()


@pytest.fixture(scope="module")
def good(authority: trustme.CA) -> tuple[str, str]:
    return pem(authority.issue_cert("shop.example", "*.shop.example"))


def as_json(chain: str, key: str) -> str:
    return json.dumps({"certificate": chain, "private_key": key})


def blocks(chain: str) -> list[str]:
    """Each certificate of a chain."""
    end = "-----END CERTIFICATE-----\n"
    return [f"{each}{end}" for each in chain.split(end)[:-1]]


def test_json_and_one_pem_text_hold_the_same(good: tuple[str, str]) -> None:
    chain, key = good
    expected = pair.parse(as_json(chain, key), NOW)
    assert len(blocks(expected.chain)) == 2, "the intermediate has to be served too"
    assert expected.names == ("shop.example", "*.shop.example")
    for text in (chain + key, key + chain, f"Bag Attributes: x\n{chain}\n\nthe key:\n{key}"):
        assert pair.parse(text, NOW) == expected, "order and remarks don't matter"


def test_the_key_is_in_no_text_about_a_pair(good: tuple[str, str]) -> None:
    found = pair.parse(as_json(*good), NOW)
    body = good[1].splitlines()[1]
    assert body in found.key
    assert body not in f"{found}{found!r}"


def _encrypted(key: str) -> str:
    loaded = serialization.load_pem_private_key(key.encode(), None)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    return loaded.private_bytes(*form, serialization.BestAvailableEncryption(b"secret")).decode()


def _with_key(authority: trustme.CA, key: Any) -> tuple[str, str]:
    """A certificate of another kind of key: trustme makes none, so the key alone is that kind."""
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem(authority.issue_cert("shop.example"))[0], key.private_bytes(*form).decode()


def _mistakes(authority: trustme.CA, good: tuple[str, str]) -> Iterator[tuple[str, str, str]]:
    """What a secret holds by mistake, what is said of it, and how it is mended."""
    chain, key = good
    own, intermediate = blocks(chain)
    _, other_key = pem(authority.issue_cert("shop.example"))
    _, stranger = blocks(pem(trustme.CA().create_child_ca().issue_cert("x.example"))[0])
    yield "hunter2", "no certificate in PEM", "Store JSON"
    yield "{not json", "isn't JSON with certificate and private_key", "Store JSON"
    yield json.dumps({"cert": chain, "private_key": key}), "isn't JSON with certificate and private_key", "Store JSON"
    yield json.dumps({"certificate": chain, "private_key": None}), "must be text", "Store JSON"
    yield chain, "0 private keys", "Store JSON"
    yield chain + key + other_key, "2 private keys", "Store JSON"
    yield as_json(chain, other_key), "doesn't fit its first certificate", "the certificate was requested with"
    yield as_json(intermediate + own, key), "doesn't fit its first certificate", "before its intermediates"
    yield as_json(own + stranger, key), "certificate 1 of its chain isn't issued by the one after it", "that came with"
    yield as_json(chain, _encrypted(key)), "has a passphrase", "without one"
    yield as_json(chain, key[:60] + "#" + key[61:]), "private key can't be read", "Copy"
    yield as_json(own[:100] + own[140:], key), "certificate can't be read", "Copy"
    small = rsa.generate_private_key(65537, 1024)  # noqa: S505, it must be refused
    yield as_json(*_with_key(authority, small)), "browsers don't take", "ECDSA"
    yield as_json(*_with_key(authority, ec.generate_private_key(ec.SECP521R1()))), "browsers don't take", "ECDSA"
    past = authority.issue_cert("shop.example", not_after=NOW - timedelta(days=1))
    yield as_json(*pem(past)), f"expired on {NOW - timedelta(days=1):%Y-%m-%d}", "Renew"
    future = authority.issue_cert("shop.example", not_before=NOW + timedelta(days=2))
    yield as_json(*pem(future)), f"isn't valid before {NOW + timedelta(days=2):%Y-%m-%d}", "Store it then"
    nameless = authority.issue_cert(common_name="shop.example")
    yield as_json(*pem(nameless)), "no subject alternative names", "made with them"


def test_what_would_break_the_site_is_refused_with_the_mend(authority: trustme.CA, good: tuple[str, str]) -> None:
    for secret, rule, remedy in _mistakes(authority, good):
        with pytest.raises(CertificateError) as caught:
            pair.parse(secret, NOW)
        message = str(caught.value)
        assert rule in message, f"expected {rule!r}: {message}"
        assert remedy in message, f"expected {remedy!r}: {message}"
        for line in good[1].splitlines()[1:-1]:
            assert line not in message, "a part of the key is in the message"
        assert "hunter2" not in message


@pytest.mark.parametrize("kind", list(trustme.KeyType))
def test_keys_of_both_kinds_are_taken(kind: trustme.KeyType) -> None:
    leaf = trustme.CA(key_type=kind).issue_cert("shop.example", key_type=kind)
    assert pair.parse(as_json(*pem(leaf)), NOW).names == ("shop.example",)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "certificate")


def test_a_pair_is_put_in_the_place_that_nginx_reads(
    store: Store, good: tuple[str, str], edge_machine: dict[str, Any]
) -> None:
    found = pair.parse(as_json(*good), NOW)
    assert store.put(found) is True
    templates = ROOT / "user_data/edge/files/nginx"
    text = nginx.render(templates, edge_machine | {"certificate": SECRET}, (1, 26, 3))
    assert f"root {Store().root}/current/site;" in text
    site = (store.root / "current/site").resolve()
    assert not list(site.iterdir()), "what lies there could be served"
    for name, content in (("chain.pem", found.chain), ("key.pem", found.key)):
        assert f" $certificate/../{name};" in text
        assert (site / ".." / name).read_text() == content
    assert stat.S_IMODE((site / "../key.pem").stat().st_mode) == 0o600
    assert store.pair() == found


def test_the_same_pair_is_not_put_again(store: Store, good: tuple[str, str]) -> None:
    found = pair.parse(as_json(*good), NOW)
    store.put(found)
    before = (store.root / "current/key.pem").stat().st_ino
    assert store.put(found) is False
    assert (store.root / "current/key.pem").stat().st_ino == before


def test_the_pair_before_the_last_stays_for_handshakes_under_way_and_no_other(
    store: Store, authority: trustme.CA
) -> None:
    pairs = [pair.parse(as_json(*pem(authority.issue_cert(f"{each}.example"))), NOW) for each in "abc"]
    for each in pairs:
        store.put(each)
    assert {each.name for each in store.root.iterdir()} == {pairs[1].id, pairs[2].id, "current"}
    assert store.id() == pairs[2].id


def test_a_put_that_was_cut_short_is_made_good(store: Store, good: tuple[str, str]) -> None:
    found = pair.parse(as_json(*good), NOW)
    (store.root / found.id).mkdir(parents=True)
    (store.root / found.id / "key.pem").write_text("half a k")
    assert store.id() is None, "half a pair is none"
    store.put(found)
    assert store.pair() == found


@pytest.fixture
def secrets() -> Iterator[Any]:
    """Secrets Manager, mocked, with no secret."""
    with mock_aws():
        yield boto3.client("secretsmanager", region_name="us-east-1")


@pytest.fixture
def keeper(secrets: Any, store: Store, tmp_path: Path) -> Keeper:
    return Keeper(secrets, SECRET, store, tmp_path / "run/status.json")


def status(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "run/status.json").read_text())


def test_a_secret_that_changes_is_served_without_a_restart(
    keeper: Keeper, secrets: Any, store: Store, good: tuple[str, str], authority: trustme.CA, tmp_path: Path
) -> None:
    secrets.create_secret(Name=SECRET, SecretString=as_json(*good))
    keeper.ensure(patience=0)
    assert status(tmp_path)["names"] == ["shop.example", "*.shop.example"]
    renewed = pem(authority.issue_cert("shop.example"))
    secrets.put_secret_value(SecretId=SECRET, SecretString="".join(renewed))
    assert keeper.run_pass() is None
    now = store.pair()
    assert now
    assert (now.chain, now.key) == renewed
    assert status(tmp_path)["not_after"] == now.not_after.isoformat()


def test_a_mistake_is_told_once_and_the_last_good_certificate_stays(
    keeper: Keeper,
    secrets: Any,
    store: Store,
    good: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    secrets.create_secret(Name=SECRET, SecretString=as_json(*good))
    keeper.ensure(patience=0)
    before = store.id()
    secrets.put_secret_value(SecretId=SECRET, SecretString=good[0])
    for _ in range(3):
        assert isinstance(keeper.run_pass(), CertificateError)
    assert store.id() == before
    said = capsys.readouterr().out
    assert said.count("shop/tls: it holds 0 private keys") == 1, said
    assert "in use stays the certificate for shop.example" in said
    assert "0 private keys" in status(tmp_path)["error"]
    assert status(tmp_path)["names"], "what is served is still told"
    secrets.put_secret_value(SecretId=SECRET, SecretString=as_json(*good))
    assert keeper.run_pass() is None
    assert "all is well again" in capsys.readouterr().out
    assert status(tmp_path)["error"] is None


def test_a_machine_that_boots_during_a_mistake_serves_what_the_secret_held_before(
    keeper: Keeper, secrets: Any, store: Store, good: tuple[str, str], tmp_path: Path
) -> None:
    secrets.create_secret(Name=SECRET, SecretString=as_json(*good))
    secrets.put_secret_value(SecretId=SECRET, SecretString="oops")
    keeper.ensure(patience=0)
    now = store.pair()
    assert now
    assert now.key == good[1]
    assert "no certificate in PEM" in status(tmp_path)["error"], "the mistake is not hidden by that"


def test_a_machine_that_reboots_during_a_mistake_serves_what_it_had(
    keeper: Keeper, secrets: Any, store: Store, good: tuple[str, str]
) -> None:
    store.put(found := pair.parse(as_json(*good), NOW))
    keeper.ensure(patience=0)  # there is no such secret
    assert store.pair() == found


def test_without_any_certificate_there_is_an_end_and_a_reason(keeper: Keeper, secrets: Any, store: Store) -> None:
    with pytest.raises(UnreadableError, match="Create the secret in this region, or name another one at edge"):
        keeper.ensure(patience=0)
    secrets.create_secret(Name=SECRET, SecretString="oops")
    with pytest.raises(CertificateError, match="secret shop/tls: it holds no certificate"):
        keeper.ensure(patience=60)  # waiting would not mend it
    secrets.put_secret_value(SecretId=SECRET, SecretBinary=b"\x30\x82")
    with pytest.raises(CertificateError, match="it is binary"):
        keeper.ensure(patience=0)
    assert store.id() is None


class Unreachable:
    """Secrets Manager, out of reach for some questions."""

    def __init__(self, client: Any, failures: int) -> None:
        self.client = client
        self.failures = failures

    def get_secret_value(self, **question: str) -> Any:
        if self.failures:
            self.failures -= 1
            raise EndpointConnectionError(endpoint_url="https://secretsmanager.us-east-1.amazonaws.com")
        return self.client.get_secret_value(**question)


def test_a_first_answer_is_waited_for(secrets: Any, store: Store, good: tuple[str, str], tmp_path: Path) -> None:
    secrets.create_secret(Name=SECRET, SecretString=as_json(*good))
    keeper = Keeper(Unreachable(secrets, 3), SECRET, store, tmp_path / "status.json")
    keeper.ensure(patience=60, pause=0)
    assert store.id(), "a role that was made a moment ago is refused at first"
