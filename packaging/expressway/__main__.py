"""The command line: `expressway`, or `python -m expressway`."""

import sys
from pathlib import Path


def main() -> None:
    """Run the command line."""
    # The rooms are top-level packages in a clone, and in this process alone.
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    try:
        from cli.main import main as run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "cli":
            raise
        sys.exit(f"expressway: the command line needs {error.name}. Install it with: pip install 'expressway[cli]'")
    run()


if __name__ == "__main__":
    main()
