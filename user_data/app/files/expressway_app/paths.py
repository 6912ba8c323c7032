"""Where things are on an app server."""

from pathlib import Path

USER = "expressway-app"

BUNDLE = Path("/opt/expressway/bundle")
"""Where these programs are; fixed, as an ecosystem file names some of them."""

RUNTIMES = Path("/opt/expressway/runtime")
"""One folder per Node runtime, named by the SHA-256 of its tarball; `current` points at the one in use."""

RELEASES = Path("/srv/releases")
"""One folder per release, named by its id; `current` points at the one in use."""

STATE = Path("/var/lib/expressway/deploy.json")
"""Which deploy this machine has followed, and which release was ready last."""

REPORT = Path("/var/lib/expressway/report.json")
"""What was told last about this machine."""

ECOSYSTEM = Path("/etc/expressway/ecosystem.json")
"""What PM2 is told to run."""

ENVIRONMENT = Path("/run/expressway/app.env")
"""The app's environment, secrets included: on a tmpfs, root's alone, made anew at each start of the service."""

CURRENT = Path("/run/expressway/environment.json")
"""The same for the app to read: it follows a secret that changes while the app runs. Root's and the app's alone."""

SERVICES = Path("/run/expressway/services.json")
"""Of it the addresses of the database and the cache, for what measures them. Root's and the group's below alone."""

SERVICES_GROUP = "expressway-services"

SECRETS = Path("/run/expressway/secrets.json")
"""The last good value of each secret, by its name: root's alone."""

ROLES = Path("/run/expressway/roles.json")
"""Which of the app's logins its databases know (role.py): root's alone."""

POOL = Path("/run/expressway/pgbouncer")
"""What PgBouncer reads: root's and its user's alone."""

POOL_USER = "expressway-pool"

POOL_HELD = POOL / "hold.json"
"""What hold.py is told: its and PgBouncer's user's alone."""

POOL_PASSWORDS = Path("/run/expressway/pool-passwords.json")
"""Those with which the app and the collector connect to PgBouncer: root's alone."""

POOL_LOADED = Path("/run/expressway/pool.sha256")
"""The digest of what PgBouncer has read."""

WORKERS = Path("/run/expressway/workers.sha256")
"""The digest of the environment that all of the app's workers run with."""

STARTED = Path("/run/expressway/ecosystem.sha256")
"""The digest of the ecosystem file that PM2 was started with."""

RELOADING = Path("/run/expressway/reload.lock")
"""Held while workers are reloaded: a deploy and a secret that changes must not do that at once."""

LOCK = Path("/run/expressway/environment.lock")
"""Held from the first question for a secret until the answers are written, so that an older answer never comes last."""

REFRESH = Path("/run/expressway/refresh.sock")
"""Who connects has the secrets looked at now, and is hung up on when that is done. Root's and the app's alone."""

MEASURE = BUNDLE / "measure.cjs"
"""What each of the app's processes loads before the app, to tell how it is, and to be profiled."""

PROFILE = Path("/run/expressway/profile.sock")
"""Where each of the app's processes waits to be asked for a profile. Root's and the app's alone."""

PROFILED = Path("/var/lib/expressway/profile.json")
"""Which request for a profile this machine has answered, or was about to."""

MOVED = Path("/var/lib/expressway/move.json")
"""Which request to move keys this machine is through with, or was about to be."""
FLUSHED = Path("/var/lib/expressway/flush.json")
"""Which request to flush the cache this machine has answered, or was about to."""

APM = BUNDLE / "apm.cjs"
"""What each of them loads after that where there is to be an APM agent, which it starts."""

LEASES = Path("/run/expressway/leases")
"""One file per process of which the fleet has one, while this machine is to run it."""

PM2_HOME = Path("/run/expressway-app/pm2")
"""Where PM2's sockets are, as expressway-app.service has it."""

HOME = Path("/var/lib/expressway-app")
"""The app's user's own."""

RDS_CA = Path("/etc/expressway/rds-ca.pem")
"""The authorities that sign RDS's certificates."""

SYSTEM_CA = Path("/etc/ssl/certs/ca-certificates.crt")
"""The authorities that Debian trusts: Amazon's are among them, which sign the certificates of RDS Proxy."""

CA_BUNDLE = Path("/etc/expressway/ca-bundle.pem")
"""What Node trusts besides its own list: the system's authorities and RDS's."""


def release() -> str | None:
    """The id of the release that is current; None when there is none yet."""
    try:
        return RELEASES.joinpath("current").readlink().name
    except OSError:
        return None
