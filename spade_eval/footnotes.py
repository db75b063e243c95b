# SPDX-License-Identifier: Apache-2.0
"""What must be said beside a number: each sentence names the reason and is stored with it."""

from spade_eval.distances import Distance
from spade_eval.metrics.fid_profiles import FID_PROFILES
from spade_eval.protocol import IN_DOMAIN, ResolvedProtocol

# What stands in for weights where a chain is only tried.
_NOISE = {"filled": "deterministic noise for its weights", "random": "untrained weights"}
MEANINGLESS = tuple(_NOISE)
_FAR_TOO_FEW = 100


def footnotes(
    resolved: ResolvedProtocol, distance: Distance | None, num_images: int
) -> tuple[str, ...]:
    """Footnotes that hold for every number of a run."""
    return (
        *_of_segmenter(resolved),
        *_of_distance(resolved, distance, num_images),
        *_of_count(num_images),
    )


def _of_segmenter(resolved: ResolvedProtocol) -> list[str]:
    if resolved.protocol.profile == IN_DOMAIN:
        return [
            "mIoU and accuracies come from a segmenter trained on this dataset's own photos "
            "(in-domain); they are not comparable with any paper's."
        ]
    if resolved.segmenter_weights in MEANINGLESS:
        return [
            f"weights: {resolved.segmenter_weights}. {resolved.segmenter} ran with "
            f"{_NOISE[resolved.segmenter_weights]}; its mIoU and accuracies mean nothing."
        ]
    return []


def _of_distance(
    resolved: ResolvedProtocol, distance: Distance | None, num_images: int
) -> list[str]:
    wanted = FID_PROFILES[resolved.protocol.fid_profile].weights.file_name
    if distance is None:
        return [f"FID is left out: the Inception weights {wanted} are not in --weights-dir."]
    if distance.profile is None:
        return [
            f"FD (in-domain) stands where FID would: the Inception weights {wanted} are not in "
            "--weights-dir, so the distance is between features of the in-domain segmenter."
        ]
    return [f"FID by profile {distance.profile_name}.", *distance.notes(num_images)]


def _of_count(num_images: int) -> list[str]:
    if num_images >= _FAR_TOO_FEW:
        return []
    return [
        f"{num_images} images are far too few: these numbers show that everything runs, "
        "not which model is better."
    ]
