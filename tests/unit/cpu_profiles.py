"""A CPU profile as V8 tells it, for the tests of what is made of one."""

import json
from typing import Any

APP = "/srv/releases/abc123/app"
Tree = tuple[str, str, int, float, list[Any]]
"""A function's name, its URL, the line that V8 counts from 0, milliseconds of its own, and what it calls."""

ROUND: Tree = ("round", f"{APP}/src/price.js", 30, 100, [])
EVERYTHING: Tree = (
    *("(root)", "", -1, 0),
    [
        ("(idle)", "", -1, 500, []),
        ("(garbage collector)", "", -1, 20, []),
        (
            *("processTicks", "node:internal/process/task_queues", 70, 10),
            [
                (
                    *("handle", f"{APP}/node_modules/express/lib/router.js", 9, 40),
                    [
                        ("price", f"file://{APP}/src/price.js", 4, 250, [ROUND]),
                        ("", f"file://{APP}/server.js", 0, 30, []),
                    ],
                ),
                ("walk", f"{APP}/src/walk.js", 1, 10, [("walk", f"{APP}/src/walk.js", 1, 40, [])]),
            ],
        ),
    ],
)  # fmt: skip
"""A second, half of it idle."""


def raw(tree: Tree = EVERYTHING) -> str:
    """As `Profiler.stop` answers."""
    nodes: list[dict[str, Any]] = []
    samples: list[int] = []
    deltas: list[int] = []

    def add(each: Tree) -> int:
        name, url, line, ms, called = each
        node: dict[str, Any] = {
            "id": len(nodes) + 1,
            "callFrame": {
                "functionName": name, "scriptId": "1", "url": url, "lineNumber": line, "columnNumber": 0
            },
            "hitCount": 1,
        }  # fmt: skip
        nodes.append(node)
        if ms:
            samples.append(node["id"])
            deltas.append(int(ms * 1000))
        if called:
            node["children"] = [add(one) for one in called]
        return node["id"]

    add(tree)
    return json.dumps({"nodes": nodes, "startTime": 1, "endTime": 2, "samples": samples, "timeDeltas": deltas})
