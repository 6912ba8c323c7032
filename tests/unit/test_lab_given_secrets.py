"""Secrets that `lab up` is given: from files into Secrets Manager."""

from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lab import given_secrets
from lab.given_secrets import GivenSecretError


def test_a_secret_is_its_files_text_to_the_last_byte(tmp_path: Path) -> None:
    (tmp_path / "a=b.pem").write_text("line\n\nlast = line\n")
    assert given_secrets.read([f"shop/tls={tmp_path}/a=b.pem"]) == {"shop/tls": "line\n\nlast = line\n"}


def test_every_mistake_is_told_at_once_and_none_tells_a_secret(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "empty").touch()
    (tmp_path / "big").write_text("x" * 65537)
    files = [f"{each}={tmp_path}/{each}" for each in ("gone", "binary", "empty", "big")]
    with pytest.raises(GivenSecretError) as caught:
        given_secrets.read(["hunter2", *files])
    message = str(caught.value)
    for said in (
        "must be NAME=FILE",
        "secret gone:",
        "secret binary:",
        "secret empty:",
        "secret big:",
    ):
        assert said in message, message
    assert "hunter2" not in message, "who forgets the name may have typed the secret"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    with mock_aws():
        yield boto3.client("secretsmanager", region_name="us-east-1")


def test_given_again_only_another_text_is_another_version(client: Any) -> None:
    def version() -> tuple[str, str]:
        answer = client.get_secret_value(SecretId="shop/tls")
        return answer["SecretString"], answer["VersionId"]

    given_secrets.put(client, {"shop/tls": "one"})
    first = version()
    assert first[0] == "one"
    given_secrets.put(client, {"shop/tls": "one"})
    assert version() == first, "machines would take it for a rotation"
    given_secrets.put(client, {"shop/tls": "two"})
    assert version()[0] == "two"
    assert version()[1] != first[1]
