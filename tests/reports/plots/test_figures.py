# SPDX-License-Identifier: Apache-2.0
"""Figures and sample grids: written whole, of a sensible size, with unaltered pixels."""

import dataclasses
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from synthetic import IN_DOMAIN, TOO_FEW, group, job, run

from spade_eval.errors import UserError
from spade_eval.figures.grid import samples_grid
from spade_eval.files import written_whole
from spade_eval.reports.measured.grouping import ProtocolGroup
from spade_eval.reports.plots.bars import plot_metric_bars
from spade_eval.reports.plots.classes import plot_per_class_iou
from spade_eval.reports.plots.page import WIDTH, Page
from spade_eval.reports.plots.page import Plot as DrawnPlot

CASES = {
    "typical": run(classes=["sea", "sky"]),
    "one row": job("spade", classes=["sea"]),
    "references only": [*job("real", "real", classes=["sea"]), *job("oracle", "oracle")],
    "twelve rows, long names": run([f"model-{'x' * 60}-$a_{i}$" for i in range(10)], classes=["a"]),
    "182 classes": run(classes=[f"class-{index}" for index in range(182)]),
}
Plot = Callable[[ProtocolGroup, Path], list[DrawnPlot]]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("plot", [plot_metric_bars, plot_per_class_iou])
def test_plots_are_paper_wide_and_not_blank(plot: Plot, case: str, tmp_path: Path) -> None:
    (drawn,) = plot(group(CASES[case]), tmp_path / "plots")
    with Image.open(drawn.png) as image:
        assert image.width == round(150 * WIDTH)
        assert image.height < 2000
        low, high = image.convert("L").getextrema()
    assert low < 60
    assert high == 255
    assert set(drawn.png.parent.iterdir()) == {drawn.png, drawn.pdf, drawn.svg}
    assert drawn.pdf.read_bytes().startswith(b"%PDF")
    assert ElementTree.parse(drawn.svg).getroot().tag.endswith("svg")


@pytest.mark.parametrize("plot", [plot_metric_bars, plot_per_class_iou])
def test_plots_are_reproducible_and_carry_the_notes(
    plot: Plot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    save = Page.save

    def spy(page: Page, path: Path) -> Path:
        shown.extend(text.get_text() for text in page.figure.texts)
        return save(page, path)

    monkeypatch.setattr(Page, "save", spy)
    measured = group(run(classes=["sea"], notes=(TOO_FEW,)))
    (first,), (second,) = plot(measured, tmp_path / "a"), plot(measured, tmp_path / "b")
    for form in ("png", "pdf", "svg"):
        assert getattr(first, form).read_bytes() == getattr(second, form).read_bytes(), form
    text = "\n".join(shown)
    for expected in ("scenes val, 500 images of 64x64, profile in-domain", TOO_FEW, IN_DOMAIN):
        assert expected in text


def test_missing_values_do_not_break_a_plot(tmp_path: Path) -> None:
    empty = [dataclasses.replace(item, value=None) for item in job("spade", classes=["sea"])]
    assert len(plot_metric_bars(group(empty), tmp_path)) == 1
    assert plot_per_class_iou(group(empty), tmp_path) == []
    assert len(plot_per_class_iou(group([*empty, *job("concat", classes=["sea"])]), tmp_path)) == 1


def _images(folder: Path, count: int, height: int, width: int) -> list[Path]:
    folder.mkdir(parents=True)
    numbers = np.random.default_rng(0)
    paths = []
    for index in range(count):
        pixels = numbers.integers(0, 256, (height, width, 3), dtype=np.uint8)
        paths.append(folder / f"{index}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


@pytest.mark.parametrize(("height", "width", "factor"), [(64, 64, 3), (256, 512, 1), (128, 128, 2)])
def test_grid_enlarges_pixels_by_whole_factors(
    height: int, width: int, factor: int, tmp_path: Path
) -> None:
    columns = {name: _images(tmp_path / name, 2, height, width) for name in ("real", "spade")}
    page = np.asarray(Image.open(samples_grid(columns, tmp_path / "grid.png", "A caption.")))
    pixels = np.asarray(Image.open(columns["real"][0]))
    enlarged = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    rows, left = enlarged.shape[0], 6
    tops = [
        top
        for top in range(page.shape[0] - rows)
        if np.array_equal(page[top, left : left + enlarged.shape[1]], enlarged[0])
    ]
    assert tops
    top = tops[0]
    assert np.array_equal(page[top : top + rows, left : left + enlarged.shape[1]], enlarged)


def test_grid_stops_at_eight_rows_and_bridges_gaps(tmp_path: Path) -> None:
    real = _images(tmp_path / "real", 10, 64, 64)
    columns = {"real": real, "a model of a very long name " * 5: [real[0], tmp_path / "none.png"]}
    page = Image.open(samples_grid(columns, tmp_path / "grid.png", "word " * 100))
    assert 8 * 192 < page.height < 9 * 192 + 200
    few = Image.open(samples_grid({"real": real[:1]}, tmp_path / "grid.png", ""))
    assert few.height < 300


def test_grid_names_an_image_that_cannot_be_decoded(tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(UserError, match=r"bad\.png: cannot be decoded"):
        samples_grid({"real": [bad]}, tmp_path / "grid.png", "")
    assert not (tmp_path / "grid.png").exists()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")

    def fill_the_disk() -> None:
        with written_whole(path) as temporary:
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(UserError, match=r"table\.csv: cannot be written"):
        fill_the_disk()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
