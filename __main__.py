"""What Pulumi runs: settings in, stack out."""

import pulumi

import settings
import stack


def main() -> None:
    """Build the stack that this program's configuration describes."""
    try:
        wanted = settings.from_pulumi()
    except settings.SettingsError as error:
        # Its message is for people as it stands; a traceback would bury it.
        raise pulumi.RunError(str(error)) from None
    stack.build(wanted)


if __name__ == "__main__":
    main()
