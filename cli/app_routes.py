"""Where the routes of an app without a mix are looked for: in an access log, or in the app as Express lists it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cli.console import err

if TYPE_CHECKING:
    from cli.targets import Target


def find(target: "Target | None", log: Sequence[str] | None) -> tuple[dict[str, float], str, list[str]]:
    """Paths and how often each is asked, where that is from, and what is left out."""
    from artifact import AppError, BuildError, routes
    from artifact.cache import root
    from operate.load.routes import Listed, of_app, of_log

    if log is not None:
        found, notes = of_log(log)
        return found, "as often as the access log has them", notes
    if target is None or target.app is None:
        return {}, "", ["the app's folder isn't known here, so its routes aren't"]
    node, arch = target.stack.node or 24, target.stack.arch or "x64"
    try:
        listed = routes.listed(target.app, node, arch, root(), lambda line: err.print(line, markup=False))
    except (AppError, BuildError) as error:
        return {}, "", [f"Express' list of the app's routes can't be had: {str(error).splitlines()[0]}"]
    found, notes = of_app([Listed(each.method, each.path) for each in listed])
    return found, f"the GET routes that Express lists for {target.app}, each as often", notes
