"""The table that `make bench-capacity` writes."""

import pytest

from lab.bench import capacity, pages

ROWS = [
    {"servers": 1, "predicted": 50.0, "measured": 49.0, "error_percent": 2.0, "found": "app, cpu"},
    {"servers": 2, "predicted": 100.0, "measured": 80.0, "error_percent": 25.0, "found": "edge, cpu"},
    {"servers": 3, "predicted": 150.0, "measured": None, "error_percent": None, "found": "none"},
]


def test_what_is_off_by_more_than_a_fifth_or_was_not_measured_has_missed() -> None:
    text = capacity.table(ROWS, 2)
    one, two, three = (
        line for line in text.splitlines() if line.startswith("| 1") or "| 2 |" in line or "| 3 |" in line
    )
    assert one == "| 1 | 50.0 | 49.0 | +2.0 % | 20 % or less | met | app, cpu |"
    assert "| **missed** |" in two
    assert "| none |  | 20 % or less | **missed** |" in three


def test_only_the_table_of_the_page_is_written_anew() -> None:
    page = capacity.PAGE.read_text()
    anew = pages.replaced(page, capacity.BEGIN, "a table\n", capacity.END)
    before, after = page.split(capacity.BEGIN)[0], page.split(capacity.END)[1]
    assert anew == f"{before}{capacity.BEGIN}a table\n{capacity.END}{after}"
    with pytest.raises(ValueError, match="lacks its marks"):
        pages.replaced("no marks", capacity.BEGIN, "a table\n", capacity.END)
