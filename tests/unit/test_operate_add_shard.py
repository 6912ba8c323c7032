"""Keys that a machine is asked to move by a tag, and what it tells in the bucket: both halves, on one API."""

import json
import os
import pwd
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from expressway_app import moves, paths
from expressway_app import requests as machine_requests
from moto import mock_aws
from typer.testing import CliRunner

from cli import targets
from cli.main import app
from cli.targets import Target
from operate import requests
from operate.database import add_shard
from operate.database.add_shard import Moved, run
from operate.database.instance import DatabaseError
from operate.stack import Stack

BUCKET = "shop-artifacts"
SECRET = "correct horse"
MOVED = {
    "state": "moved",
    "from": 2,
    "to": 3,
    "keys": {"moved": 33, "all": 100},
    "rows": 70,
    "buckets": 64,
    "longestWait": 12,
    "seconds": 3.5,
}


class EC2:
    """Tags of instances, one value a key."""

    def __init__(self) -> None:
        self.tags: dict[str, str] = {}

    def create_tags(self, Resources: list[str], Tags: list[dict[str, str]]) -> None:  # noqa: N803
        self.tags |= dict.fromkeys(Resources, Tags[0]["Value"])

    def delete_tags(self, Resources: list[str], Tags: list[dict[str, str]]) -> None:  # noqa: N803
        for each in Resources:
            if self.tags.get(each) == Tags[0]["Value"]:
                del self.tags[each]


class Account:
    """A stack, and what its app server `i-a` does each second."""

    def __init__(self) -> None:
        self.ec2, self.s3 = EC2(), boto3.client("s3", region_name="us-east-1")
        self.s3.create_bucket(Bucket=BUCKET)
        self.group: dict[str, Any] = {
            "LaunchTemplate": {"Version": "2"},
            "Instances": [
                {"InstanceId": each, "LifecycleState": state, "LaunchTemplate": {"Version": "2"}}
                for each, state in (("i-b", "InService"), ("i-a", "InService"), ("i-0", "Pending"))
            ],
        }
        clients: dict[str, Any] = {"ec2": self.ec2, "autoscaling": self, "s3": self.s3}
        self.stack = Stack(BUCKET, "p", "shop-app", "shop-edge", "us-east-1", None, 24, "x64", clients.__getitem__)
        self.steps: list[dict[str, Any]] = [{"doing": "preparing"}, MOVED]
        self.asked: list[str] = []
        self.kind = moves.kind(self.program)
        self.answers = machine_requests.Answers(self.s3, BUCKET, "i-a")

    def describe_auto_scaling_groups(self, AutoScalingGroupNames: list[str]) -> Any:  # noqa: N803
        assert AutoScalingGroupNames == ["shop-app"]
        return {"AutoScalingGroups": [self.group]}

    def program(self, action: str) -> Iterator[dict[str, Any]]:
        self.asked.append(action)
        yield from self.steps

    def second(self, _seconds: float = 1) -> None:
        """The machine looks at its tag."""
        if asked := self.ec2.tags.get("i-a"):
            machine_requests.answer(self.kind, self.answers, asked)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Account]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("MOVED", "SECRETS"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    for program in (moves, machine_requests):
        monkeypatch.setattr(program, "say", lambda _: None)  # which isn't the command's to print
    paths.SECRETS.write_text(json.dumps({"API_KEY": SECRET}))
    with mock_aws():
        yield Account()


def test_a_machine_moves_keys_once_and_the_tag_is_gone(account: Account) -> None:
    done = run(account.stack, "move", pause=account.second)
    account.second()
    assert done == Moved("moved", 2, 3, 33, 100, 70, 12, 3.5, "i-a")
    assert account.asked == ["move"]
    assert account.ec2.tags == {}


def test_each_step_is_told_while_it_goes_on(account: Account) -> None:
    said: list[str] = []
    steps = iter([{"doing": "waiting", "seconds": 10}, {"doing": "moving", "done": 3, "of": 128, "rows": 7}])

    def second(_seconds: float) -> None:
        request = account.ec2.tags["i-a"].split()[0]
        if step := next(steps, None):
            account.answers.write(account.kind, request, "moving", progress=step)
        else:
            account.answers.write(account.kind, request, "done", result=MOVED)

    run(account.stack, "move", said.append, second)
    assert said == ["asking i-a", "waiting, 10 s", "moving: 3 of 128 buckets, 7 rows"]


def test_what_can_not_move_is_told_with_every_reason_and_without_secrets(account: Account) -> None:
    account.steps = [{"error": f"orders needs an index\nitems too: {SECRET}"}]
    with pytest.raises(DatabaseError, match=r"^i-a: orders needs an index\nitems too: \*\*\*$"):
        run(account.stack, "move", pause=account.second)
    assert account.ec2.tags == {}


def test_a_program_that_was_restarted_meanwhile_says_so(account: Account) -> None:
    def killed(_seconds: float) -> None:
        paths.MOVED.write_text(json.dumps({"request": account.ec2.tags["i-a"].split()[0], "over": False}))
        account.second()

    with pytest.raises(DatabaseError, match=r"expressway-deploys.service was restarted meanwhile"):
        run(account.stack, "undo", pause=killed)
    assert account.asked == []


@pytest.mark.parametrize("tag", ["0123456789", "0123456789 drop", "0123456789 move; true", "$(true) move"])
def test_a_tag_that_is_no_request_is_not_done(tag: str, account: Account) -> None:
    account.ec2.tags["i-a"] = tag
    account.second()
    assert account.asked == []


@pytest.mark.parametrize(
    ("answered", "told"),
    [(False, "did not answer in 40 s"), (True, "has told nothing for 60 s")],
)
def test_a_machine_that_is_silent_is_not_waited_for(
    answered: bool, told: str, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(requests.time, "monotonic", lambda: now[0])

    def pause(seconds: float) -> None:
        now[0] += seconds
        if answered and now[0] < 3:
            request = account.ec2.tags["i-a"].split()[0]
            account.answers.write(account.kind, request, "moving", progress={})

    with pytest.raises(DatabaseError, match=told):
        run(account.stack, "move", pause=pause)
    assert account.ec2.tags == {}


def test_machines_that_may_not_know_the_shard_are_named(account: Account) -> None:
    account.group["Instances"][0]["LaunchTemplate"]["Version"] = "1"
    with pytest.raises(DatabaseError, match=r"^i-b started before the last pulumi up, .*: expressway deploy replaces"):
        run(account.stack, "move", pause=account.second)
    account.group["Instances"] = []
    with pytest.raises(DatabaseError, match="no app server is in service"):
        run(account.stack, "move", pause=account.second)


def test_the_kit_of_the_app_does_it_and_what_it_says_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "USER", pwd.getpwuid(os.getuid()).pw_name)
    program = tmp_path / moves.PROGRAM
    program.parent.mkdir(parents=True)
    program.write_text(
        "import json, os, sys\n"
        "print(json.dumps({'doing': sys.argv[1], 'url': os.environ['DATABASE_URL'], 'at': os.getcwd()}))\n"
        "print('Error: no such thing'); print('    at line 1', file=sys.stderr)\n"
    )
    (tmp_path / "node").symlink_to(sys.executable)
    told = list(moves.run(tmp_path, {"DATABASE_URL": "postgresql://x"}, str(tmp_path), "undo"))
    assert told[0] == {"doing": "undo", "url": "postgresql://x", "at": str(tmp_path)}
    [last] = told[1:]
    assert "Error: no such thing" in last["error"], "a line that is no step is the reason, when it ends without one"


def test_an_app_without_the_kit_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(moves.MoveError, match=r"has no node_modules/@expressway/kit/move-shard\.js"):
        list(moves.run(tmp_path, {}, "/bin", "move"))


@pytest.fixture
def target(account: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.setattr(targets, "find", lambda *_: Target("lab", account.stack, None))
    monkeypatch.setattr(add_shard, "run", lambda stack, action, listener: run(stack, action, listener, account.second))
    return account


@pytest.mark.parametrize(
    ("words", "state", "told"),
    [
        ([], "moved", "33 of 100 keys are on the shard that was added, which makes 3: 70 rows, after 3.5 s"),
        ([], "recorded", "next: database.shards: 3, pulumi up, expressway deploy, and expressway db add-shard again"),
        (["--undo"], "undone", "all 100 keys are on 2 shards again"),
        (["--finish"], "finished", "3 shards have keys, and the last one 33 of 100 keys"),
    ],
)
def test_the_command_says_what_was_done_and_what_comes_next(
    words: list[str], state: str, told: str, target: Account
) -> None:
    target.steps = [MOVED | {"state": state}]
    done = CliRunner().invoke(app, ["db", "add-shard", *words])
    assert done.exit_code == 0, done.stderr
    assert told in done.stdout
    assert target.asked == [words[0].removeprefix("--") if words else "move"]


def test_the_command_for_machines_and_its_failures(target: Account) -> None:
    done = CliRunner().invoke(app, ["db", "add-shard", "--json"])
    assert json.loads(done.stdout)["keys_moved"] == 33
    target.steps = [{"error": "keys are on 3 shards, and this machine knows 2"}]
    done = CliRunner().invoke(app, ["db", "add-shard"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "i-a: keys are on 3 shards" in done.stderr
    done = CliRunner().invoke(app, ["db", "add-shard", "--undo", "--finish"])
    assert done.exit_code == 2
