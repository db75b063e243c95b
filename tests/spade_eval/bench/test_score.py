# SPDX-License-Identifier: Apache-2.0
"""The speed of scoring, measured: all ways give the same numbers, ratios are what seconds say."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spade_eval.bench.score import WAYS, RepeatedSamples, time_score
from spade_eval.cli import main
from spade_eval.cli.bench.score import _ways
from spade_eval.datasets.scenes import Scenes
from spade_eval.engine import Benchmark
from spade_eval.errors import UserError
from spade_eval.models.training.distributed import World

Make = Callable[..., Benchmark]
SMALL = ["--size", "64", "--width", "0.05", "--repeats", "1"]


def test_samples_are_repeated_under_other_names() -> None:
    scenes = Scenes("val", (64, 64), length=4)
    repeated = RepeatedSamples(scenes, 2, 5)
    assert len(repeated) == len({*repeated.names}) == 5
    for index in range(5):
        assert np.array_equal(repeated[index].photo, scenes[index % 2].photo)
        assert repeated[index].name == repeated.names[index]


def test_all_ways_of_the_bench_give_the_same_numbers(benchmark_in: Make) -> None:
    scorer = benchmark_in().networks.scorer
    dataset = RepeatedSamples(Scenes("val", (64, 64), length=4), 2, 5)
    repeated = dataclasses.replace(scorer, dataset=dataset, count=5)
    rows = time_score(
        repeated, repeated.references(), "spade_vae", width=1 / 16, ways=WAYS, repeats=2
    )
    assert [row["way"] for row in rows] == list(WAYS)
    three, dense = rows[2:]
    assert rows[0]["numbers"] == rows[1]["numbers"] == three["numbers"]
    # Other sums may turn the truncation to 8 bit by a level here and there.
    for name, value in three["numbers"].items():
        if value is None:  # the bench reads no training photos, whose copies it could find
            assert dense["numbers"][name] is None
            continue
        assert dense["numbers"][name] == pytest.approx(value, rel=0.02, abs=1e-3)
    assert three["ratio"] == 1
    for row in rows:
        assert row["fastest"] <= row["seconds"] <= row["slowest"]
        assert row["ratio"] == three["seconds"] / row["seconds"]
        assert sum(row["shares"].values()) == pytest.approx(1)
        assert all(share > 0 for share in row["shares"].values())
    # In one pass segmenter and distance share an encoder, which is the segmenter's.
    assert set(rows[0]["shares"]) == {"generator", "segmenter", "rest"}
    assert set(three["shares"]) == {"generator", "segmenter", "fd_in_domain", "rest"}
    assert "encode" not in vars(repeated.segmenter.network)


def test_the_command_prints_a_table_and_lines(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ways = ["--way", "one pass", "--way", "three steps"]
    with pytest.raises(SystemExit) as ended:
        main(["bench", "score", *SMALL, "--images", "3", "--images", "5", *ways,
              "--save", str(tmp_path / "lines.jsonl")])  # fmt: skip
    assert not ended.value.code
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.split()[:4] == ["size", "images", "processes", "way"]
    assert header.endswith("time of")
    assert all(f"{stage} " in rows[0] for stage in ("generator", "segmenter", "rest"))
    found = [json.loads(line) for line in rows[4:]]
    assert [(row["images"], row["way"]) for row in found] == [
        (count, way) for count in (3, 5) for way in ("one pass", "three steps")
    ]
    assert all((row["processes"], row["dataset"]) == (1, "scenes") for row in found)
    assert (tmp_path / "lines.jsonl").read_text().splitlines() == rows[4:]


@pytest.mark.slow
def test_two_processes_share_a_pass(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "spade_eval", "bench", "score", *SMALL, "--images", "24",
         "--gpus", "2", "--device", "cpu"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    lines = [line for line in run.stdout.splitlines() if line.startswith("{")]
    (row,) = map(json.loads, lines)
    assert (row["processes"], row["way"], row["ratio"]) == (2, "one pass", None)


def test_wrong_flags(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for flags, said in (
        (["--way", "two steps"], "no way is called 'two steps'"),
        (["--model", "spad"], "no generator is called 'spad'"),
        (["--profile", "modern"], "says nothing of scenes"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["bench", "score", *SMALL, "--images", "2", *flags,
                  "--weights-dir", str(tmp_path)])  # fmt: skip
        assert ended.value.code == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.strip().splitlines()[-1].startswith("error: ")
    several = World(rank=0, size=2)
    assert _ways(None, several) == ["one pass"]
    with pytest.raises(UserError, match="'three steps' with 2 processes"):
        _ways(["three steps"], several)
