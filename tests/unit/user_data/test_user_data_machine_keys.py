"""What the stack tells a machine, and what the machine's programs read of it: the same, so that no setting is idle."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import example_args
import pytest
from recording import record

from components import AppServers, LoadBalancer

USER_DATA = Path(__file__).resolve().parents[3] / "user_data"
USERS_OWN = {"app.environment", "app.secrets"}
"""Maps whose keys are variables of the app."""


def keys(told: dict[str, Any], outer: str = "") -> Iterator[str]:
    """Every key, as a path: `bundle`, `bundle.key`, ..."""
    for key, value in told.items():
        path = f"{outer}{key}"
        yield path
        if isinstance(value, dict) and path not in USERS_OWN:
            yield from keys(value, f"{path}.")


def reads(source: str) -> set[str]:
    """The paths that a program reads: of `machine` itself, and of names that hold a part of it.

    A name holds the part that it was given (`target = machine["upstream"]`), or the part that it is called after, as
    parameters are (`database["host"]`).
    """
    tree = ast.parse(source)
    held: dict[str, str] = {"machine": ""}

    def path(node: ast.expr) -> str | None:
        if isinstance(node, ast.Name):
            return held.get(node.id, node.id)
        key = _key(node)
        outer = path(key[0]) if key else None
        return None if key is None or outer is None else f"{outer}.{key[1]}".removeprefix(".")

    for node in ast.walk(tree):
        if isinstance(node, ast.NamedExpr) or (isinstance(node, ast.Assign) and len(node.targets) == 1):
            target = node.target if isinstance(node, ast.NamedExpr) else node.targets[0]
            value = path(node.value) if _key(node.value) else None
            if isinstance(target, ast.Name) and value:
                held[target.id] = value
    return {found for node in ast.walk(tree) if isinstance(node, ast.expr) and _key(node) and (found := path(node))}


def _key(node: ast.expr) -> tuple[ast.expr, str] | None:
    """What is asked for a key, and the key: `x["key"]` or `x.get("key")`."""
    if isinstance(node, ast.Subscript):
        key: ast.expr | None = node.slice
        asked: ast.expr = node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
        key, asked = (node.args or [None])[0], node.func.value
    else:
        return None
    return (asked, key.value) if isinstance(key, ast.Constant) and isinstance(key.value, str) else None


def read_by(tier: str) -> set[str]:
    """What the programs of a tier's machines read."""
    folders = (USER_DATA / "common", USER_DATA / tier)
    return {path for folder in folders for file in folder.rglob("*.py") for path in reads(file.read_text())}


@pytest.fixture
def told(user_data: Path) -> dict[str, dict[str, Any]]:
    """machine.json by tier, as the components write it."""
    args = example_args.app_servers()
    args["apm"] = example_args.APM
    app = record(lambda: AppServers("app", args))
    edge = record(lambda: LoadBalancer("edge", example_args.load_balancer()))
    return {"app": app.machine("app"), "edge": edge.machine("edge")}


@pytest.mark.parametrize("tier", ["app", "edge"])
def test_every_key_that_a_machine_is_told_is_read_there(tier: str, told: dict[str, dict[str, Any]]) -> None:
    assert sorted(set(keys(told[tier])) - read_by(tier)) == [], (
        "a setting that nothing reads promises what it can't keep"
    )


@pytest.mark.parametrize("tier", ["app", "edge"])
def test_the_example_machines_of_these_tests_are_told_what_real_ones_are(
    tier: str, told: dict[str, dict[str, Any]], machines: dict[str, dict[str, Any]]
) -> None:
    assert set(keys(machines[tier])) == set(keys(told[tier]))


def test_a_key_counts_as_read_where_it_is_and_nowhere_else() -> None:
    source = """
def install(machine, app):
    target = machine["upstream"]
    if database := machine.get("database"):
        print(f"{database['host']}", app["port"])
    return target["path"], other["name"]
"""
    assert reads(source) == {
        *("upstream", "upstream.path", "database", "database.host", "app.port"),
        "other.name",  # of something else: not the machine's own `name`
    }
