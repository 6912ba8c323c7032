"""The same content gives the same bytes; what is in the tarball is what was in the folder."""

import os
import tarfile
from pathlib import Path

import pytest

from artifact import BuildError
from artifact.tarball import pack, sha256


def fill(folder: Path, names: list[str]) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (folder / "run").chmod(0o755)
    (folder / "link").symlink_to("lib/a.js")
    return folder


def test_order_place_times_owners_and_umask_leave_no_trace(tmp_path: Path) -> None:
    names = ["lib/a.js", "lib/b.js", "run"]
    one = fill(tmp_path / "one", names)
    mask = os.umask(0o077)
    try:
        two = fill(tmp_path / "elsewhere" / "two", names[::-1])
    finally:
        os.umask(mask)
    os.utime(two / "run", (1, 1))
    os.chown(two / "run", os.getuid(), os.getgid())

    first = pack(tmp_path / "1.tar.gz", {"about": b"x"}, {"app": one})
    second = pack(tmp_path / "elsewhere" / "2.tar.gz", {"about": b"x"}, {"app": two})

    assert first == second == sha256(tmp_path / "1.tar.gz")
    assert (tmp_path / "1.tar.gz").read_bytes()[4:8] == bytes(4), "gzip's header holds no time either"


def test_members_are_owned_by_nobody_and_keep_their_executable_bit(tmp_path: Path) -> None:
    folder = fill(tmp_path / "app", ["lib/a.js", "run"])
    (folder / "run").chmod(0o777)
    pack(tmp_path / "t.tar.gz", {"about.json": b"{}"}, {"app": folder})

    with tarfile.open(tmp_path / "t.tar.gz") as tar:
        modes = {member.name: member.mode for member in tar}
        owners = {(member.uid, member.gid, member.uname, member.gname, member.mtime) for member in tar}
        link = tar.getmember("app/link").linkname

    assert modes == {
        "about.json": 0o644,
        "app": 0o755,
        "app/lib": 0o755,
        "app/lib/a.js": 0o644,
        "app/link": 0o777,
        "app/run": 0o755,
    }
    assert owners == {(0, 0, "", "", 0)}
    assert link == "lib/a.js", "a link inside stays a link"


def test_what_is_skipped_goes_whole(tmp_path: Path) -> None:
    folder = fill(tmp_path / "app", ["lib/a.js", "docs/deep/page", "run"])
    pack(tmp_path / "t.tar.gz", {}, {"": folder}, skip=lambda name: str(name) in {"docs", "run"})

    with tarfile.open(tmp_path / "t.tar.gz") as tar:
        assert tar.getnames() == ["lib", "lib/a.js", "link"]


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x"])
def test_a_link_that_leads_out_is_refused(tmp_path: Path, target: str) -> None:
    folder = fill(tmp_path / "app", ["run"])
    (folder / "out").symlink_to(target)

    with pytest.raises(BuildError, match=f"app/out is a symbolic link that leads out of the app, to {target}"):
        pack(tmp_path / "t.tar.gz", {}, {"app": folder})
