"""`expressway cache rotate-token` against the lab's API: no machine ever has a token that the cache doesn't take."""

import json
import time
import uuid
from typing import Any

import boto3
import pytest
from typer.testing import CliRunner

from cli import targets
from cli.main import app
from cli.targets import Target
from operate import cache_token
from operate.cache import CacheError
from operate.stack import Stack
from tests.plan.lab_api_server import ApiServer
from tests.plan.lab_fleet import Fleet
from tests.plan.lab_services import TOKEN, create_cache, machine_of


class CutShortError(Exception):
    """Whoever rotates is killed."""


class Site:
    """A cache whose token is in a secret, and the nodes, which take what the API says between two looks."""

    def __init__(self, api: ApiServer) -> None:
        self.api = api
        group = create_cache(api, Fleet(api), nodes=1)
        self.name = group["ReplicationGroupId"]
        api.control(f"replication-groups/{self.name}", "PUT", {"status": "available"})
        self.secrets = api.client("secretsmanager")
        self.secret = self.secrets.create_secret(Name=f"token-{uuid.uuid4().hex[:8]}", SecretString=TOKEN)["ARN"]
        names = ("artifactBucket", "releaseParameter", "appGroupName", "edgeGroupName")
        outputs = {
            **dict.fromkeys(names, "any"),
            "region": "us-east-1",
            "cacheEndpoint": f"{group['NodeGroups'][0]['PrimaryEndpoint']['Address']}:6379",
            "cacheTokenSecret": self.secret,
        }
        self.stack = Stack.of(outputs, boto3.Session("test", "test", region_name="us-east-1"), api.endpoint)
        self.waits: list[float] = []
        time.sleep(1.1)  # moto counts in whole seconds when a version was made

    def good(self) -> list[str]:
        return self.api.control(f"replication-groups/{self.name}/tokens")["tokens"]

    def current(self) -> str:
        return self.secrets.get_secret_value(SecretId=self.secret)["SecretString"]

    def versions(self) -> dict[str, list[str]]:
        return self.secrets.describe_secret(SecretId=self.secret)["VersionIdsToStages"]

    def pause(self, cut: int | None = None) -> Any:
        """Between two looks; `cut` is the pause in which it ends."""
        left = cut

        def wait(seconds: float) -> None:
            nonlocal left
            self.waits.append(seconds)
            assert self.current() in self.good(), "a machine that starts now is refused"
            version = machine_of(self.api, "replication-groups", self.name)["tokens_version"]
            self.api.control(f"replication-groups/{self.name}/tokens/{version}", "PUT")
            if left is not None:
                left -= 1
                if left < 0:
                    raise CutShortError

        return wait


def test_the_secret_has_a_new_token_and_the_cache_takes_no_other(api: ApiServer) -> None:
    site, said = Site(api), list[str]()
    done = cache_token.rotate(site.stack, said.append, site.pause())
    assert site.good() == [site.current()] != [TOKEN]
    assert site.versions()[done.version] == ["AWSCURRENT"]
    assert cache_token.FOLLOW_SECONDS in site.waits, "machines look once a minute, and reload"
    assert not done.resumed
    assert not [line for line in [*said, str(done)] if site.current() in line], "it is told to nobody"


@pytest.mark.parametrize("cut", [0, 1, 2])
def test_one_that_was_cut_short_is_gone_on_with_and_draws_no_second_token(api: ApiServer, cut: int) -> None:
    """After ROTATE, while machines follow, and after SET."""
    site = Site(api)
    with pytest.raises(CutShortError):
        cache_token.rotate(site.stack, pause=site.pause(cut))
    done = cache_token.rotate(site.stack, pause=site.pause())
    assert done.resumed
    assert site.good() == [site.current()] != [TOKEN]
    assert len(site.versions()) == 2, "the latest two tokens are good: a third would lock machines out"
    assert site.versions()[done.version] == ["AWSCURRENT"]


def test_one_that_was_cut_short_before_the_cache_knew_begins_with_that(
    api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(api)

    def killed(*_: object) -> None:
        raise CutShortError

    with monkeypatch.context() as patch:
        patch.setattr(cache_token, "_change", killed)
        with pytest.raises(CutShortError):
            cache_token.rotate(site.stack, pause=site.pause())
    assert site.good() == [TOKEN] == [site.current()]
    cache_token.rotate(site.stack, pause=site.pause())
    assert site.good() == [site.current()] != [TOKEN]


def test_what_cannot_be_rotated_is_refused_before_a_token_is_drawn(api: ApiServer) -> None:
    site = Site(api)
    nameless = Stack.of(
        {**site.stack.outputs, "cacheTokenSecret": ""}, boto3.Session(region_name="us-east-1"), api.endpoint
    )
    with pytest.raises(CacheError, match="run pulumi up with this release once"):
        cache_token.rotate(nameless)
    api.client("elasticache").modify_replication_group(
        ReplicationGroupId=site.name, AuthToken=TOKEN[::-1], ApplyImmediately=True
    )
    with pytest.raises(CacheError, match="is modifying: wait until it is available"):
        cache_token.rotate(site.stack)
    assert len(site.versions()) == 1


def test_the_command_tells_how_it_goes_and_never_the_token(api: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    site, rotate = Site(api), cache_token.rotate
    monkeypatch.setattr(targets, "find", lambda _name, _outputs: Target("shop", site.stack, None))
    monkeypatch.setattr(cache_token, "rotate", lambda stack, listener: rotate(stack, listener, site.pause()))
    shown = CliRunner().invoke(app, ["cache", "rotate-token", "--json"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["secret"] == site.secret
    assert "follow the secret" in shown.stderr
    assert site.current() not in shown.output
