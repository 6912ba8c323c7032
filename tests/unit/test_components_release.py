"""The artifact bucket and the release pointer."""

import hashlib
import json
from pathlib import Path

import example_args
import pulumi
import pytest
from recording import Recording, record

from components import LoadBalancer, Release

OBJECT = "aws:s3/bucketObjectv2:BucketObjectv2"


@pytest.fixture
def made(tmp_path: Path) -> Recording:
    return record(lambda: Release("rel", example_args.release(tmp_path)))


def test_the_bucket_is_private_versioned_and_encrypted(made: Recording) -> None:
    block = made.one("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock").inputs
    assert [value for value in block.values() if value is not True] == ["rel-bucket"], (
        "every kind of public access is off"
    )
    versioning = made.one("aws:s3/bucketVersioning:BucketVersioning").inputs
    assert versioning["versioningConfiguration"] == {"status": "Enabled"}
    encryption = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
    rule = made.one(encryption).inputs["rules"][0]
    assert rule["applyServerSideEncryptionByDefault"] == {"sseAlgorithm": "AES256"}


def test_the_bucket_refuses_plain_http(made: Recording) -> None:
    (statement,) = json.loads(made.one("aws:s3/bucketPolicy:BucketPolicy").inputs["policy"])["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    arn = "arn:aws:s3:us-east-1:123456789012:rel-bucket"
    assert statement["Resource"] == [arn, f"{arn}/*"], "the bucket and everything in it"


def test_old_versions_expire_and_current_releases_do_not(made: Recording) -> None:
    rule, *passing = made.one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration").inputs["rules"]
    assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 30}
    assert "expiration" not in rule, "the release that runs may be old"
    prefixes = [each["filter"]["prefix"] for each in passing]
    assert prefixes == ["reports/", "leases/"], "what goes by itself is nothing that a machine starts from"


def test_reports_of_machines_that_are_gone_go_too(made: Recording) -> None:
    _, *passing = made.one("aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration").inputs["rules"]
    for rule in passing:
        assert rule["expiration"] == {"days": 2}, "longer than the 6 hours after which a machine writes its own anew"
        assert rule["noncurrentVersionExpiration"] == {"noncurrentDays": 1}, "one is written every few seconds"


def test_the_pointer_names_the_release_and_later_runs_leave_it_be(made: Recording) -> None:
    pointer = made.one("aws:ssm/parameter:Parameter")
    assert json.loads(pointer.inputs["value"]) == {
        "release_id": example_args.SHA[:12],
        "key": f"releases/{example_args.SHA}.tar.gz",
        "sha256": example_args.SHA,
    }
    assert pointer.ignore_changes == ("value",), "`pulumi up` would undo a deployment"
    assert "rel-app" in pointer.depends_on, "the pointer must not name what isn't in the bucket yet"


def test_release_and_runtime_stay_in_the_bucket_when_the_program_goes_past_them(made: Recording) -> None:
    for name in ("rel-app", "rel-runtime"):
        assert made.one(OBJECT, name).retain_on_delete, f"machines may still boot from {name}"


def test_nothing_is_stored_before_the_bucket_is_protected(made: Recording) -> None:
    for name in ("rel-app", "rel-runtime"):
        missing = {"rel-versioning", "rel-encryption", "rel-tls-only"} - made.one(OBJECT, name).depends_on
        assert not missing, f"{name} may be stored before {missing}"


def test_others_store_nothing_before_the_bucket_is_protected_either(tmp_path: Path) -> None:
    def program() -> None:
        release = Release("rel", example_args.release(tmp_path))
        LoadBalancer("edge", {**example_args.load_balancer(), "bucket": release.bucket})

    stored = record(program).one(OBJECT, "edge-bundle")
    missing = {"rel-versioning", "rel-encryption", "rel-tls-only"} - stored.depends_on
    assert not missing, f"a bundle may be stored before {missing}, and would have no version"


def test_a_bucket_with_releases_is_kept_unless_told_otherwise(made: Recording, tmp_path: Path) -> None:
    assert made.one("aws:s3/bucket:Bucket").inputs["forceDestroy"] is False
    forced = record(lambda: Release("rel", {**example_args.release(tmp_path), "force_destroy": True}))
    assert forced.one("aws:s3/bucket:Bucket").inputs["forceDestroy"] is True


def test_the_runtime_is_known_by_what_was_stored(tmp_path: Path) -> None:
    def program() -> None:
        release = Release("rel", example_args.release(tmp_path))
        pulumi.export("key", release.runtime_key)
        pulumi.export("sha256", release.runtime_sha256)

    assert record(program).outputs == {
        "key": f"runtime/node-24-x64-{example_args.SHA}.tar.gz",
        "sha256": example_args.SHA,
    }


def test_an_archive_alone_is_enough(tmp_path: Path) -> None:
    files = example_args.release(tmp_path)
    digest = hashlib.sha256(b"archive").hexdigest()
    made = record(
        lambda: Release("rel", {"app": {"path": files["app"]["path"]}, "runtime": {"path": files["runtime"]["path"]}})
    )
    assert made.one(OBJECT, "rel-app").inputs["key"] == f"releases/{digest}.tar.gz", "where machines may read it"
    assert made.one(OBJECT, "rel-runtime").inputs["key"] == f"runtime/{digest}.tar.gz"
    pointer = json.loads(made.one("aws:ssm/parameter:Parameter").inputs["value"])
    assert pointer == {"release_id": digest[:12], "key": f"releases/{digest}.tar.gz", "sha256": digest}


def test_an_archive_that_is_not_there_stops_before_any_resource(tmp_path: Path) -> None:
    missing = str(tmp_path / "nothing.tar.gz")
    with pytest.raises(pulumi.InputPropertiesError, match=r"(?s)app\.path.*no such file.*runtime\.path"):
        record(lambda: Release("rel", {"app": {"path": missing}, "runtime": {"path": missing}}))
