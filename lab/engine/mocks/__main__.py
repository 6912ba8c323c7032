"""`python -m lab.engine.mocks`: runs the project's program against the lab's API, without a Pulumi CLI."""

import argparse
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from pulumi import InputPropertiesError, RunError

from lab import paths
from lab.aws import Aws
from lab.engine import stack_config
from lab.engine.mocks.monitor import Monitor, Provider
from lab.engine.mocks.program import run
from lab.provider import tags
from lab.provider.errors import ProviderError
from lab.provider.values import has_secret, plain

REDACTED = "[secret]"


def main() -> int:
    """Apply, or with --preview only check; 1 when anything failed."""
    options = _options()
    say = _say_json if options.json else _say
    started = time.monotonic()
    monitor = None
    try:
        values = stack_config.load(options.directory, options.config, options.set)
        aws = Aws(options.endpoint, str(values.get("aws:region", "us-east-1")))
        provider = Provider(aws, tags.default(values), preview=options.preview)
        monitor = Monitor(provider, lambda resource: say("resource", resource.as_dict()))
        project = stack_config.project_name(options.directory)
        run(options.directory, project, options.stack, stack_config.as_text(values), monitor, preview=options.preview)
    except Exception as error:
        say("error", {"message": _explain(error, options.directory)})
        return 1
    outputs = _outputs(monitor.outputs, show_secrets=options.show_secrets)
    if options.outputs:
        options.outputs.write_text(json.dumps(outputs, indent=2) + "\n")
    custom = sum(bool(resource.id) or options.preview for resource in monitor.registered)
    say("done", {"resources": custom, "seconds": round(time.monotonic() - started, 1), "outputs": outputs})
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m lab.engine.mocks", description="Apply the program to the lab.")
    parser.add_argument("--stack", default="lab")
    parser.add_argument(
        "--directory", type=Path, default=paths.ROOT, help="the program's folder (default: this repository)"
    )
    parser.add_argument("--config", type=Path, help="the stack's file (default: Pulumi.<stack>.yaml of the program)")
    parser.add_argument("--endpoint", default="http://127.0.0.1:4566", help="the lab's API (default %(default)s)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="expressway:app.port=8080")
    parser.add_argument("--outputs", type=Path, help="write the stack's outputs here, as JSON")
    parser.add_argument("--show-secrets", action="store_true", help="secret outputs in plain text")
    parser.add_argument("--preview", action="store_true", help="check, and create nothing")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    options.directory = options.directory.resolve()
    options.config = (options.config or options.directory / f"Pulumi.{options.stack}.yaml").resolve()
    options.outputs = options.outputs.resolve() if options.outputs else None  # the program changes the folder
    return options


def _say_json(event: str, details: dict[str, Any]) -> None:
    print(json.dumps({"event": event, **details}), flush=True)


def _say(event: str, details: dict[str, Any]) -> None:
    match event:
        case "resource":
            print(f"{details['type']} {details['name']} {details['id']} ({details['seconds']:.2f} s)", flush=True)
        case "error":
            print(details["message"], file=sys.stderr, flush=True)
        case _:
            print(f"{details['resources']} resources in {details['seconds']} s", flush=True)


def _explain(error: BaseException, directory: Path) -> str:
    """The cause, for a person: a message where it says enough, else where in the program it happened."""
    causes: list[BaseException] = []
    while error not in causes:
        causes.append(error)
        error = error.__cause__ or error.__context__ or error
    for cause in reversed(causes):
        if isinstance(cause, InputPropertiesError | ProviderError | RunError) and _outermost(cause, causes):
            return str(cause)
    first = causes[0]
    frames = [f for f in traceback.extract_tb(first.__traceback__) if Path(f.filename).is_relative_to(directory)]
    where = "".join(
        traceback.format_list([f for f in frames if "/lab/provider/" not in f.filename and "/.venv/" not in f.filename])
    )
    return f"{where}{type(first).__name__}: {first}"


def _outermost(cause: BaseException, causes: list[BaseException]) -> bool:
    """A resource's error wraps what the API said: the wrapper has type and name, so it is the one to show."""
    outer = causes[: causes.index(cause)]
    return not any(error.__cause__ is cause and isinstance(error, ProviderError) for error in outer)


def _outputs(outputs: dict[str, Any], *, show_secrets: bool) -> dict[str, Any]:
    return {
        name: REDACTED if has_secret(value) and not show_secrets else plain(value)
        for name, value in sorted(outputs.items())
    }


if __name__ == "__main__":
    sys.exit(main())
