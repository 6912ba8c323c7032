"""The mix of an app that brought none."""

import json

from operate.load.routes import Listed, choose, of_app, of_log


def line(path: str, method: str = "GET", status: int = 200) -> str:
    return json.dumps({"time": "x", "method": method, "uri": path, "status": status})


def test_of_expresss_list_the_get_routes_are_asked_that_need_no_parameter() -> None:
    found, notes = of_app(
        [
            Listed("GET", "/"),
            Listed("GET", "/items"),
            Listed("POST", "/items"),
            Listed("GET", "/items/:id"),
            Listed("GET", "/files/*path"),
            Listed("GET", "/healthz"),
            Listed("GET", "/ready"),
            Listed("GET", "/"),
        ],
        health=["/ready"],
    )
    assert found == {"/": 1, "/items": 1}
    assert notes == [
        "left out, as their parameters aren't known: /items/:id, /files/*path",
        "left out, as they may write: POST /items",
    ]


def test_of_an_access_log_the_paths_are_asked_as_often_as_they_were() -> None:
    lines = [line("/")] * 3 + [line("/items/7?x=1"), line("/old", status=404), line("/items", "POST"), "not json", ""]
    found, notes = of_log([*lines, line("/readyz")])
    assert found == {"/": 3, "/items/7?x=1": 1}
    assert notes == [
        "left out, as they may write: 1 requests other than GET",
        "left out: 1 lines that are none of the edge's access log",
    ]


def test_of_many_paths_the_twenty_most_frequent_are_asked_and_the_rest_is_counted() -> None:
    found, notes = of_log(line(f"/items/{number}") for number in range(30) for _ in range(30 - number))
    assert list(found) == [f"/items/{number}" for number in range(20)]
    assert notes == [f"left out: {sum(range(1, 11))} requests to paths that are asked less often than these 20"]


def test_what_does_not_answer_now_is_left_out_and_said() -> None:
    chosen = choose({"/": 1, "/gone": 5}, "the log", ["a note"], lambda path: "answers 404" if path == "/gone" else "")
    assert chosen is not None
    assert [(each.method, each.path, each.weight) for each in chosen.mix.routes] == [("GET", "/", 1)]
    assert chosen.notes == ("no mix file: the log", "a note", "GET /gone answers 404: left out")


def test_where_nothing_answers_there_is_no_mix() -> None:
    assert choose({"/": 1}, "the log", [], lambda _: "answers 500") is None
