"""Where things are on an app server."""

from pathlib import Path

USER = "expressway-app"

RUNTIMES = Path("/opt/expressway/runtime")
"""One folder per Node runtime, named by the SHA-256 of its tarball; `current` points at the one in use."""

RELEASES = Path("/srv/releases")
"""One folder per release, named by its id; `current` points at the one in use."""

ECOSYSTEM = Path("/etc/expressway/ecosystem.json")
"""What PM2 is told to run."""

ENVIRONMENT = Path("/run/expressway/app.env")
"""The app's environment, secrets included: on a tmpfs, root's alone, made anew at each start of the service."""

RDS_CA = Path("/etc/expressway/rds-ca.pem")
"""The authorities that sign RDS's certificates."""

CA_BUNDLE = Path("/etc/expressway/ca-bundle.pem")
"""What Node trusts besides its own list: the system's authorities and RDS's."""
