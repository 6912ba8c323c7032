"""An account in the lab's API in which the stack could be deployed at once, for the doctor to look at.

As a program, with faults planted or without: `python -m tests.plan.doctor_account [--sound]`
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3

from operate import deployer, doctor
from operate.doctor import Report
from operate.doctor.roles import ROLES
from tests.plan.lab_api_server import ROOT, ApiServer, running_api
from tests.unit.doctor_examples import wanted as example

REGION = "eu-west-1"
"""Other tests fill another one, and quotas are counted by region."""

USER, SECRET, BUCKET = "deployer", "shop/stripe", "team-state"
WHERE = "expressway:app.secrets.STRIPE_KEY"


class Site:
    """The account, and a user in it who may deploy and examine."""

    def __init__(self, api: ApiServer) -> None:
        self.api = api
        self.wanted = example(region=REGION, secrets={WHERE: SECRET}, backend=f"s3://{BUCKET}?region={REGION}")
        iam = api.client("iam")
        iam.create_user(UserName=USER)
        for name, document in {**deployer.documents(), "doctor": doctor.policy()}.items():
            self.attach(name, document)
        for service in ROLES.values():
            iam.create_service_linked_role(AWSServiceName=service)
        self.key = iam.create_access_key(UserName=USER)["AccessKey"]
        # For most looks: reading botocore's descriptions of services anew takes longer than all the questions.
        self.session = boto3.Session(self.key["AccessKeyId"], self.key["SecretAccessKey"])
        self.client("secretsmanager").create_secret(Name=SECRET, SecretString="sk_1")
        s3 = self.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})

    @property
    def environment(self) -> dict[str, str]:
        """What leads a program to this account, and to no other."""
        return {
            "AWS_ACCESS_KEY_ID": self.key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": self.key["SecretAccessKey"],
            "AWS_ENDPOINT_URL": self.api.endpoint,
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
            "AWS_EC2_METADATA_DISABLED": "true",
            "PULUMI_BACKEND_URL": f"s3://{BUCKET}?region={REGION}",
        }

    def client(self, service: str) -> Any:
        """A client in the doctor's region."""
        return self.api.client(service, REGION)

    def attach(self, name: str, document: dict[str, Any]) -> None:
        """Give the user a policy."""
        iam = self.api.client("iam")
        arn = iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(document))["Policy"]["Arn"]
        iam.attach_user_policy(UserName=USER, PolicyArn=arn)

    @contextmanager
    def without(self, name: str) -> Generator[None]:
        """The user without one of its policies."""
        iam, arn = self.api.client("iam"), f"arn:aws:iam::123456789012:policy/{name}"
        iam.detach_user_policy(UserName=USER, PolicyArn=arn)
        try:
            yield
        finally:
            iam.attach_user_policy(UserName=USER, PolicyArn=arn)

    @contextmanager
    def denying(self, action: str) -> Generator[None]:
        """The user with a policy that denies one action."""
        iam, statement = self.api.client("iam"), {"Effect": "Deny", "Action": action, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName=USER, PolicyName="denying", PolicyDocument=document)
        try:
            yield
        finally:
            iam.delete_user_policy(UserName=USER, PolicyName="denying")

    def plant(self, **facts: Any) -> None:
        """Change what AWS has decided about the account."""
        self.api.control("account", "PUT", facts)

    def look(self, **changes: Any) -> Report:
        """What the doctor finds."""
        return doctor.examine(replace(self.wanted, **changes), session=self.session)

    @contextmanager
    def five_faults(self) -> Generator[None]:
        """A quota of 4 vCPUs, no database class, no secret, a state without versions, and half of the permissions."""
        secrets, s3 = self.client("secretsmanager"), self.client("s3")
        self.plant(quotas={"L-1216C47A": 4}, withheld={"db.t4g.micro": []})
        secrets.delete_secret(SecretId=SECRET)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
        try:
            with self.without("deployer-policy-named"):
                yield
        finally:
            self.plant()
            secrets.restore_secret(SecretId=SECRET)
            s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})


def settings_folder(folder: Path) -> Path:
    """A folder with a stack's settings that want what the account has."""
    folder.mkdir(exist_ok=True)
    text = (ROOT / "Pulumi.dev.yaml").read_text().replace("aws:region: us-east-1", f"aws:region: {REGION}")
    text = text.replace("path: ./app", f"path: {ROOT / 'app'}").replace(
        "secrets: {}", f"secrets: {{STRIPE_KEY: {SECRET}}}"
    )
    (folder / "Pulumi.dev.yaml").write_text(text)
    (folder / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
    return folder


def command(site: Site, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`expressway doctor` as a user runs it, in a folder with settings."""
    return subprocess.run(
        [ROOT / "expressway", "doctor", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **site.environment, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def main() -> int:
    """Show what the doctor says of the account; its own exit status."""
    with tempfile.TemporaryDirectory() as place, running_api(Path(place)) as api:
        site, folder = Site(api), settings_folder(Path(place) / "stack")
        columns = os.environ.get("COLUMNS", "100")
        if sys.argv[1:] == ["--sound"]:
            done = command(site, folder, COLUMNS=columns)
        else:
            with site.five_faults():
                done = command(site, folder, COLUMNS=columns)
    print(done.stdout, done.stderr, sep="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
