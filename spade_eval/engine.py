# SPDX-License-Identifier: Apache-2.0
"""A run: for every row that is not recorded yet, images -> scores -> records.

Each row is one job, recorded in one write when it is complete. A run that is killed anywhere and
started again computes only what is missing and ends with the records of an undisturbed run.
"""

import dataclasses
import functools
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from spade_eval.config import RunConfig, TrainConfig
from spade_eval.datasets import open_dataset
from spade_eval.datasets.base import Dataset, label_doubts_of, photo_notes_of, set_name_of
from spade_eval.devices import device_name
from spade_eval.errors import UserError, lookup
from spade_eval.files import is_writable
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.training.distributed import ALONE
from spade_eval.protocol import further_protocol, protocol_for
from spade_eval.records import Measurement, RecordStore, provenance, sha256_of_json
from spade_eval.rows import PlannedRows, Request, Row, require_given
from spade_eval.scoring.diversity import Comparison, diversity, left_out, open_comparisons
from spade_eval.scoring.footnotes import footnotes, notes_of_scores
from spade_eval.scoring.networks import ScoringNetworks
from spade_eval.scoring.reversal import open_reversal, reversal_job, reversal_numbers
from spade_eval.scoring.scorer import Scores, score_together
from spade_eval.scoring.stopping import notes_of_rule, order_of
from spade_eval.scoring.values import Value, measurements, with_provenance
from spade_eval.sources.image_files import (
    ImageWriter,
    lacks_images,
    num_written,
    write_images,
    write_inputs,
)
from spade_eval.sources.source import RealPhotos, Source
from spade_eval.sources.synthesis import SynthesizedByCheckpoint
from spade_eval.training.generator import train_generator, with_store
from spade_eval.training.scores import PeriodicScores
from spade_eval.training.setup import train_config
from spade_eval.workplace import Workplace, at_work, claim_folder


class Benchmark:
    """One run folder: its data, its protocol, its records.

    `dataset` is scored in the place of the split that the configuration names.
    """

    def __init__(self, config: RunConfig, place: Workplace, dataset: Dataset | None = None) -> None:
        self.config, self.place = config, place
        self.protocol = protocol_for(
            config.profile, config.dataset, config.segmenter, config.fid_profile, config.until
        )
        if self.protocol.until and place.world.size > 1:
            raise UserError(
                f"--until {self.protocol.until} looks at images one batch after another, found "
                f"{place.world.size} processes; leave --gpus and --nodes out"
            )
        self.store = RecordStore(place.run_folder / "records.jsonl")
        self.dataset = dataset or open_dataset(
            config.dataset, self.protocol.split, config.budget.size, place.data_root
        )
        self.count = min(len(self.dataset), config.budget.val_limit or len(self.dataset))

    @property
    def networks(self) -> ScoringNetworks:
        """The networks that score the images of this run, of several segmenters the first."""
        return self.panel[0]

    @cached_property
    def panel(self) -> tuple[ScoringNetworks, ...]:
        """The networks of every segmenter; each is a protocol of its own, on the same images."""
        further = [
            further_protocol(self.protocol, self.config.dataset, name)
            for name in self.config.further_segmenters
        ]
        return tuple(
            ScoringNetworks(
                self.config, self.place, protocol, self.dataset, self.count,
                train_split=lambda: with_store(self._train_split, self.place.run_folder / "cache"),
            )
            for protocol in (self.protocol, *further)
        )  # fmt: skip

    def run(self, request: Request) -> list[str]:
        """Measure what is missing; returns the names of the rows that were measured now."""
        world = self.place.world
        world.on_first(self.dataset.fingerprint)  # others then find hashes of files remembered
        rows = self.rows(request)
        world.on_first(lambda: claim_folder(self.place.run_folder, self.config))
        with at_work(self.place.run_folder, [row.name for row in self.missing(rows)], world):
            missing = self.missing(rows)  # again: who was at work may have ended meanwhile
            if missing:
                world.on_first(functools.partial(_warn_of_labels, self.dataset))
            if is_writable(self.place.run_folder):
                world.on_first(self._write_inputs)
            for row in rows:
                if row in missing:
                    self._measure(row)
                elif world.on_first(functools.partial(self._lacks_images, row)):
                    self._write_images(row)
                if row.reverse is not None:
                    self._measure_reversal(row, row.reverse)
        return [row.name for row in missing]

    def missing(self, rows: list[Row]) -> list[Row]:
        """Return the rows of which not every number that this configuration makes is recorded."""
        recorded = self.place.world.on_first(self._recorded)
        return [row for row in rows if self._lacking(row, recorded)]

    def _lacking(
        self, row: Row, recorded: Mapping[str, AbstractSet[Hashable]]
    ) -> list[ScoringNetworks]:
        """Return the networks that have yet to score a row."""
        return [
            networks
            for networks in self.panel
            if not networks.numbers <= recorded.get(self.job_sha256(row, networks), set())
        ]

    def _recorded(self) -> dict[str, set[Hashable]]:
        """Return the numbers of every job."""
        present: dict[str, set[Hashable]] = defaultdict(set)
        for item in self.store:
            present[item.job_sha256] |= {item.metric, (item.metric, item.class_name)}
        return dict(present)

    def recorded(self, names: Sequence[str]) -> set[str]:
        """Return which of these rows are recorded of this data under this very protocol.

        Where rows of these names are, the networks that score are opened to know it.
        """
        data = self.dataset.fingerprint(), self.count
        found = [
            item
            for item in self.store
            if item.source in names and (item.dataset_sha256, item.num_images) == data
        ]
        protocol = self.networks.resolved.sha256 if found else ""
        return {item.source for item in found if item.protocol_sha256 == protocol}

    def keep_images(self, request: Request, names: Sequence[str]) -> None:
        """Write these images of every row that keeps any, and their label maps, where not there.

        They are bit for bit those scored.
        """
        world, places = self.place.world, {name: i for i, name in enumerate(self.dataset.names)}
        wanted = {places[name] for name in names}
        if not self._num_kept or not wanted:
            return
        folder = self.place.run_folder
        world.on_first(lambda: write_inputs(folder, self.dataset, sorted(wanted)))
        for row in self.rows(request):
            lacks = functools.partial(lacks_images, self._image_folder(row), names)
            if row.keep_images and world.on_first(lacks):
                for batch in self.networks.scorer.batches(row.open(), "keeping", wanted):
                    shown = [i for i, index in enumerate(batch.indices) if index in wanted]
                    samples = [batch.samples[i] for i in shown]
                    write_images(self._image_folder(row), samples, batch.images[shown])

    def train(
        self,
        model: str,
        score_every: int | None = None,
        score_images: int = 50,
        score_by: Literal["miou", "fid"] = "miou",
    ) -> Path:
        """Train one model of this run; returns the checkpoint of its last weights.

        Scored now and then on the first val images where `score_every` says so; see `ScoreLog`.
        """
        place = self.place
        place.world.on_first(lambda: claim_folder(place.run_folder, self.config))
        with at_work(place.run_folder, [model], place.world):
            scores = None
            if score_every is not None:
                scores = self._scores(score_every, score_images, score_by)
            return self._train(model, scores)

    def _scores(self, every: int, images: int, by: str) -> PeriodicScores:
        # Opened by all processes, used by the first.
        scorer = dataclasses.replace(self.networks.scorer, world=ALONE)
        column = by
        if by == "fid":  # of the profile, or of the in-domain features where it has none
            if not scorer.distances:
                raise UserError(
                    "--score-by fid: this run measures no distance to the photos; leave "
                    "--fid-profile none out, or score by miou"
                )
            column = scorer.distances[0].column
        return PeriodicScores(every, min(images, self.count), lambda: scorer, column)

    def _train(self, model: str, scores: PeriodicScores | None = None) -> Path:
        place, config = self.place, self.train_config(model)
        folder = place.run_folder / "checkpoints" / f"{model}-{config.sha256[:8]}"
        place.world.on_first(lambda: _warn_of_labels(self._train_split))
        split = with_store(self._train_split, place.run_folder / "cache")
        return train_generator(
            config, split, folder, place.device, place.weights_dir, scores, place.world
        )

    def rows(self, request: Request) -> list[Row]:
        """Return every row of the run.

        Files that a row or the measurements need are read, so that errors come first.
        """
        _ = [networks.stored for networks in self.panel], self._comparisons
        return PlannedRows(self.networks, self._train, self.train_config).of(request)

    def require(self, request: Request) -> None:
        """Refuse rows that cannot be scored, before anything is trained for any of them."""
        for model in request.models:
            lookup(GENERATORS, model, "generator")
            self.train_config(model)
        require_given(request, self.dataset, self.count)

    def train_config(self, model: str) -> TrainConfig:
        """Return how this run trains a model."""
        self.place.world.on_first(self._train_split.fingerprint)
        return train_config(model, self.config, self._train_split, self.place.weights_dir)

    def job_sha256(self, row: Row, networks: ScoringNetworks | None = None) -> str:
        """Identify a measurement: these images under this protocol on this data."""
        networks = networks or self.networks
        return sha256_of_json(
            {
                "row": row.name,
                "source": dict(row.identity),
                "dataset": self.dataset.fingerprint(),
                "num_images": self.count,
                "protocol": networks.resolved.sha256,
                "samples": [self.config.samples, [item.metric for item in self._comparisons]],
            }
        )

    @cached_property
    def _train_split(self) -> Dataset:
        budget = self.config.budget
        return open_dataset(self.config.dataset, "train", budget.size, self.place.data_root)

    def _measure(self, row: Row) -> None:
        panel = self._lacking(row, self.place.world.on_first(self._recorded))
        if row.identity.get("kind") == "real":
            for networks in panel:
                networks.keep_floors()
        started, clock = datetime.now(timezone.utc), time.perf_counter()
        source = row.open()
        with self._writer(row) as writer:
            scores = score_together(
                [networks.scorer for networks in panel],
                source,
                [networks.photos for networks in panel],
                writer,
            )
        diverse = self._diversity(source) if self.networks in panel else []
        self.place.world.on_first(
            lambda: self._record(row, source, panel, scores, diverse, started, clock)
        )

    def _measure_reversal(self, row: Row, trained: Callable[[], Path]) -> None:
        """Score the other direction of a method, photos to label maps, unless it is recorded."""
        world, job = self.place.world, reversal_job(self.job_sha256(row))
        recorded = world.on_first(self._recorded)
        if reversal_numbers(self.networks) <= recorded.get(job, set()):
            return
        reversal = open_reversal(trained(), self.networks)
        started, clock = datetime.now(timezone.utc), time.perf_counter()
        scores = reversal.scorer.score(RealPhotos(), {})

        def record() -> None:
            self._keep_counts(row, job, scores)
            common = {
                **self._common(row, row.open(), self.networks),
                **reversal.fields(row.name),
                "num_images": len(scores.per_image),
                "job_sha256": job,
                **_when(started, clock),
            }
            self.store.append(measurements(scores.values, common))

        world.on_first(record)

    def _keep_counts(self, row: Row, job_sha256: str, scores: Scores) -> str:
        """Store the counts of every image; returns the name of the job's files."""
        name = f"{row.name}-{job_sha256[:8]}"
        counts = self.place.run_folder / "counts" / f"{name}.npz"
        counts.parent.mkdir(exist_ok=True)
        scores.per_image.save(counts)
        return name

    def _record(
        self,
        row: Row,
        source: Source,
        panel: Sequence[ScoringNetworks],
        scores: Sequence[Scores],
        diverse: list[Value],
        started: datetime,
        clock: float,
    ) -> None:
        """Record what each segmenter measured; of samples, the first row holds the diversity."""
        times = _when(started, clock)
        found = [
            item
            for networks, own in zip(panel, scores, strict=True)
            for item in self._measured(
                row, source, networks, own, diverse if networks is self.networks else [], times
            )
        ]
        self.store.append(found)

    def _measured(
        self,
        row: Row,
        source: Source,
        networks: ScoringNetworks,
        scores: Scores,
        diverse: list[Value],
        times: Mapping[str, Any],
    ) -> list[Measurement]:
        """Keep counts and features of a job; return its measurements."""
        name = self._keep_counts(row, self.job_sha256(row, networks), scores)
        identities = {item.column: networks.reference_sha256(item) for item in networks.distances}
        # Kept for intervals of distances; reports find them by the photos they were compared with.
        for column, features in scores.features.items():
            file = f"{name}-{identities[column][:8]}.npz"
            features.save(self.place.run_folder / "features" / file)
        known = networks.thumbnails
        train = None if known is None else known[0]
        count = len(scores.per_image)
        values = with_provenance(scores.values, count, identities, train)
        values += diverse
        common = self._common(row, source, networks)
        by_rule = notes_of_rule(networks.protocol, row.name, scores.per_image)
        own = (*common["notes"], *by_rule, *notes_of_scores(self.config.dataset, scores))
        return measurements(values, {**common, "num_images": count, "notes": own, **times})

    @cached_property
    def _comparisons(self) -> list[Comparison]:
        if not self.config.samples:
            return []
        return open_comparisons(self.dataset.size, self.place.weights_dir, self.place.device)

    def _diversity(self, source: Source) -> list[Value]:
        if not self._comparisons or not isinstance(source, SynthesizedByCheckpoint):
            return []
        samples = self.config.samples
        world = self.place.world
        return diversity(source, self.dataset, self.count, samples, self._comparisons, world)

    def _common(self, row: Row, source: Source, networks: ScoringNetworks) -> dict[str, Any]:
        """Return the fields that all measurements of a job share."""
        resolved, (height, width) = networks.resolved, networks.resolved.size
        return {
            "source": source.name,
            "dataset": set_name_of(self.dataset),
            "dataset_sha256": self.dataset.fingerprint(),
            "split": resolved.protocol.split,
            "height": height,
            "width": width,
            "until": resolved.protocol.until or None,
            "profile": resolved.protocol.profile,
            "protocol_version": resolved.protocol.version,
            "protocol_sha256": resolved.sha256,
            "segmenter": resolved.segmenter,
            "segmenter_sha256": resolved.segmenter_sha256,
            "segmenter_weights": resolved.segmenter_weights,
            "notes": (*self._footnotes(networks), *source.notes),
            "job_sha256": self.job_sha256(row, networks),
            "device": device_name(self.place.device),
            "seed": self.config.seed,
            "images_per_second": _speed(source),
            **source.provenance,
            **provenance(),
        }

    def _footnotes(self, networks: ScoringNetworks) -> tuple[str, ...]:
        notes = footnotes(networks.resolved, networks.distances, self.count)
        notes = (*label_doubts_of(self.dataset), *notes, *photo_notes_of(self.dataset))
        if not self.config.samples:
            return notes
        return (*notes, *left_out(self.dataset.size, self._comparisons))

    def _write_inputs(self) -> None:
        write_inputs(self.place.run_folder, self.dataset, self._kept)

    @property
    def _num_kept(self) -> int:
        """Images of a row that are kept as PNG, the first ones that are scored."""
        return num_written(range(self.count), self.place.save_images)

    @property
    def _kept(self) -> Sequence[int]:
        """Their indices in the split."""
        return order_of(self.protocol, self.count)[: self._num_kept]

    def _kept_of(self, row: Row) -> Sequence[int]:
        """Those of a recorded row, which a rule may have ended before all were scored."""
        if not self.protocol.until:
            return self._kept
        job = self.job_sha256(row)
        return self._kept[: max(item.num_images for item in self.store if item.job_sha256 == job)]

    def _writer(self, row: Row) -> ImageWriter:
        return ImageWriter(self._image_folder(row), self._num_kept if row.keep_images else 0)

    def _image_folder(self, row: Row) -> Path:
        return self.place.run_folder / "images" / row.name

    def _lacks_images(self, row: Row) -> bool:
        names = [self.dataset.names[index] for index in self._kept_of(row)]
        return row.keep_images and lacks_images(self._image_folder(row), names)

    def _write_images(self, row: Row) -> None:
        """Images that are asked for after their row was recorded, bit for bit those scored."""
        with self._writer(row) as writer:
            kept = self._kept_of(row)
            batches = self.networks.scorer.batches(row.open(), "writing", kept)
            for batch in batches:
                writer.write(batch.places, batch.samples, batch.images)


def _warn_of_labels(dataset: Dataset) -> None:
    for doubt in label_doubts_of(dataset):
        print(f"warning: {doubt}", file=sys.stderr)


def _when(started: datetime, clock: float) -> dict[str, Any]:
    return {
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(time.perf_counter() - clock, 3),
    }


def _speed(source: Source) -> float | None:
    """Images a second of a generator; None where images are given."""
    return source.images_per_second if isinstance(source, SynthesizedByCheckpoint) else None
