# SPDX-License-Identifier: Apache-2.0
"""Blocks of a page are replaced whole, and nothing else of it is touched."""

from pathlib import Path

import pytest
from counted import write_run
from synthetic import job

from spade_eval.cli import main
from spade_eval.errors import UserError
from spade_eval.papers.tables import paper_table_called
from spade_eval.reports.measured.provenance import shared_provenance
from spade_eval.reports.run_report import fill_page_with_run, write_run_tables
from spade_eval.reports.runs import open_run
from spade_eval.reports.tables.filled_page import fill_page, fill_with_figure, fill_with_table

PAGE = "# Title\n\n<!-- table3 -->\nold\n<!-- /table3 -->\n\nEnd <!-- table4 -->\n"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_a_block_is_replaced_again_and_again(page: Path) -> None:
    for text in ("new", r"with \1 and \g<0>", "new"):
        fill_page(page, "table3", text)
        assert page.read_text() == PAGE.replace("old", text)


def test_an_empty_block_is_filled(page: Path) -> None:
    page.write_text("<!-- a -->\n<!-- /a -->\n")
    fill_page(page, "a", "text\n")
    assert page.read_text() == "<!-- a -->\ntext\n<!-- /a -->\n"


def test_scores_of_a_run_fill_their_block(tmp_path: Path) -> None:
    write_run(tmp_path / "run", {"real": 0.1, "spade": 0.5})
    write_run_tables(open_run(tmp_path / "run"))
    page = tmp_path / "README.md"
    page.write_text("# Title\n<!-- scores -->\n<!-- /scores -->\nEnd\n")
    written = fill_page_with_run(tmp_path / "run", page)
    assert written == [page, tmp_path / "README-scores.csv"]
    text = page.read_text()
    assert text.startswith("# Title\n<!-- scores -->\n```text\nscenes val, 60 images")
    assert "- spade: one training each." in text
    assert "- every digit: [README-scores.csv](README-scores.csv)" in text
    assert text.endswith("<!-- /scores -->\nEnd\n")
    stored = tmp_path / "run" / "tables" / "scores.csv"
    assert written[1].read_bytes() == stored.read_bytes()
    write_run(tmp_path / "run", {"real": 0.2}, height=128, protocol_sha256="f" * 64)
    with pytest.raises(UserError, match="scored under 2 protocols"):
        fill_page_with_run(tmp_path / "run", page)


def test_a_leaderboard_fills_its_block(tmp_path: Path) -> None:
    for seed in range(2):
        write_run(tmp_path / f"run{seed}", {"real": 0.1, "spade": 0.5}, seed=seed)
    page = tmp_path / "page.md"
    page.write_text("# Title\n<!-- pilots -->\nold\n<!-- /pilots -->\nEnd\n")
    runs = [str(tmp_path / f"run{seed}") for seed in range(2)]
    words = ["report", *runs, "--out", str(tmp_path / "out"), "--into", str(page)]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--block", "other"])
    assert ended.value.code == 2
    assert not (tmp_path / "out").exists(), "refused before anything is written"
    with pytest.raises(SystemExit):
        main([*words, "--block", "pilots"])
    text = page.read_text()
    assert text.startswith("# Title\n<!-- pilots -->\n**Leaderboard: scenes val")
    assert "| spade | generator | 2 |" in text
    assert "- measured on " in text
    assert text.endswith("<!-- /pilots -->\nEnd\n")


@pytest.mark.parametrize(
    "text", ["", "<!-- table3 -->", PAGE + PAGE, "x <!-- table3 -->\n<!-- /table3 -->"]
)
def test_pages_without_the_one_block_are_refused(page: Path, text: str) -> None:
    page.write_text(text)
    with pytest.raises(UserError, match="expected exactly one block"):
        fill_page(page, "table3", "new")
    assert page.read_text() == text


def test_a_missing_page_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.md: no such file"):
        fill_page(tmp_path / "nowhere.md", "table3", "new")


def test_a_table_brings_its_figure_and_numbers(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "table3.md").write_text("| a |\n")
    (folder / "table3.png").write_bytes(b"png")
    (folder / "table3.csv").write_text("a\n")
    paths = fill_with_table(page, paper_table_called("3"), folder, ["in one hour"])
    assert [path.name for path in paths] == ["page.md", "page-table3.png", "page-table3.csv"]
    assert (tmp_path / "page-table3.png").read_bytes() == b"png"
    text = page.read_text()
    for part in ("![Table 3](page-table3.png)", "| a |", "- in one hour", "page-table3.csv"):
        assert part in text
    with pytest.raises(UserError):
        fill_with_table(page, paper_table_called("4"), folder, [])
    assert not (tmp_path / "page-table4.png").exists()


def test_a_figure_brings_its_lines(page: Path, tmp_path: Path) -> None:
    page.write_text("<!-- style -->\n<!-- /style -->\n")
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "style.png").write_bytes(b"png")
    fill_with_figure(page, tmp_path / "f" / "style.png", ["one", "two"])
    assert page.read_text().splitlines()[1:5] == ["![style](page-style.png)", "", "- one", "- two"]


def test_times_and_machines_are_those_of_the_models() -> None:
    facts = {"seconds": 60.0, "platform": "Linux", "versions": {"torch": "2.4.0", "scipy": "1"}}
    items = [
        *job("spade", seed=0, **facts), *job("spade", seed=1, **{**facts, "seconds": 180.0}),
        *job("concat", **{**facts, "seconds": 1e6}), *job("real", "real", **facts),
    ]  # fmt: skip
    times, machine = shared_provenance(items, ["spade"])
    assert times.startswith("2 trainings of 400 steps")
    assert "1.0 to 3.0 minutes each (median 2.0), 0.1 hours in all" in times
    assert machine == "measured on cpu, Linux, torch 2.4.0, code outside of a repository."
    one, _ = shared_provenance(items[2:], ["concat"])
    assert one.startswith("1 training of 400 steps with its scoring: 16666.7 minutes, started ")
    assert shared_provenance(items, []) == []
