"""A profile that is asked for by a tag, and answered in the bucket: both halves, on one API."""

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from cpu_profiles import raw
from expressway_app import paths, profiles
from expressway_app import requests as machine_requests
from expressway_app.profiling import ProfileError as WorkerError
from expressway_app.profiling import Worker
from moto import mock_aws
from typer.testing import CliRunner

from cli import targets
from cli.main import app
from cli.targets import Target
from operate import requests
from operate.load.profiled import Profiling
from operate.profile import request
from operate.profile.request import ProfileError, choose, take
from operate.stack import Stack

BUCKET = "shop-artifacts"
SECRET = "correct horse"


class Workers:
    """A machine's workers, of which one gives what it is told to."""

    def __init__(self, answer: str | Exception) -> None:
        self.answer = answer
        self.taken: list[float] = []

    def busiest(self, name: str) -> Worker:
        assert name == "shop"
        return Worker(712, name, 1)

    def take(self, worker: Worker, seconds: float) -> str:
        self.taken.append(seconds)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class EC2:
    """Tags of instances, one value a key."""

    def __init__(self) -> None:
        self.tags: dict[tuple[str, str], str] = {}

    def create_tags(self, Resources: list[str], Tags: list[dict[str, str]]) -> None:  # noqa: N803
        self.tags |= {(resource, tag["Key"]): tag["Value"] for resource in Resources for tag in Tags}

    def delete_tags(self, Resources: list[str], Tags: list[dict[str, str]]) -> None:  # noqa: N803
        for resource in Resources:
            for tag in Tags:
                # As AWS does: a tag with another value stays.
                if self.tags.get((resource, tag["Key"])) == tag["Value"]:
                    del self.tags[resource, tag["Key"]]

    def describe_tags(self, Filters: list[dict[str, Any]]) -> Any:  # noqa: N803
        wanted = {each["Name"]: each["Values"] for each in Filters}
        found = [
            {"ResourceId": resource, "Key": key, "Value": value}
            for (resource, key), value in self.tags.items()
            if resource in wanted["resource-id"] and key in wanted["key"]
        ]
        return {"Tags": found}


class Scaling:
    """Two groups and their machines."""

    def __init__(self) -> None:
        self.groups = {
            "shop-app": {"i-a": "InService", "i-b": "InService", "i-c": "Pending"},
            "shop-edge": {"i-e": "InService"},
        }

    def describe_auto_scaling_groups(self, AutoScalingGroupNames: list[str]) -> Any:  # noqa: N803
        return {
            "AutoScalingGroups": [
                {
                    "AutoScalingGroupName": name,
                    "Instances": [
                        {"InstanceId": each, "LifecycleState": state} for each, state in self.groups[name].items()
                    ],
                }
                for name in AutoScalingGroupNames
            ]
        }


class Account:
    """A stack of app servers and an edge, and what the app server `i-a` does each second."""

    def __init__(self) -> None:
        self.ec2, self.scaling, self.s3 = EC2(), Scaling(), boto3.client("s3", region_name="us-east-1")
        self.s3.create_bucket(Bucket=BUCKET)
        self.machine = "i-a"
        clients: dict[str, Any] = {"ec2": self.ec2, "autoscaling": self.scaling, "s3": self.s3}
        self.stack = Stack(BUCKET, "p", "shop-app", "shop-edge", "us-east-1", None, 24, "x64", clients.__getitem__)
        self.workers = Workers('{"profile":' + raw().replace(": ", ":").replace(", ", ",") + "}")

    def tag(self) -> str | None:
        """What the first app server sees of its tags."""
        return self.ec2.tags.get((self.machine, request.KIND.tag))

    def second(self, _seconds: float) -> None:
        """The machine looks at its tag."""
        if asked := self.tag():
            self.answer(asked)

    def answer(self, asked: str) -> None:
        """The machine has seen that it is asked for something."""
        answers = machine_requests.Answers(self.s3, BUCKET, self.machine)
        machine_requests.answer(profiles.kind(self.workers), answers, asked)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Account]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("PROFILED", "SECRETS", "RELEASES"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    (tmp_path / "releases/abc123").mkdir(parents=True)
    (tmp_path / "releases/abc123/expressway.json").write_text('{"name": "shop"}')
    (tmp_path / "releases/current").symlink_to(tmp_path / "releases/abc123")
    paths.SECRETS.write_text(json.dumps({"API_KEY": SECRET}))
    with mock_aws():
        yield Account()


def passing(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that a pause sets forward, for who waits in vain."""
    now = [0.0]
    monkeypatch.setattr(requests.time, "monotonic", lambda: now[0])

    def pause(seconds: float) -> None:
        now[0] += seconds

    return pause


def test_a_machine_answers_with_a_profile_once_and_the_tag_is_gone(account: Account) -> None:
    said: list[str] = []
    taken = take(account.stack, account.machine, 7, said.append, account.second)
    assert said == [f"asking {account.machine}"], "it had ended before anybody looked again"
    assert account.workers.taken == [7]
    assert taken.profile.functions[0].name == "price"
    assert (taken.profile.machine, taken.profile.process) == (account.machine, "shop 1, process 712")
    assert json.loads(taken.text) == json.loads(raw()), "V8's own, as Chrome reads it"
    assert account.tag() is None
    account.second(1)
    assert account.workers.taken == [7]


def test_the_tag_is_answered_once_also_by_a_program_that_starts_anew(account: Account) -> None:
    account.ec2.create_tags(Resources=[account.machine], Tags=[{"Key": request.KIND.tag, "Value": "0123456789 5"}])
    account.second(1)
    account.second(1)
    assert account.workers.taken == [5]


def test_a_program_that_was_restarted_meanwhile_says_so(account: Account) -> None:
    def killed(_seconds: float) -> None:
        asked = (account.tag() or "").split()[0]
        paths.PROFILED.write_text(json.dumps({"request": asked, "over": False}))
        account.second(1)

    with pytest.raises(ProfileError, match=f"^{account.machine}: .*expressway-deploys.service was restarted meanwhile"):
        take(account.stack, account.machine, 7, pause=killed)
    assert account.workers.taken == []


def test_a_worker_that_dies_meanwhile_is_told(account: Account) -> None:
    account.workers.answer = WorkerError("worker 1 (process 712) ended while it was profiled")
    with pytest.raises(ProfileError, match=r"^i-a: worker 1 \(process 712\) ended while it was profiled$"):
        take(account.stack, account.machine, 7, pause=account.second)
    assert account.tag() is None


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ('{"error":"Error: Profiler.start: no"}', "could not be profiled: Error: Profiler.start: no"),
        ("nonsense", "answered, and not with a profile"),
        ("[]", "answered, and not with a profile"),
        ('{"profile":{"nodes":[]}}', "answered, and not with a profile"),
    ],
)
def test_what_is_no_profile_is_told(account: Account, answer: str, told: str) -> None:
    account.workers.answer = answer
    with pytest.raises(ProfileError, match=told):
        take(account.stack, account.machine, 7, pause=account.second)


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", gzip.compress(b"{"), gzip.compress(b"[]"), gzip.compress(b"1")[:-9]],
    ids=["empty", "not packed", "half a line", "no object", "cut off"],
)
def test_an_answer_that_cannot_be_read_is_told_at_once(account: Account, body: bytes) -> None:
    def second(_seconds: float) -> None:
        asked = (account.tag() or "").split()[0]
        account.s3.put_object(Bucket=BUCKET, Key=f"reports/app/{account.machine}/profile-{asked}.gz", Body=body)

    with pytest.raises(ProfileError, match=r"^i-a answered with what can't be read: "):
        take(account.stack, account.machine, 7, pause=second)
    assert account.tag() is None


def test_what_the_app_calls_a_function_gives_no_secret_away(account: Account) -> None:
    account.workers.answer = str(account.workers.answer).replace('"price"', f'"call {SECRET} \\"now\\""')
    taken = take(account.stack, account.machine, 7, pause=account.second)
    assert taken.profile.functions[0].name == 'call *** "now"'
    for each in account.s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        assert SECRET.encode() not in gzip.decompress(
            account.s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read()
        )


def test_a_number_that_is_a_secret_leaves_a_profile_readable(account: Account) -> None:
    paths.SECRETS.write_text(json.dumps({"PIN": "250000"}))
    assert take(account.stack, account.machine, 7, pause=account.second).profile.functions[0].self_ms == 250


@pytest.mark.parametrize(
    "asked", ["", "x", "0123456789", "0123456789 0", "0123456789 -5", "../../x 5", "0123456789 99999"]
)
def test_a_tag_that_holds_no_request_is_no_request(account: Account, asked: str) -> None:
    account.answer(asked)
    assert account.workers.taken == []
    assert account.s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_a_machine_lets_nobody_profile_for_longer_than_a_minute(account: Account) -> None:
    with pytest.raises(ProfileError, match="61 seconds are more than 60"):
        take(account.stack, account.machine, 61, pause=account.second)
    assert account.workers.taken == []


def test_a_machine_that_does_not_hear_of_it_is_told(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ProfileError, match="did not answer in 40 s"):
        take(account.stack, account.machine, 7, pause=passing(monkeypatch))
    assert account.tag() is None


def test_a_machine_that_leaves_meanwhile_is_told(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    pause = passing(monkeypatch)

    def leaving(seconds: float) -> None:
        account.scaling.groups["shop-app"]["i-a"] = "Terminating:Wait"
        pause(seconds)

    with pytest.raises(ProfileError, match="i-a is Terminating:Wait: only a machine in service can take a profile"):
        take(account.stack, account.machine, 7, pause=leaving)


def test_two_do_not_profile_a_machine_at_a_time(account: Account) -> None:
    def ask(value: str) -> None:
        account.ec2.create_tags(Resources=[account.machine], Tags=[{"Key": request.KIND.tag, "Value": value}])

    ask(f"{int(time.time())}x0123456789ab 30")
    with pytest.raises(ProfileError, match=r"is being profiled by somebody else, for 1[01][0-9] s more at most"):
        take(account.stack, account.machine, 7, pause=account.second)
    assert account.workers.taken == []
    assert account.tag() is not None, "theirs stays"
    account.second(1)
    assert take(account.stack, account.machine, 7, pause=account.second).profile, "theirs is over"
    ask(f"{int(time.time()) - 200}x0123456789ab 30")
    assert take(account.stack, account.machine, 7, pause=account.second).profile, "theirs was never taken off"


def test_beside_a_load_a_profile_is_taken_in_a_thread_of_its_own(account: Account) -> None:
    profiling = Profiling(account.stack, account.machine, 7)
    profiling.start()
    while profiling.running:
        account.second(1)
        time.sleep(0.05)
    assert profiling.taken, profiling.problem
    assert profiling.taken.profile.functions[0].name == "price"


def test_a_load_that_is_interrupted_takes_its_tag_off_the_machine(account: Account) -> None:
    profiling = Profiling(account.stack, account.machine, 7)
    profiling.start()
    while account.tag() is None:
        time.sleep(0.05)
    profiling.stop()
    assert (profiling.running, profiling.taken, profiling.problem) == (False, None, "interrupted")
    assert account.tag() is None


def test_beside_a_load_what_goes_wrong_is_said_and_ends_nothing(account: Account) -> None:
    account.workers.answer = WorkerError("worker 1 (process 712) ended while it was profiled")
    profiling = Profiling(account.stack, account.machine, 7)
    profiling.start()
    while profiling.running:
        account.second(1)
        time.sleep(0.05)
    assert (profiling.taken, profiling.problem) == (None, "i-a: worker 1 (process 712) ended while it was profiled")


def test_the_machine_to_ask_is_one_in_service(account: Account) -> None:
    assert choose(account.stack, None) == "i-a"
    assert choose(account.stack, "i-b") == "i-b"
    account.scaling.groups["shop-app"] = {"i-c": "Pending"}
    with pytest.raises(ProfileError, match="no app server is in service"):
        choose(account.stack, None)


@pytest.fixture
def target(account: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr(targets, "find", lambda *_: Target("lab", account.stack, None))
    return account


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--seconds", "0"], "--seconds 0: it must be 1 to 60 seconds"),
        (["--seconds", "10000"], "--seconds 10000: it must be 1 to 60 seconds"),
        (["--machine", "i-1"], "there is no app server i-1; there are: i-a, i-b"),
        (["--machine", "i-c"], "i-c is Pending: only a machine in service can take a profile"),
        (["--machine", "i-e"], "i-e is an edge: only an app server can take a profile"),
        (["--out", "/nowhere/x.html"], "--out /nowhere/x.html: there is no such folder"),
        (["--out", "/tmp/x.cpuprofile"], "--out /tmp/x.cpuprofile: it must have another ending"),
    ],
)
def test_what_can_not_be_profiled_is_refused_with_one_line(target: Account, words: list[str], told: str) -> None:
    done = CliRunner().invoke(app, ["profile", *words])
    assert done.exit_code == 2, done.stderr
    assert done.stderr.startswith(f"error: {told}")
    assert done.stderr.count("\n") == 1
    assert target.tag() is None


def test_the_command_writes_a_page_and_what_chrome_reads(
    target: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def take_now(stack: Stack, machine: str, seconds: int, listener: Any) -> Any:
        return take(stack, machine, seconds, listener, target.second)

    monkeypatch.setattr(request, "take", take_now)
    done = CliRunner().invoke(app, ["profile", "--out", str(tmp_path / "p.html"), "--machine", target.machine])
    assert done.exit_code == 0, done.stderr
    assert "price" in done.stdout
    assert "<title>Profile of i-" in (tmp_path / "p.html").read_text()
    assert json.loads((tmp_path / "p.cpuprofile").read_text())["nodes"]
