# SPDX-License-Identifier: Apache-2.0
"""What ships is the best seed of comparable trainings, in half precision, with how it was made."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import typer.main
from painting_files import write_encoder

from spade_eval import baselines
from spade_eval.baselines import open_baseline, shipped, shipping
from spade_eval.baselines.measuring import Measured
from spade_eval.baselines.shipping import half_weights, trained_rows
from spade_eval.cli import app, main
from spade_eval.config import RunConfig
from spade_eval.datasets import open_dataset
from spade_eval.models.checkpoints.files import load_description, load_weights
from spade_eval.records import RecordStore, sha256_of_file
from spade_eval.sources.checkpoints import encoder_beside, open_checkpoint


def called(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(words)
    shown = capsys.readouterr()
    return int(ended.value.code or 0), shown.out, shown.err


@pytest.fixture
def two_seeds(
    four_scenes: None, trained_run: Path, second_seed: Path, tmp_path: Path
) -> list[Path]:
    """Run folders with `concat` trained by seeds 0 and 1."""
    runs = [tmp_path / "run-0", tmp_path / "run-1"]
    for run, folder in zip((trained_run, second_seed), runs, strict=True):
        shutil.copytree(run, folder)
    return runs


def scored(runs: list[Path], row: str = "concat") -> dict[int | None, float | None]:
    return {
        item.seed: item.value
        for run in runs
        for item in RecordStore(run / "records.jsonl")
        if (item.source, item.metric) == (row, "miou")
    }


def test_the_best_seed_ships_and_is_opened_like_any_checkpoint(
    two_seeds: list[Path], own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = called(["baselines", "ship", *map(str, two_seeds), "--row", "concat"], capsys)
    assert code == 0, err
    (row,) = shipped().values()
    assert dict(row.seeds) == {str(seed): value for seed, value in scored(two_seeds).items()}
    best = max(row.seeds, key=lambda seed: row.seeds[seed])
    assert row.train["seed"] == int(best)
    assert row.made_on["commit"] == load(two_seeds[int(best)])["commit"]
    assert f"concat.safetensors, {row.path().stat().st_size:,} bytes" in out
    dataset = open_dataset("scenes", "val", (64, 64), own_folder)
    opened = open_baseline("concat", dataset)
    assert opened.description["train"] == row.train
    assert all(weight.dtype == torch.float32 for weight in opened.network.parameters())
    assert "the best of 2 seeds by mIoU on the same 4 val images" in opened.description["notes"][-1]
    # Of images in [0, 255]; a smaller network than any that ships, of two steps.
    assert 0 < row.half["mean_levels"] < 0.5
    assert row.scores["miou"] == pytest.approx(row.seeds[best] + row.half["miou"], abs=1e-6)
    assert called(["baselines", "list"], capsys)[1] == out


def test_the_encoder_that_was_trained_with_it_ships_beside_it(
    two_seeds: list[Path],
    own_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    scores = {"mean_levels": 0.0, "largest_levels": 0.0, "miou": 0.0}
    monkeypatch.setattr(shipping, "measured", lambda *_: Measured(scores, scores))
    run = two_seeds[0]
    (generator,) = run.glob("checkpoints/concat-*/generator.safetensors")
    encoder = write_encoder(generator.with_name("encoder.safetensors"))
    weights, own = load_weights(encoder), load_description(encoder)
    known = load_description(generator)
    trained = {name: known[name] for name in ("train", "weights", "checkpoint_rule", "notes")}
    words = ["baselines", "ship", str(run), "--row", "concat"]

    shipping.save_network(encoder, weights, {**own, **trained})
    code, out, err = called(words, capsys)
    assert code == 0, err
    row = shipped()["concat"]
    beside = encoder_beside(row.path())
    assert beside == own_folder / row.encoder
    assert f"encoder concat-encoder.safetensors, SHA-256 {sha256_of_file(beside)}" in out
    assert load_weights(beside)["fc_mu.weight"].dtype == torch.float16
    assert torch.allclose(
        open_checkpoint(beside).network.get_parameter("fc_mu.weight"), weights["fc_mu.weight"],
        rtol=2**-11, atol=2**-25,
    )  # fmt: skip

    other = {**trained, "train": {**trained["train"], "steps": 7}}
    shipping.save_network(encoder, weights, {**own, **other})
    code, _, err = called(words, capsys)
    assert code == 2
    assert "differ in their train, expected networks of one training" in err

    encoder.unlink()
    assert called(words, capsys)[0] == 0
    assert sorted(path.name for path in own_folder.iterdir()) == [
        baselines.LIST, "concat.safetensors",
    ]  # fmt: skip


def load(run: Path) -> dict[str, object]:
    item = next(
        item for item in RecordStore(run / "records.jsonl") if item.source_kind == "generator"
    )
    return dataclasses.asdict(item)


def test_parameters_are_halves_and_buffers_are_not(trained_run: Path) -> None:
    (file,) = trained_run.glob("checkpoints/spade-*/generator.safetensors")
    full, half = load_weights(file), half_weights(file)
    kinds = {name: tensor.dtype for name, tensor in half.items()}
    assert {kinds[name] for name in kinds if "running" in name or name.endswith(("_u", "_v"))} == {
        torch.float32
    }
    halves = [name for name, kind in kinds.items() if kind == torch.float16]
    assert len(halves) > len(kinds) / 3
    for name in halves:
        # Half a unit in the last of eleven digits, or of the smallest number that float16 has.
        assert torch.allclose(half[name].float(), full[name], rtol=2**-11, atol=2**-25)


def test_the_command_makes_the_configuration_of_the_run(
    two_seeds: list[Path], own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(["baselines", "ship", str(two_seeds[1]), "--row", "concat"], capsys)[0] == 0
    words = shipped()["concat"].command.split()
    assert words[:2] == ["python", "run_benchmark.py"]
    command = typer.main.get_command(app).commands["benchmark"]  # type: ignore[attr-defined]
    given = command.make_context("benchmark", words[2:]).params
    assert given["model"] == ["concat"]
    config = trained_rows(two_seeds[1:], "concat")[0].config
    budget = dataclasses.asdict(config.budget)
    of_flags = {name: given[name] for name in given if name in budget and name != "size"}
    assert {name: getattr(value, "value", value) for name, value in of_flags.items()} == {
        name: budget[name] for name in of_flags
    }
    assert (given["budget"], given["seed"]) == (config.budget_name, config.seed)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda runs: [runs[0], runs[0]], "hold the seeds [0, 0], expected each once"),
        (lambda runs: [runs[0].parent], "has no trained row 'concat' with a score"),
        (lambda runs: remove_checkpoints(runs), "is the one that row 'concat' was scored with"),
        (lambda runs: change_steps(runs), "differ in their training, expected seeds of one row"),
        (lambda runs: change_protocol(runs), "differ in their protocol, expected seeds of one row"),
        (lambda runs: change_config(runs), "its values do not have the hash in it"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(
    change: Callable[[list[Path]], list[Path]],
    expected: str,
    two_seeds: list[Path],
    own_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    runs = change(two_seeds)
    code, _, err = called(["baselines", "ship", *map(str, runs), "--row", "concat"], capsys)
    assert code == 2
    assert expected in err
    assert len(err.splitlines()) == 1
    assert [path.name for path in own_folder.iterdir()] == [baselines.LIST]


def remove_checkpoints(runs: list[Path]) -> list[Path]:
    shutil.rmtree(runs[1] / "checkpoints")
    return runs


def change_steps(runs: list[Path]) -> list[Path]:
    """Another training in the place of the second: the record states its new hash."""
    (file,) = runs[1].glob("checkpoints/concat-*/generator.safetensors")
    before = sha256_of_file(file)
    description = load_description(file)
    description["train"]["steps"] += 1
    shipping.save_network(file, load_weights(file), description)
    records = runs[1] / "records.jsonl"
    records.write_text(records.read_text().replace(before, sha256_of_file(file)))
    return runs


def change_protocol(runs: list[Path]) -> list[Path]:
    records = runs[1] / "records.jsonl"
    (protocol,) = {item.protocol_sha256 for item in RecordStore(records)}
    records.write_text(records.read_text().replace(protocol, "0" * 64))
    return runs


def test_seeds_that_were_scored_by_other_networks_than_are_here_are_refused(
    two_seeds: list[Path], own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = change_protocol(two_seeds)[1]
    code, _, err = called(["baselines", "ship", str(run), "--row", "concat"], capsys)
    assert code == 2
    assert "was scored on other data or by other networks than are here" in err


def change_config(runs: list[Path]) -> list[Path]:
    path = runs[1] / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "seed": 7}))
    return runs


def test_more_than_a_clone_should_carry_is_refused_before_anything_is_measured(
    two_seeds: list[Path],
    own_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(shipping, "MOST_BYTES", 100_000)
    monkeypatch.setattr(shipping, "measured", lambda *_: pytest.fail("was measured"))
    code, out, err = called(
        ["baselines", "ship", str(two_seeds[0]), "--row", "concat", "--row", "spade"], capsys
    )
    assert (code, out) == (2, "")
    assert "expected at most 0.1; ship fewer rows, or narrower ones" in err
    assert [path.name for path in own_folder.iterdir()] == [baselines.LIST]


def test_numbers_too_large_for_halves_are_refused(trained_run: Path, tmp_path: Path) -> None:
    (file,) = trained_run.glob("checkpoints/concat-*/generator.safetensors")
    weights, description = load_weights(file), load_description(file)
    name = next(name for name in weights if name.endswith("weight"))
    weights[name].flatten()[0] = 70_000.0
    changed = tmp_path / "large.safetensors"
    shipping.save_network(changed, weights, description)
    with pytest.raises(ValueError, match=f"{name} holds numbers beyond 65504"):
        half_weights(changed)


def test_a_configuration_is_read_back(two_seeds: list[Path]) -> None:
    stated = json.loads((two_seeds[1] / "config.json").read_text())
    config = RunConfig.from_json(stated)
    assert (config.seed, config.budget.size) == (1, (64, 64))
    assert config.as_json()["sha256"] == stated["sha256"]
    for broken in ({**stated, "unknown": 1}, {**stated, "budget": {"steps": "x"}}):
        with pytest.raises((ValueError, TypeError, KeyError)):
            RunConfig.from_json(broken)
