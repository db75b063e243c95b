# SPDX-License-Identifier: Apache-2.0
"""Many runs together: seeds averaged, protocols apart, disagreements named."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from counted import write_run
from synthetic import group, job

from spade_eval.metrics.count_influence import count_influence
from spade_eval.records import Measurement
from spade_eval.reports.measured.counts import stored_counts
from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.reports.measured.provenance import command_to_repeat, provenance_lines
from spade_eval.reports.measured.seeds import seeded_rows
from spade_eval.reports.merged_report import write_merged_report
from spade_eval.reports.runs import merged, open_run
from spade_eval.reports.statistics.power import smallest_between_seeds
from spade_eval.reports.tables.leaderboard import different, leaderboard, leaderboard_table
from spade_eval.reports.tables.writing import plain_attrs


def valued(source: str, value: float, **changes: object) -> list[Measurement]:
    kind = str(changes.pop("kind", "generator"))
    (item,) = job(source, kind, metrics=["miou"], **changes)
    return [dataclasses.replace(item, value=value)]


def test_golden_leaderboard() -> None:
    measurements = [
        *valued("spade", 0.3, seed=0), *valued("spade", 0.5, seed=1), *valued("concat", 0.6),
        *valued("real", 0.9, kind="real", seed=0), *valued("real", 0.9, kind="real", seed=1),
        *valued("grey", 0.1, kind="grey"),
    ]  # fmt: skip
    table = leaderboard(group(measurements))
    assert table["row"].tolist() == ["real", "grey", "concat", "spade"]
    assert table["seeds"].tolist() == [1, 1, 1, 2]
    np.testing.assert_allclose(table["miou"], [0.9, 0.1, 0.6, 0.4])
    np.testing.assert_allclose(table["miou_spread"], [np.nan, np.nan, np.nan, 0.2**0.5 * 0.1**0.5],
                               rtol=1e-12)  # fmt: skip
    shown = leaderboard_table(table)
    means, over_seeds = shown.columns[-2:]
    assert [cell.rank for cell in means.cells] == [""] * 4, "two seeds are no verdict"
    # t of one degree, 12.7 times 0.1414 / sqrt(2), about 0.4, would go from -0.87 to 1.67.
    assert [cell.text for cell in over_seeds.cells] == [
        "-", "-", "one training", "[0.00, 100.00]"
    ]  # fmt: skip
    assert shown.shown.startswith("No difference between methods is tested")


def test_three_seeds_and_more_are_tested_and_marked() -> None:
    spade, concat, other = [0.5, 0.52, 0.51, 0.5], [0.4, 0.42, 0.41, 0.401], [0.41, 0.4, 0.42, 0.4]
    measurements = [
        item
        for source, values in (("spade", spade), ("concat", concat), ("other", other))
        for seed, value in enumerate(values)
        for item in valued(source, value, seed=seed)
    ]
    table = leaderboard(group([*measurements, *valued("once", 0.9)]))
    best = dict(zip(table["row"], table["miou_best"], strict=True))
    assert best == {"once": False, "spade": True, "other": False, "concat": False}
    assert set(plain_attrs(table)) == {"metrics", "title", "shown", "notes", "warnings", "facts"}
    means = next(item for item in leaderboard_table(table).columns if item.heading == "mIoU")
    assert [len(cell.origin.records) for cell in means.cells if cell.origin] == [1, 4, 4, 4]
    said = table.attrs["shown"]
    assert "mIoU: spade above concat and other; not shown: concat and other." in said
    # The pair that is told best: the level of four seeds over three pairs, its non-central t.
    sizes = [
        100 * smallest_between_seeds(float(np.std(np.subtract(one, two), ddof=1)), 4, num_tests=3)
        for one, two in ((spade, concat), (spade, other), (concat, other))
    ]
    assert f"Detectable with 4 seeds: mIoU {min(sizes):.3g} to {max(sizes):.3g} points." in said
    assert any(note.startswith("± is the sample") for note in table.attrs["notes"])
    assert not any("± is" in note for note in leaderboard(group(valued("a", 0.4))).attrs["notes"])


@pytest.mark.parametrize(
    ("real", "second", "reason"),
    [
        (0.9, 0, "that takes three seeds of two rows"),
        (0.9, 3, "no two rows have three seeds in common"),
        (0.05, 0, "the segmenter fails on the real photos"),
    ],
)
def test_why_nothing_is_tested_is_said(real: float, second: int, reason: str) -> None:
    counts = {"spade": (0, 3), "concat": (second, second + (3 if second or real < 0.5 else 2))}
    measurements = [
        item
        for source, seeds in counts.items()
        for seed in range(*seeds)
        for item in valued(source, 0.3 + seed / 100, seed=seed)
    ]
    board = leaderboard(group([*measurements, *valued("real", real, kind="real", seed=0)]))
    assert f"No difference between methods is tested: {reason}" in board.attrs["shown"]


def test_intervals_over_images_are_of_the_mean_of_the_checkpoints(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path / f"run{seed}", {"real": 0.1, "spade": 0.5}, seed=seed)
    runs = [open_run(tmp_path / f"run{seed}") for seed in range(3)]
    (only,) = by_protocol(merged(runs).measurements)
    line = leaderboard(only, [run.folder for run in runs]).set_index("row").loc["spade"]
    influences = []
    for row in (row for row in seeded_rows(only) if row.title == "spade"):
        for seed, version in enumerate(row.versions):
            counts = stored_counts(tmp_path / f"run{seed}", version.measurements[0])
            assert counts is not None
            influences.append(count_influence(counts, "miou", "target"))
    error = np.mean(influences, axis=0).std(ddof=1) / np.sqrt(60)
    ends = [line["miou_images_low"], line["miou_images_high"]]
    np.testing.assert_allclose(ends, [line["miou"] - 1.959964 * error,
                                      line["miou"] + 1.959964 * error])  # fmt: skip
    assert line["miou_seeds_low"] < line["miou"] < line["miou_seeds_high"]
    alone = leaderboard(only).set_index("row").loc["spade"]
    assert np.isnan(alone["miou_images_low"]), "without the folders nothing is stored"


def test_rows_of_one_name_that_were_made_otherwise_stay_apart() -> None:
    ours = {"train_steps": None, "kind": "checkpoint"}
    measurements = [
        *valued("spade", 0.3, seed=0), *valued("spade", 0.5, seed=0, train_steps=9),
        *valued("mine", 0.3, source_sha256="1" * 64, **ours),
        *valued("mine", 0.4, source_sha256="2" * 64, **ours),
    ]  # fmt: skip
    assert [row.title for row in seeded_rows(group(measurements))] == [
        "spade (generator, 400 steps)", "spade (generator, 9 steps)",
        "mine (checkpoint, 11111111)", "mine (checkpoint, 22222222)",
    ]  # fmt: skip


def test_seeds_of_two_ways_to_train_are_two_rows() -> None:
    """Loss, rates, steps: whatever differs besides the seed, though the steps are the same."""
    measurements = [
        item
        for way, values in (("lite0", (0.5, 0.6)), ("none", (0.3, 0.4)))
        for seed, value in enumerate(values)
        for item in valued("spade", value, seed=seed, train_steps=1000, train_way_sha256=way * 2,
                           train_perceptual=way)
    ]  # fmt: skip
    table = leaderboard(group(measurements)).set_index("row")
    assert table["seeds"].tolist() == [2, 2]
    means = table["miou"].to_dict()
    assert means["spade (generator, 1000 steps, perceptual loss: lite0)"] == pytest.approx(0.55)
    assert means["spade (generator, 1000 steps, perceptual loss: none)"] == pytest.approx(0.35)


def test_rows_of_one_name_say_in_which_settings_they_differ() -> None:
    def made(rate: float, way: str) -> list[Measurement]:
        settings = {"batch_size": 8, "optimizers": {"G": {"rate": rate, "betas": [0, 1]}}}
        return valued("spade", rate, train_settings=settings, train_way_sha256=way)

    rows = seeded_rows(group([*made(0.1, "a"), *made(0.2, "b")]))
    assert [row.title for row in rows] == [
        "spade (generator, 400 steps, optimizers.G.rate: 0.1)",
        "spade (generator, 400 steps, optimizers.G.rate: 0.2)",
    ]


def test_notes_of_some_trained_rows_name_them() -> None:
    common, own, named = "scored by a segmenter", "trained without a loss", "concat: reads colours"
    measurements = [
        *valued("real", 0.9, kind="real", notes=(common,)),
        *valued("spade", 0.3, notes=(common, own)), *valued("mine", 0.3, notes=(common, own)),
        *valued("concat", 0.2, notes=(common, named)),
    ]  # fmt: skip
    notes = leaderboard(group(measurements)).attrs["notes"]
    assert notes[:3] == [common, f"spade, mine: {own}", named]
    every = [*valued("spade", 0.3, notes=(own,)), *valued("concat", 0.3, notes=(own,))]
    assert leaderboard(group(every)).attrs["notes"][0] == own


def test_profiles_are_never_one_column() -> None:
    mixed = [*valued("spade", 0.3), *valued("spade", 0.5, profile="modern")]
    groups = by_protocol(mixed)
    said = different([one.key for one in groups])
    assert said == "2 protocols that differ in profile (in-domain, modern)"
    assert [len(leaderboard(one)) for one in groups] == [1, 1]


def test_duplicates_that_disagree_are_named(tmp_path: Path) -> None:
    for name in ("here", "there"):
        write_run(tmp_path / name, {"real": 0.1, "spade": 0.5})
    records = tmp_path / "there" / "records.jsonl"
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    for line in lines:
        if line["source"] == "spade" and line["metric"] == "acc_all":
            line["value"] = 0.25
    records.write_text("".join(json.dumps(line) + "\n" for line in lines))
    runs = [open_run(tmp_path / "here"), open_run(tmp_path / "there")]
    found = merged(runs)
    (only,) = found.disagreements
    assert (only.source, only.metric, only.second) == ("spade", "acc_all", 0.25)
    assert found.num_duplicates == len(lines) - 1
    written = write_merged_report(runs, tmp_path / "out")
    assert "here and there hold the same job with different values of acc_all" in written.text
    page = (tmp_path / "out" / "html" / "index.html").read_text("utf-8")
    assert page.index('id="leaderboard-1"') < page.index('id="scores-1"')
    names = {path.name for path in written.paths}
    assert {f"leaderboard.{form}" for form in ("csv", "md", "tex", "png", "pdf", "svg")} <= names


def test_several_protocols_get_a_table_each(tmp_path: Path) -> None:
    write_run(tmp_path / "a", {"spade": 0.5})
    write_run(tmp_path / "b", {"spade": 0.4}, profile="modern")
    runs = [open_run(tmp_path / name) for name in ("a", "b")]
    written = write_merged_report(runs, tmp_path / "out")
    assert "2 protocols that differ in profile (in-domain, modern)" in written.text
    assert sum(path.name == "leaderboard.csv" for path in written.paths) == 2


def test_the_command_of_a_number_is_one_that_can_be_typed() -> None:
    config = {
        "dataset": "scenes", "profile": "in-domain", "segmenter": "in-domain", "seed": 3,
        "budget_name": "default", "samples": 0, "fid_profile": "pytorch-fid",
        "budget": {"size": [64, 128], "steps": 5, "batch_size": 8, "width": 0.5,
                   "segmenter_steps": 7, "val_limit": None, "rate_scale": 4.0,
                   "perceptual": "lite0", "one_synthesis": True, "channels_last": False},
    }  # fmt: skip
    (item,) = valued("it's; rm -rf", 0.5, kind="checkpoint")
    command = command_to_repeat(config, item)
    assert command.startswith("python run_benchmark.py --dataset scenes --budget default --seed 3")
    assert "--size 64x128 --steps 5" in command
    assert "--rate-scale 4.0 --perceptual lite0" in command
    assert "--one-synthesis" in command
    assert "--channels-last" not in command
    assert "--segmenter in-domain" not in command
    ruled = command_to_repeat({**config, "until": "miou+-1"}, item)
    assert "--until miou+-1" in ruled
    assert command.endswith("""--checkpoint 'it'"'"'s; rm -rf=FILE'""")
    assert command_to_repeat({**config, "dataset": "ade20k"}).count("--data-root DIR") == 1
    assert provenance_lines(item)["SHA-256 of the protocol"] == "b" * 64
