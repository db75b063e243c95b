# SPDX-License-Identifier: Apache-2.0
"""What a profile fixes: each choice that changes a number, as a field, printed and hashed."""

import dataclasses
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spade_eval.metrics.counts import ClassAverage
from spade_eval.models.choices import GivenMaps
from spade_eval.models.labels import Size
from spade_eval.papers.practices import Practice
from spade_eval.protocol.given_maps import MASKS, rows_of_maps
from spade_eval.records import sha256_of_json

IN_DOMAIN = "in-domain"
Reference = Literal["photos of the split, bicubic", "photos of the split, original size"]
_BICUBIC: Reference = "photos of the split, bicubic"
ORIGINAL_SIZE: Reference = "photos of the split, original size"


def is_in_domain(segmenter: str | None) -> bool:
    """Return whether a segmenter is trained on the dataset's own photos: None is."""
    return segmenter in (None, IN_DOMAIN) or str(segmenter).startswith(f"{IN_DOMAIN}-")


def called(segmenter: str) -> str:
    """Return a segmenter's name without the places of this machine that it is loaded from.

    What lies there is `segmenter_sha256`, the same wherever it lies.
    """
    kind, *parts = segmenter.split(":")
    # Of `os`: a name that no disk could hold is none of this machine.
    names = (Path(part).resolve().name if os.path.exists(part) else part for part in parts)
    return ":".join([kind, *names])


@dataclass(frozen=True, kw_only=True)
class SegmenterInput:
    """At which size images enter the segmenter, by which filter, and what labels they meet."""

    size: Literal["as generated", "long side 512", "size of the label files"]
    filter: Literal["none", "bilinear, corners aligned", "bicubic"]
    labels: Literal["nearest to the images", "nearest to the images, then to 512", "as stored"]


# Practice A: authors of OASIS and CLADE (Cityscapes), FreestyleNet (ADE20K), CC-FPSE (COCO-Stuff).
AS_GENERATED = SegmenterInput(size="as generated", filter="none", labels="nearest to the images")
# Practice B on COCO-Stuff: NVIDIA imaginaire, whose labels come from its loader at image size.
LONG_SIDE_512 = SegmenterInput(
    size="long side 512",
    filter="bilinear, corners aligned",
    labels="nearest to the images, then to 512",
)
# Practice B on Cityscapes, 1024x2048 (OASIS issue 18). The filter is not said there: bicubic is
# that of the photos.
FULL_SIZE = SegmenterInput(size="size of the label files", filter="bicubic", labels="as stored")


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One profile on one dataset; of `PROFILES`, what does not depend on the dataset."""

    profile: str
    version: int = 2
    about: str  # whose practice it follows, in a line; it decides no number
    split: str = "val"
    size: Size | None = None  # (height, width) of the images; None: the budget's
    photo_filter: Literal["bicubic"] = "bicubic"  # by Pillow, aspect ratio not kept
    label_filter: Literal["nearest"] = "nearest"
    # Synthesized images become 8 bit before they are scored, as the release of SPADE writes its
    # PNGs: (x + 1) / 2 * 255, clipped and truncated, not rounded.
    quantisation: Literal["truncate", "round"] = "truncate"
    segmenter: str = IN_DOMAIN  # a row of SEGMENTERS, or another name that --segmenter takes
    short_sides: tuple[int, ...] | None = None  # its scales, where not the segmenter's own
    segmenter_input: SegmenterInput = AS_GENERATED
    # Scored classes whose pixels are left out, true or predicted ones, as a paper's code does.
    left_out: tuple[int, ...] = ()
    # Classes in the mIoU, as in each segmenter's own evaluation code: "target", those with ground
    # truth in the split; "union", those in it or predicted; "all", an absent one scores 0.
    class_average: ClassAverage = "target"
    # Both, always: without the ignored pixels, and with them as wrong.
    accuracies: tuple[str, ...] = ("acc_valid", "acc_all")
    # Rows of FID_PROFILES; the first is the column FID, each other one a column of its own.
    fid_profiles: tuple[str, ...] = ("pytorch-fid",)
    fid_reference: Reference = _BICUBIC
    # Of which label maps generators make their images (`datasets/given_maps.py`).
    given_maps: GivenMaps = "whole"
    # A rule by which scoring stops, as "miou+-0.5"; "" scores the whole split.
    until: str = ""
    # Images per forward pass. It is part of the protocol because it can move the last bit.
    batch_size: int = 4
    # What the paper did and where the profile does otherwise; it decides no number.
    practice: Practice | None = None

    @property
    def partial(self) -> tuple[str, ...]:
        """Say what of its paper's practice the profile leaves out or does otherwise."""
        return () if self.practice is None else self.practice.partial

    def lines(self) -> Iterator[str]:
        """Yield every choice, one a line."""
        sides = "" if self.short_sides is None else f", short side {words(self.short_sides)}"
        entry = self.segmenter_input
        filtered = "" if entry.filter == "none" else f", {entry.filter}"
        rows = {
            "profile": f"{self.profile} (version {self.version}): {self.about}",
            "images": f"{self.split} split, {text_of(self.size)}, 8 bit ({self.quantisation})",
            "photos": f"Pillow {self.photo_filter}, aspect ratio not kept",
            "segmenter": f"{self.segmenter}{sides}",
            "images enter it": f"{entry.size}{filtered}",
            "labels": f"{entry.labels} (mapped to scored classes first, {self.label_filter})",
            "mIoU": f"pooled counts, mean over classes: {self.class_average}{self._left_out}",
            "accuracy": " and ".join(self.accuracies),
            "FID": words(self.fid_profiles) or "left out",
            "FID reference": self.fid_reference
            + ("" if self.fid_reference == ORIGINAL_SIZE else " at the images' size"),
            "batch": f"{self.batch_size} images",
            **({"until": f"{self.until}, in a random order"} if self.until else {}),
            **rows_of_maps(self.given_maps),
            **({} if self.practice is None else self.practice.rows()),
        }
        width = max(map(len, rows))
        return (f"{title:{width}}  {text}" for title, text in rows.items())

    @property
    def _left_out(self) -> str:
        if not self.left_out:
            return ""
        return f", pixels that are or are taken for class {words(self.left_out)} left out"

    def hashed(self) -> dict[str, object]:
        """Return the fields that decide numbers."""
        fields = dataclasses.asdict(self)
        del fields["about"], fields["practice"]
        fields["segmenter"] = called(self.segmenter)
        for later in ("until", "left_out"):  # protocols of before keep their hashes
            if not fields[later]:
                del fields[later]
        if self.given_maps == "whole":
            del fields["given_maps"]
        return fields

    @property
    def scores_given_masks(self) -> bool:
        """Whether pixels outside of the masks that generators are given are left out."""
        return self.given_maps in MASKS


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What a profile says of one dataset: fields of `Protocol`."""

    size: Size
    segmenter: str
    segmenter_input: SegmenterInput
    class_average: ClassAverage
    short_sides: tuple[int, ...] | None = None
    batch_size: int = 4
    left_out: tuple[int, ...] = ()


def cell(
    size: Size,
    segmenter: str,
    entry: SegmenterInput,
    average: ClassAverage,
    short_sides: tuple[int, ...] | None = None,
    batch_size: int = 4,
    left_out: tuple[int, ...] = (),
) -> Cell:
    """Make a cell of a table, its values in the order of the table's columns."""
    return Cell(
        size=size, segmenter=segmenter, segmenter_input=entry, class_average=average,
        short_sides=short_sides, batch_size=batch_size, left_out=left_out,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ResolvedProtocol:
    """A profile with the files it is applied with; its hash identifies a column."""

    protocol: Protocol
    size: Size
    segmenter: str
    segmenter_sha256: str
    segmenter_weights: str  # "in-domain", "published", "given", "filled" or "random"
    # Title and SHA-256 of each network whose features are compared; empty: no distance.
    features: tuple[tuple[str, str], ...]

    @property
    def sha256(self) -> str:
        return sha256_of_json({**dataclasses.asdict(self), "protocol": self.protocol.hashed()})


def text_of(size: Size | None) -> str:
    """Write a size, that of the budget where a profile has none."""
    return "the budget's size" if size is None else f"{size[0]}x{size[1]}"


def words(values: tuple[object, ...]) -> str:
    """Write values behind each other."""
    return ", ".join(map(str, values))
