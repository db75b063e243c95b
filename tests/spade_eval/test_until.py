# SPDX-License-Identifier: Apache-2.0
"""`--until` through the engine: random order, rows that stop by themselves, tables of their own."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from few_scenes import few_scenes

from spade_eval import datasets
from spade_eval.cli import main, options, tables
from spade_eval.config import RunConfig
from spade_eval.engine import Benchmark
from spade_eval.errors import UserError
from spade_eval.jobs import processes
from spade_eval.metrics.count_influence import count_influence
from spade_eval.metrics.counts import StoredCounts
from spade_eval.metrics.stopping import half_width, random_order, require_one_process
from spade_eval.models.training.distributed import World
from spade_eval.protocol import protocol_for
from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.reports.run_report import printed_report
from spade_eval.reports.statistics.comparison import compare
from spade_eval.rows import Request
from spade_eval.workplace import Workplace

COUNT = 120
Make = Callable[..., Benchmark]


def config(until: str | None, **flags: object) -> RunConfig:
    return options.run_config("scenes", "default", 0, "16", until=until, **flags)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Make:
    folder = tmp_path_factory.mktemp("until")

    def make(until: str | None, **changes: object) -> Benchmark:
        place = Workplace(
            run_folder=folder / (until or "whole"), data_root=folder, weights_dir=folder,
            device=torch.device("cpu"), save_images=110,
        )  # fmt: skip
        return Benchmark(config(until), dataclasses.replace(place, **changes))

    return make


@pytest.fixture(autouse=True)
def scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(datasets.DATASETS, "scenes", few_scenes(COUNT))


@pytest.fixture(scope="module")
def stopped(made: Make) -> Benchmark:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(datasets.DATASETS, "scenes", few_scenes(COUNT))
        benchmark = made("miou+-3")
        benchmark.run(Request())
        made(None).run(Request())
    return benchmark


def counts_of(benchmark: Benchmark, row: str) -> StoredCounts:
    (path,) = (benchmark.place.run_folder / "counts").glob(f"{row}-*.npz")
    return StoredCounts.load(path)


def test_rows_stop_where_their_sequence_is_narrow_or_where_the_split_ends(
    stopped: Benchmark,
) -> None:
    found = {item.source: item for item in stopped.store if item.metric == "miou"}
    assert found["grey"].num_images == 100, "grey is known at the first look"
    assert any("split end" in note for note in found["label colours"].notes)
    for name, item in found.items():
        assert item.until == "miou+-3"
        counts = counts_of(stopped, name)
        assert len(counts) == item.num_images
        influence = count_influence(counts, "miou", "target")
        assert influence is not None
        ended = any("images of the split end before miou+-3 is met" in note for note in item.notes)
        assert ended == (half_width(influence) > 0.03)
        assert ended <= (len(counts) == COUNT)
        assert any("random order" in note for note in item.notes)


def test_images_come_in_the_same_random_order_in_every_row(stopped: Benchmark) -> None:
    names = [stopped.dataset.names[place] for place in random_order(COUNT, 0)]
    for row in ("real", "grey", "label colours"):
        counts = counts_of(stopped, row)
        assert list(counts.names) == names[: len(counts)]


def test_an_image_counts_as_in_a_run_of_the_whole_split(stopped: Benchmark, made: Make) -> None:
    whole, mine = counts_of(made(None), "oracle"), counts_of(stopped, "oracle")
    places = [whole.names.index(name) for name in mine.names]
    assert np.array_equal(mine.counts, whole.counts[places])


def test_they_never_share_a_table_with_rows_of_the_whole_split(
    stopped: Benchmark, made: Make
) -> None:
    groups = by_protocol([*stopped.store, *made(None).store])
    assert len(groups) == 2
    text = printed_report(stopped.place.run_folder)
    assert "scenes val, until miou+-3, images of 16x16" in text
    assert "stopped by" in text
    grey = next(line for line in text.splitlines() if line.startswith("grey "))
    assert {"100", "miou+-3"} <= set(grey.split())
    assert "FD" not in text.split("Note:")[0], "distances depend on N"


def test_rows_are_compared_on_their_common_images_by_the_sequence(stopped: Benchmark) -> None:
    (only,) = by_protocol(stopped.store)
    folder = stopped.place.run_folder
    (pair,) = compare(only, "label colours", ["grey"], folder).pairs
    miou = next(item for item in pair.differences if item.metric == "miou")
    assert (miou.num_images, miou.verdict) == (100, "better")
    assert miou.method == "confidence sequence over the common images"
    both = [counts_of(stopped, name) for name in ("label colours", "grey")]
    first = [dataclasses.replace(of, names=of.names[:100], counts=of.counts[:100],
                                 num_ignored=of.num_ignored[:100]) for of in both]  # fmt: skip
    one, two = (count_influence(of, "miou", "target") for of in first)
    assert one is not None
    assert two is not None
    assert miou.high - miou.corrected == pytest.approx(half_width(one - two))
    assert {item.verdict for item in pair.classes} <= {"no interval"}


def test_a_second_run_measures_nothing_and_writes_no_image(stopped: Benchmark, made: Make) -> None:
    folder = stopped.place.run_folder
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")}
    assert len(list((folder / "images" / "real").iterdir())) == min(
        110, len(counts_of(stopped, "real"))
    )
    assert made("miou+-3").run(Request()) == []
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.png")} == before


def test_a_run_without_a_rule_has_the_hash_of_before() -> None:
    plain = config(None)
    assert "until" not in plain.as_json()
    assert config("miou+-1").sha256 != plain.sha256
    assert "until" not in protocol_for("in-domain", "scenes").hashed()
    ruled = protocol_for("in-domain", "scenes", until="miou+-1.0")
    assert ruled.hashed()["until"] == "miou+-1"
    assert any("miou+-1, in a random order" in line for line in ruled.lines())


def test_several_processes_are_refused(made: Make) -> None:
    with pytest.raises(UserError, match="found 2 processes; leave --gpus"):
        made("miou+-3", world=World(rank=0, size=2))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--until", "fid+-1"], "expected METRIC+-POINTS"),
        (["--until", "miou+-1", "--fid-profile", "clean-fid"], "the bias of a distance depends"),
        (["--until", "miou+-1", "--samples", "3"], "diversity is measured on the whole split"),
    ],
)
def test_what_does_not_go_with_a_rule_is_refused(
    flags: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", "--model", "none", "--out", str(tmp_path / "x"), *flags])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("words", [["benchmark"], ["benchmark", "--seeds", "3"], ["score", "a=."]])
def test_several_processes_are_refused_before_they_are_started(
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def started(*_: object) -> int:
        raise AssertionError("a process or a job was started")

    monkeypatch.setattr(processes, "launch", started)
    monkeypatch.setattr(tables, "_run", started)
    flags = ["--until", "miou+-1", "--gpus", "2", "--device", "cpu", "--out", str(tmp_path / "x")]
    with pytest.raises(SystemExit) as ended:
        main([*words, *flags])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--until miou+-1 looks at images one batch after another, found 2 processes" in error
    assert not (tmp_path / "x").exists()


def test_one_process_may_be_asked_for_by_name() -> None:
    require_one_process("miou+-1", 1)
    require_one_process("", 8)
