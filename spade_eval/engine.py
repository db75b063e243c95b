# SPDX-License-Identifier: Apache-2.0
"""A run: for every row that is not recorded yet, images -> scores -> records.

Each row is one job, recorded in one write when it is complete. A run that is killed anywhere and
started again computes only what is missing and ends with the records of an undisturbed run.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from models.generators import GENERATORS
from spade_eval.config import RunConfig, TrainConfig
from spade_eval.datasets import open_dataset
from spade_eval.datasets.base import Dataset, HasOracle, set_name_of
from spade_eval.devices import device_name
from spade_eval.distances import Distance, FeatureSet, open_distance, stored_reference
from spade_eval.diversity import Comparison, diversity, left_out, open_comparisons
from spade_eval.errors import UserError, lookup
from spade_eval.footnotes import footnotes
from spade_eval.observers import coloured
from spade_eval.protocol import ResolvedProtocol, protocol_for
from spade_eval.records import RecordStore, provenance, sha256_of_json
from spade_eval.rows import Request, Row, Workplace
from spade_eval.run_folder import claim_folder
from spade_eval.scoring import (
    Scorer,
    Value,
    cached_features,
    measurements,
    values_of,
    write_images,
)
from spade_eval.scoring_segmenter import ScoringSegmenter, open_segmenter
from spade_eval.sources import (
    Oracle,
    RealPhotos,
    Source,
    SynthesizedByCheckpoint,
    SynthesizedFolder,
)
from spade_eval.train_generator import train_generator
from spade_eval.train_segmenter import SHIPPED, segmenter_config, train_segmenter
from spade_eval.weights import VGG19, is_installed

_GRID_SAMPLES = 8
LABEL_MAP_FOLDER = "label map"


class Benchmark:
    """One run folder: its data, its protocol, its records."""

    def __init__(self, config: RunConfig, place: Workplace) -> None:
        self.config, self.place = config, place
        self.protocol = protocol_for(config.profile, config.dataset, config.fid_profile)
        self.store = RecordStore(place.run_folder / "records.jsonl")
        self.dataset = open_dataset(
            config.dataset, self.protocol.split, config.budget.size, place.data_root
        )
        self.count = min(len(self.dataset), config.budget.val_limit or len(self.dataset))

    def run(self, request: Request) -> list[str]:
        """Measure what is missing; returns the names of the rows that were measured now."""
        claim_folder(self.place.run_folder, self.config)
        recorded = {measurement.job_sha256 for measurement in self.store}
        missing = [row for row in self.rows(request) if self.job_sha256(row) not in recorded]
        if missing:
            self._write_grid_inputs()
        for row in missing:
            self._measure(row)
        return [row.name for row in missing]

    def train(self, model: str) -> Path:
        """Train one model of this run without scoring it; returns its checkpoint."""
        claim_folder(self.place.run_folder, self.config)
        place, config = self.place, self.train_config(model)
        folder = place.run_folder / "checkpoints" / f"{model}-{config.sha256[:8]}"
        return train_generator(config, self._train_split, folder, place.device, place.weights_dir)

    def rows(self, request: Request) -> list[Row]:
        """Every row of the run; files that a row needs are read, so that errors come first."""
        rows = [Row("real", {"kind": "real"}, RealPhotos)]
        dataset = self.dataset
        if isinstance(dataset, HasOracle):
            rows.append(
                Row("oracle", {"kind": "oracle"}, lambda: Oracle(dataset), keep_images=True)
            )
        given = [*self._folder_rows(request.images), *self._checkpoint_rows(request)]
        rows += [*(self._model_row(model) for model in request.models), *given]
        names = [row.name for row in rows]
        for name in names:
            if names.count(name) > 1 or name == LABEL_MAP_FOLDER:
                raise UserError(
                    f"the row name {name!r} is taken; give --checkpoint and --images other names"
                )
        return rows

    def _folder_rows(self, folders: Mapping[str, Path]) -> Iterator[Row]:
        for name, directory in folders.items():
            source = SynthesizedFolder(name, directory, self.dataset, self.count)
            yield Row(name, dict(source.provenance), _given(source))

    def _checkpoint_rows(self, request: Request) -> Iterator[Row]:
        for name, file in request.checkpoints.items():
            source = SynthesizedByCheckpoint(
                name, file, self.dataset, self.protocol, self.place.device,
                released=request.released, seed=self.config.seed,
            )  # fmt: skip
            yield Row(name, source.identity, _given(source), keep_images=True)

    def _model_row(self, model: str) -> Row:
        lookup(GENERATORS, model, "generator")

        def trained() -> Source:
            return SynthesizedByCheckpoint(
                model,
                self.train(model),
                self.dataset,
                self.protocol,
                self.place.device,
                source_kind="generator",
                seed=self.config.seed,
            )

        return Row(
            model, {"train_config": self.train_config(model).sha256}, trained, keep_images=True
        )

    def train_config(self, model: str) -> TrainConfig:
        """How this run trains a model."""
        budget = self.config.budget
        return TrainConfig(
            model=model,
            dataset=self.config.dataset,
            dataset_sha256=self._train_split.fingerprint(),
            size=budget.size,
            steps=budget.steps,
            batch_size=budget.batch_size,
            width=budget.width,
            rate_scale=budget.rate_scale,
            ema_decay=budget.ema_decay,
            perceptual=is_installed(VGG19, self.place.weights_dir),
            seed=self.config.seed,
        )

    def job_sha256(self, row: Row) -> str:
        """Identity of a measurement: these images under this protocol on this data."""
        return sha256_of_json(
            {
                "row": row.name,
                "source": dict(row.identity),
                "dataset": self.dataset.fingerprint(),
                "num_images": self.count,
                "protocol": self.resolved.sha256,
                "samples": [self.config.samples, [item.metric for item in self._comparisons]],
            }
        )

    @cached_property
    def _train_split(self) -> Dataset:
        budget = self.config.budget
        return open_dataset(self.config.dataset, "train", budget.size, self.place.data_root)

    @cached_property
    def segmenter(self) -> ScoringSegmenter:
        """The network that scores; where it is in-domain, shipped, cached or trained now."""
        return open_segmenter(
            self.config.segmenter,
            self.dataset,
            self.place.weights_dir,
            self.place.device,
            filled=self.config.filled_weights,
            in_domain=self._in_domain_segmenter,
        )

    def _in_domain_segmenter(self) -> Path:
        return SHIPPED.get(self.config.dataset) or train_segmenter(
            segmenter_config(self.config.dataset, self.config.budget, [self._train_split]),
            [self._train_split],
            self.place.weights_dir,
            self.place.device,
        )

    @cached_property
    def distance(self) -> Distance | None:
        """FID, FD in-domain, or none: what the weights that are there allow."""
        place = self.place
        return open_distance(
            self.protocol.fid_profile, self.segmenter, place.weights_dir, place.device
        )

    @cached_property
    def resolved(self) -> ResolvedProtocol:
        """The profile with the hashes of the files it is applied with."""
        return ResolvedProtocol(
            protocol=self.protocol,
            size=self.config.budget.size,
            segmenter=self.segmenter.title,
            segmenter_sha256=self.segmenter.sha256,
            segmenter_weights=self.segmenter.weights,
            features=self.distance.title if self.distance else None,
            features_sha256=self.distance.sha256 if self.distance else None,
        )

    @cached_property
    def scorer(self) -> Scorer:
        """The split with the networks that score it."""
        return Scorer(
            self.dataset,
            self.count,
            self.protocol,
            self.segmenter,
            self.distance,
            self.place.device,
        )

    @property
    def reference_sha256(self) -> str:
        """Identity of the reference statistics: these photos through this feature network."""
        resolved = self.resolved
        return sha256_of_json(
            [
                self.dataset.fingerprint(),
                self.count,
                resolved.size,
                resolved.features_sha256,
                self.protocol.fid_profile,
            ]
        )

    def _measure(self, row: Row) -> None:
        started, clock = datetime.now(timezone.utc), time.perf_counter()
        source = row.open()
        run = self.place.run_folder
        scores = self.scorer.score(
            source,
            self._reference() if self.distance else None,
            run / "images" / row.name if row.keep_images else None,
        )
        counts = run / "counts" / f"{row.name}-{self.job_sha256(row)[:8]}.npz"
        counts.parent.mkdir(exist_ok=True)
        scores.per_image.save(counts)
        values = values_of(scores, self.distance, self.count, self.reference_sha256)
        values += self._diversity(source)
        common = {
            **self._common(row, source),
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - clock, 3),
        }
        self.store.append(measurements(values, common))

    @cached_property
    def _comparisons(self) -> list[Comparison]:
        if not self.config.samples:
            return []
        return open_comparisons(self.dataset.size, self.place.weights_dir, self.place.device)

    def _diversity(self, source: Source) -> list[Value]:
        if not self._comparisons or not isinstance(source, SynthesizedByCheckpoint):
            return []
        samples = self.config.samples
        return diversity(source, self.dataset, self.count, samples, self._comparisons)

    def _reference(self) -> FeatureSet:
        if self.place.reference is not None:
            return stored_reference(self.place.reference, self.distance, self.dataset, self.count)
        name = f"reference-{self.reference_sha256[:16]}.npz"
        return cached_features(self.place.run_folder / "cache" / name, self.scorer.reference)

    def _common(self, row: Row, source: Source) -> dict[str, Any]:
        """The fields that all measurements of a job share."""
        resolved, (height, width) = self.resolved, self.resolved.size
        return {
            "source": source.name,
            "dataset": set_name_of(self.dataset),
            "dataset_sha256": self.dataset.fingerprint(),
            "split": self.protocol.split,
            "height": height,
            "width": width,
            "num_images": self.count,
            "profile": self.protocol.profile,
            "protocol_version": self.protocol.version,
            "protocol_sha256": resolved.sha256,
            "segmenter": resolved.segmenter,
            "segmenter_sha256": resolved.segmenter_sha256,
            "segmenter_weights": resolved.segmenter_weights,
            "notes": (*self._footnotes(), *source.notes),
            "job_sha256": self.job_sha256(row),
            "device": device_name(self.place.device),
            "seed": self.config.seed,
            **source.provenance,
            **provenance(),
        }

    def _footnotes(self) -> tuple[str, ...]:
        notes = footnotes(self.resolved, self.distance, self.count)
        if not self.config.samples:
            return notes
        return (*notes, *left_out(self.dataset.size, self._comparisons))

    def _write_grid_inputs(self) -> None:
        samples = [self.dataset[index] for index in range(min(_GRID_SAMPLES, self.count))]
        folder = self.place.run_folder / "images"
        write_images(folder / LABEL_MAP_FOLDER, samples, coloured(samples, self.dataset))
        write_images(folder / "real", samples, RealPhotos().images(range(len(samples)), samples))


def _given(source: Source) -> Callable[[], Source]:
    """Opens a source whose files have been read already."""
    return lambda: source
