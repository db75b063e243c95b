# SPDX-License-Identifier: Apache-2.0
"""From trained rows of run folders to baselines that ship: the best seed, in half precision.

The best of S seeds by the score that is then shown scores too well by the choice, so each seed's
score is listed, and the file says it in its notes, which stand below every table with its row.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spade_eval import baselines
from spade_eval.baselines import LIST, MOST_BYTES, Baseline, shipped
from spade_eval.baselines.measuring import Measured, measured
from spade_eval.config import RunConfig
from spade_eval.errors import UserError, as_user_error
from spade_eval.files import replaced
from spade_eval.json_fields import parsed_json
from spade_eval.models.checkpoints.files import load_description, load_weights, save_network
from spade_eval.records import Measurement, RecordStore, sha256_of_file
from spade_eval.sources.checkpoints import encoder_beside, encoder_name, open_checkpoint
from spade_eval.workplace import Workplace

CHOSEN_BY = "miou"
_LARGEST_HALF = torch.finfo(torch.float16).max
_MACHINE = ("device", "platform", "versions", "commit", "commit_clean", "started", "seconds")
_SCORED = ("dataset", "dataset_sha256", "split", "num_images", "profile", "protocol_sha256",
           "segmenter", "segmenter_sha256")  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A row of a run folder that a generator trained there made: one seed."""

    run: Path
    config: RunConfig
    record: Measurement  # of the score that chooses
    file: Path
    description: dict[str, Any]

    @property
    def score(self) -> float:
        """The score that chooses."""
        value = self.record.value
        assert value is not None
        return value

    @property
    def comparable(self) -> dict[str, Any]:
        """What all seeds of a row share: the training but for its seed, and the protocol."""
        train = {**self.description["train"], "seed": None}
        return {"training": train, "protocol": [getattr(self.record, name) for name in _SCORED]}


def trained_rows(runs: Sequence[Path], row: str) -> list[Trained]:
    """Return a row of every run folder, one a seed; `UserError` where they are not comparable."""
    found = [_trained(run, row) for run in runs]
    first = found[0]
    for other in found[1:]:
        for what, value in first.comparable.items():
            if other.comparable[what] != value:
                raise UserError(
                    f"{row}: {first.run} and {other.run} differ in their {what}, expected seeds of "
                    "one row; give the run folders of one budget and protocol"
                )
    seeds = [item.record.seed for item in found]
    if len(set(seeds)) < len(seeds):
        raise UserError(f"{row}: the runs hold the seeds {seeds}, expected each once")
    return found


def _trained(run: Path, row: str) -> Trained:
    records = [
        item
        for item in RecordStore(run / "records.jsonl")
        if (item.source, item.source_kind) == (row, "generator")
    ]
    scores = [item for item in records if item.metric == CHOSEN_BY and item.value is not None]
    if not scores:
        raise UserError(
            f"{run} has no trained row {row!r} with a score ({CHOSEN_BY}); train and score it "
            f"first: --model {row} --out {run}"
        )
    record = max(scores, key=lambda item: item.started)
    if record.until is not None:
        raise UserError(
            f"{run}: {row} was scored until {record.until}, expected scores of the whole split; "
            "score it without --until"
        )
    files = sorted(run.glob("checkpoints/*/*.safetensors"))
    file = next((path for path in files if sha256_of_file(path) == record.source_sha256), None)
    if file is None:
        raise UserError(
            f"{run}: no file in checkpoints/ is the one that row {row!r} was scored with (SHA-256 "
            f"{str(record.source_sha256)[:16]}); keep the run folder whole"
        )
    with as_user_error(f"checkpoint {file}"):
        description = load_description(file)
    return Trained(run, _config_of(run), record, file, description)


def _config_of(run: Path) -> RunConfig:
    path = run / "config.json"
    try:
        return RunConfig.from_json(parsed_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path} is not the configuration of a run ({error}); restore it"
        ) from error


@dataclass(frozen=True)
class Halved:
    """A chosen row's file in half precision, not yet measured."""

    name: str
    trained: Trained
    seeds: dict[str, float]
    file: Path
    encoder: Path | None  # the image encoder's, where one was trained with it

    @property
    def files(self) -> list[Path]:
        """All files that ship."""
        return [self.file, *([] if self.encoder is None else [self.encoder])]


def halved(name: str, rows: Sequence[Trained], folder: Path) -> Halved:
    """Choose the best seed and write its weights in half precision into a folder."""
    best = max(rows, key=lambda item: item.score)
    note = _note(best, rows)
    file = _write_halved(best.file, folder / f"{name}.safetensors", note)
    trained_with = encoder_beside(best.file)
    encoder = None
    if trained_with is not None:
        _require_one_training(best, trained_with)
        encoder = _write_halved(trained_with, folder / encoder_name(file.name), note)
    seeds = {str(item.record.seed): item.score for item in rows}
    return Halved(name, best, seeds, file, encoder)


def _write_halved(source: Path, target: Path, note: str) -> Path:
    with as_user_error(f"checkpoint {source}"):
        weights, description = half_weights(source), load_description(source)
    save_network(target, weights, {**description, "notes": [*description["notes"], note]})
    return target


def _require_one_training(best: Trained, encoder: Path) -> None:
    with as_user_error(f"checkpoint {encoder}"):
        description = load_description(encoder)
    for name in ("train", "weights", "checkpoint_rule"):
        if description.get(name) != best.description[name]:
            raise UserError(
                f"{encoder} and {best.file} differ in their {name}, expected networks of one "
                "training; keep the run folder whole"
            )


def half_weights(file: Path) -> dict[str, Tensor]:
    """Round a network's parameters to float16; buffers stay as they are.

    Running variances leave the range of float16, and vectors of spectral norm divide every weight.
    """
    parameters = dict(open_checkpoint(file).network.named_parameters())
    weights = load_weights(file)
    for name, tensor in weights.items():
        if name in parameters:
            if tensor.abs().max() > _LARGEST_HALF:
                raise ValueError(f"{name} holds numbers beyond {_LARGEST_HALF:.0f}, too large")
            weights[name] = tensor.half()
    return weights


def _note(best: Trained, rows: Sequence[Trained]) -> str:
    """Say below every table what the row is worth; one note for all rows that it holds for."""
    record, chosen = best.record, "of one seed"
    if len(rows) > 1:
        chosen = (
            f"the best of {len(rows)} seeds by mIoU on the same {record.num_images} {record.split} "
            "images, which is too good by the choice"
        )
    return (
        f"ships with the suite: trained {record.train_steps} steps, {chosen}, weights in half "
        "precision; `spade-eval baselines list` says by which command, and what each seed scored"
    )


def require_room(files: Sequence[Halved]) -> None:
    """Refuse what would make the files of all baselines larger than a clone should carry."""
    known = {path.stem: path.stat().st_size for path in baselines.FOLDER.glob("*.safetensors")}
    sizes = known | {path.stem: path.stat().st_size for item in files for path in item.files}
    total = sum(sizes.values())
    if total > MOST_BYTES:
        each = ", ".join(f"{name} {size / 1e6:.2f}" for name, size in sizes.items())
        raise UserError(
            f"the baselines would take {total / 1e6:.2f} MB ({each}), expected at most "
            f"{round(MOST_BYTES / 1e6, 2):g}; ship fewer rows, or narrower ones"
        )


def listed(item: Halved, found: Measured, command: str) -> Baseline:
    """Return the row of the list for a file that was measured."""
    known, record = item.trained.description, item.trained.record
    return Baseline(
        name=item.name,
        file=item.file.name,
        sha256=sha256_of_file(item.file),
        encoder_sha256=None if item.encoder is None else sha256_of_file(item.encoder),
        command=command,
        train=known["train"],
        train_config_sha256=known["train_config_sha256"],
        checkpoint_rule=known["checkpoint_rule"],
        weights=known["weights"],
        source_sha256=str(record.source_sha256),
        made_on={name: getattr(record, name) for name in _MACHINE},
        chosen_by=CHOSEN_BY,
        seeds=item.seeds,
        scored={name: getattr(record, name) for name in _SCORED},
        scores=found.scores,
        half=found.half,
    )


def write(item: Halved, row: Baseline) -> Path:
    """Put files and row into the folder of the baselines, in the place of those of its name."""
    if item.encoder is None:
        (baselines.FOLDER / row.encoder).unlink(missing_ok=True)
    for path in item.files:
        with replaced(baselines.FOLDER / path.name) as temporary:
            shutil.copyfile(path, temporary)
    rows = {**shipped(), row.name: row}
    text = json.dumps(
        {"baselines": [dataclasses.asdict(row) for row in rows.values()]}, indent=1, allow_nan=False
    )
    with replaced(baselines.FOLDER / LIST) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")
    return baselines.FOLDER / row.file


def ship(
    runs: Sequence[Path],
    names: Sequence[str],
    place: Workplace,
    command_of: Callable[[Trained], str],
) -> Iterator[tuple[Path, Baseline]]:
    """Ship rows of run folders; all that can be refused is refused before the first is measured."""
    files = []
    for name in names:
        rows = trained_rows(runs, name)
        files.append(halved(name, rows, place.run_folder))
    require_room(files)
    for item in files:
        trained = item.trained
        found = measured(item.file, trained.file, trained.config, trained.record, place)
        row = listed(item, found, command_of(trained))
        yield write(item, row), row
