# SPDX-License-Identifier: Apache-2.0
"""What a row's own facts say of its numbers under a protocol: traps of section 17 on.

A row's facts are the fields of its records, by name; what nobody stated is absent or None.
"""

from collections.abc import Mapping
from typing import Any

from spade_eval.protocol import ResolvedProtocol
from spade_eval.scoring.scorer import Scores
from spade_eval.segmenters import SEGMENTERS

# Rows of other people's images, whose text input nobody sees.
_OF_OTHERS = ("images", "callable", "program", "diffusers")
# Below, the difference between a card and the real row is what rounding and libraries make of it.
_CARD_TOLERANCE = 0.005


def notes_of_row(resolved: ResolvedProtocol, row: Mapping[str, Any]) -> list[str]:
    """Return what must be said of a row whose facts differ from the paper's, or spoil its scores.

    Bounds such as the real photos were made by nobody, and nothing is said of them.
    """
    if row.get("source_kind") in ("real", "oracle", "grey", "label colours"):
        return []
    found = [_of_training(row), _of_files(resolved, row)]
    if resolved.protocol.practice is not None:
        found += [_of_samples(resolved, row), _of_guidance(resolved, row), _of_text(resolved, row)]
    return [f"{row['source']}: {note}" for note in found if note]


def notes_of_real_row(
    resolved: ResolvedProtocol, row: Mapping[str, Any], scores: Scores
) -> list[str]:
    """Say where real photos score otherwise under this protocol than on their segmenter's card."""
    entry = SEGMENTERS.get(resolved.protocol.segmenter)
    if row.get("source_kind") != "real" or entry is None:
        return []
    card, miou = entry.published.get("miou"), scores.numbers.get("miou")
    if resolved.segmenter_weights != "published" or card is None or miou is None:
        return []
    if abs(miou - card) <= _CARD_TOLERANCE:
        return []
    return [
        f"real: {100 * miou:.1f}% mIoU under this protocol, {100 * card:.1f}% is what the authors "
        f"of {resolved.segmenter} print for photos at their own size: this row, and not theirs, "
        "is what the others are to be compared with."
    ]


def _of_training(row: Mapping[str, Any]) -> str:
    return {
        "scoring": "trained with the very segmenter that scores it, so its mIoU and accuracies "
        "are suspect; judge it by another segmenter.",
        "related": "trained with a segmenter of the same data or family as the scoring one, so "
        "its mIoU and accuracies are suspect; judge it by another one as well.",
    }.get(str(row.get("trained_with_segmenter")), "")


def _of_files(resolved: ResolvedProtocol, row: Mapping[str, Any]) -> str:
    held, practice = row.get("file_format") or "", resolved.protocol.practice
    wanted = "PNG" if practice is None else practice.file_format
    if wanted == "JPEG" and held and held != "JPEG":
        return f"its images are {held} files, those of the profile's paper are JPEG."
    if wanted != "JPEG" and "JPEG" in held:
        return (
            f"its images are {held} files, whose compression alone moves FID and mIoU; give PNG "
            "files written by the generator."
        )
    return ""


def _of_samples(resolved: ResolvedProtocol, row: Mapping[str, Any]) -> str:
    practice = resolved.protocol.practice
    assert practice is not None
    scored = row.get("num_draws") or 1
    if scored == practice.samples:
        return ""
    return (
        f"scored from {scored} a map, where the paper of profile {resolved.protocol.profile} has "
        f"{practice.samples}{practice.pooling and f' ({practice.pooling})'}: pooled, averaged and "
        "first of several are three numbers."
    )


def _of_guidance(resolved: ResolvedProtocol, row: Mapping[str, Any]) -> str:
    practice, guidance = resolved.protocol.practice, row.get("guidance")
    assert practice is not None
    if guidance is None or practice.guidance in (None, guidance):
        return ""
    return (
        f"guidance {guidance:g}, where the paper of profile {resolved.protocol.profile} has "
        f"{practice.guidance:g}: mIoU and FID move with it, in opposite directions."
    )


def _of_text(resolved: ResolvedProtocol, row: Mapping[str, Any]) -> str:
    practice, text = resolved.protocol.practice, row.get("text_input")
    assert practice is not None
    if practice.text == "none" or row.get("source_kind") not in _OF_OTHERS or text is not None:
        return ""
    return (
        "its text input is not stated; the paper's images were made from a text besides the map "
        f"({practice.text})."
    )
