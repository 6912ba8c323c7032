"""Images and machines: what follows from their descriptions alone."""

import contextlib
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.machines import boot, control_groups, guest, machine, recipe
from lab.machines.bake import ImageError, explain, overlay_option
from lab.machines.debian import Archive, choose
from lab.machines.image import Image, ensure
from lab.machines.observation import State, observe
from lab.machines.recipe import BASE, Recipe

ARCHIVE = Archive("http://mirror.test/debian", "http://mirror.test/debian-security")


def test_the_same_recipe_has_the_same_key_and_a_different_one_another() -> None:
    made = recipe.edge(["nginx", "logrotate"]).key(ARCHIVE, "amd64")
    assert recipe.edge(["logrotate", "nginx", "nginx"]).key(ARCHIVE, "amd64") == made, "order does not count"
    others = {
        "packages": recipe.edge(["nginx"]).key(ARCHIVE, "amd64"),
        "architecture": recipe.edge(["nginx", "logrotate"]).key(ARCHIVE, "arm64"),
        "mirror": recipe.edge(["nginx", "logrotate"]).key(Archive("http://other/debian", "x"), "amd64"),
    }
    assert made not in others.values(), others


def test_a_change_of_the_base_changes_every_image_on_it() -> None:
    changed = Recipe("base", packages=(*BASE.packages, "vim"))
    one, other = (Recipe("top", parent, packages=("nginx",)).key(ARCHIVE, "amd64") for parent in (BASE, changed))
    assert one != other, "the key counts the parents"


def test_a_tarball_counts_by_its_hash_and_not_by_its_place() -> None:
    def key(path: str, sha256: str) -> str:
        return recipe.app(["nodejs"], Path(path), sha256).key(ARCHIVE, "amd64")

    assert key("/a/node.tar.gz", "aa") == key("/b/node.tar.gz", "aa"), "the same bytes"
    assert key("/a/node.tar.gz", "aa") != key("/a/node.tar.gz", "bb"), "other bytes"


@pytest.mark.parametrize(
    ("targets", "override", "expected"),
    [
        ("http://m/debian/ bookworm\nhttp://m/debian/ bookworm-updates\nhttp://s/sec/ bookworm-security\n", None,
         ("http://m/debian", "http://s/sec")),
        ("http://vendor/apt trixie-pgdg\nhttp://archive.ubuntu/ubuntu noble\nfile:/media/x trixie\n", None,
         ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security")),
        ("http://first/debian trixie\nhttp://second/debian trixie\n", None,
         ("http://first/debian", "http://deb.debian.org/debian-security")),
        ("http://m/debian bookworm\n", "http://mine/debian/", ("http://mine/debian", "http://mine/debian-security")),
        ("", None, ("http://deb.debian.org/debian", "http://deb.debian.org/debian-security")),
    ],
)  # fmt: skip
def test_the_mirror_is_the_hosts_own_unless_told_otherwise(
    targets: str, override: str | None, expected: tuple[str, str]
) -> None:
    found = choose(targets, "", override)
    assert (found.main, found.security) == expected, targets


def test_a_proxy_of_the_host_is_the_images_too() -> None:
    assert any("http://proxy:3142" in option for option in choose("", "http://proxy:3142", None).apt_options()), "apt"


@pytest.mark.parametrize(
    ("status", "output", "reason"),
    [
        (100, "E: Could not resolve 'mirror.test'\n", "the Debian mirror http://mirror.test/debian can't be reached"),
        (2, "dpkg: error: No space left on device\n", "the disk is full"),
        (-9, "", r"it was killed \(SIGKILL\)"),
        (1, "something else\n", "its build ended with status 1"),
    ],
)
def test_a_failed_build_is_explained_in_one_sentence_first(status: int, output: str, reason: str) -> None:
    said = explain("base", ARCHIVE, status, output)
    assert said.splitlines()[0].startswith("image base could not be made: "), said
    assert re.search(reason, said.splitlines()[0]), said
    assert output.strip() in said, "the tool's own words follow"


def test_a_disk_without_room_is_told_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=100 * 2**20))
    with pytest.raises(ImageError, match=r"2 images to make need 1000 MB, .* has 100 MB free"):
        ensure([recipe.edge(["nginx"])], contextlib.nullcontext, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"], "nothing was begun"


def test_layer_paths_with_a_colon_do_not_become_two_layers() -> None:
    assert overlay_option([Path("/a:b/root"), Path("/c")]) == r"/a\:b/root:/c", "escaped for the kernel"


def test_a_machine_sees_the_directories_of_the_host_that_it_is_given_and_no_others() -> None:
    binds = (machine.Bind(Path("/host/own"), "/own"), machine.Bind(Path("/host/other"), "/other", read_only=True))
    spec = machine.MachineSpec("db-1", "database", "10.0.0.4", "ip-10-0-0-4", (Path("/image"),), binds=binds)
    command = machine._nspawn(spec, Path("/home"))  # pyright: ignore[reportPrivateUsage]
    assert [each for each in command if each.startswith("--bind") and "hypervisor" not in each] == [
        "--bind=/host/own:/own",
        "--bind-ro=/host/other:/other",
    ]


def test_it_is_found_again_what_a_machine_is_of(tmp_path: Path) -> None:
    (home := tmp_path / "db-1").mkdir()
    spec = machine.MachineSpec("db-1", "database", "10.0.0.4", "ip-10-0-0-4", (Path("/image"),), resource="db-ABC")
    machine._record(spec, home)  # pyright: ignore[reportPrivateUsage]
    (found,) = machine.observe(tmp_path)
    assert found.resource == "db-ABC", "another database may have its name by then"


def test_the_plain_image_is_debians_and_a_baked_one_the_accounts_own() -> None:
    plain = Image("debian-13", "k1", (), "2026-01-02T03:04:05+00:00").ami()
    baked = Image("expressway-edge", "k2", (), "2026-01-02T03:04:05+00:00").ami()
    assert plain.owner == "136693071363", plain
    assert plain.name.startswith("debian-13-"), plain
    assert plain.name.endswith("-20260102-lab"), plain
    assert (baked.owner, baked.name) == ("123456789012", "expressway-edge-k2"), baked


def test_a_machine_gets_its_address_before_cloud_init_looks() -> None:
    files = {file.path: file.content for file in guest.files("i-1", "10.20.1.5")}
    assert "address add 10.20.1.5/32 dev ens5" in files[guest.NETWORK], files
    assert guest.mac_address("i-1") in files[guest.NETWORK], "the address that the metadata tells"
    assert len(files["etc/machine-id"].strip()) == 32, "an identity of its own"


def test_software_can_tell_that_it_runs_on_ec2() -> None:
    first, *rest = guest.hypervisor_uuid("i-1").split("-")
    assert first.startswith("ec2"), "EC2's mark"
    assert [len(first), *map(len, rest)] == [8, 4, 4, 4, 12], "a UUID"


def test_control_groups_are_made_in_the_hierarchies_that_systemd_uses() -> None:
    hybrid = (
        "cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
        "cgroup /sys/fs/cgroup/systemd cgroup rw,name=systemd 0 0\n"
        "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n"
        "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n"
        "cgroup2 /run/elsewhere cgroup2 rw 0 0\n"
    )
    expected = [Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup/systemd")]
    assert control_groups.hierarchies(hybrid) == expected, "hybrid"
    unified = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n"
    assert control_groups.hierarchies(unified) == [Path("/sys/fs/cgroup")], "unified"
    assert control_groups.own_hierarchy(hybrid, "cpu") == Path("/sys/fs/cgroup/cpu,cpuacct")
    assert control_groups.own_hierarchy(hybrid, "memory") == Path("/sys/fs/cgroup/memory")
    assert control_groups.own_hierarchy(unified, "cpu") is None


def test_only_a_machine_that_is_to_be_limited_has_a_group_of_its_own_for_that_and_its_limit_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unified, cpu, memory = (tmp_path / name / control_groups.PARENT / "i-1" for name in ("unified", "cpu", "memory"))
    monkeypatch.setattr(control_groups, "_groups", lambda _: [unified, cpu, memory])
    monkeypatch.setattr(control_groups, "_own_group", lambda _, controller: {"cpu": cpu, "memory": memory}[controller])
    assert control_groups.create("i-1") == [unified]
    with pytest.raises(FileNotFoundError, match="no control group of i-1 whose CPUs"):
        control_groups.limit("i-1", 0.3)
    with pytest.raises(FileNotFoundError, match="no control group of i-1 whose memory"):
        control_groups.limit_memory("i-1", 2**30)
    assert control_groups.create("i-1", memory=True) == [unified, memory]
    control_groups.limit_memory("i-1", 2**30)
    assert (memory / "memory.limit_in_bytes").read_text() == "1073741824"
    assert control_groups.create("i-1", cpu=True) == [unified, cpu]
    control_groups.limit("i-1", 0.3)
    assert [(cpu / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")] == ["6000", "20000"]
    assert (cpu.parent / "cpu.shares").read_text() == "262144", "what it may have, it gets"
    control_groups.limit("i-1", 0.001)
    assert (cpu / "cpu.cfs_quota_us").read_text() == "1000", "the kernel takes no less"


def test_with_one_hierarchy_the_limit_is_where_the_machine_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = tmp_path / control_groups.PARENT / "i-1"
    monkeypatch.setattr(control_groups, "_groups", lambda _: [group])
    monkeypatch.setattr(control_groups, "_own_group", lambda *_: None)
    (group / "payload").mkdir(parents=True)
    for place, controllers in ((group, "\n"), (tmp_path, "cpu io\n")):
        (place / "cgroup.controllers").write_text(controllers)
    control_groups.limit("i-1", 0.3)
    assert (group / "payload/cpu.max").read_text() == "6000 20000"
    assert (group.parent / "cpu.weight").read_text() == "10000"
    for place in (tmp_path, tmp_path / control_groups.PARENT, group):
        assert (place / "cgroup.subtree_control").read_text() == "+cpu"
    with pytest.raises(FileNotFoundError, match="no control group of i-1 whose memory"):
        control_groups.limit_memory("i-1", 2**30)
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    control_groups.limit_memory("i-1", 2**30)
    assert (group / "payload/memory.max").read_text() == "1073741824"
    assert (group / "cgroup.subtree_control").read_text() == "+memory"


def test_cloud_inits_errors_are_those_of_its_result() -> None:
    result = json.dumps({"v1": {"datasource": "DataSourceEc2Local", "errors": ["('scripts-user', ...)"]}})
    assert boot.errors(result) == ("('scripts-user', ...)",), result


def test_a_directory_without_a_process_is_a_dead_machine(tmp_path: Path) -> None:
    (tmp_path / "i-1").mkdir()
    (tmp_path / ".starting-x").mkdir()
    found = observe(tmp_path)
    assert [(status.id, status.state) for status in found] == [("i-1", State.DEAD)], found
    assert observe(tmp_path / "none") == [], "no lab, no machines"


def test_a_pid_that_was_given_to_another_program_is_not_the_machine(tmp_path: Path) -> None:
    (tmp_path / "i-1").mkdir()
    own = Path("/proc/self/stat").read_text()
    (tmp_path / "i-1" / "process").write_text(own)
    assert observe(tmp_path)[0].state is State.BOOTING, "the very process"
    before, after = own.rsplit(")", 1)
    fields = after.split()
    fields[19] = "1"
    (tmp_path / "i-1" / "process").write_text(f"{before}) {' '.join(fields)}")
    assert observe(tmp_path)[0].state is State.DEAD, "the same id, and it began at another time"
