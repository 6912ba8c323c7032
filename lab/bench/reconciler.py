"""`make bench-reconciler`: what the reconciler costs before a fleet of 1,000 that the API has and nobody boots.

Its own code runs in a process of its own against the lab's API. The machines are one server at all addresses of
127.30.0.0/16, and Nginx's balancer is a socket that takes every list.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from lab.aws import Aws
from lab.bench import api
from lab.bench.figures import Figure, console, report
from lab.paths import ROOT

RUNS: Final = 10
REST_SECONDS: Final = 60.0
GROUP: Final = "fleet"
FOLDERS: Final = [str(ROOT / "user_data" / tier / "files") for tier in ("edge", "common")]


def main() -> int:
    """Measure, print and write down."""
    parser = argparse.ArgumentParser(prog="make bench-reconciler", description="The reconciler before a big fleet.")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where the figures are written")
    parser.add_argument("--machines", type=int, default=1000, metavar="N", help="in the group (1,000)")
    options = parser.parse_args()
    measured = measure(options.machines)
    report(
        figures(measured, options.machines), options.json, calls_a_minute=measured["calls"], machines=options.machines
    )
    for operation, count in measured["calls"].items():
        console.print(f"  {operation}: {count} a minute")
    return 0


def measure(machines: int, rest_seconds: float = REST_SECONDS) -> dict[str, Any]:
    """What the probe found before so many machines; `rest_seconds` of it at rest."""
    with tempfile.TemporaryDirectory(prefix="expressway-bench-") as name, api.running(Path(name)) as endpoint:
        directory, aws = Path(name), Aws(endpoint, "us-east-1")
        console.print(f"{machines} machines in the API")
        _make_fleet(aws, machines)
        with _stand_in(directory):
            console.print("one reconcile")
            return _run("lab.bench.reconciler_probe", directory, endpoint, machines, rest_seconds)


def figures(measured: dict[str, Any], machines: int) -> list[Figure]:
    """The same with names and targets."""
    return [
        Figure(f"one reconcile of {machines} machines, CPU", "s", measured["reconcile"], 0.2),
        Figure("of that, asking the API", "s", measured["ask"]),
        Figure("of that, the pass", "s", measured["pass"]),
        Figure("an event of a new machine -> its place in Nginx's list", "s", measured["change"], 1.0),
        Figure("CPU at rest, probes included", "%", [measured["rest_percent"]]),
        Figure("calls of the API at rest", "a minute", [float(sum(measured["calls"].values()))], 100),
    ]


def _make_fleet(aws: Aws, size: int) -> None:
    """A group whose machines have addresses of the loopback network."""
    ec2, autoscaling = aws("ec2"), aws("autoscaling")
    vpc = ec2.create_vpc(CidrBlock="127.30.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="127.30.0.0/18", AvailabilityZone="us-east-1a")["Subnet"][
        "SubnetId"
    ]
    image = ec2.describe_images(Owners=["self"])["Images"][0]["ImageId"]
    template = ec2.create_launch_template(
        LaunchTemplateName="fleet", LaunchTemplateData={"ImageId": image, "InstanceType": "t3.small"}
    )["LaunchTemplate"]["LaunchTemplateId"]
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=GROUP,
        MinSize=0,
        MaxSize=size + RUNS,
        DesiredCapacity=size,
        VPCZoneIdentifier=subnet,
        LaunchTemplate={"LaunchTemplateId": template, "Version": "1"},
    )
    aws("s3").create_bucket(Bucket="edge")
    deadline = time.monotonic() + 600
    while True:
        (group,) = autoscaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"]
        there = sum(each["LifecycleState"] == "InService" for each in group["Instances"])
        if there == size:
            return
        if time.monotonic() > deadline:
            raise SystemExit(f"only {there} of {size} machines are in service")
        time.sleep(1)


@contextmanager
def _stand_in(directory: Path) -> Generator[None]:
    """The machines and the balancer."""
    command = [sys.executable, "-m", "lab.bench.fleet_stand_in", str(directory / "balancer.sock")]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        deadline = time.monotonic() + 30
        while not (directory / "balancer.sock").exists():
            if time.monotonic() > deadline:
                raise SystemExit("the stand-in did not start")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


def _run(module: str, directory: Path, endpoint: str, machines: int, rest_seconds: float) -> dict[str, Any]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *FOLDERS]),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "lab",
        "AWS_SECRET_ACCESS_KEY": "lab",
    }
    command = [sys.executable, "-m", module, str(directory), str(machines), str(rest_seconds)]
    done = subprocess.run(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit("the reconciler ended with an error")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
