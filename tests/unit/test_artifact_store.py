"""What was built is found again; what wasn't built to its end isn't."""

import threading
from pathlib import Path

import pytest

from artifact.store import Store


def add(store: Store, name: str = "app-1", content: str = "content") -> Path:
    with store.new_file() as file:
        file.write_text(content)
        return store.add(name, file, "app.tar.gz", "abc", {"n": 1}).path


def test_what_was_added_is_found_with_its_details(tmp_path: Path) -> None:
    path = add(Store(tmp_path))

    entry = Store(tmp_path).find("app-1")

    assert entry is not None, "it was added"
    assert (entry.path, entry.sha256, entry.details) == (path, "abc", {"n": 1})
    assert Store(tmp_path).find("app-2") is None, "only under its name"


def test_looking_writes_nothing(tmp_path: Path) -> None:
    assert Store(tmp_path / "cache").find("app-1") is None
    assert not (tmp_path / "cache").exists(), "a preview of a stack may look, and must leave no trace"


@pytest.mark.parametrize("damage", ["remove", "cut", "index"])
def test_what_is_damaged_counts_as_not_built(tmp_path: Path, damage: str) -> None:
    path = add(Store(tmp_path))

    if damage == "remove":
        path.unlink()
    elif damage == "cut":
        path.write_text("con")
    else:
        (tmp_path / "artifacts" / "index" / "app-1.json").write_text('{"file": ')

    assert Store(tmp_path).find("app-1") is None


def test_a_file_that_is_not_kept_is_gone(tmp_path: Path) -> None:
    with Store(tmp_path).new_file() as file:
        file.write_text("half")

    assert not file.parent.exists(), "nothing half-done stays behind"


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    second_has_it = threading.Event()

    def second() -> None:
        with Store(tmp_path).lock("app-1"):
            second_has_it.set()

    thread = threading.Thread(target=second)
    with Store(tmp_path).lock("app-1"):
        thread.start()
        assert not second_has_it.wait(0.2), "the first still holds it"
    assert second_has_it.wait(60), "the first has let go"
    thread.join()


def test_a_work_folder_is_the_same_each_time_and_empty(tmp_path: Path) -> None:
    paths: list[Path] = []
    for _ in range(2):
        with Store(tmp_path).work("1") as path:
            assert not any(path.iterdir()), "the one before left nothing"
            (path / "file").touch()
            paths.append(path)

    assert paths[0] == paths[1], "compilers write the path into what they make"


def test_what_a_killed_build_left_is_kept_apart_and_then_removed(tmp_path: Path) -> None:
    left = tmp_path / "artifacts" / "work" / "1-0"
    (left / "app").mkdir(parents=True)

    with Store(tmp_path).work("1") as path:
        assert path != left, "its package manager may still be writing there"

    assert not left.exists(), "and afterwards it is gone"
