"""What `lab up` says that it runs otherwise than the settings say."""

import pytest

import settings
from lab import differences, paths
from lab.engine import stack_config

GIB = 2**30


def notes(*overrides: str, memory: int = 16 * GIB, limits: bool = True) -> list[str]:
    values = stack_config.load(paths.ROOT, paths.ROOT / "Pulumi.lab.yaml", overrides)
    settled = settings.parse(values, stack="lab", base=paths.ROOT, source="Pulumi.lab.yaml")
    return differences.notes(settled, memory, limits=limits)


def test_versions_that_debian_lacks_are_told_in_one_line() -> None:
    (told,) = notes("expressway:database.engineVersion=15", "expressway:cache.engineVersion=6.2")
    assert "PostgreSQL 17 for expressway:database.engineVersion 15" in told
    assert "Redis 8 for redis 6.2" in told
    (told,) = notes("expressway:cache.engine=valkey", "expressway:database.engineVersion=17.5")
    assert "Redis 8 for valkey 8.1" in told
    assert "PostgreSQL" not in told, "another minor version is the same program"


@pytest.mark.parametrize("version", ["16", "18", "16.4"])
def test_each_other_major_version_is_told(version: str) -> None:
    (told,) = notes(f"expressway:database.engineVersion={version}")
    assert f"engineVersion {version} and" in told


def test_memory_that_no_machine_here_is_held_to_is_told() -> None:
    large = notes("expressway:database.instanceClass=db.m7g.xlarge", "expressway:cache.nodeType=cache.r7g.large")
    assert len(large) == 3
    assert large[1].startswith("expressway:database.instanceClass db.m7g.xlarge has 16 GiB, and this host 16:")
    assert large[2].startswith("expressway:cache.nodeType cache.r7g.large has 16 GiB")
    assert len(notes()) == 1, "a micro fits"
    assert "no memory controller" in notes(limits=False)[1]
