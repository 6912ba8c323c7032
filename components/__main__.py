"""What the engine runs to make the components for a program in another language."""

import sys
from pathlib import Path

from pulumi.provider import main as serve


def main() -> None:
    """Serve the components."""
    # The engine starts this folder by its path: the package that it is has to be found first.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from components import __version__
    from components._plugin import COMPONENTS, Plugin

    serve(Plugin(COMPONENTS, __version__), sys.argv[1:])


if __name__ == "__main__":
    main()
