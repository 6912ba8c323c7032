"""What `make bench-data` writes."""

from pathlib import Path

from lab.bench import data
from lab.bench.measure import THROUGHPUT

SEEN = {
    kind.name: {
        kind.variant(way, count): [
            {THROUGHPUT: 100.0 * (count + round_), data.BUSIEST: 98.0} for round_ in range(data.ROUNDS)
        ]
        for way in data.WAYS
        for count in kind.counts
    }
    for kind in data.KINDS
}


def test_each_number_has_a_row_with_median_and_spread() -> None:
    lines = data.table(SEEN).splitlines()
    assert "| reads, 2 replicas | 300 (200 to 400) | 98.0 (98.0 to 98.0) |" in lines
    assert "| writes, 4 shards | 500 (400 to 600) | 98.0 (98.0 to 98.0) |" in lines
    assert "| reads, 1 replica | 200 (100 to 300) | 98.0 (98.0 to 98.0) |" in lines
    assert len([line for line in lines if line.startswith(("| reads", "| writes"))]) == 14


def test_the_page_has_the_marks_and_the_picture_that_are_written_anew(tmp_path: Path) -> None:
    page = data.PAGE.read_text()
    assert data.BEGIN in page
    assert data.END in page.partition(data.BEGIN)[2]
    assert f"({data.PICTURE.relative_to(data.PAGE.parent)})" in page
    data.draw(SEEN, tmp_path / "made/throughput.svg")
    drawn = (tmp_path / "made/throughput.svg").read_text()
    # The scale is one for both, and goes on to the highest of them.
    assert all(f">{text}<" in drawn for text in ("replicas", "shards", "reads", "writes", "600"))
