"""The mix file: what it says, and what is told of its mistakes; and what a mix's users ask."""

import base64
import json
from collections import Counter
from pathlib import Path

import pytest

from operate.load import mix
from operate.load.mix import MixError
from operate.load.users import Users

SITE = "http://site.example"

SHOP = """\
thinkTime: 500ms
session:
  login: {path: /login, body: {name: "user {user}"}}
routes:
  - {path: /, weight: 3}
  - {method: post, path: /items, body: {name: "item {1..9}"}, headers: {X-From: load}}
  - {path: "/items/{10..12}?for={user}", weight: 6}
"""


def mistakes(text: str) -> list[str]:
    with pytest.raises(MixError) as caught:
        mix.parse(text, "mix.yaml")
    return str(caught.value).splitlines()


def asked(text: str, count: int = 300, users: int = 1) -> list[dict[str, object]]:
    return [json.loads(line) for line in Users(mix.parse(text, "mix.yaml"), SITE).ask(count, users)]


def test_a_mix_says_routes_weights_think_time_and_a_session() -> None:
    shop = mix.parse(SHOP, "mix.yaml")
    assert shop.think_time == 0.5
    assert shop.session is not None
    assert (shop.session.login.method, shop.session.login.path) == ("POST", "/login")
    assert [each.method for each in shop.routes] == ["GET", "POST", "GET"]
    assert shop.described() == ("60 %  GET /items/{10..12}?for={user}", "30 %  GET /", "10 %  POST /items")


@pytest.mark.parametrize(("given", "seconds"), [("2s", 2), ("250ms", 0.25), ("1.5 s", 1.5), ("1m", 60), ("3", 3)])
def test_a_think_time_is_a_time(given: str, seconds: float) -> None:
    assert mix.parse(f"thinkTime: {given}\nroutes: [{{path: /}}]", "mix.yaml").think_time == seconds


def test_every_mistake_is_told_with_its_line_and_column() -> None:
    told = mistakes(
        "routes:\n"
        "  - {path: x, weight: 0}\n"
        '  - {method: FETCH, path: "/{id}", wieght: 2}\n'
        "  - weight: .inf\n"
        "thinkTime: soon\n"
    )
    places = {line.split(": ")[0]: line.split(": ", 1)[1] for line in told}
    assert places == {
        "mix.yaml:2:6": "routes[0].path = 'x': it must begin with / and have neither spaces nor #",
        "mix.yaml:2:15": "routes[0].weight = 0: it must be more than 0",
        "mix.yaml:3:6": "routes[1].method = 'FETCH': it must be 'GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE' "
        "or 'OPTIONS'",
        "mix.yaml:3:21": "routes[1].path = '/{id}': a placeholder must be a range such as {1..100}, or {user}",
        "mix.yaml:3:36": "routes[1].wieght = 2: there is no such key",
        "mix.yaml:4:5": places["mix.yaml:4:5"],
        "mix.yaml:5:1": "thinkTime = 'soon': it must be a time such as 2s or 500ms",
    }
    assert [line for line in told if line.startswith("mix.yaml:4:5")] == [
        "mix.yaml:4:5: routes[2].path: it must be given",
        "mix.yaml:4:5: routes[2].weight = inf: it must be a number",
    ], "what is missing is told where its mapping begins"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("routes:\n  - {path: /\n  weight: 1}\n", "mix.yaml:3:9: it must be YAML"),
        ("", "mix.yaml:1:1: it must be a mapping with the key routes"),
        ("- path: /\n", "mix.yaml:1:1: it must be a mapping with the key routes"),
        ("routes: []\n", "mix.yaml:1:1: routes: it must have an entry"),
        ("routes: /\n", "mix.yaml:1:1: routes = '/': it must be a list"),
        ("thinkTime: 0\nroutes: [{path: /}]\n", "mix.yaml:1:1: thinkTime = 0.0: it must be more than 0"),
        ('routes: [{path: "/{9..1}"}]\n', "mix.yaml:1:11: routes[0].path = '/{9..1}': a range must begin with"),
        ("routes: [{path: /, body: 7}]\n", "mix.yaml:1:20: routes[0].body = 7: it must be text, or what is sent as"),
        ('routes: [{path: /, headers: {"a b": x}}]\n', "mix.yaml:1:20: routes[0].headers: 'a b' can't be a header"),
        ("session: {login: {path: /in}}\nroutes: [{path: /}]\n", "mix.yaml:1:1: a session needs thinkTime beside it"),
        ("routes: [{path: /}]\nroutes: [{path: /a}]\n", "mix.yaml:2:1: routes must be given once"),
    ],
)
def test_a_mistake_is_one_line(text: str, told: str) -> None:
    (line,) = mistakes(text)
    assert line.startswith(told)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(MixError, match=r"none\.yaml: No such file"):
        mix.read(tmp_path / "none.yaml")


def test_routes_are_asked_by_their_weights() -> None:
    counted = Counter(each["url"] for each in asked("routes: [{path: /a, weight: 3}, {path: /b, weight: 1}]", 1000))
    assert counted.keys() == {f"{SITE}/a", f"{SITE}/b"}
    assert 700 < counted[f"{SITE}/a"] < 800


def test_placeholders_are_drawn_for_each_request() -> None:
    drawn = Counter(each["url"] for each in asked('routes: [{path: "/items/{10..12}"}]'))
    assert drawn.keys() == {f"{SITE}/items/{number}" for number in (10, 11, 12)}
    assert min(drawn.values()) > 60


def test_a_mapping_is_sent_as_json_and_text_as_it_is() -> None:
    (first,) = asked('routes: [{method: POST, path: /, body: {n: "{5..5}"}, headers: {X-From: load}}]', 1)
    assert json.loads(base64.b64decode(str(first["body"]))) == {"n": "5"}
    assert first["header"] == {"X-From": ["load"], "Content-Type": ["application/json"]}
    (second,) = asked('routes: [{method: POST, path: /, body: "a={7..7}"}]', 1)
    assert base64.b64decode(str(second["body"])) == b"a=7"
    assert "header" not in second


def test_users_take_turns_and_there_are_so_many_that_each_thinks_long_enough() -> None:
    text = 'thinkTime: 2s\nroutes: [{path: "/{user}"}]'
    assert [each["url"] for each in asked(text, 5, users=3)] == [f"{SITE}/{user}" for user in (0, 1, 2, 0, 1)]
    users = Users(mix.parse(text, "mix.yaml"), SITE)
    assert [users.needed(rate) for rate in (0.2, 1, 50)] == [1, 2, 100]


def test_the_same_load_is_drawn_each_time() -> None:
    assert asked(SHOP) == asked(SHOP)
