"""Requests by tags: one look for all kinds, and a thread of each kind that answers."""

import json
import re
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from expressway_app import deploys, paths, requests


class Bucket:
    """What is put there, by key."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}

    def put_object(self, Key: str, Body: bytes, **_: Any) -> None:  # noqa: N803
        self.objects[Key] = json.loads(Body)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "SECRETS", tmp_path / "secrets")


def kind(tmp_path: Path, tag: str, do: Any) -> requests.Kind:
    return requests.Kind(tag, f"{tag}-{{}}.json", tmp_path / tag, do)


def test_one_look_is_for_all_that_a_machine_is_asked_for(tmp_path: Path) -> None:
    looked: list[set[str]] = []

    def read(keys: Collection[str]) -> dict[str, str]:
        looked.append({*keys})
        return {"move": "01234567", "flush": "76543210"}

    done: list[str] = []
    bucket, tags = Bucket(), requests.Tags(["deploy", "move", "flush"], read)
    tags.look()
    answers = requests.Answers(bucket, "b", "i-1")
    for name in ("move", "flush"):
        asked = kind(tmp_path, name, lambda asked, tell, name=name: (done.append(name), tell("done", of=asked["id"])))
        requests.follow(asked, tags, answers, lambda _: None, rounds=3)
    assert looked == [{"deploy", "move", "flush"}]
    assert done == ["move", "flush"], "each once, although three rounds have seen it"
    told = bucket.objects["reports/app/i-1/move-01234567.json"]
    assert (told["id"], told["request"], told["state"], told["of"]) == ("i-1", "01234567", "done", "01234567")


def test_who_waits_for_a_tag_is_woken_by_the_look_that_finds_it() -> None:
    now: dict[str, str] = {}
    tags = requests.Tags(["move"], lambda _: dict(now))
    waiting = threading.Thread(target=tags.wait, args=("move", None, 60))
    waiting.start()
    tags.look()
    waiting.join(0.1)
    assert waiting.is_alive(), "nothing has changed"
    now["move"] = "01234567"
    tags.look()
    waiting.join(5)
    assert not waiting.is_alive()
    assert tags.get("move") == "01234567"


def test_more_looks_are_taken_while_a_request_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, str]] = [
        {},
        {"drain": "mine"},
        {"drain": "deploy"},
        {"drain": "deploy", "move": "01234567"},
        {"move": "01234567"},
    ]
    pauses: list[float] = []
    tags = requests.Tags(["drain", "move"], lambda _: told.pop(0), announces=("drain", "deploy"))

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if not told:
            raise KeyboardInterrupt

    monkeypatch.setattr(requests.time, "sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        tags.follow()
    assert pauses == [*[requests.PERIOD] * 2, *[requests.SOON] * 2, requests.PERIOD]


@pytest.mark.parametrize("problem", [OSError("no answer"), ValueError("no tag")])
def test_tags_that_cannot_be_read_stay_as_they_were_and_it_is_said_once(
    problem: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[dict[str, str] | Exception] = [{"move": "01234567"}, problem, problem, {}, problem]

    def read(_keys: Collection[str]) -> dict[str, str]:
        if isinstance(found := told.pop(0), Exception):
            raise found
        return found

    tags = requests.Tags(["move"], read)
    for expected in ("01234567", "01234567", "01234567", None, None):
        tags.look()
        assert tags.get("move") == expected
    said = f"expressway: this machine's tags can't be read: {problem}\n"
    assert capsys.readouterr().out == said * 2, "and again, when it has been well in between"


def test_whatever_goes_wrong_is_told_in_a_line_and_without_secrets(tmp_path: Path) -> None:
    paths.SECRETS.write_text(json.dumps({"API_KEY": "correct horse"}))
    bucket = Bucket()

    def do(_asked: re.Match[str], _tell: requests.Tell) -> None:
        raise KeyError("a\n correct horse")

    requests.answer(kind(tmp_path, "move", do), requests.Answers(bucket, "b", "i-1"), "01234567")
    told = bucket.objects["reports/app/i-1/move-01234567.json"]
    assert (told["state"], told["reason"]) == ("failed", "KeyError: 'a\\n ***'")


def test_what_cannot_be_followed_is_tried_anew_and_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    class EndError(BaseException):
        pass

    left = [OSError("no socket"), EndError()]
    slept: list[float] = []
    monkeypatch.setattr(requests.time, "sleep", slept.append)

    def following() -> None:
        raise left.pop(0)

    with pytest.raises(EndError):
        requests.keep("move", following)
    assert slept == [requests.AGAIN]


def test_every_kind_has_a_tag_of_its_own() -> None:
    assert deploys.TAG not in deploys.REQUESTS
    assert set(deploys.REQUESTS) == {"expressway:profile", "expressway:move", "expressway:flush-cache"}
