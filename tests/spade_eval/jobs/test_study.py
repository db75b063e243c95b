# SPDX-License-Identifier: Apache-2.0
"""Tables of the paper through the real command line, with two steps and four images."""

import functools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from processes import Fork
from shell_jobs import ReplayedJob

from spade_eval.cli import main
from spade_eval.config import RunConfig, budget_for
from spade_eval.datasets import DATASETS
from spade_eval.engine import Benchmark
from spade_eval.files import locked
from spade_eval.jobs import LAUNCHERS
from spade_eval.jobs import study as ablations
from spade_eval.jobs.job import REFERENCES
from spade_eval.jobs.launch import Launch, Outcome
from spade_eval.jobs.study import Study, missing, paper_table, run_folder, table_folder
from spade_eval.models.checkpoints.files import load_weights
from spade_eval.papers.tables import PAPER_TABLES, UNTRAINED
from spade_eval.records import RecordStore
from spade_eval.rows import Request
from spade_eval.training import perceptual
from spade_eval.weights import VGG19
from spade_eval.workplace import Workplace

REPOSITORY = Path(__file__).resolve().parents[3]
TINY = ["--budget", "smoke", "--steps", "2", "--batch-size", "2", "--width", "0.0625",
        "--limit", "4"]  # fmt: skip


def run(*arguments: str, out: Path) -> tuple[int, str, str]:
    process = Fork(REPOSITORY / "run_benchmark.py", *TINY, "--out", out, *arguments)
    return process.wait(), process.out, process.err


def models(folder: Path) -> list[str]:
    """Recorded models; a folder's own references must be there too."""
    store = list(RecordStore(folder / "records.jsonl"))
    assert {"real", "oracle"} <= {item.source for item in store}
    return list(dict.fromkeys(item.source for item in store if item.source_kind == "generator"))


def refused(*arguments: str, capsys: pytest.CaptureFixture[str], out: Path) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", *TINY, "--out", str(out), *arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err


def study(name: str, *, weights_dir: Path, processes: int = 1, models: tuple[str, ...] = ()):
    budget = budget_for("scenes", "smoke")
    config = RunConfig(
        dataset="scenes", profile="in-domain", budget_name="smoke", budget=budget, seed=0
    )
    place = Workplace(
        run_folder=weights_dir,
        data_root=weights_dir,
        weights_dir=weights_dir,
        device=torch.device("cpu"),
    )
    return Study(
        table=paper_table(name), runs=((config, place),), folder=weights_dir, models=models,
        processes=processes,
    ).trained_models(weights_dir)  # fmt: skip


def test_rows_that_are_another_rows_network_are_not_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "spade_batch" not in study("4", weights_dir=tmp_path)
    assert "spade_batch" in study("4", weights_dir=tmp_path, processes=2)
    assert "spade_without_perceptual" not in study("5", weights_dir=tmp_path)
    monkeypatch.setattr(perceptual, "is_installed", lambda weights, _: weights == VGG19)
    assert "spade_without_perceptual" in study("5", weights_dir=tmp_path)
    assert "crn" in study("1", weights_dir=tmp_path)
    monkeypatch.undo()
    assert "crn" not in study("1", weights_dir=tmp_path)
    assert study("4", weights_dir=tmp_path, models=("spade_batch",)) == ("spade",)
    assert study("1", weights_dir=tmp_path, models=("oasis",)) == ("oasis",)
    assert paper_table("1", ("oasis", "clade")) is PAPER_TABLES["park2019-1"]


def test_every_table_trains_each_of_its_networks_once(tmp_path: Path) -> None:
    assert len(study("3", weights_dir=tmp_path)) == 8
    for name, table in PAPER_TABLES.items():
        trained = study(name, weights_dir=tmp_path)
        assert len(set(trained)) == len(trained)
        assert set(table.models) - set(trained) <= set(UNTRAINED)
        assert REFERENCES not in table.models


def test_batch_norm_of_one_process_is_synchronised_batch_norm(benchmark_in, tmp_path: Path) -> None:
    """The reason why `spade_batch` is not trained on one process, bit for bit."""
    benchmark: Benchmark = benchmark_in()
    one, other = (load_weights(benchmark.train(name)) for name in ("spade", "spade_batch"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_without_weights_the_perceptual_loss_changes_nothing(benchmark_in, tmp_path: Path) -> None:
    benchmark: Benchmark = benchmark_in()
    assert benchmark.train_config("spade").perceptual == "none"
    one, other = (
        load_weights(benchmark.train(name)) for name in ("spade", "spade_without_perceptual")
    )
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_what_is_missing_is_known_from_the_records(benchmark_in) -> None:
    benchmark: Benchmark = benchmark_in()
    names = (REFERENCES, "spade", "concat")
    assert missing(benchmark, names) == list(names)
    benchmark.run(Request(("spade",)))
    assert missing(benchmark, names) == ["concat"]
    assert missing(benchmark_in("other", seed=1), names) == [REFERENCES, "spade", "concat"]
    # A later version measures more of every row, the references among them.
    benchmark.networks.__dict__["numbers"] = benchmark.networks.numbers | {"a new column"}
    assert missing(benchmark, names) == [REFERENCES, "spade", "concat"]


def test_a_second_command_of_a_table_says_who_is_at_work_and_starts_no_job(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Launch] = []
    monkeypatch.setitem(LAUNCHERS, "local", lambda launch: started.append(launch) or Outcome())
    command = ("--table", "3", "--model", "spade")
    with locked(tmp_path / "scenes-seed0" / "locks" / "a table.lock", wait=False):
        error = refused(*command, capsys=capsys, out=tmp_path)
    assert f"process {os.getpid()} on " in error
    assert f"is at work on a table in {tmp_path / 'scenes-seed0'}; wait until it ends" in error
    assert error.count("\n") == 1
    assert not started
    refused(*command, capsys=capsys, out=tmp_path)  # the stand-in records nothing
    assert len(started) == 1


def test_folders_are_those_of_a_plain_run_unless_out_is_given(benchmark_in) -> None:
    configs: list[RunConfig] = [benchmark_in(seed=seed).config for seed in (0, 1)]
    assert run_folder(None, configs[1]) == Path("runs") / configs[1].run_name
    assert run_folder(Path("x"), configs[1]) == Path("x/scenes-seed1")
    assert table_folder(Path("x"), "table3", configs) == Path("x/table3")
    assert table_folder(None, "table3", configs) == table_folder(None, "table3", configs[:1])
    assert table_folder(None, "table3", configs) != table_folder(None, "table3", configs[1:])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--table", "2"), "no table of the paper is called '2'"),
        (("--table", "3", "--model", "spad"), "did you mean spade"),
        (("--table", "3", "--model", "spade_vae"), "no model of Table 3 is called 'spade_vae'"),
        (("--table", "3", "--images", "a=b"), "--images a=b has an effect only without --table"),
        (("--table", "3", "--checkpoint", "a=b"), "--checkpoint a=b has an effect only without"),
        (("--table", "3", "--launcher", "slrm"), "did you mean slurm"),
        (("--table", "1", "--dataset", "scenes,scnes"), "did you mean scenes"),
    ],
)
def test_wrong_flags_are_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: tuple[str, ...], expected: str
) -> None:
    error = refused(*arguments, capsys=capsys, out=tmp_path)
    assert expected in error
    assert "Traceback" not in error
    assert not list(tmp_path.rglob("records.jsonl"))


def test_table_1_is_all_methods_on_all_datasets(
    four_scenes: None,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Jobs that would write the same shared file are never in one stage."""
    launches: list[Launch] = []

    def launcher(launch: Launch) -> Outcome:
        launches.append(launch)
        return Outcome()

    monkeypatch.setitem(LAUNCHERS, "local", launcher)
    monkeypatch.setitem(DATASETS, "cityscapes", DATASETS["scenes"])
    error = refused(
        "--table", "1", "--dataset", "scenes,cityscapes", "--seeds", "2", "--seed", "5",
        "--device", "cpu", capsys=capsys, out=tmp_path,
    )  # fmt: skip
    assert "12 jobs failed" in error  # nothing was recorded, and nobody said why
    (launch,) = launches
    assert [[(job.dataset, job.seed, job.model) for job in stage] for stage in launch.stages] == [
        [("scenes", 5, "none"), ("cityscapes", 5, "none")],
        [("scenes", 6, "none"), ("cityscapes", 6, "none")],
        [
            (dataset, seed, model)
            for dataset in ("scenes", "cityscapes")
            for seed in (5, 6)
            for model in ("pix2pixhd", "spade")
        ],
    ]
    job = launch.stages[2][-1]
    assert job.run_folder == tmp_path / "cityscapes-seed6"
    assert job.flags == ("--budget=smoke", "--steps=2", "--batch-size=2", "--width=0.0625",
                         "--limit=4", "--device=cpu")  # fmt: skip
    assert launch.report[-4:] == ("--table", "1", "--out", str(tmp_path / "table1"))


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    """What the local launcher was given; it runs nothing."""
    launches: list[Launch] = []
    monkeypatch.setitem(LAUNCHERS, "local", lambda launch: launches.append(launch) or Outcome())
    return launches


def photos_of(folder: Path) -> Path:
    """A folder of images as somebody's model made them."""
    folder.mkdir()
    dataset = DATASETS["scenes"].opened("val", (64, 64), Path())
    for name in dataset.names:
        Image.new("RGB", (64, 64), (9, 99, 9)).save(folder / f"{name}.png")
    return folder


def test_several_seeds_of_any_rows_are_jobs(
    four_scenes: None, launched: list[Launch], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Given rows are scored beside the references; models are jobs of their own."""
    images = photos_of(tmp_path / "images")
    error = refused(
        "--model", "spade", "--images", f"mine={images}", "--style-input", "mine=none",
        "--seeds", "2", "--seed", "5", "--quiet", capsys=capsys, out=tmp_path,
    )  # fmt: skip
    assert "4 jobs failed" in error
    assert str(tmp_path / "scenes-seed5" / "logs" / "spade.log") in error
    (launch,) = launched
    assert [[(job.seed, job.model) for job in stage] for stage in launch.stages] == [
        [(5, "none")], [(6, "none")], [(5, "spade"), (6, "spade")],
    ]  # fmt: skip
    (first, *_), _, (spade, *_) = launch.stages
    given = (f"--images=mine={images}", "--style-input=mine=none")
    assert first.flags[-2:] == given
    assert spade.flags == first.flags[:-2]
    assert launch.report[3:] == (
        "report", str(tmp_path / "scenes-seed5"), str(tmp_path / "scenes-seed6"),
        "--out", str(tmp_path / "seeds"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--model", "spad"), "did you mean spade"),
        (("--images", "mine=nowhere"), "nowhere does not exist"),
        (("--checkpoint", "mine=nowhere.safetensors"), "nowhere.safetensors does not exist"),
        (("--compare", "spade"), "--compare spade has an effect only without --table and several"),
        (("--launcher", "slrm"), "did you mean slurm"),
    ],
)
def test_rows_that_cannot_be_scored_are_refused_before_any_job(
    four_scenes: None, launched: list[Launch], capsys: pytest.CaptureFixture[str], tmp_path: Path,
    arguments: tuple[str, ...], expected: str,
) -> None:  # fmt: skip
    assert expected in refused("--seeds", "2", *arguments, capsys=capsys, out=tmp_path)
    assert launched == []
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.slow
def test_several_seeds_are_shown_with_their_spread(tmp_path: Path) -> None:
    images = photos_of(tmp_path / "images")
    flags = ("--size", "64", "--model", "spade", "--images", f"mine={images}", "--seeds", "2")
    code, out, errors = run(*flags, out=tmp_path / "runs")
    assert code == 0, out + errors
    assert "4 jobs to run" in out
    assert (tmp_path / "runs" / "seeds" / "leaderboard.csv").is_file()
    spade, mine = (
        next(line for line in out.splitlines() if line.startswith(f"{name} "))
        for name in ("spade", "mine")
    )
    assert spade.split()[2] == "2"
    assert "±" in spade
    assert mine.split()[2] == "1", "images are the same whatever the seed"
    code, out, errors = run(*flags, "--quiet", out=tmp_path / "runs")
    assert (code, errors) == (0, "")
    assert out.startswith("Leaderboard")


def test_torchrun_is_for_jobs_not_for_tables(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "started by torchrun" in refused("--table", "3", capsys=capsys, out=tmp_path)


@pytest.mark.slow
def test_a_table_is_trained_scored_written_and_continued(tmp_path: Path) -> None:
    """Two seeds side by side; then one model more, for which only what is missing is computed."""
    table4 = ("--table", "4", "--seeds", "2", "--jobs", "2", "--model", "spade_batch")
    program = [sys.executable, str(REPOSITORY / "run_benchmark.py")]
    out = subprocess.run(
        [*program, *TINY, "--out", str(tmp_path), *table4], check=True, capture_output=True,
        text=True,
    ).stdout  # fmt: skip
    assert "4 jobs to run" in out
    assert "Sync BatchNorm" in out
    assert UNTRAINED["spade_batch"].reason.split(":")[0] in out
    for seed in (0, 1):
        folder = tmp_path / f"scenes-seed{seed}"
        assert models(folder) == ["spade"]
        assert json.loads((folder / "config.json").read_text())["seed"] == seed
        assert not list(folder.rglob("*.tmp")) + list(folder.rglob("*.part"))
    for ending in ("csv", "txt", "md", "tex", "png"):
        assert (tmp_path / "table4" / f"table4.{ending}").stat().st_size > 0
    started = {item.started for item in RecordStore(tmp_path / "scenes-seed0" / "records.jsonl")}
    more = (*table4, "--seeds", "1", "--model", "spade_kernel1")
    code, out, errors = run(*more, out=tmp_path)
    assert code == 0, out + errors
    assert "1 jobs to run" in out
    assert models(tmp_path / "scenes-seed0") == ["spade", "spade_kernel1"]
    assert models(tmp_path / "scenes-seed1") == ["spade"]
    store = RecordStore(tmp_path / "scenes-seed0" / "records.jsonl")
    assert {item.started for item in store if item.source != "spade_kernel1"} == started
    code, out, errors = run(*more, out=tmp_path)
    assert code == 0, out + errors
    assert "jobs to run" not in out


@pytest.fixture
def replayed(
    four_scenes: None, trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Lets jobs take their records from a run that knows some sources, instead of training."""

    def replay(*sources: str) -> None:
        folder = tmp_path / "recorded"
        folder.mkdir(exist_ok=True)
        lines = (trained_run / "records.jsonl").read_text().splitlines(keepends=True)
        known = [line for line in lines if json.loads(line)["source"] in sources]
        (folder / "records.jsonl").write_text("".join(known))
        job = functools.partial(ReplayedJob, recorded=folder)
        monkeypatch.setattr(ablations, "Job", job)

    return replay


def table(*arguments: str, out: Path) -> int:
    """A table in this process; returns the exit code."""
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", *TINY, "--out", str(out), *arguments])
    return int(ended.value.code or 0)


def test_a_failed_job_is_told_and_the_rest_is_shown(
    replayed: Callable[..., None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    replayed("real", "oracle", "grey", "label colours")
    assert table("--table", "3", "--model", "spade", out=tmp_path) == 2
    out, errors = capsys.readouterr()
    assert "FAILED spade, scenes, seed 0: exit code" in out
    assert "decoder w/ SPADE" in out
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "1 jobs failed (spade, scenes, seed 0)" in lines[0]
    replayed("spade")
    assert table("--table", "3", "--model", "spade", out=tmp_path) == 0
    assert "1 jobs to run" in capsys.readouterr().out
    assert models(tmp_path / "scenes-seed0") == ["spade"]


def test_an_interrupted_table_leaves_no_process_and_continues(
    trained_run: Path, tmp_path: Path
) -> None:
    program = Path(__file__).parent / "workers" / "waiting_table.py"
    process = Fork(
        program, trained_run, "benchmark", *TINY, "--out", tmp_path, "--table", "3",
        "--model", "spade", "--model", "concat", "--jobs", "2",
    )  # fmt: skip
    logs = [tmp_path / "scenes-seed0" / "logs" / f"{name}.log" for name in ("spade", "concat")]
    process.until(lambda: all(log.is_file() and log.read_text() == "waits\n" for log in logs))
    process.send(signal.SIGINT)
    assert process.wait() == 130
    assert "interrupted; start the same command again" in process.err
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        assert str(tmp_path).encode() not in entry.read_bytes(), "a job is still running"
    assert models(tmp_path / "scenes-seed0") == []
    assert not (tmp_path / "scenes-seed0" / "done").exists()


def test_slurm_gets_the_same_jobs(
    replayed: Callable[..., None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The whole chain with a stand-in for sbatch: references, models, and the table at last."""
    stub = tmp_path / "bin" / "sbatch"
    stub.parent.mkdir()
    stub.write_text(
        '#!/bin/bash\nfor word in "$@"; do case $word in --array=*) tasks=${word#--array=0-};;'
        'esac; done\nfor t in $(seq 0 ${tasks:-0}); do SLURM_ARRAY_TASK_ID=$t bash "${@: -1}"'
        ' >>"$SBATCH_LOG" 2>&1; done\necho "$*" >> "$SBATCH_LOG"; echo 7\n'
    )
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stub.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SBATCH_LOG", str(tmp_path / "log"))
    replayed("real", "oracle", "grey", "label colours", "spade")
    out = tmp_path / "the 'runs'"
    code = table(
        "--table", "3", "--model", "spade", "--launcher", "slurm", "--sbatch", "partition=gpu",
        "--sbatch", "time=01:00:00", out=out,
    )  # fmt: skip
    text, errors = capsys.readouterr()
    assert code == 0, errors
    assert "submitted to Slurm: 7, 7, 7" in text
    log = (tmp_path / "log").read_text()
    assert log.count("--partition=gpu --time=01:00:00") == 3, log
    assert models(out / "scenes-seed0") == ["spade"], log
    assert "decoder w/ SPADE" in (out / "table3" / "table3.txt").read_text(), log
