# SPDX-License-Identifier: Apache-2.0
"""What must be said beside a number: each sentence names the reason and is stored with it."""

from spade_eval.protocol import ResolvedProtocol
from spade_eval.weights import INCEPTION

# What stands in for weights where a chain is only tried.
_NOISE = {"filled": "deterministic noise for its weights", "random": "untrained weights"}
MEANINGLESS = tuple(_NOISE)
_FAR_TOO_FEW = 100
_UNBIASED_FROM = 2048


def footnotes(resolved: ResolvedProtocol, num_images: int) -> tuple[str, ...]:
    """Footnotes that hold for every number of a run."""
    notes = []
    if resolved.protocol.profile == "in-domain":
        notes.append(
            "mIoU and accuracies come from a segmenter trained on this dataset's own photos "
            "(in-domain); they are not comparable with any paper's."
        )
    if resolved.segmenter_weights in MEANINGLESS:
        notes.append(
            f"weights: {resolved.segmenter_weights}. {resolved.segmenter} ran with "
            f"{_NOISE[resolved.segmenter_weights]}; its mIoU and accuracies mean nothing."
        )
    if resolved.features is None:
        notes.append(
            f"FID is left out: the Inception weights {INCEPTION.file_name} are not in "
            "--weights-dir."
        )
    elif resolved.features != INCEPTION.title:
        notes.append(
            "FD (in-domain) stands where FID would: the Inception weights "
            f"{INCEPTION.file_name} are not in --weights-dir, so the distance is between features "
            "of the in-domain segmenter."
        )
    if num_images < _FAR_TOO_FEW:
        notes.append(
            f"{num_images} images are far too few: these numbers show that everything runs, "
            "not which model is better."
        )
    elif num_images < _UNBIASED_FROM and resolved.features == INCEPTION.title:
        notes.append(
            f"FID of {num_images} images is biased upward (the covariance of 2,048 features is "
            "rank deficient); compare only values with the same number of images."
        )
    return tuple(notes)
