# SPDX-License-Identifier: Apache-2.0
"""The reports of both validations: every form, the block of a page, what is refused."""

from pathlib import Path

import pandas as pd
import pytest
from counted import write_run

from spade_eval.errors import UserError
from spade_eval.metrics.stopping import StoppingRule
from spade_eval.reports.run_report import RunReport
from spade_eval.reports.validation_report import (
    about_population,
    fill_with_stopping,
    fill_with_validation,
    looks_at,
    only_group,
    write_stopping,
    write_validation,
)


def written(folder: Path, titles: tuple[str, ...] = (), sizes: tuple[int, ...] = (60, 40)) -> str:
    page = folder / "page.md"
    page.write_text("Before.\n<!-- validation -->\n<!-- /validation -->\nAfter.\n")
    report = write_validation(folder, folder / "out", titles, sizes, 3, 0, 1, lambda size: None)
    copies = fill_with_validation(page, report)
    assert [path.name for path in copies] == ["page.md", "page-validation.png"]
    return report.text


def test_everything_is_written_and_a_page_filled(tmp_path: Path) -> None:
    write_run(tmp_path, {"real": 0.1, "mine": 0.3, "bad": 0.7})
    text = written(tmp_path)
    for part in ("mine - bad", "KID (same features)", "miou", "3 replications", "N = 40:",
                 "trusted no further", "Population: 60 label maps"):  # fmt: skip
        assert part in text
    assert "real" not in text
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"validation.csv", "validation.md", "validation.tex", "validation.svg"} <= names
    frame = pd.read_csv(tmp_path / "out" / "validation.csv")
    assert set(frame["num_images"]) == {60, 40}
    assert frame["coverage"].between(0, 1).all()
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("Before.\n<!-- validation -->\n![Coverage](page-validation.png)")
    assert "mine - bad" in page
    assert page.endswith("<!-- /validation -->\nAfter.\n")


def test_rows_can_be_chosen(tmp_path: Path) -> None:
    write_run(tmp_path, {"mine": 0.3, "bad": 0.7})
    assert "bad" not in written(tmp_path, ("mine",), (40,))


def test_rows_that_are_not_there_are_named(tmp_path: Path) -> None:
    write_run(tmp_path, {"mine": 0.3})
    with pytest.raises(UserError, match="'yours'"):
        written(tmp_path, ("yours",), (40,))


def test_what_cannot_be_a_population_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "bare", {"mine": 0.3}, features=False)
    with pytest.raises(UserError, match="no row with per-image counts and features"):
        written(tmp_path / "bare")
    write_run(tmp_path / "two", {"mine": 0.3})
    write_run(tmp_path / "two", {"mine": 0.3}, protocol_sha256="f" * 64)
    with pytest.raises(UserError, match="rows of 2 protocols"):
        written(tmp_path / "two")
    with pytest.raises(UserError, match="--n 39: intervals of distances need 40 images"):
        written(tmp_path / "two", sizes=(39,))


def stopped(folder: Path, titles: tuple[str, ...] = ()) -> RunReport:
    rule = StoppingRule.parse("miou+-2")
    looks = looks_at(130, 20)
    return write_stopping(folder, folder / "out", titles, rule, looks, 3, 0, 1, lambda: None)


def test_stopping_is_written_and_a_page_filled(tmp_path: Path) -> None:
    """Of a run without any distance: counts are enough."""
    write_run(tmp_path, {"real": 0.1, "mine": 0.3, "bad": 0.7}, features=False)
    report = stopped(tmp_path)
    for part in ("mine - bad", "miou at 3 looks", "Population: 60 label maps of"):
        assert part in report.text
    assert "real" not in report.text
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"stopping.csv", "stopping.md", "stopping.tex"} <= names
    frame = pd.read_csv(tmp_path / "out" / "stopping.csv")
    assert frame["subject"].tolist() == ["mine", "bad", "mine - bad"]
    assert frame["interval_alone"].between(0, 1).all()
    page = tmp_path / "page.md"
    page.write_text("Before.\n<!-- stopping -->\n<!-- /stopping -->\nAfter.\n")
    assert fill_with_stopping(page, report) == [page]
    assert "| mine - bad |" in page.read_text()
    assert page.read_text().endswith("<!-- /stopping -->\nAfter.\n")


def test_fresh_scenes_are_of_no_split(tmp_path: Path) -> None:
    write_run(tmp_path, {"mine": 0.3, "bad": 0.7}, dataset="scenes")
    group = only_group(tmp_path)
    said = [about_population(60, group, fresh) for fresh in (False, True)]
    assert said[0].startswith("Population: 60 label maps of scenes val, 60 images of")
    assert said[1] == said[0].replace("scenes val,", "fresh scenes, of no split,")


def test_what_has_no_counts_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "one", {"mine": 0.3, "bad": 0.7})
    with pytest.raises(UserError, match="'yours'"):
        stopped(tmp_path / "one", ("yours",))
    for path in (tmp_path / "one" / "counts").iterdir():
        path.unlink()
    with pytest.raises(UserError, match="no row with per-image counts"):
        stopped(tmp_path / "one")


def test_rows_of_other_images_are_no_population(tmp_path: Path) -> None:
    write_run(tmp_path, {"mine": 0.3}, features=False)
    write_run(tmp_path, {"bad": 0.7}, num_images=50, features=False)
    with pytest.raises(UserError, match="mine and bad were scored on other images"):
        stopped(tmp_path)


def test_looks_begin_at_the_first_and_end_at_the_last() -> None:
    assert looks_at(150, 20) == [100, 120, 140, 150]
    assert looks_at(140, 20) == [100, 120, 140]
    assert looks_at(100, 20) == [100]
    with pytest.raises(UserError, match="--n 99: the first look is after 100 images"):
        looks_at(99, 20)
