"""Application performance monitoring: whom the app's agent tells, and what it needs for that."""

from urllib.parse import urlsplit

from .findings import HIDDEN, NOTHING, UNKNOWN, Finding
from .rule import choice, matching
from .variables import check_secret_name

APM_VENDORS = ("newrelic", "appdynamics", "datadog", "opentelemetry")
APM_VENDOR = choice(APM_VENDORS)
"""Whose agent comes with the app."""

APM_NAME = matching(
    r"[A-Za-z0-9@_.~/ -]{1,128}",
    "it must be at most 128 letters, digits, spaces and @ _ . ~ / -",
    "Shorten it, or leave the rest out.",
)
"""What the vendor calls an app, or a stack."""

APM_CONTROLLER = matching(
    r"(?=.{1,253}(:|$))[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)+(:[0-9]{1,5})?",
    "it must be the controller's host, with its port unless that is 443",
    "Write it like acme.saas.appdynamics.com, whose first part is the account.",
)
"""AppDynamics' controller, as its spans name it."""

_NEEDS_ENDPOINT = {
    "appdynamics": "https://<region>-sls-agent-api.saas.appdynamics.com, or a collector of yours",
    "opentelemetry": "http://collector.example.com:4318, say",
}
_PLAIN_HTTP = ("datadog", "opentelemetry", "appdynamics")


def check_apm(
    vendor: object, secret: object, endpoint: object, controller: object, paths: tuple[str, str, str, str]
) -> list[Finding]:
    """What is wrong with the four together; None is one that isn't given. `paths` are theirs, in the same order."""
    at_vendor, at_secret, at_endpoint, at_controller = paths
    if vendor is None:
        rule = f"it must come with {at_vendor}, which says whom to tell"
        beside = {at_secret: secret, at_endpoint: endpoint, at_controller: controller}
        return [
            Finding(path, HIDDEN, rule, f"Set {at_vendor} to {', '.join(APM_VENDORS)}; or remove it.")
            for path, value in beside.items()
            if value is not None
        ]
    findings = APM_VENDOR.check(at_vendor, vendor)
    if secret is not None and secret is not UNKNOWN:
        findings += check_secret_name(at_secret, secret)
    if endpoint is not None:
        findings += _check_endpoint(at_endpoint, vendor, endpoint)
    if controller is not None:
        findings += APM_CONTROLLER.check(at_controller, controller)
    if vendor not in APM_VENDORS:
        return findings
    if secret is None and vendor != "opentelemetry":
        rule = f"with {vendor}, it must name the secret in Secrets Manager that holds the key"
        remedy = (
            "Store it (aws secretsmanager create-secret --name ... --secret-string file:///dev/stdin), and name it."
        )
        findings.append(Finding(at_secret, NOTHING, rule, remedy))
    if endpoint is None and vendor in _NEEDS_ENDPOINT:
        rule = f"with {vendor}, it must say where traces are sent"
        findings.append(Finding(at_endpoint, NOTHING, rule, f"Write {_NEEDS_ENDPOINT[vendor]}."))
    if (controller is None) == (vendor == "appdynamics"):
        rule = "it must be given with appdynamics, and only then"
        remedy = "Write it like acme.saas.appdynamics.com." if controller is None else "Remove it."
        findings.append(Finding(at_controller, controller or NOTHING, rule, remedy))
    return findings


def apm_port(endpoint: str | None) -> int:
    """The TCP port that the app's agent calls out to."""
    where = urlsplit(endpoint or "https://")
    return where.port or (80 if where.scheme == "http" else 443)


def _check_endpoint(path: str, vendor: object, endpoint: object) -> list[Finding]:
    rule, remedy = "it must be a URL", "Write it like https://otlp.example.com or http://10.20.0.9:4318."
    if not isinstance(endpoint, str) or not endpoint.isascii() or not endpoint.isprintable() or " " in endpoint:
        return [Finding(path, endpoint, rule, remedy)]
    try:
        where = urlsplit(endpoint)
        sound = where.scheme in ("http", "https") and bool(where.hostname) and where.port != 0
    except ValueError:
        return [Finding(path, endpoint, rule, remedy)]
    if where.username or where.password or where.query or where.fragment:
        # Whatever is in there may be a key, and would be in the user data of every machine.
        return [
            Finding(path, HIDDEN, "it must be a URL without user, query and fragment", "Put the key into the secret.")
        ]
    if not sound:
        return [Finding(path, endpoint, rule, remedy)]
    if where.scheme == "http" and vendor not in _PLAIN_HTTP:
        rule = f"{vendor}'s agent speaks HTTPS alone"
        return [Finding(path, endpoint, rule, "Write it with https://.")]
    return []
