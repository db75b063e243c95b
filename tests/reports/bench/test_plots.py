# SPDX-License-Identifier: Apache-2.0
"""Timings read back and drawn: marks stand where the lines say, and only like meets like."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from spade_eval.errors import UserError
from spade_eval.reports.bench.lines import read_bench_lines
from spade_eval.reports.bench.page import one_two_five
from spade_eval.reports.bench.plots import bench_pages, plot_bench
from spade_eval.reports.plots.page import WIDTH, settings

pytest.importorskip("matplotlib")

SHARED = {
    "torch": "2.9", "threads": 2, "processor": "Fast 9", "gpu": None, "repeats": 3,
    "commit": "0123456789", "commit_clean": True, "time": "2026-01-01T00:00:00+00:00",
}  # fmt: skip
Marks = list[tuple[float, float]]


def timed(seconds: float) -> dict[str, float]:
    return {"seconds": seconds, "fastest": 0.9 * seconds, "slowest": 1.5 * seconds}


def generator(size: int, batch: int, labels: int, **fields: object) -> dict[str, object]:
    row = {
        "bench": "generator", "model": "spade", "work": "synthesis", "variant": "dense",
        "height": size, "width": size, "batch": batch, "num_labels": labels, "base_channels": 64,
        "device": "cpu", "ratio": 1.0, "maps": "scenes", "warm_up": 1,
    }  # fmt: skip
    return {**SHARED, **row, **timed(size * size * batch * labels * 1e-6), **fields}


def score(images: int, way: str, processes: int, **fields: object) -> dict[str, object]:
    row = {
        "bench": "score", "way": way, "images": images, "processes": processes, "height": 64,
        "width": 128, "batch": 4, "model": "spade", "segmenter": "U-Net", "features": "U-Net",
        "ratio": 2.0, "peak_mib": 100.0, "device": "cpu",
        "written": "none" if way == "one pass" else "all",
    }  # fmt: skip
    return {**SHARED, **row, **timed(0.1 * images / processes), **fields}


def distance(count: int, **fields: object) -> dict[str, object]:
    row = {
        "bench": "distance", "dim": 8, "num_images": count, "ours_seconds": 0.01 * count,
        "fastest": 0.005 * count, "slowest": 0.02 * count, "scipy_seconds": 3.0,
        "scipy_fastest": 2.0, "scipy_slowest": 5.0, "ratio": 0.1, "scipy_version": "1.15",
    }  # fmt: skip
    return {**SHARED, **row, **fields}


def train(size: int, model: str = "spade", **budget: object) -> dict[str, object]:
    settings_of_budget = {
        "width": 0.5, "precision": "float32", "tf32": False, "channels_last": False,
        "compile": False, "accumulate": 1, **budget,
    }  # fmt: skip
    return {
        **SHARED, "bench": "train", "model": model, "height": size, "width": size, "batch": 4,
        "dataset": "scenes", "device": "cpu", "seconds": 1e9, "step_seconds": size / 16,
        "fastest": size / 32, "slowest": size / 8, "budget": settings_of_budget,
    }  # fmt: skip


def table_of(folder: Path, *rows: dict[str, object]) -> Any:
    path = folder / "lines.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return read_bench_lines([path])


@pytest.fixture
def pages(tmp_path: Path) -> Iterator[Any]:
    """Figures of rows by name, drawn and not written."""
    with settings():
        yield lambda *rows: {stem: page for stem, page, _ in bench_pages(table_of(tmp_path, *rows))}


def curves(axes: Any) -> list[Marks]:
    """The points of the lines with marks, in the order they were drawn."""
    return [
        [(float(x), float(y)) for x, y in line.get_xydata()]
        for line in axes.lines
        if line.get_marker() not in ("None", "", None)
    ]


def whiskers(axes: Any) -> list[Marks]:
    return [
        [(float(x), float(y)) for x, y in line.get_xydata()]
        for line in axes.lines
        if line.get_marker() == "None" and line.get_linewidth() == 1.6
    ]


def legend(page: Any) -> list[str]:
    (found,) = page.figure.legends
    return [text.get_text() for text in found.get_texts()]


def near(marks: Marks) -> Any:
    return [pytest.approx(mark) for mark in marks]


# Reading.


def test_a_log_of_the_terminal_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    row, other = generator(64, 4, 10), distance(50)
    log.write_bytes(
        f"size batch\n64 x 64 {{no JSON}}\n 50%|###\r100%|####\r{json.dumps(row)}\r\n"
        f'{{"loss": 1}}\n\n  {json.dumps(other)}\nbench: done \xff\n'.encode("latin-1")
    )
    second = tmp_path / "second.jsonl"
    second.write_text(json.dumps(distance(60)))
    table = read_bench_lines([log, second])
    assert list(table["bench"]) == ["generator", "distance", "distance"]
    assert list(table["num_images"])[1:] == [50, 60]
    assert math.isnan(table["num_images"][0])
    assert isinstance(table["batch"][0], int)
    assert table["gpu"][0] is None


def test_a_line_that_was_cut_off_is_named(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(f' 0%\r50%\n{json.dumps(distance(50))}\n100%\r{{"bench": "dist')
    with pytest.raises(UserError, match=r"lines\.jsonl, line 3: begins like a JSON object"):
        read_bench_lines([path])


@pytest.mark.parametrize("text", ["", "a table\n", '{"loss": 1}\n', '["bench"]\n'])
def test_a_file_without_timings_is_refused(tmp_path: Path, text: str) -> None:
    good, path = tmp_path / "good", tmp_path / "empty.txt"
    good.write_text(json.dumps(distance(50)))
    path.write_text(text)
    with pytest.raises(UserError, match=r'empty\.txt: no line .* with a "bench".* --save FILE'):
        read_bench_lines([good, path])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.jsonl: cannot be read \(No such file"):
        read_bench_lines([tmp_path / "none.jsonl"])


# Figures.


def test_generator_against_size(pages: Any) -> None:
    rows = [generator(size, 4, 10) for size in (64, 128)]
    rows += [generator(size, 4, 10, variant="fast", ratio=size / 32, **timed(size / 8))
             for size in (128, 64)]  # fmt: skip
    found = pages(*rows)
    assert list(found) == ["bench_generator_size"]
    seconds, ratios = found["bench_generator_size"].figure.axes
    assert legend(found["bench_generator_size"]) == ["dense", "fast"]
    dense, fast = curves(seconds)
    assert dense == near([(64, 64 * 64 * 10e-6), (128, 128 * 128 * 10e-6)])  # an image, of 4
    assert fast == near([(64, 64 / 8 / 4), (128, 128 / 8 / 4)])
    lines = whiskers(seconds)
    assert len(lines) == 4
    assert lines[3] == near([(128, 0.9 * 4), (128, 1.5 * 4)])
    assert curves(ratios) == [[(64, 1), (128, 1)], [(64, 2), (128, 4)]]
    assert (seconds.get_xscale(), seconds.get_yscale()) == ("log", "log")
    assert [text.get_text() for text in seconds.get_xticklabels()] == ["64", "128"]
    assert (seconds.get_ylabel(), ratios.get_ylabel()) == (
        "seconds an image",
        "times as fast as dense",
    )


def test_sizes_that_are_no_squares_stand_at_the_root_of_their_area(pages: Any) -> None:
    found = pages(generator(64, 1, 10), generator(64, 1, 10, width=256))
    ((first, second),) = curves(found["bench_generator_size"].figure.axes[0])
    assert (first[0], second[0]) == (64, 128)


@pytest.mark.parametrize(
    ("x", "one", "other"),
    [("batch", (64, 1, 10), (64, 8, 10)), ("num_labels", (64, 1, 10), (64, 1, 184))],
)
def test_generator_against_batch_and_labels(
    pages: Any, x: str, one: tuple[int, int, int], other: tuple[int, int, int]
) -> None:
    found = pages(generator(*one), generator(*other))
    assert list(found) == [f"bench_generator_{x}"]
    (curve,) = curves(found[f"bench_generator_{x}"].figure.axes[0])
    place = {"batch": 1, "num_labels": 2}[x]
    expected = [(row[place], row[0] ** 2 * row[2] * 1e-6) for row in (one, other)]
    assert curve == near(expected)
    assert found[f"bench_generator_{x}"].figure.axes[0].get_ylim()[0] == 0


@pytest.mark.parametrize(
    "other",
    [
        {"batch": 2},
        {"num_labels": 20},
        {"work": "training"},
        {"model": "concat"},
        {"maps": "photos/labels"},
        {"base_channels": 32},
        {"threads": 1},
        {"processor": "Slow 1"},
        {"torch": "2.8"},
        {"device": "cuda", "gpu": "GPU 1"},
    ],
)
def test_what_differs_in_more_than_the_size_is_no_curve(
    pages: Any, tmp_path: Path, other: dict[str, object]
) -> None:
    rows = [generator(64, 4, 10), generator(128, 4, 10) | other]
    assert pages(*rows) == {}
    assert plot_bench(table_of(tmp_path, *rows), tmp_path / "out") == []
    assert not (tmp_path / "out").exists()
    # With a second size of each they are two rows of panels that say what differs.
    rows += [generator(128, 4, 10, **timed(1.0)), generator(256, 4, 10, **timed(2.0)) | other]
    figure = pages(*rows)["bench_generator_size"].figure
    upper, _, lower, _ = figure.axes
    (first,), (second,) = curves(upper), curves(lower)
    assert [x for x, _ in first] == [64, 128]
    assert [x for x, _ in second] == [128, 256]
    assert second[1][1] == 2.0 / other.get("batch", 4)  # type: ignore[operator]
    titles = [axes.get_title(loc="left") for axes in (upper, lower)]
    assert titles[0] != titles[1]
    assert titles[1]


def test_two_curves_of_one_place_each_are_no_figure(pages: Any) -> None:
    rows = [generator(64, 4, 10), generator(128, 4, 10, variant="fast")]
    assert pages(*rows) == {}
    found = pages(*rows, generator(128, 4, 10))
    dense, fast = curves(found["bench_generator_size"].figure.axes[0])
    assert (len(dense), len(fast)) == (2, 1)


def test_of_a_place_measured_again_the_latest_counts(pages: Any) -> None:
    again = generator(64, 4, 10, time="2026-02-01T00:00:00+00:00", **timed(8.0))
    found = pages(again, generator(64, 4, 10), generator(128, 4, 10))
    ((first, _),) = curves(found["bench_generator_size"].figure.axes[0])
    assert first == (64, 2.0)


def test_score_against_images(pages: Any) -> None:
    rows = [score(n, "one pass", p, threads=2 // p, ratio=[2.0, None][p - 1])
            for p in (1, 2) for n in (10, 20, 40)]  # fmt: skip
    rows += [score(n, "three steps", 1, ratio=1.0, **timed(n / 5)) for n in (10, 20)]
    found = pages(*rows)
    assert list(found) == ["bench_score_images"]
    seconds, ratios = found["bench_score_images"].figure.axes
    one, two, steps = curves(seconds)
    assert one == near([(n, 0.1) for n in (10, 20, 40)])
    assert two == near([(n, 0.05) for n in (10, 20, 40)])
    assert steps == near([(n, 0.2) for n in (10, 20)])
    assert legend(found["bench_score_images"]) == [
        "one pass, 1 process\n(2 threads)",
        "one pass, 2 processes\n(1 thread)",
        "three steps, 1 process\n(2 threads)",
    ]
    assert curves(ratios) == [[(10, 2), (20, 2), (40, 2)], [], [(10, 1), (20, 1)]]
    assert seconds.get_ylim()[0] == 0


def test_score_against_size(pages: Any) -> None:
    rows = [score(10, "one pass", 1, height=height) for height in (128, 512)]
    rows.append(score(20, "one pass", 1, height=32))  # of another number of images
    found = pages(*rows)
    assert list(found) == ["bench_score_size"]
    (curve,) = curves(found["bench_score_size"].figure.axes[0])
    assert curve == near([(128, 0.1), (256, 0.1)])


def test_distance_against_images(pages: Any) -> None:
    found = pages(distance(50), distance(200), distance(400, dim=9))
    assert list(found) == ["bench_distance_num_images"]
    (axes,) = found["bench_distance_num_images"].figure.axes
    assert curves(axes) == [near([(50, 0.5), (200, 2.0)]), [(50, 3.0), (200, 3.0)]]
    assert legend(found["bench_distance_num_images"]) == ["ours", "SciPy"]
    assert whiskers(axes)[1] == near([(200, 1.0), (200, 4.0)])
    assert whiskers(axes)[2] == [(50, 2.0), (50, 5.0)]


def test_training_against_size(pages: Any) -> None:
    assert pages(train(64), train(64, "concat")) == {}
    found = pages(train(64), train(128), train(128, "concat"), train(256, precision="bf16"))
    (axes,) = found["bench_train_size"].figure.axes
    assert curves(axes) == [[(64, 1.0), (128, 2.0)], [(128, 2.0)]]  # a step of 4 images
    assert legend(found["bench_train_size"]) == ["spade", "concat"]


def test_counts_of_an_older_version_are_passed_over(pages: Any) -> None:
    counted = {**SHARED, "bench": "count", "stage": "head", "form": "dense", "operations": 1e10}
    assert list(pages(counted, generator(64, 4, 10), generator(128, 4, 10))) == [
        "bench_generator_size"
    ]


def test_lines_of_another_version_are_refused(pages: Any) -> None:
    old = {**SHARED, "bench": "distance", "rows": [distance(50)]}
    with pytest.raises(UserError, match=r"bench distance cannot be drawn .*'ours_seconds"):
        pages(old)
    with pytest.raises(UserError, match=r"a line of bench generator .* not above 0"):
        pages(generator(64, 4, 10, **timed(0.0)))


def test_every_figure_is_written_in_three_forms(tmp_path: Path) -> None:
    rows = [generator(64, 4, 10), generator(128, 4, 10), generator(64, 1, 10), generator(64, 4, 20)]
    rows += [score(10, "one pass", 1), score(20, "one pass", 1), distance(50), distance(60),
             score(10, "one pass", 1, height=512), train(64), train(128),
             {**SHARED, "bench": "data", "what": "photos", "images": 32}]  # fmt: skip
    plots = plot_bench(table_of(tmp_path, *rows), tmp_path)
    names = ["generator_size", "generator_batch", "generator_num_labels", "score_images",
             "score_size", "distance_num_images", "train_size"]  # fmt: skip
    assert [plot.png.name for plot in plots] == [f"bench_{name}.png" for name in names]
    for plot in plots:
        with Image.open(plot.png) as image:
            assert image.width == round(150 * WIDTH)
            picture = np.asarray(image.convert("RGB"))
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
        assert plot.pdf.stat().st_size > 2000
        svg = plot.svg.read_text("utf-8")
        assert "<path" in svg
        assert "Marks: medians" in plot.caption


def test_ticks_are_around_the_values() -> None:
    assert one_two_five([0.3, 4]) == [0.2, 0.5, 1, 2, 5]
    assert one_two_five([1, 1]) == [1]
    assert one_two_five([0.03, 700]) == [0.01, 0.1, 1, 10, 100, 1000]


def test_the_ends_of_an_axis_are_named_where_not_all_places_fit(pages: Any) -> None:
    found = pages(*(generator(64, 1, labels) for labels in (16, 97, 151, 180, 184)))
    axes = found["bench_generator_num_labels"].figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["16", "97", "151", "184"]


def test_the_page_says_what_was_measured_on_what(pages: Any) -> None:
    rows = [generator(64, 4, 10), generator(128, 4, 10, commit="fedcba9876", commit_clean=False)]
    page = pages(*rows)["bench_generator_size"]
    assert page.title == (
        "Generator: time an image against image size: spade, synthesis, batch 4, 10 labels, "
        "64 base channels, label maps: scenes"
    )
    notes = " ".join(text.get_text() for text in page.figure.texts).replace("\n", " ")
    assert (
        "Measured on Fast 9, 2 threads; torch 2.9; runs of each: 3; runs before, not counted: 1; "
        "commit 01234567, fedcba98 with changes."
    ) in notes
