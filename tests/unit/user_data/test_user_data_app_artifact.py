"""Releases and runtimes from the bucket, and the authorities behind RDS."""

import hashlib
import io
import json
import ssl
import tarfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import trustme
from botocore.exceptions import IncompleteReadError
from botocore.response import StreamingBody
from expressway_app import artifact, trust
from expressway_app.artifact import ArtifactError, Release
from moto import mock_aws

BUCKET = "shop-artifacts"


def tarball(**files: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.uid = len(content), 0o755, 12345
            archive.addfile(entry, io.BytesIO(content.encode()))
    return packed.getvalue()


def put(s3: Any, body: bytes) -> tuple[str, str]:
    sha256 = hashlib.sha256(body).hexdigest()
    s3.put_object(Bucket=BUCKET, Key=f"releases/{sha256}.tar.gz", Body=body)
    return f"releases/{sha256}.tar.gz", sha256


def test_a_release_is_unpacked_whole_and_once(s3: Any, tmp_path: Path) -> None:
    key, sha256 = put(s3, tarball(**{"expressway.json": "{}", "app/index.js": "1"}))
    target = tmp_path / "releases/abc"
    assert artifact.fetch(s3, BUCKET, key, sha256, target) is True
    assert (target / "app/index.js").read_text() == "1"
    assert (target / "app/index.js").stat().st_mode & 0o111, "modes are kept"
    assert (target / "app/index.js").stat().st_uid == target.stat().st_uid, "and owners are not"
    assert artifact.fetch(s3, "no-such-bucket", key, sha256, target) is False, "it is there: nothing is asked"
    assert [each.name for each in target.parent.iterdir()] == ["abc"], "no leftovers"


def test_other_bytes_than_promised_are_refused(s3: Any, tmp_path: Path) -> None:
    key, _ = put(s3, tarball(file="x"))
    with pytest.raises(ArtifactError, match="SHA-256"):
        artifact.fetch(s3, BUCKET, key, "f" * 64, tmp_path / "abc")
    assert list(tmp_path.iterdir()) == [], "nothing of it may be run"


def test_what_a_killed_run_left_is_replaced(s3: Any, tmp_path: Path) -> None:
    key, sha256 = put(s3, tarball(file="whole"))
    (tmp_path / ".abc.partial").mkdir()
    (tmp_path / ".abc.partial/stale").write_text("half")
    (tmp_path / ".abc.tar.gz").write_text("half")
    artifact.fetch(s3, BUCKET, key, sha256, tmp_path / "abc")
    assert [each.name for each in (tmp_path / "abc").iterdir()] == ["file"], "what was left came along"


def test_a_download_that_breaks_off_is_repeated(s3: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, sha256 = put(s3, tarball(file="x"))
    read, broken = StreamingBody.iter_chunks, [True, True]

    def flaky(body: StreamingBody, *arguments: int) -> Iterator[bytes]:
        if broken:
            broken.pop()
            yield b"half"
            raise IncompleteReadError(actual_bytes=4, expected_bytes=100)
        yield from read(body, *arguments)

    monkeypatch.setattr(StreamingBody, "iter_chunks", flaky)
    assert artifact.fetch(s3, BUCKET, key, sha256, tmp_path / "abc") is True
    assert broken == [], "it wasn't tried a third time"


def test_an_object_that_is_missing_is_named(s3: Any, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"s3://shop-artifacts/releases/none\.tar\.gz"):
        artifact.fetch(s3, BUCKET, "releases/none.tar.gz", "f" * 64, tmp_path / "abc")


@pytest.fixture
def point() -> Iterator[Callable[[str], Release]]:
    """Set the release pointer to a text, and read it."""
    with mock_aws():
        ssm = boto3.client("ssm", region_name="us-east-1")

        def read(value: str) -> Release:
            ssm.put_parameter(Name="/shop/release", Value=value, Type="String", Overwrite=True)
            return artifact.read_pointer(ssm, "/shop/release")

        yield read


def test_the_pointer_names_a_release(point: Callable[[str], Release]) -> None:
    pointer = {"release_id": "0123456789ab", "key": "releases/x.tar.gz", "sha256": "f" * 64}
    assert point(json.dumps(pointer)) == Release("0123456789ab", "releases/x.tar.gz", "f" * 64)


@pytest.mark.parametrize("value", ["none yet", "[]", "{}", '{"release_id": "../x", "key": "k", "sha256": "s"}'])
def test_a_pointer_that_names_none_is_an_error(value: str, point: Callable[[str], Release]) -> None:
    with pytest.raises(ArtifactError, match="release pointer /shop/release"):
        point(value)


def test_a_pointer_that_is_missing_is_named() -> None:
    with mock_aws(), pytest.raises(ArtifactError, match="release pointer /none"):
        artifact.read_pointer(boto3.client("ssm", region_name="us-east-1"), "/none")


@pytest.fixture(scope="module")
def pem() -> str:
    return trustme.CA().cert_pem.bytes().decode()


def answer_with(monkeypatch: pytest.MonkeyPatch, *answers: str | OSError) -> list[str]:
    """Have the truststore give these answers, one after the other; the addresses asked for."""
    asked: list[str] = []
    left = list(answers)

    def urlopen(url: str, timeout: float) -> io.BytesIO:
        asked.append(url)
        answer = left.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return io.BytesIO(answer.encode())

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return asked


def test_the_authorities_are_fetched_from_aws_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pem: str) -> None:
    path = tmp_path / "rds-ca.pem"
    asked = answer_with(monkeypatch, pem)
    assert trust.install_rds_ca(path, pause=0) == pem
    assert path.read_text() == pem
    assert trust.install_rds_ca(path, pause=0) == pem, "valid, so kept"
    assert asked == ["https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"]


def test_a_damaged_bundle_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pem: str) -> None:
    path = tmp_path / "rds-ca.pem"
    for damaged in ("", "garbage", pem[: len(pem) // 2]):
        path.write_text(damaged)
        answer_with(monkeypatch, pem)
        assert trust.install_rds_ca(path, pause=0) == pem, f"{damaged[:30]!r} was taken for certificates"


def test_a_truststore_that_fails_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pem: str) -> None:
    answer_with(monkeypatch, OSError("reset"), ssl.SSLError("handshake"), pem)
    assert trust.install_rds_ca(tmp_path / "rds-ca.pem", pause=0) == pem


def test_a_truststore_that_never_answers_well_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, *[OSError("refused")] * 6)
    with pytest.raises(OSError, match=r"truststore.*refused"):
        trust.install_rds_ca(tmp_path / "rds-ca.pem", pause=0)
    answer_with(monkeypatch, "<html>a captive portal</html>")
    with pytest.raises(OSError, match="certificates"):
        trust.install_rds_ca(tmp_path / "rds-ca.pem", pause=0)
    assert not (tmp_path / "rds-ca.pem").exists(), "nothing that isn't certificates is kept"
