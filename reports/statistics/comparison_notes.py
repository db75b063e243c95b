# SPDX-License-Identifier: Apache-2.0
"""What is said below a comparison: of whom it is true, what it could show, what would show more."""

import math
from collections.abc import Sequence

from spade_eval.reports.statistics.differences import Difference, Pair
from spade_eval.reports.statistics.multiplicity import BENJAMINI_HOCHBERG, HOLM
from spade_eval.reports.statistics.sides import Side


def comparison_notes(subject: Side, baselines: Sequence[Side], pairs: Sequence[Pair]) -> list[str]:
    """Return the notes of a comparison, without those of its rows."""
    notes = [
        "Intervals are of 95% and about the images of this split: of one training of each method, "
        "a verdict is about these checkpoints and not about the methods.",
        *_power_notes([item for pair in pairs for item in pair.differences]),
    ]
    if len(pairs) > 1:
        notes.append(f"Verdicts of a metric hold over its {len(pairs)} baselines ({HOLM}, 5%).")
    if any(item.verdict != "no interval" for pair in pairs for item in pair.classes):
        notes.append(
            f"Verdicts of {len(subject.row.class_iou)} classes hold together: of those won or lost "
            f"at most 5% are expected to be so by chance ({BENJAMINI_HOCHBERG})."
        )
    missing = [side.row.title for side in (subject, *baselines) if side.counts is None]
    if missing:
        notes.append(
            f"No intervals of mIoU and accuracy for {', '.join(missing)}: no per-image counts are "
            "stored; score the rows again in a new --out folder."
        )
    return notes


def _power_notes(items: Sequence[Difference]) -> list[str]:
    """Say what the columns of power mean."""
    counts = sorted({item.num_images for item in items if item.num_images})
    if not counts:
        return []
    said = " and ".join(f"{count:,}" for count in counts)
    note = f"Detectable: the smallest difference that {said} images show with a chance of 80%."
    if any(math.isfinite(item.needed) for item in items):
        note += " Images needed: those that would show the difference found, were it the true one."
    return [note]
