# SPDX-License-Identifier: Apache-2.0
"""Comparisons: intervals that hold zero show no difference, and everything is written."""

import csv
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from counted import CLASSES, write_run
from PIL import Image
from synthetic import group

from spade_eval.errors import UserError
from spade_eval.records import RecordStore
from spade_eval.reports.comparison_report import compared_images, write_comparisons
from spade_eval.reports.measured.counts import average_of, stored_counts
from spade_eval.reports.statistics.bootstrap import draw_counts, drawn_images, interval, resampled
from spade_eval.reports.statistics.comparison import NUM_IMAGES_SHOWN, compare
from spade_eval.reports.statistics.differences import verdict
from spade_eval.reports.statistics.feature_distances import left_out_frechet
from spade_eval.reports.statistics.frechet_influence import expand_frechet, standard_error_of
from spade_eval.reports.statistics.intervals import row_uncertainty
from spade_eval.reports.statistics.kernel_distances import (
    kernel_influence,
    left_out_pairs,
    paired_sums,
)
from spade_eval.reports.statistics.stored_distances import stored_features
from spade_eval.reports.tables.comparisons import class_lists, difference_table, image_lists

WRONG = {"real": 0.05, "mine": 0.3, "same": 0.3, "bad": 0.7}


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    write_run(folder, WRONG)
    return folder


def test_a_clear_difference_is_shown_and_none_is_not(run_folder: Path) -> None:
    measurements = list(RecordStore(run_folder / "records.jsonl"))
    comparison = compare(group(measurements), "mine", ["bad", "same"], run_folder)
    bad, same = comparison.pairs
    shown = {item.metric: item for item in bad.differences}
    assert {item.verdict for item in shown.values()} == {"better"}
    assert shown["miou"].low > 0
    recorded = {item.source: item.value for item in measurements if item.metric == "fd_in_domain"}
    assert shown["fd_in_domain"].difference == recorded["mine"] - recorded["bad"]
    assert shown["fd_in_domain"].high < 0
    assert "jackknife" in shown["fd_in_domain"].method
    # Two draws of the same source: none of the accuracies can be told apart here.
    verdicts = {item.metric: item.verdict for item in same.differences}
    assert verdicts["miou"] == verdicts["acc_valid"] == "no difference shown"
    assert {item.verdict for item in bad.classes} == {"better"}
    assert [item.difference for item in bad.classes] == sorted(
        (item.difference for item in bad.classes), reverse=True
    )


def test_a_segmenter_that_fails_on_photos_gives_no_verdict(run_folder: Path) -> None:
    measurements = [
        replace(item, value=0.05) if (item.source, item.metric) == ("real", "miou") else item
        for item in RecordStore(run_folder / "records.jsonl")
    ]
    comparison = compare(group(measurements), "mine", ["bad"], run_folder)
    assert comparison.notes[0].startswith("The segmenter fails on the real photos")
    (pair,) = comparison.pairs
    shown = {item.metric: item.verdict for item in pair.differences}
    assert shown["miou"] == shown["acc_valid"] == "withheld"
    assert shown["fd_in_domain"] == "better"
    assert {item.verdict for item in pair.classes} == {"withheld"}
    assert all(item.low > 0 for item in pair.differences if item.metric == "miou"), "kept"


def test_a_row_against_itself_has_no_difference(run_folder: Path) -> None:
    measurements = list(RecordStore(run_folder / "records.jsonl"))
    (pair,) = compare(group(measurements), "mine", ["mine"], run_folder).pairs
    for item in pair.differences:
        assert (item.difference, item.low, item.high) == (0, 0, 0)
        assert item.verdict == "no difference shown"


def test_intervals_are_of_the_difference_and_paired(run_folder: Path) -> None:
    """The same resamples on both sides: computed here from the stored counts directly."""
    measurements = list(RecordStore(run_folder / "records.jsonl"))
    by_title = {row.title: row for row in group(measurements).rows}
    times = draw_counts(drawn_images(60))
    drawn = {}
    for title in ("mine", "bad"):
        counts = stored_counts(run_folder, by_title[title].measurements[0])
        drawn[title] = resampled(counts, times, average_of(by_title[title], counts)).miou
    low, high = interval(drawn["mine"] - drawn["bad"])
    (pair,) = compare(group(measurements), "mine", ["bad"], run_folder).pairs
    (miou,) = [item for item in pair.differences if item.metric == "miou"]
    assert (miou.low, miou.high) == (low, high)
    assert low < miou.difference < high


def test_distances_differ_by_paired_influence_about_the_corrected_difference(
    run_folder: Path,
) -> None:
    by_title = {row.title: row for row in group(RecordStore(run_folder / "records.jsonl")).rows}
    corrected, influence = {}, {}
    for title in ("mine", "bad"):
        sets = stored_features(run_folder, by_title[title].scores["fd_in_domain"])
        assert sets is not None
        value = by_title[title].scores["fd_in_domain"].value
        assert value is not None
        corrected[title] = value - left_out_frechet(*sets, paired=True).bias
        influence[title] = expand_frechet(*sets, paired=True).influence
    measurements = list(RecordStore(run_folder / "records.jsonl"))
    (pair,) = compare(group(measurements), "mine", ["bad"], run_folder).pairs
    (shown,) = [item for item in pair.differences if item.metric == "fd_in_domain"]
    error = (influence["mine"] - influence["bad"]).std(ddof=1) / math.sqrt(60)
    assert shown.corrected == pytest.approx(corrected["mine"] - corrected["bad"])
    assert shown.high - shown.corrected == pytest.approx(1.959964 * error)
    assert shown.corrected - shown.low == pytest.approx(1.959964 * error)
    assert "corrected" in [column.heading for column in difference_table(pair).columns]
    # Accuracies have no bias to speak of: what is shown is what was recorded.
    assert all(item.corrected == item.difference for item in pair.differences if item.unit == "%")


def test_distances_that_cannot_be_corrected_are_compared_as_they_are(tmp_path: Path) -> None:
    """Photos and images of 80 features, 60 of them: groups of pairs leave, no bias is taken."""
    write_run(tmp_path, WRONG)
    numbers = np.random.default_rng(0)
    shared = numbers.normal(size=(60, 80))
    for place, path in enumerate(sorted((tmp_path / "features").iterdir())):
        made = shared * (1 + place) + numbers.normal(size=(60, 80))
        np.savez(path, features=made.astype(np.float32))
    (reference,) = (tmp_path / "cache").iterdir()
    np.savez(reference, features=shared.astype(np.float32))
    measurements = list(RecordStore(tmp_path / "records.jsonl"))
    (pair,) = compare(group(measurements), "mine", ["bad"], tmp_path).pairs
    (shown,) = [item for item in pair.differences if item.metric == "fd_in_domain"]
    assert shown.corrected == shown.difference
    assert (shown.low + shown.high) / 2 == pytest.approx(shown.difference, rel=1e-12)  # rounding
    assert shown.low < shown.high
    assert shown.method == "jackknife over 20 groups of pairs; not corrected: N <= d"


@pytest.mark.parametrize("metric", ["frechet", "kernel"])
def test_false_verdicts_are_as_rare_as_they_are_said_to_be(metric: str) -> None:
    """Two methods at one distance from the photos: each changes other features by as much."""
    numbers = np.random.default_rng(1)
    named, made = 0, []
    for _ in range(200):
        shared, noise, first, second = numbers.normal(size=(4, 100, 8))
        real = shared + noise / 2
        made = [shared * 0.9 + first / 2, shared * 0.9 + second / 2]
        for side, features in ((made[0], slice(0, 2)), (made[1], slice(4, 6))):
            side[:, features] = side[:, features] * 1.5 + 0.3
        if metric == "frechet":
            bias = [left_out_frechet(real, side, paired=True) for side in made]
            both = [expand_frechet(real, side, paired=True).influence for side in made]
            centre = bias[0].value - bias[0].bias - bias[1].value + bias[1].bias
        else:
            both = [kernel_influence(paired_sums(real, side)) for side in made]
            values = [left_out_pairs(paired_sums(real, side)).value for side in made]
            centre = values[0] - values[1]
        named += abs(centre) > 1.959964 * standard_error_of(both[0] - both[1])
    # 5% of 200, and three standard errors of that.
    assert named <= 19


def test_images_that_differ_most_come_first(run_folder: Path) -> None:
    measurements = list(RecordStore(run_folder / "records.jsonl"))
    (pair,) = compare(group(measurements), "mine", ["bad"], run_folder).pairs
    assert len(pair.images) == NUM_IMAGES_SHOWN
    sizes = [abs(item.difference) for item in pair.images]
    assert sizes == sorted(sizes, reverse=True)
    for item in pair.images:
        assert item.difference == pytest.approx(item.subject - item.baseline)


def test_wins_and_losses_are_lists_of_their_own(run_folder: Path) -> None:
    """Also where most images are won: the losses are not crowded out."""
    measurements = list(RecordStore(run_folder / "records.jsonl"))
    (pair,) = compare(group(measurements), "mine", ["same"], run_folder).pairs
    signs = [item.difference > 0 for item in pair.images]
    assert min(signs.count(True), signs.count(False)) >= 5
    won, lost = image_lists(pair, 5)
    assert won.title.startswith("Images won by mine against same")
    assert lost.title.startswith("Images lost by mine against same")
    for table, sign in ((won, 1), (lost, -1)):
        values = [sign * (cell.value or 0) for cell in table.columns[-1].cells]
        assert values == sorted(values, reverse=True)
        assert min(values) > 0
    (bad,) = compare(group(measurements), "mine", ["bad"], run_folder).pairs
    (classes,) = class_lists(bad, 2)
    assert (
        classes.title == f"{len(CLASSES)} classes won by mine against bad, the 2 largest "
        "differences: IoU"
    )
    assert classes.num_rows == 2


def test_numbers_of_images_link_to_those_that_are_kept(tmp_path: Path) -> None:
    write_run(tmp_path, {"my row": 0.3, "bad": 0.7})
    (pair,) = compare(
        group(list(RecordStore(tmp_path / "records.jsonl"))), "my row", ["bad"], tmp_path
    ).pairs
    kept = tmp_path / "images" / "my row" / f"{pair.images[0].name}.png"
    kept.parent.mkdir(parents=True)
    kept.touch()
    write_comparisons(tmp_path, ["my row"], ["bad"])
    page = tmp_path / "compare" / "my-row" / "comparison.md"
    (link,) = re.findall(r"\]\((\.\./[^)]+\.png)\)", page.read_text("utf-8"))
    assert (page.parent / unquote(link)).resolve() == kept.resolve()
    assert pair.images[0].name in compared_images(tmp_path, ["my row"], ["bad"])


@pytest.mark.parametrize(
    ("low", "high", "larger", "said"),
    [
        (0.1, 0.2, True, "better"),
        (0.1, 0.2, False, "worse"),
        (-0.2, -0.1, False, "better"),
        (-0.1, 0.1, True, "no difference shown"),
        (0.0, 0.1, True, "no difference shown"),
        (math.nan, math.nan, True, "no interval"),
    ],
)
def test_verdicts(low: float, high: float, larger: bool, said: str) -> None:
    assert verdict(low, high, larger) == said


def test_one_page_is_written(run_folder: Path) -> None:
    written = write_comparisons(run_folder, ["mine"], ["same", "bad"])
    folder = run_folder / "compare" / "mine"
    names = {path.name for path in written.paths}
    assert {"comparison.md", "differences.csv", "classes.csv", "images.csv", "differences.png",
            "differences.pdf", "classes_against_bad.svg"} <= names  # fmt: skip
    assert "no difference shown" in written.text
    assert "<img" not in (folder / "comparison.md").read_text("utf-8")
    with (folder / "classes.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["class"] for line in lines} == set(CLASSES)
    with Image.open(folder / "differences.png") as image:
        assert image.convert("L").getextrema()[0] < 60


def test_wrong_names_and_changed_files_are_refused(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no row is called 'spade'"):
        write_comparisons(run_folder, ["mine"], ["spade"])
    write_run(tmp_path, {"mine": 0.3, "bad": 0.7})
    (path,) = (tmp_path / "counts").glob("mine-*.npz")
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["counts"][0] = 0
    np.savez(path, **arrays)
    with pytest.raises(UserError, match="give another mIoU than the"):
        write_comparisons(tmp_path, ["mine"], ["bad"])


def test_changed_numbers_of_ignored_pixels_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path, {"mine": 0.3, "bad": 0.7})
    (path,) = (tmp_path / "counts").glob("mine-*.npz")
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["num_ignored"][0] += 5
    np.savez(path, **arrays)
    with pytest.raises(UserError, match="give another accuracy than the"):
        write_comparisons(tmp_path, ["mine"], ["bad"])


@pytest.mark.parametrize("value", [0.5, "x", np.nan])
def test_changed_distances_of_a_cache_are_computed_again(tmp_path: Path, value: Any) -> None:
    write_run(tmp_path, {"mine": 0.3, "bad": 0.7})
    rows = group(list(RecordStore(tmp_path / "records.jsonl"))).rows
    once = row_uncertainty(rows, [tmp_path])
    kept = list((tmp_path / "cache").glob("jackknife-*.npz"))
    assert kept
    for path in kept:
        with np.load(path) as stored:
            arrays = dict(stored)
        np.savez(path, **{**arrays, "without": np.full(arrays["without"].shape, value)})
    assert row_uncertainty(rows, [tmp_path]) == once


def test_changed_features_make_what_was_kept_of_them_void(tmp_path: Path) -> None:
    write_run(tmp_path, {"mine": 0.3})
    rows = group(list(RecordStore(tmp_path / "records.jsonl"))).rows
    once = row_uncertainty(rows, [tmp_path])
    (path,) = (tmp_path / "features").glob("mine-*.npz")
    with np.load(path) as stored:
        np.savez(path, features=stored["features"] + 1)
    assert row_uncertainty(rows, [tmp_path]).corrected != once.corrected


def test_without_counts_there_are_no_intervals(tmp_path: Path) -> None:
    write_run(tmp_path, {"mine": 0.3, "bad": 0.7}, features=False)
    for path in (tmp_path / "counts").glob("bad-*.npz"):
        path.unlink()
    measurements = list(RecordStore(tmp_path / "records.jsonl"))
    comparison = compare(group(measurements), "mine", ["bad"], tmp_path)
    assert {item.verdict for item in comparison.pairs[0].differences} == {"no interval"}
    assert any("No intervals" in note and "bad" in note for note in comparison.notes)
    found = row_uncertainty(group(measurements).rows, [tmp_path]).intervals
    assert {title for title, _ in found} == {"mine"}
    low, high = found["mine", "miou"]
    (value,) = [i.value for i in measurements if i.metric == "miou" and i.source == "mine"]
    assert low < value < high
