"""The command line of what goes through a table: which entries, and what it refuses."""

from pathlib import Path
from types import ModuleType

import pytest

from lab.bottlenecks import __main__ as bottlenecks
from lab.prove import __main__ as prove
from lab.prove import options

TABLE = {"one": 1, "two": 2, "three": 3}


def test_those_that_are_named_are_chosen_in_that_order_and_all_without_names() -> None:
    assert options.chosen(["three", "one"], TABLE, "prove", "scenario") == [3, 1]
    assert options.chosen([], TABLE, "prove", "scenario") == [1, 2, 3]


@pytest.mark.parametrize(("program", "kind"), [(prove, "scenario"), (bottlenecks, "plant")])
def test_one_that_there_is_not_is_refused_with_those_that_there_are(
    program: ModuleType, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["x", "--json", str(tmp_path / "out.json"), "--only", "none-such"])
    assert program.main() == 2
    told = capsys.readouterr().err
    assert f"there is no {kind} none-such. There are: " in told
    assert not (tmp_path / "out.json").exists()


def test_a_page_has_rows_of_the_whole_form_alone(capsys: pytest.CaptureFixture[str]) -> None:
    parser = options.parser("prove", "What.", kind="scenario", page="docs/proof.md", short="less")
    assert parser.parse_args(["--json", "x", "--only", "a,b", "--page"]).only == ["a", "b"]
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(["--json", "x", "--page", "--short"])
    assert ended.value.code == 2
    assert "not allowed with argument --page" in capsys.readouterr().err
