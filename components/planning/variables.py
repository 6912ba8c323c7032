"""The app's variables: their names, their values, and the names of secrets."""

from collections.abc import Iterator, Mapping

from .findings import HIDDEN, UNKNOWN, Finding, looks_secret
from .rule import SHAPES, matching

RESERVED_VARIABLES = {
    "PORT": "the edge and the machine look for the app where the setting `port` says",
    "RELEASE_ID": "it says which release runs",
    "INSTANCE_ID": "it says which machine this is",
    "HOME": "the app's user has one, the only folder besides /tmp and its own that it may write to",
    "PATH": "it has the Node that the release was built with",
    "PM2_HOME": "the machine talks to PM2 there",
}
"""What the machine itself sets, and a team can't, each with the reason.

All else that a machine sets by itself (NODE_ENV, DATABASE_URL, REDIS_URL, ...) gives way to the team's own, so that an
app can bring its own database. A team's NODE_OPTIONS are added to the machine's.
"""

VARIABLE = matching(
    r"[A-Za-z_][A-Za-z0-9_]*",
    "a variable's name must be letters, digits and underscores, and not start with a digit",
    "Rename it.",
)

SECRET_NAME = matching(
    r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:\S{1,519}|[A-Za-z0-9/_+=.@-]{1,512}",
    "it must be the name or ARN of a secret in Secrets Manager, not the secret itself",
    "Put the value into Secrets Manager, and its name here.",
)


def check_variables(environment: Mapping[str, object], secrets: Mapping[str, object]) -> list[Finding]:
    """What is wrong with plain variables, with variables from secrets, and with both together."""
    return [*_check_environment(environment), *_check_secrets(secrets, environment)]


def check_plain_value(path: str, value: object) -> list[Finding]:
    """What is wrong with a plain variable's value at `path`, whose last part is the variable's name."""
    name = path.rpartition(".")[2]
    if value is UNKNOWN:
        value = ""  # the name tells enough
    if not isinstance(value, str):
        return [Finding(path, value, *SHAPES[str])]
    if looks_secret(name, value):
        rule = "a secret must not be plain text, as it would be in the user data of every machine"
        return [
            Finding(
                path, HIDDEN, rule, f"Put it into Secrets Manager, and its name there at secrets.{name}; or rename it."
            )
        ]
    if not value.isprintable():
        rule = "it must be one line of printable characters"
        return [Finding(path, HIDDEN, rule, "Encode it, for example as JSON, or keep it in Secrets Manager.")]
    return []


def check_secret_name(path: str, value: object) -> list[Finding]:
    """What is wrong with the name of a secret, which may be the secret itself: it is never shown."""
    return [Finding(path, HIDDEN, each.rule, each.remedy) for each in SECRET_NAME.check(path, value)]


def _check_environment(environment: Mapping[str, object]) -> Iterator[Finding]:
    for name, value in environment.items():
        path = f"environment.{name}"
        yield from _check_variable(path, name)
        yield from check_plain_value(path, value)


def _check_secrets(secrets: Mapping[str, object], environment: Mapping[str, object]) -> Iterator[Finding]:
    for name, value in secrets.items():
        path = f"secrets.{name}"
        yield from _check_variable(path, name)
        yield from check_secret_name(path, value)
        if name in environment:
            rule = "a variable must be set once, and environment has it too"
            yield Finding(path, HIDDEN, rule, "Remove one of them.")


def _check_variable(path: str, name: str) -> Iterator[Finding]:
    yield from (Finding(path, HIDDEN, each.rule, each.remedy) for each in VARIABLE.check(path, name))
    if name in RESERVED_VARIABLES:
        rule = f"the machine itself sets this variable: {RESERVED_VARIABLES[name]}"
        yield Finding(path, HIDDEN, rule, "Remove it, or use another name.")
