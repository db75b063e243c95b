# SPDX-License-Identifier: Apache-2.0
"""Footnotes of a paper's table: every way in which a measured number's protocol differs from it."""

import math
from collections.abc import Collection, Mapping, Sequence

from spade_eval.papers.publications import Paper
from spade_eval.papers.tables import PaperRow, PaperTable, Untrained
from spade_eval.records import Measurement
from spade_eval.reports.measured.seeds import SeededRow
from spade_eval.reports.statistics.over_seeds import difference_over_seeds
from spade_eval.reports.tables.published import RECALLED, paper_dataset

IN_DOMAIN = "in-domain"
# Segmenters without real weights: their scores mean nothing.
MEANINGLESS = ("filled", "random")


def comparable(item: Measurement) -> bool:
    """Return whether a score may be subtracted from the paper's at all."""
    return (
        paper_dataset(item.dataset) is not None
        and item.segmenter_weights not in (*MEANINGLESS, IN_DOMAIN)
        and item.profile != IN_DOMAIN
    )


def protocol_notes(
    paper: Paper, dataset: str, measured: Sequence[Measurement], metrics: Collection[str]
) -> list[str]:
    """Say how one dataset's protocol differs from the paper's, each difference in a sentence."""
    name = paper_dataset(dataset)
    if not measured:
        return []
    if name is None:
        return [f"{dataset}: the paper has no scores on it, so its columns are empty."]
    first = measured[0]
    return [
        *_segmenter_notes(dataset, first),
        *_set_notes(paper, dataset, name, first),
        *_metric_notes(paper, dataset, name, metrics),
    ]


def _segmenter_notes(dataset: str, first: Measurement) -> list[str]:
    if first.segmenter_weights in MEANINGLESS:
        return [
            f"{dataset}: the segmenter's weights are {first.segmenter_weights}, so its scores mean "
            "nothing; no difference is given."
        ]
    if first.profile == IN_DOMAIN or first.segmenter_weights == IN_DOMAIN:
        return [
            f"{dataset}: scored by an in-domain segmenter, which no paper used; no difference is "
            "given."
        ]
    return [
        f"{dataset}: profile {first.profile}; the paper does not state its own (size, scales and "
        "resizing of the segmenter's input)."
    ]


def _set_notes(paper: Paper, dataset: str, name: str, first: Measurement) -> list[str]:
    notes = []
    count, size = paper.image_counts.get(name), (first.height, first.width)
    if count is not None and first.num_images != count:
        notes.append(
            f"{dataset}: N = {first.num_images:,} images, where the paper scores {count:,}."
        )
    paper_size = paper.sizes.get(name, paper.usual_size)
    if size != paper_size:
        notes.append(
            f"{dataset}: images of {size[0]}x{size[1]}, where the paper's are "
            f"{paper_size[0]}x{paper_size[1]} (height x width)."
        )
    if name in paper.unpublished_lists:
        notes.append(f"{dataset}: the paper's list of images was never published.")
    return notes


def _metric_notes(paper: Paper, dataset: str, name: str, metrics: Collection[str]) -> list[str]:
    notes = []
    if name in paper.unknown_accuracy and "acc_valid" in metrics:
        notes.append(
            f"{dataset}: whether the paper's accuracy counts unlabelled pixels was not found; it "
            "stands beside accuracy (valid)."
        )
    if name in paper.counts_unlabelled and "acc_all" in metrics:
        notes.append(
            f"{dataset}: the paper's accuracy counts unlabelled pixels as wrong, so it stands "
            "beside accuracy (all)."
        )
    if "fid" in metrics and paper.fid_profile:
        known = "by its code" if paper.fid_stated else "by its date"
        notes.append(
            f"{dataset}: {known} the paper's FID was made with {paper.fid_network} "
            f"(profile {paper.fid_profile}); other profiles differ by more than methods do."
        )
    return notes


def recalled_note(table: PaperTable) -> str:
    """Say that a table shows numbers nobody here has seen in print."""
    return f"Some of the paper's numbers in {table.name} are {RECALLED} (column `recalled`)."


def quoted_notes(rows: Sequence[PaperRow]) -> list[str]:
    """Say whose numbers stand beside rows that the table's paper did not measure."""
    papers = {row.quoted.key: row.quoted for row in rows if row.quoted is not None}
    titles = {
        key: ", ".join(row.title for row in rows if row.quoted is paper)
        for key, paper in papers.items()
    }
    return [
        f"{titles[key]}: published numbers are those of {paper.authors}, {paper.venue} "
        f"({paper.protocol})."
        for key, paper in papers.items()
    ]


def question_notes(
    questions: Sequence[tuple[str, str]], rows: Mapping[str, SeededRow], titles: Mapping[str, str]
) -> list[str]:
    """Answer what a table asks of pairs of its rows, each in a sentence; rows are by model."""
    notes = []
    for model, baseline in questions:
        if model not in rows or baseline not in rows:
            continue
        mean, (low, high), count = difference_over_seeds(rows[model], rows[baseline], "miou")
        if math.isnan(low):
            continue
        answer = "not told apart" if low <= 0 <= high else "ahead" if mean > 0 else "behind"
        notes.append(
            f"{titles[model]} against {titles[baseline]}, asked beforehand: {answer}, mIoU "
            f"{100 * mean:+.1f} points, 95% [{100 * low:+.1f}, {100 * high:+.1f}] over {count} "
            "seeds, paired."
        )
    return notes


def unmeasured_notes(
    table: PaperTable, measured: Collection[str], untrained: Mapping[str, Untrained]
) -> list[str]:
    """Say why a row of the table has no measured number, where there is a reason."""
    notes = [
        f"{row.title}: the suite has no such generator." for row in table.rows if row.model is None
    ]
    notes += [
        f"{row.title}: not trained here; its authors' images are scored with --images "
        f"{row.model}=DIR."
        for row in table.rows
        if row.given and row.model not in measured
    ]
    missing = [model for model in table.models if measured and model not in measured]
    other = [row.title for row in table.rows if row.model in missing and row.model not in untrained]
    return [
        *notes,
        *([f"In none of these runs: {', '.join(other)}."] if other else ()),
        *(f"{model}: {untrained[model].reason}" for model in missing if model in untrained),
    ]
