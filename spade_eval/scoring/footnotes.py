# SPDX-License-Identifier: Apache-2.0
"""What must be said with a number: each sentence names the reason and is stored with it."""

from collections.abc import Sequence

from spade_eval.datasets.files import text_of_size
from spade_eval.metrics.fid_profiles import FID_PROFILES
from spade_eval.protocol import DAMAGE, MASKS, ResolvedProtocol
from spade_eval.scoring.distances import Distance
from spade_eval.scoring.scorer import Scores

# What stands in for weights where a chain is only tried.
_NOISE = {"filled": "deterministic noise for its weights", "random": "untrained weights"}
MEANINGLESS = tuple(_NOISE)
_FAR_TOO_FEW = 100
# Share of the pixels of Cityscapes val that are scored, from published pairs of accuracies: SPADE
# 93.5 and 81.9, TSIT 94.4 and 82.7 (docs/protocols.md). A subset of frames varies by some points.
CITYSCAPES_VALID = 0.876
_VALID_TOLERANCE = 0.03
_COCO_IDS = 182
_SIZE_OF_DAMAGE = (256, 256)


def footnotes(
    resolved: ResolvedProtocol, distances: Sequence[Distance], num_images: int
) -> tuple[str, ...]:
    """Return the footnotes that hold for every number of a run."""
    return (
        *_of_segmenter(resolved),
        *_of_practice(resolved),
        *_of_size(resolved),
        *_of_maps(resolved),
        *_of_distances(resolved, distances, num_images),
        *_of_count(num_images),
    )


def notes_of_scores(dataset: str, scores: Scores) -> list[str]:
    """Return notes on what the scores themselves give away."""
    if dataset == "cityscapes":
        return _of_valid_share(scores.numbers["acc_all"], scores.numbers["acc_valid"])
    iou = [*scores.per_class("iou").values()]
    if dataset == "cocostuff" and len(iou) == _COCO_IDS:
        return _of_averaged_classes(iou)
    return []


def notes_of_training(perceptual: str | None, distances: Sequence[Distance]) -> list[str]:
    """Return what a row was trained with that the distances of its images look at, too."""
    looked_at = any(distance.kind.startswith("lite0") for distance in distances)
    if looked_at and perceptual is not None and perceptual.startswith("lite0"):
        return [
            "trained with the features of EfficientNet-Lite0, so the distance of these features is "
            "suspect"
        ]
    return []


def _of_valid_share(acc_all: float | None, acc_valid: float | None) -> list[str]:
    """Say that the ratio is the share of scored pixels, whatever the images are."""
    if (
        not acc_all
        or not acc_valid
        or abs(acc_all / acc_valid - CITYSCAPES_VALID) <= _VALID_TOLERANCE
    ):
        return []
    return [
        f"acc_all / acc_valid is {acc_all / acc_valid:.3f}, {CITYSCAPES_VALID} is that of "
        "Cityscapes val: check that all 500 frames and their original *_gtFine_labelIds.png are "
        "scored before comparing an accuracy with a paper's."
    ]


def _of_averaged_classes(iou: Sequence[float | None]) -> list[str]:
    averaged = sum(value is not None for value in iou)
    if averaged == _COCO_IDS:
        return [
            "mIoU is divided by all 182 ids of COCO-Stuff, of which 11 never occur: at most 0.940 "
            "times the mean over the classes that do; profiles imaginaire and scdm only."
        ]
    return [
        f"mIoU averages the {averaged} classes of COCO-Stuff with ground truth; scores divided "
        f"by all 182 ids (imaginaire, SCDM) are {averaged / _COCO_IDS:.3f} times as large."
    ]


def _of_segmenter(resolved: ResolvedProtocol) -> list[str]:
    if resolved.segmenter_weights == "in-domain":
        return [
            "mIoU and accuracies come from a segmenter trained on this dataset's own photos "
            "(in-domain); they are not comparable with any paper's."
        ]
    if resolved.segmenter_weights in MEANINGLESS:
        return [
            f"weights: {resolved.segmenter_weights}. {resolved.segmenter} ran with "
            f"{_NOISE[resolved.segmenter_weights]}; its mIoU and accuracies mean nothing."
        ]
    if resolved.segmenter_weights == "given":
        return [
            f"weights: given. No published score of {resolved.segmenter} is known to this suite; "
            "the row real tells what it recognises."
        ]
    return []


def _of_practice(resolved: ResolvedProtocol) -> list[str]:
    """Say how the images of the profile's paper were made, and what the profile leaves out."""
    protocol = resolved.protocol
    if protocol.practice is None:
        return []
    images = protocol.practice.images
    notes = [f"Profile {protocol.profile}: the images of its paper's table are {images}."]
    if protocol.partial:
        notes.append(f"Profile {protocol.profile} is partial: {'; '.join(protocol.partial)}.")
    return notes


def _of_size(resolved: ResolvedProtocol) -> list[str]:
    wanted = resolved.protocol.size
    if wanted in (None, resolved.size):
        return []
    return [
        f"Images of {text_of_size(resolved.size)} were scored, profile "
        f"{resolved.protocol.profile} is of {text_of_size(wanted)}: not comparable with numbers "
        "at that size (an FID least of all)."
    ]


def _of_maps(resolved: ResolvedProtocol) -> list[str]:
    """Say what generators saw, against what that is scored, and who saw more."""
    how = resolved.protocol.given_maps
    if how == "whole":
        return []
    given = {**DAMAGE, **MASKS}[how]
    others = (
        "The oracle saw whole label maps, label colours shows those that were given, and that "
        "images were made from these is the word of who gives them."
    )
    if how in MASKS:
        return [
            f"Generators were given {given}. All rows are scored on these masks alone: pixels "
            "elsewhere are ignored, which accuracy (all) counts as wrong; distances compare whole "
            f"images with whole photos. {others}"
        ]
    notes = [
        f"Generators were given damaged label maps ({how}: {given}); all rows are scored against "
        f"the clean ones. {others}"
    ]
    if resolved.size != _SIZE_OF_DAMAGE:
        notes.append(
            f"Damage {how} is SCDM's for images of {text_of_size(_SIZE_OF_DAMAGE)}; here they are "
            f"of {text_of_size(resolved.size)}, and its pixels and factor stay as they are."
        )
    return notes


def _of_distances(
    resolved: ResolvedProtocol, distances: Sequence[Distance], num_images: int
) -> list[str]:
    notes = []
    if all(distance.is_further for distance in distances):
        notes = ["FID is left out: the profile has none, or --fid-profile none was given."]
    for distance in distances:
        if distance.is_further:
            notes += distance.notes(num_images)
            continue
        if distance.profile is None:
            wanted = FID_PROFILES[resolved.protocol.fid_profiles[0]].weights.file_name
            notes.append(
                f"FD (in-domain) stands where FID would: the Inception weights {wanted} are not in "
                "--weights-dir, so the distance is between features of the in-domain segmenter."
            )
            continue
        notes += [_of_fid(distance), *distance.notes(num_images)]
        if distance.scores_floats:
            notes.append(
                f"FID by {distance.profile_name} is of the generator's floats: an FID of its "
                "8-bit files is another number."
            )
    return list(dict.fromkeys(notes))


def _of_fid(distance: Distance) -> str:
    if not distance.filled:
        return f"FID by profile {distance.profile_name}."
    return (
        f"weights: filled. FID by profile {distance.profile_name} ran with deterministic noise "
        "for its weights; it and what is computed of its features mean nothing."
    )


def _of_count(num_images: int) -> list[str]:
    if num_images >= _FAR_TOO_FEW:
        return []
    return [
        f"{num_images} images are far too few: these numbers show that everything runs, "
        "not which model is better."
    ]
