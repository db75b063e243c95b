# SPDX-License-Identifier: Apache-2.0
"""What a run keeps of its scores: records in one write a row, counts and features beside them."""

import time
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from typing import Any

from spade_eval.config import RunConfig
from spade_eval.datasets.base import (
    Dataset,
    label_doubts_of,
    photo_notes_of,
    segmenter_of,
    set_name_of,
)
from spade_eval.devices import device_name
from spade_eval.errors import UserError
from spade_eval.metrics.draws import of_draw
from spade_eval.records import Measurement, RecordStore, provenance, sha256_of_file
from spade_eval.scoring.diversity import Comparison, left_out, open_comparisons
from spade_eval.scoring.footnotes import footnotes, notes_of_scores, notes_of_training
from spade_eval.scoring.in_domain import SHIPPED
from spade_eval.scoring.networks import ScoringNetworks
from spade_eval.scoring.reversal import Reversal
from spade_eval.scoring.row_notes import notes_of_real_row, notes_of_row
from spade_eval.scoring.scorer import Scores
from spade_eval.scoring.stopping import notes_of_rule
from spade_eval.scoring.values import Value, measurements, with_provenance
from spade_eval.sources.called import CalledGenerator
from spade_eval.sources.draws import notes_of_draws, num_draws
from spade_eval.sources.source import Source
from spade_eval.sources.synthesis import SynthesizedByCheckpoint
from spade_eval.workplace import Workplace


@dataclass(frozen=True)
class Started:
    """When a job began, for the people who read its records and for a clock."""

    at: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    clock: float = field(default_factory=time.perf_counter)

    def fields(self) -> dict[str, Any]:
        """Return the fields of `Measurement` for a job that ends now."""
        return {
            "started": self.at.isoformat(timespec="seconds"),
            "seconds": round(time.perf_counter() - self.clock, 3),
        }


@dataclass(frozen=True)
class Job:
    """A row of images and the networks that scored it."""

    row: str  # names the files of the job
    source: Source
    networks: ScoringNetworks
    sha256: str
    stated: Mapping[str, Any] = field(default_factory=dict)  # facts of the row, by its maker


class Recorder:
    """Records the jobs of one run; used by the first process alone."""

    def __init__(self, config: RunConfig, place: Workplace, dataset: Dataset, count: int) -> None:
        self.config, self.place, self.dataset, self.count = config, place, dataset, count
        self.store = RecordStore(place.run_folder / "records.jsonl")

    def numbers(self) -> dict[str, set[Hashable]]:
        """Return what is recorded: columns, and columns with a class, by hash of the job."""
        present: dict[str, set[Hashable]] = defaultdict(set)
        for item in self.store:
            present[item.job_sha256] |= {item.metric, (item.metric, item.class_name)}
        return dict(present)

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """How samples of one label map are compared; in no way where none are asked for."""
        if not self.config.samples:
            return []
        return open_comparisons(self.dataset.size, self.place.weights_dir, self.place.device)

    def record(
        self,
        jobs: Sequence[Job],
        scores: Sequence[Scores],
        diverse: Sequence[Value],
        started: Started,
    ) -> None:
        """Record what each segmenter measured of a row, in one write.

        `diverse` is the diversity of the row's samples, held by the first job.
        """
        times = started.fields()
        found: list[Measurement] = []
        for job, own in zip(jobs, scores, strict=True):
            found += self._measured(job, own, [] if found else diverse, times)
        self.store.append(found)

    def record_reversal(
        self, job: Job, reversal: Reversal, scores: Scores, started: Started
    ) -> None:
        """Record what the other direction of a method scored, photos to label maps."""
        self._keep_counts(job, scores)
        common = {
            **self._common(job),
            **reversal.fields(job.row),
            "num_images": len(scores.per_image),
            **started.fields(),
        }
        self.store.append(measurements(scores.values, common))

    def _measured(
        self, job: Job, scores: Scores, diverse: Sequence[Value], times: dict[str, Any]
    ) -> list[Measurement]:
        """Keep counts and features of a job; return its measurements."""
        networks, count = job.networks, len(scores.per_image)
        self._require_all(job, count)
        self._keep_counts(job, scores)
        identities = self._keep_features(job, scores)
        known = networks.thumbnails
        train = None if known is None else known[0]
        values = with_provenance(scores.values, networks.distances, count, identities, train)
        common = self._common(job)
        by_rule = notes_of_rule(networks.protocol, job.row, scores.per_image)
        of_loss = notes_of_training(common.get("train_perceptual"), networks.distances)
        of_scores = notes_of_scores(self.config.dataset, scores)
        of_row = notes_of_row(networks.resolved, common)
        of_real = notes_of_real_row(networks.resolved, common, scores)
        own = (*common["notes"], *by_rule, *of_loss, *of_row, *of_real, *of_scores)
        common |= {"num_images": count, "notes": own, **times}
        return measurements([*values, *diverse], common)

    def _require_all(self, job: Job, count: int) -> None:
        """Refuse scores of fewer images than there are maps, unless a rule ended them."""
        if count != self.count and not job.networks.protocol.until:
            raise UserError(
                f"{job.source.name}: {count} images were scored, one for each of the {self.count} "
                "maps was expected; nothing is recorded of fewer"
            )

    def _keep_counts(self, job: Job, scores: Scores) -> None:
        """Store the counts of every image, a file a draw."""
        folder = self.place.run_folder / "counts"
        folder.mkdir(exist_ok=True)
        for draw, own in enumerate((scores, *scores.further), start=1):
            own.per_image.save(folder / f"{_name_of(job)}{of_draw(draw)}.npz")

    def _keep_features(self, job: Job, scores: Scores) -> dict[str, str]:
        """Store features of the images for intervals; return the photos' hashes by column.

        Reports find them by the photos that they were compared with.
        """
        identities = {
            item.column: job.networks.reference_sha256(item) for item in job.networks.distances
        }
        for draw, own in enumerate((scores, *scores.further), start=1):
            for column, features in own.features.items():
                file = f"{_name_of(job)}-{identities[column][:8]}{of_draw(draw)}.npz"
                features.save(self.place.run_folder / "features" / file)
        return identities

    def _common(self, job: Job) -> dict[str, Any]:
        """Return the fields that all measurements of a job share."""
        resolved = job.networks.resolved
        height, width = resolved.size
        of_draws = notes_of_draws(job.source, self.config.best_draw)
        return {
            "source": job.source.name,
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
            "num_draws": draws if (draws := num_draws(job.source)) > 1 else None,
            "notes": (*self._footnotes(job.networks), *job.source.notes, *of_draws),
            "job_sha256": job.sha256,
            "device": device_name(self.place.device),
            "seed": self.config.seed,
            "images_per_second": _speed(job.source),
            **segmenter_of_training(job.source, job.networks),
            **job.source.provenance,
            **job.stated,
            **provenance(),
        }

    def _footnotes(self, networks: ScoringNetworks) -> tuple[str, ...]:
        notes = footnotes(networks.resolved, networks.distances, self.count)
        notes = (*label_doubts_of(self.dataset), *notes, *photo_notes_of(self.dataset))
        if not self.config.samples:
            return notes
        return (*notes, *left_out(self.dataset.size, self.comparisons))


def segmenter_of_training(source: Source, networks: ScoringNetworks) -> dict[str, str]:
    """Say which segmenter a model of the suite learned from: the shipped one, or none."""
    compared = source.provenance.get("train_perceptual")
    if compared is None:
        return {}
    if compared != "in-domain":
        return {"trained_with_segmenter": "none"}
    shipped = sha256_of_file(SHIPPED[segmenter_of(networks.dataset)])
    is_same = shipped == networks.resolved.segmenter_sha256
    return {"trained_with_segmenter": "scoring" if is_same else "related"}


def _name_of(job: Job) -> str:
    """Return what the files of a job are called."""
    return f"{job.row}-{job.sha256[:8]}"


def _speed(source: Source) -> float | None:
    """Images a second of a generator; None where images are given."""
    if isinstance(source, SynthesizedByCheckpoint | CalledGenerator):
        return source.images_per_second
    return None
