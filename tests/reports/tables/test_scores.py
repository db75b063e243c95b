# SPDX-License-Identifier: Apache-2.0
"""Tables show what was measured, once, in a fixed order, and never mix protocols."""

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from synthetic import DISTANCE, IN_DOMAIN, METRICS, TOO_FEW, group, job, run

from spade_eval.records import Measurement
from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.reports.statistics.intervals import Uncertainty
from spade_eval.reports.statistics.standings import Standing
from spade_eval.reports.tables.formats import as_text
from spade_eval.reports.tables.score_layout import scores, write_tables
from spade_eval.reports.tables.scores import per_class_table, scores_table
from spade_eval.reports.tables.writing import has_parquet, write_parquet

OTHER_PROTOCOLS = [
    {"dataset": "cocostuff"},
    {"dataset_sha256": "e" * 64},
    {"split": "train"},
    {"height": 128},
    {"width": 128},
    {"num_images": 8},
    {"profile": "spade-paper"},
    {"protocol_sha256": "f" * 64},
    {"segmenter_sha256": "9" * 64},
]


def test_rows_and_columns_have_a_fixed_order() -> None:
    measurements = run(metrics=[*reversed(METRICS)])
    unknown = [dataclasses.replace(item, metric=f"new_{item.metric}") for item in measurements[:2]]
    table = scores_table(group([*unknown, *measurements]))
    assert list(table["source"]) == ["real", "oracle", "spade", "concat", "pix2pixhdpp"]
    facts = [
        "source", "kind", "style_input", "trained_with_segmenter", "text_input",
        "sampling_steps", "guidance", "sampler", "condition_palette", "file_format", "parameters",
        "train_steps", "trainings",
        "N", "N_real", "until", "weights", "seconds", "images_per_second",
    ]  # fmt: skip
    new = [item.metric for item in unknown]
    assert list(table.columns) == [*facts, *METRICS, *new]


def test_values_are_the_recorded_bits() -> None:
    measurements = run()
    table = scores_table(group(measurements)).set_index("source")
    for item in measurements:
        assert table.loc[item.source, item.metric] == item.value
    assert table.loc["real", "train_steps"] is pd.NA
    assert table.loc["spade", "parameters"] == 1_234_567


@pytest.mark.parametrize("change", OTHER_PROTOCOLS, ids=lambda change: next(iter(change)))
def test_protocols_never_share_a_table(change: dict[str, object]) -> None:
    mixed = [*job("spade"), *job("concat", **change)]
    groups = by_protocol(mixed)
    assert [list(scores_table(one)["source"]) for one in groups] == [["spade"], ["concat"]]
    assert len({one.key.slug for one in groups}) == 2


def test_feature_networks_never_share_a_table() -> None:
    first, second = job("spade"), job("concat")
    changed = [
        dataclasses.replace(item, features_sha256="0" * 64) if item.features else item
        for item in second
    ]
    assert len(by_protocol([*first, *second])) == 1
    assert len(by_protocol([*first, *changed])) == 2


def test_a_job_without_a_distance_joins_the_only_table() -> None:
    partial = job("concat", metrics=["miou"])
    table = scores_table(group([*partial, *job("spade")]))
    assert np.isnan(table.set_index("source").loc["concat", "fd_in_domain"])


@pytest.mark.parametrize("change", [{"source_sha256": "1" * 64}, {"seed": 1}, {"train_steps": 9}])
def test_a_source_measured_again_shows_its_latest_version(change: dict[str, object]) -> None:
    old = job("spade", started="2026-01-01T00:00:00+00:00")
    new = [
        dataclasses.replace(item, value=item.value / 2)
        for item in job("spade", started="2026-01-02T00:00:00+00:00", **change)
    ]
    for measurements in ([*old, *new], [*new, *old]):
        table = scores_table(group(measurements))
        assert len(table) == 1
        assert table.loc[0, "miou"] == new[0].value
        (note,) = [note for note in group(measurements).notes if "versions" in note]
        assert note.startswith("spade: 2 versions are recorded")
        assert "2026-01-02" in note


def test_metrics_added_later_to_one_version_complete_its_row() -> None:
    both = [
        *job("spade", metrics=["miou"]),
        *job("spade", metrics=["acc_valid"], started="2026-02-01T00:00:00+00:00"),
    ]
    table = scores_table(group(both))
    assert len(table) == 1
    assert table[["miou", "acc_valid"]].notna().all(axis=None)
    assert not any("versions" in note for note in group(both).notes)


def test_one_name_for_a_model_and_a_folder_makes_two_rows() -> None:
    both = [*job("spade", classes=["sky"]), *job("spade", "images", classes=["sky"])]
    assert list(scores_table(group(both))["kind"]) == ["generator", "images"]
    assert list(per_class_table(group(both)).columns) == ["spade (generator)", "spade (images)"]


def test_footnotes_come_once_in_order() -> None:
    measurements = [*run(), *job("spade", notes=(IN_DOMAIN, TOO_FEW))]
    *notes, training = group(measurements).notes
    assert notes == [IN_DOMAIN, DISTANCE, f"spade: {TOO_FEW}"]
    assert training.startswith("spade, concat, pix2pixhdpp: one training each.")
    assert not any("training" in note for note in group(job("real", "real")).notes)


def test_different_reference_statistics_are_noted() -> None:
    measurements = [*job("spade", reference_sha256="1"), *job("concat", reference_sha256="2")]
    assert any("same reference statistics" in note for note in group(measurements).notes)
    assert not any("statistics" in note for note in group(run(reference_sha256="1")).notes)


def test_per_class_table_keeps_absent_classes_empty() -> None:
    def absent_sky(item: Measurement) -> Measurement:
        return dataclasses.replace(item, value=None) if item.class_name == "sky" else item

    measurements = run(classes=["sea", "sky"])
    table = per_class_table(group([absent_sky(item) for item in measurements]))
    assert list(table.index) == ["sea", "sky"]
    assert list(table.columns) == ["real", "oracle", "spade", "concat", "pix2pixhdpp"]
    assert table.loc["sky"].isna().all()
    assert table.loc["sea"].notna().all()


def test_printed_table_marks_the_best_model_only() -> None:
    levels = {"real": 0.9, "spade": 0.41234, "concat": 0.3}
    kinds = {"real": "real"}
    measurements = [
        dataclasses.replace(item, value=value if item.larger_is_better else 10 * value)
        for name, value in levels.items()
        for item in job(name, kinds.get(name, "generator"), metrics=["miou", "fd_in_domain"])
    ]
    shown = {"miou": ("spade", "concat"), "fd_in_domain": ("concat", "spade")}
    standings = {name: Standing(pair, frozenset({pair}), 1) for name, pair in shown.items()}
    table = scores(group(measurements), Uncertainty({}, {}, standings=standings))
    assert table.shown == (
        "Shown at 5% over the images, of these trainings and not of their methods, all pairs of a "
        "column together (Holm): mIoU: spade above concat. FD (in-domain): concat above spade."
    )
    text = as_text(table)
    lines = text.splitlines()
    cells = {line.split()[0]: line.split()[-2:] for line in lines if line.split()[0] in levels}
    assert cells == {
        "real": ["90.00", "9.00"],
        "spade": ["41.23*", "4.12"],
        "concat": ["30.00", "3.00*"],
    }
    assert next(line for line in lines if "↑" in line).split()[-3:] == ["%", "↑", "↓"]
    rules = [index for index, line in enumerate(lines) if set(line) == {"-"}]
    assert [lines[index + 1].split()[0] for index in rules] == ["real", "spade"]


def test_without_a_test_nothing_is_marked() -> None:
    table = scores(group(run()))
    assert not table.has_ranks
    assert not table.shown
    trainings = next(column for column in table.columns if column.heading == "trainings")
    assert [cell.text for cell in trainings.cells] == ["-", "-", "1", "1", "1"]


def test_printed_table_of_one_model_has_no_mark_and_shows_gaps_as_dashes() -> None:
    (item,) = job("spade", metrics=["miou"])
    text = as_text(scores(group([dataclasses.replace(item, value=None)])))
    assert "*" not in text
    assert text.splitlines()[-1].split()[-1] == "-"


def test_small_distances_keep_digits() -> None:
    (item,) = job("spade", metrics=["fd_in_domain"])
    small = group([dataclasses.replace(item, value=0.01234)])
    assert "0.0123" in as_text(scores(small))


def test_printed_columns_are_aligned() -> None:
    text = as_text(scores(group(run(["spade", "x" * 70 + "-a", "x" * 70 + "-b"]))))
    lines = text.splitlines()
    assert max(map(len, lines)) < 160
    # Every row ends at the rule's end, or one before it where no mark stands.
    rule = next(len(line) for line in lines if set(line) == {"-"})
    assert {len(line) for line in lines if "generator" in line} <= {rule, rule - 1}
    assert len({line.split()[0] for line in lines if "xxx" in line}) == 2


def test_csv_holds_full_precision_and_provenance(tmp_path: Path) -> None:
    measurements = run(classes=["sea", "sky"])
    paths = {path.name: path for path in write_tables(group(measurements), tmp_path / "tables")}
    with paths["scores.csv"].open(newline="") as file:
        read = {row["source"]: row for row in csv.DictReader(file)}
    for item in measurements:
        if item.class_name is None:
            assert float(read[item.source][item.metric]) == item.value
    spade = read["spade"]
    assert (spade["profile"], spade["N"], spade["seed"]) == ("in-domain", "500", "0")
    assert (spade["segmenter"], spade["train_steps"]) == ("scenes-small", "400")
    assert spade["notes"] == f"{IN_DOMAIN} | {DISTANCE}"
    with paths["per_class_iou.csv"].open(newline="") as file:
        iou = {row["class"]: row for row in csv.DictReader(file)}
    for item in measurements:
        if item.class_name is not None:
            assert float(iou[item.class_name][item.source]) == item.value
    assert sorted(path.name for path in (tmp_path / "tables").iterdir()) == sorted(paths)
    forms = {"csv", "md", "tex"} | ({"parquet"} if has_parquet() else set())
    assert set(paths) == {
        f"{stem}.{form}" for stem in ("scores", "per_class_iou") for form in forms
    }


def test_unequal_counts_and_style_inputs_are_said() -> None:
    measurements = [*job("spade", num_reference_images=400), *job("sean", style_input="real image")]
    text = as_text(scores(group(measurements)))
    assert "real image" in text
    assert "400" in text
    assert any("500 synthesized images against 400" in note for note in group(measurements).notes)
    equal = job("spade", num_reference_images=500)
    assert "N real" not in as_text(scores(group(equal)))
    assert not any("against" in note for note in group(equal).notes)


def test_images_made_from_the_very_photos_compete_with_nobody() -> None:
    styles = {"means": "class means", "same": "real image (same)", "theirs": "real image"}
    items = [item for name, style in styles.items() for item in job(name, style_input=style)]
    rows = {row.title: row for row in group([*items, *job("real", "real")]).rows}
    assert [name for name, row in rows.items() if row.competes] == ["means"]


def test_parquet_holds_the_frame(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    table = scores_table(group(run()))
    (path,) = write_parquet(table, tmp_path / "scores.parquet")
    # pandas 3 reads text as its own dtype; the values are what has to be equal, every bit.
    read = pd.read_parquet(path)
    pd.testing.assert_frame_equal(read, table, check_dtype=False, check_exact=True)
