"""What the artifact bucket no longer needs: bundles, runtimes and releases that no machine can still ask for.

An update leaves them, since it can't know which machines are just starting or may be rolled back. The rule: an object
goes once it has been there for `days`, no launch template version that counts names it, and the release pointer has not
named it for as long. The last ten releases stay, so that a rollback finds them. A version counts while a group or a
machine uses it, while it is its template's newest or default one, and for `days` after it was made.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3

from operate import releases

FOLDERS = ("bundles/", "releases/", "runtime/", releases.HISTORY)
DAYS = 90
"""A quarter: longer than anyone goes back to a release, and than a stack that nobody touches is forgotten."""


class PruneError(Exception):
    """Nothing was deleted: what is in use can't be told."""


@dataclass(frozen=True)
class Object:
    """One object of the bucket."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Text:
    """What names objects: a launch template version's user data, a value of the release pointer, or a release."""

    content: str
    counts: bool
    """Whether what it names is needed, however old it is."""
    until: datetime
    """When it was made or deployed, or, for a pointer's value, when the next one took its place."""


def superfluous(objects: Sequence[Object], texts: Sequence[Text], oldest: datetime) -> list[Object]:
    """The objects that nothing needs. `oldest` is where what is kept for its age begins."""
    needed = [each.content for each in texts if each.counts or each.until >= oldest]
    return [each for each in objects if each.modified < oldest and not any(each.key in text for text in needed)]


def find(session: boto3.Session, outputs: Mapping[str, Any], now: datetime, days: int = DAYS) -> list[Object]:
    """The objects of the stack's bucket that can go. `outputs` are the stack's. PruneError when that can't be told."""
    templates = list(_templates(session, outputs))
    pointer = list(_pointer(session, str(outputs["releaseParameter"]), now))
    bucket = str(outputs["artifactBucket"])
    texts = [*templates, *pointer, *_releases(session, bucket)]
    return superfluous(list(_objects(session, bucket)), texts, now - timedelta(days=days))


def delete(session: boto3.Session, bucket: str, objects: Sequence[Object]) -> None:
    """Delete them. The bucket keeps versions, so that they can be restored until its own rule takes those away."""
    s3: Any = session.client("s3")
    for each in objects:
        s3.delete_object(Bucket=bucket, Key=each.key)


def _templates(session: boto3.Session, outputs: Mapping[str, Any]) -> Iterator[Text]:
    """Every version of every launch template that names the bucket: other programs may start machines from it too."""
    scaling: Any = session.client("autoscaling")
    ec2: Any = session.client("ec2")
    used: set[tuple[str, str]] = set()
    seen: set[str] = set()
    for page in scaling.get_paginator("describe_auto_scaling_groups").paginate():
        for group in page["AutoScalingGroups"]:
            seen.add(group["AutoScalingGroupName"])
            for holder in (group, *group["Instances"]):
                if template := holder.get("LaunchTemplate"):
                    used.add((template["LaunchTemplateId"], str(template["Version"])))
    if missing := {str(outputs["appGroupName"]), str(outputs["edgeGroupName"])} - seen:
        raise PruneError(f"there is no group {', '.join(sorted(missing))} in {session.region_name}: is it the stack's?")
    bucket = str(outputs["artifactBucket"])
    for page in ec2.get_paginator("describe_launch_templates").paginate():
        for template in page["LaunchTemplates"]:
            yield from _versions(ec2, template, used, bucket)


def _versions(ec2: Any, template: Mapping[str, Any], used: set[tuple[str, str]], bucket: str) -> Iterator[Text]:
    identifier = template["LaunchTemplateId"]
    standing = {template["LatestVersionNumber"], template["DefaultVersionNumber"]}
    pages = ec2.get_paginator("describe_launch_template_versions").paginate(LaunchTemplateId=identifier)
    for page in pages:
        for version in page["LaunchTemplateVersions"]:
            number = version["VersionNumber"]
            encoded = version["LaunchTemplateData"].get("UserData", "")
            content = base64.b64decode(encoded).decode(errors="replace")
            if bucket in content:
                counts = number in standing or (identifier, str(number)) in used
                yield Text(content, counts, version["CreateTime"])


def _pointer(session: boto3.Session, name: str, now: datetime) -> Iterator[Text]:
    ssm: Any = session.client("ssm")
    pages = ssm.get_paginator("get_parameter_history").paginate(Name=name)
    history = sorted((each for page in pages for each in page["Parameters"]), key=lambda each: each["Version"])
    for entry, following in zip(history, [*history[1:], None], strict=True):
        until = now if following is None else following["LastModifiedDate"]
        yield Text(entry["Value"], following is None, until)


def _releases(session: boto3.Session, bucket: str) -> Iterator[Text]:
    """What can be rolled back to. A release's own entry in the history goes with its archive."""
    entries = releases.entries(session.client("s3"), bucket)
    kept = {each.release for each in [entry for entry in entries if entry.good][: releases.KEPT]}
    for each in entries:
        names = f"{each.key} {releases.HISTORY}{each.release}.json"
        yield Text(names, each.release in kept, datetime.fromtimestamp(each.at, UTC))


def _objects(session: boto3.Session, bucket: str) -> Iterator[Object]:
    s3: Any = session.client("s3")
    for folder in FOLDERS:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder):
            for each in page.get("Contents", []):
                yield Object(each["Key"], each["Size"], each["LastModified"])
