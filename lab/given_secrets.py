"""Secrets that the lab's Secrets Manager holds before the program runs, as the account of a team would."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from lab.aws import says_missing

LARGEST = 65536
"""Bytes that Secrets Manager takes."""


class GivenSecretError(Exception):
    """A secret can't be given like this; the message says why and how to mend it."""


def read(given: Sequence[str]) -> dict[str, str]:
    """Each secret's text by its name, from `NAME=FILE`. GivenSecretError with all that is wrong."""
    found: dict[str, str] = {}
    problems: list[str] = []
    for each in given:
        name, equals, file = each.partition("=")
        if not (name and equals and file):
            problems.append("--secret must be NAME=FILE, as in shop/tls=certificate.pem")
            continue
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"secret {name}: {file} must be text that can be read: {error}")
            continue
        if not 0 < len(text.encode()) <= LARGEST:
            problems.append(f"secret {name}: {file} must hold 1 to {LARGEST} bytes, as Secrets Manager takes them")
        found[name] = text
    if problems:
        raise GivenSecretError("\n".join(problems))
    return found


def put(client: Any, secrets: Mapping[str, str]) -> None:
    """Have Secrets Manager hold them now. One that is there gets a new version, where its text is another."""
    for name, text in secrets.items():
        try:
            if client.get_secret_value(SecretId=name)["SecretString"] != text:
                client.put_secret_value(SecretId=name, SecretString=text)
        except ClientError as error:
            if not says_missing(error):
                raise
            client.create_secret(Name=name, SecretString=text)
