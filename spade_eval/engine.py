# SPDX-License-Identifier: Apache-2.0
"""A run: for every row that is not recorded yet, images -> scores -> records.

Each row is one job, recorded in one write when it is complete. A run that is killed anywhere and
started again computes only what is missing and ends with the records of an undisturbed run.
"""

import dataclasses
import functools
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cached_property
from pathlib import Path
from typing import Literal

from spade_eval.config import RunConfig, TrainConfig
from spade_eval.datasets import open_dataset
from spade_eval.datasets.base import Dataset, label_doubts_of
from spade_eval.errors import UserError, lookup
from spade_eval.files import is_writable
from spade_eval.metrics.stopping import require_one_process
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.training.distributed import ALONE
from spade_eval.protocol import further_protocol, protocol_for
from spade_eval.records import sha256_of_json
from spade_eval.rows import PlannedRows, Request, Row, require_given
from spade_eval.scoring.diversity import diversity
from spade_eval.scoring.draws import score_draws
from spade_eval.scoring.kept_images import KeptImages
from spade_eval.scoring.networks import ScoringNetworks
from spade_eval.scoring.recording import Job, Recorder, Started
from spade_eval.scoring.reversal import open_reversal, reversal_job, reversal_numbers
from spade_eval.scoring.train_photos import fill_first
from spade_eval.scoring.values import Value
from spade_eval.sources.called import CalledGenerator
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
            config.profile, config.dataset, config.segmenter, config.fid_profile, config.until,
            config.given_maps,
        )  # fmt: skip
        require_one_process(self.protocol.until, place.world.size)
        self.dataset = dataset or with_store(
            open_dataset(config.dataset, self.protocol.split, config.budget.size, place.data_root),
            place.run_folder / "cache",
        )
        self.count = min(len(self.dataset), config.budget.val_limit or len(self.dataset))
        self.recorder = Recorder(config, place, self.dataset, self.count)
        self.store = self.recorder.store
        self.kept = KeptImages(
            place, self.protocol, self.dataset, self.count, lambda: self.networks.scorer
        )

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
                train_split=lambda: with_store(self.train_split, self.place.run_folder / "cache"),
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
                world.on_first(self.kept.write_inputs)
                if len(missing) > 1:  # each of them reads all samples
                    world.on_first(functools.partial(fill_first, self.dataset, self.count))
            for row in rows:
                if row in missing:
                    self._measure(row)
                elif world.on_first(functools.partial(self._lacks_images, row)):
                    self.kept.write_again(row.open(), self._kept_of(row))
                if row.reverse is not None:
                    self._measure_reversal(row, row.reverse)
        return [row.name for row in missing]

    def missing(self, rows: list[Row]) -> list[Row]:
        """Return the rows of which not every number that this configuration makes is recorded."""
        recorded = self.place.world.on_first(self.recorder.numbers)
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
        if not self.kept.number or not wanted:
            return
        world.on_first(lambda: self.kept.write_inputs(sorted(wanted)))
        for row in self.rows(request):
            lacks = functools.partial(self.kept.lacks, row.name, sorted(wanted))
            if row.keep_images and world.on_first(lacks):
                self.kept.write_these(row.open(), wanted)

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
        folder = self.training_folder(config)
        place.world.on_first(lambda: _warn_of_labels(self.train_split))
        split = with_store(self.train_split, place.run_folder / "cache")
        return train_generator(
            config, split, folder, place.device, place.weights_dir, scores, place.world,
            place.trackers,
        )  # fmt: skip

    def training_folder(self, config: TrainConfig) -> Path:
        """Return where a model of this run is trained."""
        return self.place.run_folder / "checkpoints" / f"{config.model}-{config.sha256[:8]}"

    def rows(self, request: Request) -> list[Row]:
        """Return every row of the run.

        Files that a row or the measurements need are read, so that errors come first.
        """
        _ = [networks.stored for networks in self.panel], self.recorder.comparisons
        return PlannedRows(self.networks, self._train, self.train_config).of(request)

    def require(self, request: Request) -> None:
        """Refuse rows that cannot be scored, before anything is trained for any of them."""
        for model in request.models:
            lookup(GENERATORS, model, "generator")
            self.train_config(model)
        require_given(request, self.dataset, self.count)

    def train_config(self, model: str) -> TrainConfig:
        """Return how this run trains a model."""
        self.place.world.on_first(self.train_split.fingerprint)
        return train_config(model, self.config, self.train_split, self.place.weights_dir)

    def job_sha256(self, row: Row, networks: ScoringNetworks | None = None) -> str:
        """Identify a measurement: these images under this protocol on this data."""
        networks = networks or self.networks
        compared = [item.metric for item in self.recorder.comparisons]
        return sha256_of_json(
            {
                "row": row.name,
                "source": dict(row.identity),
                "dataset": self.dataset.fingerprint(),
                "num_images": self.count,
                "protocol": networks.resolved.sha256,
                "samples": [self.config.samples, compared],
                **({"best_draw": True} if self.config.best_draw else {}),
            }
        )

    @cached_property
    def train_split(self) -> Dataset:
        """The photos that this run's models learn from."""
        budget = self.config.budget
        return open_dataset(self.config.dataset, "train", budget.size, self.place.data_root)

    def _measure(self, row: Row) -> None:
        panel = self._lacking(row, self.place.world.on_first(self.recorder.numbers))
        if row.identity.get("kind") == "real":
            for networks in panel:
                networks.keep_floors()
        started, source = Started(), row.open()
        with self.kept.writer(row.name, keep=row.keep_images) as writer:
            scores = score_draws(
                [networks.scorer for networks in panel],
                source,
                [networks.photos for networks in panel],
                writer,
                best=self.config.best_draw,
            )
        diverse = self._diversity(source) if self.networks in panel else []
        jobs = [
            Job(row.name, source, item, self.job_sha256(row, item), row.stated) for item in panel
        ]
        self.place.world.on_first(lambda: self.recorder.record(jobs, scores, diverse, started))

    def _measure_reversal(self, row: Row, trained: Callable[[], Path]) -> None:
        """Score the other direction of a method, photos to label maps, unless it is recorded."""
        world, digest = self.place.world, reversal_job(self.job_sha256(row))
        recorded = world.on_first(self.recorder.numbers)
        if reversal_numbers(self.networks) <= recorded.get(digest, set()):
            return
        reversal = open_reversal(trained(), self.networks)
        started = Started()
        scores = reversal.scorer.score(RealPhotos(), {})

        def record() -> None:
            job = Job(row.name, row.open(), self.networks, digest)
            self.recorder.record_reversal(job, reversal, scores, started)

        world.on_first(record)

    def _diversity(self, source: Source) -> list[Value]:
        comparisons, samples = self.recorder.comparisons, self.config.samples
        if not comparisons or not isinstance(source, SynthesizedByCheckpoint | CalledGenerator):
            return []
        world = self.place.world
        return diversity(
            source, self.dataset, self.count, samples, comparisons, world,
            self.protocol.given_maps,
        )  # fmt: skip

    def _kept_of(self, row: Row) -> Sequence[int]:
        """Return which images of a recorded row are kept; a rule may have ended it early."""
        if not self.protocol.until:
            return self.kept.indices()
        job = self.job_sha256(row)
        return self.kept.indices(
            max(item.num_images for item in self.store if item.job_sha256 == job)
        )

    def _lacks_images(self, row: Row) -> bool:
        return row.keep_images and self.kept.lacks(row.name, self._kept_of(row))


def _warn_of_labels(dataset: Dataset) -> None:
    for doubt in label_doubts_of(dataset):
        print(f"warning: {doubt}", file=sys.stderr)
