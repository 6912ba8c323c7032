"""A cache that is flushed: the tag that asks, the app server that does it, and its answer in the bucket."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from app_metrics import redis
from expressway_app import environment, flush, paths
from expressway_app import requests as machine_requests
from moto import mock_aws
from typer.testing import CliRunner

from cli import targets
from cli.main import app
from cli.targets import Target
from operate import cache_flush, requests
from operate.cache import CacheError
from operate.stack import Stack

BUCKET, TOKEN, SECRET = "shop-artifacts", "correct/horse", "arn:token"


class Redis:
    """As much of a primary as a flush asks of it, at a port of its own."""

    def __init__(self) -> None:
        self.keys, self.asked, self.refusal, self.nodes = 1234, list[str](), "", ""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                stream, _ = self._server.accept()
            except OSError:
                return
            with stream:
                allowed = False
                while words := stream.recv(4096).decode().split("\r\n")[2::2]:
                    if words[0] == "AUTH":
                        allowed = words[1] == TOKEN
                        stream.sendall(b"+OK\r\n" if allowed else b"-WRONGPASS no\r\n")
                    else:
                        stream.sendall(self._answer(" ".join(words)) if allowed else b"-NOAUTH no\r\n")

    def _answer(self, command: str) -> bytes:
        if command == "CLUSTER NODES":
            return f"${len(self.nodes)}\r\n{self.nodes}\r\n".encode()
        self.asked.append(command)
        if command == "DBSIZE":
            return f":{self.keys}\r\n".encode()
        assert command == "FLUSHALL ASYNC"
        if self.refusal:
            return f"-{self.refusal}\r\n".encode()
        self.keys = 0
        return b"+OK\r\n"

    def close(self) -> None:
        # A thread that waits in accept() keeps the port open, unless it is woken.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


class Site:
    """A stack of two app servers and a cache; `i-a` looks at its tag whenever a second passes."""

    def __init__(self, cache: Redis) -> None:
        self.cache, self.tags, self.states = cache, dict[str, str](), {"i-a": "InService", "i-b": "InService"}
        self.s3 = boto3.client("s3", region_name="us-east-1")
        self.s3.create_bucket(Bucket=BUCKET)
        self.machine: Any = {
            "bucket": BUCKET,
            "cache": {"host": "127.0.0.1", "port": cache.port, "secret": SECRET, "cluster": False},
        }
        clients: dict[str, Any] = {
            "s3": self.s3,
            "ec2": SimpleNamespace(create_tags=self._create, delete_tags=self._delete),
            "autoscaling": SimpleNamespace(describe_auto_scaling_groups=self._groups),
            "elasticache": SimpleNamespace(
                describe_replication_groups=lambda **_: {"ReplicationGroups": [{"ReplicationGroupId": "shop"}]}
            ),
        }
        outputs = {"cacheEndpoint": "master.shop.abc123.use1.cache.amazonaws.com:6379"}
        names = ("b", "p", "shop-app", "shop-edge", "us-east-1")
        self.stack = Stack(BUCKET, *names[1:], None, 24, "x64", clients.__getitem__, outputs=outputs)

    def _create(self, Resources: list[str], Tags: list[dict[str, str]]) -> None:  # noqa: N803
        self.tags |= {f"{each} {tag['Key']}": tag["Value"] for each in Resources for tag in Tags}

    def _delete(self, Resources: list[str], Tags: list[dict[str, str]]) -> None:  # noqa: N803
        for tag in Tags:
            assert self.tags.pop(f"{Resources[0]} {tag['Key']}") == tag["Value"]

    def _groups(self, **_: Any) -> Any:
        members = [{"InstanceId": each, "LifecycleState": state} for each, state in self.states.items()]
        return {"AutoScalingGroups": [{"AutoScalingGroupName": "shop-app", "Instances": members}]}

    def second(self, _seconds: float = 1.0) -> None:
        """Whatever asks is answered, in the machine's own loop."""
        if asked := self.tags.get(f"i-a {flush.TAG}"):
            self.answer(asked)

    def answer(self, asked: str) -> None:
        answers = machine_requests.Answers(self.s3, BUCKET, "i-a")
        machine_requests.answer(flush.kind(self.machine), answers, asked)

    def flush(self) -> cache_flush.Flushed:
        return cache_flush.flush(self.stack, pause=self.second)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("FLUSHED", "SECRETS"):
        monkeypatch.setattr(paths, name, tmp_path / name.lower())
    paths.SECRETS.write_text(json.dumps({SECRET: TOKEN}))
    # No certificate here: what TLS does is Python's, and app_metrics has it beside.
    address, cache = environment.cache_url, Redis()
    monkeypatch.setattr(environment, "cache_url", lambda *given: address(*given).replace("rediss:", "redis:"))
    with mock_aws():
        yield Site(cache)
    cache.close()


def test_a_machine_flushes_the_cache_once_and_tells_what_was_in_it(site: Site) -> None:
    done = site.flush()
    assert (done.cache, done.machine, done.before, done.after) == ("shop", "i-a", 1234, 0)
    assert site.cache.asked == ["DBSIZE", "FLUSHALL ASYNC", "DBSIZE"]
    assert site.tags == {}, "nobody asks any more"
    # A tag that stayed, and a program that started anew: the cache is warm by then.
    site.cache.keys, site.tags = 99, {f"i-a {flush.TAG}": json.loads(paths.FLUSHED.read_text())["request"]}
    site.second()
    assert site.cache.keys == 99
    key = site.s3.list_objects_v2(Bucket=BUCKET)["Contents"][0]["Key"]
    assert json.loads(site.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())["state"] == "done"


@pytest.fixture
def another(site: Site) -> Iterator[Redis]:
    """A primary beside the site's own, which are a cluster now, each with a replica."""
    node = Redis()
    site.machine["cache"]["cluster"] = True
    site.cache.nodes = "".join(
        [
            f"a 127.0.0.1:{site.cache.port}@1 myself,master - 0 0 1 connected 0-8191\n",
            f"b 127.0.0.1:{node.port}@1,,shard-id=x master - 0 0 2 connected 8192-16383\n",
            "c 127.0.0.1:9@1 slave a 0 0 1 connected\n",
            "d 127.0.0.1:9@1 master,fail - 0 0 3 disconnected\n",
        ]
    )
    yield node
    node.close()


def test_of_a_cluster_each_primary_is_flushed_and_all_keys_are_counted(site: Site, another: Redis) -> None:
    another.keys = 66
    done = site.flush()
    assert (done.before, done.after) == (1300, 0)
    assert [each.asked.count("FLUSHALL ASYNC") for each in (site.cache, another)] == [1, 1]


def test_no_primary_is_flushed_while_one_cannot_be_reached(site: Site, another: Redis) -> None:
    another.close()
    with pytest.raises(CacheError, match=rf"^i-a: the cache at 127.0.0.1: 127.0.0.1:{another.port}: .*refused"):
        site.flush()
    assert site.cache.keys == 1234


def test_a_program_that_was_restarted_meanwhile_does_not_flush_twice(site: Site) -> None:
    def killed(_seconds: float) -> None:
        request = site.tags[f"i-a {flush.TAG}"]
        paths.FLUSHED.write_text(json.dumps({"request": request, "over": False}))
        site.second()

    with pytest.raises(CacheError, match=r"^i-a: the machine's expressway-deploys.service was restarted meanwhile"):
        cache_flush.flush(site.stack, pause=killed)
    assert site.cache.keys == 1234


@pytest.mark.parametrize(
    ("refusal", "told"), [("READONLY no writes here", "READONLY"), (f"ERR {TOKEN} is wrong", "ERR")]
)
def test_a_cache_that_refuses_is_told_without_its_words(site: Site, refusal: str, told: str) -> None:
    site.cache.refusal = refusal
    with pytest.raises(CacheError, match=f"^i-a: the cache at 127.0.0.1: FLUSHALL is refused: {told}$"):
        site.flush()
    assert site.tags == {}


def test_a_cache_that_does_not_answer_is_told(site: Site) -> None:
    site.cache.close()
    with pytest.raises(CacheError, match=r"^i-a: the cache at 127.0.0.1: .*refused"):
        site.flush()


def test_a_token_that_is_not_good_is_told_and_not_shown(site: Site) -> None:
    paths.SECRETS.write_text(json.dumps({SECRET: "hunter2"}))
    with pytest.raises(CacheError, match="AUTH is refused: WRONGPASS") as error:
        site.flush()
    assert "hunter2" not in str(error.value)
    paths.SECRETS.unlink()
    with pytest.raises(CacheError, match=r"^i-a: this machine has no token of the cache yet$"):
        site.flush()


def test_the_stacks_own_cache_is_flushed_whatever_redis_the_app_is_pointed_at(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(paths, "SERVICES", tmp_path / "services")
    paths.SERVICES.write_text(json.dumps({redis.VARIABLE: "redis://elsewhere.example"}))
    assert site.flush().before == 1234


def test_a_machine_that_does_not_answer_in_a_minute_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(requests.time, "monotonic", lambda: now[0])

    def pause(seconds: float) -> None:
        now[0] += seconds

    with pytest.raises(CacheError, match=r"^i-a did not answer in 60 s: it was made before"):
        cache_flush.flush(site.stack, pause=pause)
    assert site.tags == {}
    assert 60 <= now[0] < 62


def test_without_an_app_server_in_service_nobody_is_asked(site: Site) -> None:
    site.states = {"i-a": "Pending:Wait"}
    with pytest.raises(CacheError, match=r"^no app server is in service"):
        site.flush()
    assert site.tags == {}


@pytest.mark.parametrize("request_", ["", "short", "../../../x01234", "01234567 5"])
def test_a_tag_that_holds_no_request_is_no_request(site: Site, request_: str) -> None:
    site.answer(request_)
    assert site.cache.asked == []
    assert site.s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_the_command_wants_a_yes_and_prints_what_there_was(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "find", lambda *_: Target("lab", site.stack, None))
    refused = CliRunner().invoke(app, ["cache", "flush"])
    assert refused.exit_code == 2
    assert refused.stderr == (
        "error: a cold cache sends all reads to the database until it has them again: add --yes to flush it\n"
    )
    assert site.cache.keys == 1234
    real = cache_flush.flush
    monkeypatch.setattr(cache_flush, "flush", lambda stack, listener: real(stack, listener, site.second))
    done = CliRunner().invoke(app, ["cache", "flush", "--yes", "--json"])
    assert done.exit_code == 0, done.stderr
    # The machine, in this very process, says what it does there too.
    assert json.loads(done.stdout[done.stdout.index("{") :])["before"] == 1234
    site.states = {}
    failed = CliRunner().invoke(app, ["cache", "flush", "--yes"])
    assert (failed.exit_code, failed.stderr.count("\n")) == (1, 1)


def test_whoever_gives_up_is_told_how_it_is(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def flush_(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(targets, "find", lambda *_: Target("lab", site.stack, None))
    monkeypatch.setattr(cache_flush, "flush", flush_)
    done = CliRunner().invoke(app, ["cache", "flush", "--yes"])
    assert (done.exit_code, done.stderr) == (1, "error: interrupted: the cache may be flushed all the same\n")
