# SPDX-License-Identifier: Apache-2.0
"""The figure of a paper's table: every row is there, bounds and spreads are told apart."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from synthetic import job

from spade_eval.papers.tables import PAPER_TABLES, PaperTable, paper_table_called
from spade_eval.records import Measurement
from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.reports.plots.papers import plot_paper_table
from spade_eval.reports.tables.paper_tables import paper_table

pytest.importorskip("matplotlib")


def records(models: list[str], seeds: int, dataset: str = "scenes") -> list[Measurement]:
    items = [*job("real", "real", dataset=dataset), *job("oracle", "oracle", dataset=dataset)]
    for seed in range(seeds):
        for model in models:
            found = job(model, seed=seed, dataset=dataset, source_sha256=f"{seed}" * 64)
            items += [replace(item, value=(item.value or 0) * (1 + 0.1 * seed)) for item in found]
    return items


@pytest.mark.parametrize("asked", PAPER_TABLES.values(), ids=PAPER_TABLES)
def test_every_table_is_drawn(tmp_path: Path, asked: PaperTable) -> None:
    table = paper_table(asked, by_protocol(records(list(asked.models), seeds=2)))
    path = plot_paper_table(table, tmp_path / "table.png", paper_table(asked, []))
    picture = np.asarray(Image.open(path).convert("RGB"))
    assert picture.shape[1] == 1080
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_a_table_with_nothing_but_bounds_is_drawn(tmp_path: Path) -> None:
    table = paper_table(paper_table_called("3"), by_protocol(records([], seeds=1)))
    assert plot_paper_table(table, tmp_path / "a.png").is_file()


def test_equal_numbers_give_equal_bytes_and_others_do_not(tmp_path: Path) -> None:
    def drawn(name: str, seeds: int) -> bytes:
        groups = by_protocol(records(["spade", "concat"], seeds))
        table = paper_table(paper_table_called("3"), groups)
        return plot_paper_table(table, tmp_path / name).read_bytes()

    assert drawn("a.png", 2) == drawn("b.png", 2)
    assert drawn("a.png", 2) != drawn("c.png", 1)  # no spread of one seed


def test_several_datasets_are_blocks(tmp_path: Path) -> None:
    heights = []
    for datasets in (["cocostuff"], ["cocostuff", "ade20k"]):
        items = [item for name in datasets for item in records(["spade"], 1, dataset=name)]
        table = paper_table(paper_table_called("1"), by_protocol(items))
        path = plot_paper_table(table, tmp_path / "a.png", paper_table(paper_table_called("1"), []))
        heights.append(Image.open(path).height)
    assert heights[1] > heights[0] + 100
