"""Settings of a stack with a database of some engine, and what is refused of them at preview."""

import pytest

import settings
from settings import Settings, SettingsError
from tests.paths import ROOT


def load(engine: str, environment: str, database: dict[str, object]) -> Settings:
    """With alarms and a dashboard, which watch the database too."""
    config = {
        "aws:region": "us-east-1",
        "expressway:environment": environment,
        "expressway:database": {"engine": engine, **database},
        "expressway:monitoring": {"alarmEmails": ["team@example.com"], "dashboard": True},
    }
    return settings.parse(config, stack="dev", base=ROOT, source="test")


def refusals(engine: str, database: dict[str, object], below: str) -> dict[str, str]:
    """Path below a key -> rule and remedy, as a preview says them."""
    with pytest.raises(SettingsError) as refused:
        load(engine, "dev", database)
    return {each.path.removeprefix(below): f"{each.rule} {each.remedy}" for each in refused.value.problems}
