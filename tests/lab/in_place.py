"""Putting a release on the machines of a lab that is up, as a deploy in place does, but without its gates."""

import json
import time
import uuid
from pathlib import Path
from typing import Any

import artifact
from artifact.cache import root
from lab import status
from lab.aws import Aws


class Releases:
    """The lab's release pointer and its app servers, by the stack's outputs."""

    def __init__(self, aws: Aws) -> None:
        record = status.read()
        assert record, "no lab is up"
        outputs = record.outputs
        self._s3, self._ssm, self._ec2 = aws("s3"), aws("ssm"), aws("ec2")
        self._bucket, self._parameter = outputs["artifactBucket"], outputs["releaseParameter"]

    @property
    def pointer(self) -> dict[str, Any]:
        """What machines start."""
        return json.loads(self._ssm.get_parameter(Name=self._parameter)["Parameter"]["Value"])

    def upload(self, app: Path) -> dict[str, Any]:
        """Build the app and put it into the bucket; what a pointer to it says."""
        built = artifact.build(app, 24, "x64", root(), lambda _message: None)
        self._s3.put_object(Bucket=self._bucket, Key=built.key, Body=built.path.read_bytes())
        return {"release_id": built.release_id, "key": built.key, "sha256": built.sha256}

    def put(self, pointer: dict[str, Any], *machines: str) -> list[dict[str, Any]]:
        """Move the pointer and have the machines follow, one after the other; the report of each."""
        deploy = f"d-{uuid.uuid4().hex[:8]}"
        value = json.dumps(pointer | {"deploy": deploy})
        self._ssm.put_parameter(Name=self._parameter, Value=value, Type="String", Overwrite=True)
        reports: list[dict[str, Any]] = []
        for machine in machines:
            self._ec2.create_tags(Resources=[machine], Tags=[{"Key": "expressway:deploy", "Value": deploy}])
            reports.append(self._await(machine, deploy))
        return reports

    def report(self, machine: str) -> dict[str, Any]:
        """What the machine says of itself."""
        return json.loads(self._s3.get_object(Bucket=self._bucket, Key=f"reports/app/{machine}.json")["Body"].read())

    def _await(self, machine: str, deploy: str, seconds: float = 120) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            report = self.report(machine)
            if report["deploy"] == deploy and report["state"] in ("ready", "failed"):
                return report
            time.sleep(0.2)
        raise AssertionError(f"{machine} does not follow {deploy}: {self.report(machine)}")
