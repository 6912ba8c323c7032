"""`make pulumi`: ends with a usable Pulumi CLI, or says in one line why not."""

import sys

from lab.engine import pulumi_cli


def main() -> int:
    """Find a CLI, or fetch the pinned release."""
    try:
        found = pulumi_cli.find_or_fetch()
    except pulumi_cli.NoCliError as error:
        print(f"no Pulumi CLI: {error}. All but the engine's own tests works without it.", file=sys.stderr)
        return 1
    print(f"pulumi {found.version}: {found.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
