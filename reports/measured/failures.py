# SPDX-License-Identifier: Apache-2.0
"""What makes a whole table doubtful: a segmenter that fails on the photos, rows that lack numbers.

Such a warning stands above the table, in every form of it; what merely limits a number is a note.
"""

from collections.abc import Sequence

from spade_eval.metrics.draws import BEST, base_of
from spade_eval.reports.measured.grouping import REAL_AS_JPEG, Row

# A quarter of the least that a published segmenter is known to reach on photos of its own dataset:
# 39.1% mIoU, DeepLabV2 on the 182 classes of COCO-Stuff. Below it numbering, preprocessing or
# weights are wrong, or the segmenter was hardly trained.
LEAST_REAL_MIOU = 0.10
_OF_SEGMENTER = ("miou", "acc_valid", "acc_all", "mean_accuracy", "fwiou", "iou")
# What says where a row stands and not how good it is: fewer copies than photos are no merit.
_NO_MERIT = ("memorised", "leaked")
_FLOORS = {"grey": "a constant grey image", "label colours": "the label map in its own colours"}
_NAMED = 4
_DISTANCES = ("fid", "fd_")


def warnings_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """Say what must be read before the table of these rows, each once."""
    found = [*_failing_segmenter(rows), *_partial_rows(rows), *_lossy_files(rows)]
    return tuple(dict.fromkeys(found))


def without_verdict(rows: Sequence[Row]) -> frozenset[str]:
    """Return the metrics that rank no row of a table: all of a segmenter that fails on photos.

    The best of several draws ranks none either: it is chosen by the truth that scores it.
    """
    withheld = (*_NO_MERIT, *(_OF_SEGMENTER if _failing_segmenter(rows) else ()))
    over = {
        name
        for row in rows
        for name, item in row.scores.items()
        if item.draws == BEST or base_of(name) in withheld
    }
    return frozenset([*withheld, *over])


def _failing_segmenter(rows: Sequence[Row]) -> list[str]:
    miou = {row.kind: row.scores["miou"].value or 0.0 for row in rows if "miou" in row.scores}
    real = miou.get("real")
    floors = [(miou[kind], shown) for kind, shown in _FLOORS.items() if kind in miou]
    floor, shown = max(floors, default=(0.0, "nothing"))
    if real is None or (real >= LEAST_REAL_MIOU and real > floor):
        return []
    where = f"{100 * LEAST_REAL_MIOU:.0f}% are the least of one that works"
    if real >= LEAST_REAL_MIOU:
        where = f"{shown} reaches {100 * floor:.1f}%"
    return [
        f"The segmenter fails on the real photos: mIoU of real is {100 * real:.1f}%, {where}. mIoU "
        "and accuracies of every row mean nothing, and no row is called better by them; check its "
        "weights, the numbering of its classes and the photos."
    ]


def _lossy_files(rows: Sequence[Row]) -> list[str]:
    """Say what the JPEG files of rows cost the real photos, by the rows that measured it."""
    real = next((row for row in rows if row.kind == "real"), None)
    return [
        f"{row.title} is what JPEG files cost: {_cost(real, row)}. It is lost of every row that "
        "comes in such files, and no generator's fault."
        for row in rows
        if row.kind == REAL_AS_JPEG and real is not None
    ]


def _cost(real: Row, lossy: Row) -> str:
    """Name mIoU and the first distance of the photos, as they are and as files."""
    told = []
    for name, item in lossy.scores.items():
        known = real.scores.get(name)
        if known is None or known.value is None or item.value is None:
            continue
        if name == "miou":
            told.append(f"mIoU {100 * known.value:.1f}% of the real photos becomes "
                        f"{100 * item.value:.1f}%")  # fmt: skip
        elif name.startswith(_DISTANCES):
            told.append(f"{item.label} becomes {item.value:.2f}")
    return ", ".join(told) or "no number is recorded of both"


def _partial_rows(rows: Sequence[Row]) -> list[str]:
    """Name rows that lack numbers which others of the table have.

    Diversity is of generators alone, and not every row has several draws.
    """
    numbers = {row.title: _numbers(row) for row in rows}
    expected = dict.fromkeys(name for names in numbers.values() for name in names)
    warnings = []
    for title, names in numbers.items():
        lacking = [name for name in expected if name not in names]
        if lacking:
            more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
            warnings.append(
                f"{title} is not complete: {len(expected) - len(lacking)} of {len(expected)} "
                f"numbers are recorded, without {', '.join(lacking[:_NAMED])}{more}; start its run "
                "again."
            )
    return warnings


def _numbers(row: Row) -> list[str]:
    scores = [
        name for name, item in row.scores.items() if item.num_samples is None and item.draws is None
    ]
    return [*scores, *(f"IoU of {name}" for name in row.class_iou)]
