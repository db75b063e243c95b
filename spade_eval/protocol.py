# SPDX-License-Identifier: Apache-2.0
"""How images are scored: every choice that changes a number, as named profiles in one table.

No official evaluation code exists for SPADE and later papers chose differently, so nothing here is
a habit of the code: the profile is printed, hashed and stored with each number, and two profiles
never share a column. `PROFILES` holds what a profile says of every dataset, `TABLE` what depends on
the dataset; `protocol_for` joins both. What the sources say, and where they disagree, is in
`docs/protocols.md`.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from spade_eval.errors import UserError, lookup
from spade_eval.metrics.counts import ClassAverage
from spade_eval.metrics.stopping import StoppingRule
from spade_eval.models.labels import Size
from spade_eval.records import sha256_of_json

IN_DOMAIN = "in-domain"
NO_FID = "none"


def is_in_domain(segmenter: str | None) -> bool:
    """Return whether a segmenter is trained on the dataset's own photos: None is."""
    return segmenter in (None, IN_DOMAIN) or str(segmenter).startswith(f"{IN_DOMAIN}-")


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
    short_sides: tuple[int, ...] | None = None  # scales of UperNet where not the segmenter's own
    segmenter_input: SegmenterInput = AS_GENERATED
    # Classes in the mIoU, as in each segmenter's own evaluation code: "target", those with ground
    # truth in the split; "union", those in it or predicted; "all", an absent one scores 0.
    class_average: ClassAverage = "target"
    # Both, always: without the ignored pixels, and with them as wrong.
    accuracies: tuple[str, ...] = ("acc_valid", "acc_all")
    # Rows of FID_PROFILES; the first is the column FID, each other one a column of its own.
    fid_profiles: tuple[str, ...] = ("pytorch-fid",)
    fid_reference: Literal["photos of the split, bicubic"] = "photos of the split, bicubic"
    # A rule by which scoring stops, as "miou+-0.5"; "" scores the whole split.
    until: str = ""
    # Images per forward pass. It is part of the protocol because it can move the last bit.
    batch_size: int = 4

    def lines(self) -> Iterator[str]:
        """Yield every choice, one a line."""
        sides = "" if self.short_sides is None else f", short side {_words(self.short_sides)}"
        entry = self.segmenter_input
        filtered = "" if entry.filter == "none" else f", {entry.filter}"
        rows = {
            "profile": f"{self.profile} (version {self.version}): {self.about}",
            "images": f"{self.split} split, {_size(self.size)}, 8 bit ({self.quantisation})",
            "photos": f"Pillow {self.photo_filter}, aspect ratio not kept",
            "segmenter": f"{self.segmenter}{sides}",
            "images enter it": f"{entry.size}{filtered}",
            "labels": f"{entry.labels} (mapped to scored classes first, {self.label_filter})",
            "mIoU": f"pooled counts, mean over classes: {self.class_average}",
            "accuracy": " and ".join(self.accuracies),
            "FID": _words(self.fid_profiles) or "left out",
            "FID reference": f"{self.fid_reference} at the images' size",
            "batch": f"{self.batch_size} images",
            **({"until": f"{self.until}, in a random order"} if self.until else {}),
        }
        width = max(map(len, rows))
        return (f"{title:{width}}  {text}" for title, text in rows.items())

    def hashed(self) -> dict[str, object]:
        """Return the fields that decide numbers."""
        fields = dataclasses.asdict(self)
        del fields["about"]
        if not self.until:  # protocols of before keep their hashes
            del fields["until"]
        return fields


_PAPER_FIDS = ("pytorch-fid", "legacy-2019a")
PROFILES: dict[str, Protocol] = {
    profile.profile: profile
    for profile in (
        Protocol(
            profile=IN_DOMAIN,
            about="a small segmenter trained on the dataset's own photos; no paper's numbers",
            batch_size=20,
        ),
        # The paper's FIDs predate the Inception of TensorFlow's weights, later reports use it.
        Protocol(
            profile="spade-paper-a",
            about="SPADE's tables; images enter the segmenter as generated",
            fid_profiles=_PAPER_FIDS,
        ),
        Protocol(
            profile="spade-paper-b",
            about="SPADE's tables; practice B of section 2: another size into the segmenter",
            fid_profiles=_PAPER_FIDS,
        ),
        # Its FID is of floats, the one by which its checkpoints were chosen.
        Protocol(
            profile="oasis",
            about="OASIS's authors: images as generated, FID of its training code",
            fid_profiles=("oasis-train",),
        ),
        Protocol(
            profile="imaginaire",
            about="NVIDIA imaginaire and SCDM: the mean divided by all 182 ids; its FID is not "
            "among the suite's profiles",
            fid_profiles=(),
        ),
        Protocol(
            profile="modern",
            about="today's choice: images as generated, clean-fid with KID",
            fid_profiles=("clean-fid",),
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What a profile says of one dataset: fields of `Protocol`."""

    size: Size
    segmenter: str
    segmenter_input: SegmenterInput
    class_average: ClassAverage
    short_sides: tuple[int, ...] | None = None
    batch_size: int = 4


def _cell(
    size: Size,
    segmenter: str,
    entry: SegmenterInput,
    average: ClassAverage,
    short_sides: tuple[int, ...] | None = None,
    batch_size: int = 4,
) -> Cell:
    return Cell(
        size=size, segmenter=segmenter, segmenter_input=entry, class_average=average,
        short_sides=short_sides, batch_size=batch_size,
    )  # fmt: skip


_SQUARE, _WIDE = (256, 256), (256, 512)
_LEGACY = "upernet101-baseline"  # the release of 2018, the only one there was for SPADE
TABLE: dict[str, dict[str, Cell]] = {
    "cocostuff": {  # size, segmenter, how images enter it, classes in the mean, short sides, batch
        "spade-paper-a": _cell(_SQUARE, "deeplab-v2", AS_GENERATED, "target"),
        "spade-paper-b": _cell(_SQUARE, "deeplab-v2", LONG_SIDE_512, "target"),
        "oasis": _cell(_SQUARE, "deeplab-v2", AS_GENERATED, "target"),
        "imaginaire": _cell(_SQUARE, "deeplab-v2", LONG_SIDE_512, "all"),
        "modern": _cell(_SQUARE, "deeplab-v2", AS_GENERATED, "target"),
    },
    "ade20k": {  # A: five scales; B: one, of the image's own 256 (OASIS issue 17)
        "spade-paper-a": _cell(_SQUARE, _LEGACY, AS_GENERATED, "all"),
        "spade-paper-b": _cell(_SQUARE, _LEGACY, AS_GENERATED, "all", (256,)),
        "oasis": _cell(_SQUARE, "upernet101", AS_GENERATED, "all"),
        "modern": _cell(_SQUARE, "upernet101", AS_GENERATED, "all"),
    },
    "cityscapes": {
        "spade-paper-a": _cell(_WIDE, "drn-d-105", AS_GENERATED, "union"),
        "spade-paper-b": _cell(_WIDE, "drn-d-105", FULL_SIZE, "union", batch_size=1),
        "oasis": _cell(_WIDE, "drn-d-105", AS_GENERATED, "union"),
        "modern": _cell(_WIDE, "drn-d-105", AS_GENERATED, "union"),
    },
}
TABLE["ade20k_outdoor"] = TABLE["ade20k"]

# The practice by which users came nearest to the paper; on Cityscapes measure both.
SHORTHANDS: Mapping[str, Mapping[str, str]] = {
    "spade-paper": {
        "cocostuff": "spade-paper-a",
        "ade20k": "spade-paper-a",
        "ade20k_outdoor": "spade-paper-a",
        "cityscapes": "spade-paper-b",
    }
}
# What --segmenter alone selects.
BY_SEGMENTER = "modern"
_WITH = " with"  # and "without", in names of profiles
# Segmenters that say what their classes are called, so that they can score any dataset.
BY_CLASS_NAMES = "hf:"


def profile_name(profile: str | None, dataset: str, segmenter: str | None = None) -> str:
    """Resolve the profile that is meant: in-domain by default, a shorthand spelled out."""
    if profile is None:
        return IN_DOMAIN if is_in_domain(segmenter) else BY_SEGMENTER
    lookup({**PROFILES, **SHORTHANDS}, profile, "profile")
    return SHORTHANDS.get(profile, {}).get(dataset, profile)


def profiles_of(dataset: str) -> list[str]:
    """Return the profiles under which a dataset can be scored."""
    return [IN_DOMAIN, *TABLE.get(dataset, {})]


def protocol_for(
    profile: str,
    dataset: str,
    segmenter: str | None = None,
    fid_profile: str | None = None,
    until: str | None = None,
) -> Protocol:
    """Return a profile as it applies to a dataset; another segmenter or FID is part of its name.

    With a rule to stop by there are no distances: their bias depends on the number of images.
    """
    if until is not None:
        if fid_profile not in (None, NO_FID):
            raise UserError(
                f"--fid-profile {fid_profile} with --until {until}: the bias of a distance depends "
                "on the number of images, which differs from row to row; leave one of them out"
            )
        plain = protocol_for(profile, dataset, segmenter, NO_FID)
        return dataclasses.replace(plain, until=str(StoppingRule.parse(until)))
    name = profile_name(profile, dataset)
    known = profiles_of(dataset)
    if name == BY_SEGMENTER and name not in known and not is_in_domain(segmenter):
        return _overridden(_of_no_paper(dataset, str(segmenter)), None, fid_profile)
    if name not in known:
        raise UserError(
            f"--profile {profile} says nothing of {dataset}; expected {' or '.join(known)}: no "
            "paper scores that dataset so"
        )
    protocol = PROFILES[name]
    if name != IN_DOMAIN:
        protocol = dataclasses.replace(protocol, **vars(TABLE[dataset][name]))
    return _overridden(protocol, segmenter, fid_profile)


def further_protocol(protocol: Protocol, dataset: str, segmenter: str) -> Protocol:
    """Return the same protocol with another segmenter, which looks at the same images.

    FID is of the images, whoever segments them, so only the first protocol has it; the distance of
    in-domain features belongs to each in-domain segmenter.
    """
    fids = protocol.fid_profiles if is_in_domain(segmenter) else ()
    profile = protocol.profile.partition(_WITH)[0]
    return protocol_for(profile, dataset, segmenter, next(iter(fids), NO_FID))


def _of_no_paper(dataset: str, segmenter: str) -> Protocol:
    """Return how a segmenter scores a dataset that no paper scores: in its own classes."""
    if not segmenter.startswith(BY_CLASS_NAMES):
        raise UserError(
            f"--segmenter {segmenter} predicts classes of another dataset than {dataset}; leave it "
            f"out to score in-domain, or give {BY_CLASS_NAMES}NAME, a model with the classes of "
            f"{dataset}"
        )
    return dataclasses.replace(
        PROFILES[BY_SEGMENTER], segmenter=segmenter, profile=f"{BY_SEGMENTER} with {segmenter}"
    )


def _overridden(protocol: Protocol, segmenter: str | None, fid_profile: str | None) -> Protocol:
    name = protocol.profile
    if segmenter not in (None, protocol.segmenter):
        if is_in_domain(protocol.segmenter) != is_in_domain(segmenter):
            raise UserError(
                f"--segmenter {segmenter} with --profile {name}: in-domain is a profile of its "
                f"own, expected an in-domain segmenter with it and no other; leave one of the "
                f"flags out"
            )
        protocol = dataclasses.replace(
            protocol, segmenter=segmenter, short_sides=None,
            profile=f"{protocol.profile} with {segmenter}",
        )  # fmt: skip
    fids = protocol.fid_profiles if fid_profile is None else (fid_profile,)
    fids = () if fid_profile == NO_FID else fids
    if fids == protocol.fid_profiles:
        return protocol
    changed = protocol.profile
    if name != IN_DOMAIN:
        changed += f" with {fid_profile}" if fids else " without FID"
    return dataclasses.replace(protocol, fid_profiles=fids, profile=changed)


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


def table_lines() -> Iterator[str]:
    """Yield the whole table, one line a dataset and profile."""
    titles = ("dataset", "profile", "size", "segmenter", "images enter it", "mean over", "FID")
    rows = [titles]
    for dataset in TABLE:
        for name in TABLE[dataset]:
            chosen = protocol_for(name, dataset)
            sides = f" at {_words(chosen.short_sides)}" if chosen.short_sides else ""
            rows.append((
                dataset, name, _size(chosen.size), chosen.segmenter + sides,
                chosen.segmenter_input.size, chosen.class_average,
                _words(chosen.fid_profiles) or "-",
            ))  # fmt: skip
    any_other = PROFILES[IN_DOMAIN]
    rows.append((
        "any", IN_DOMAIN, "the budget's", any_other.segmenter, any_other.segmenter_input.size,
        any_other.class_average, _words(any_other.fid_profiles),
    ))  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(titles))]
    for row in rows:
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _size(size: Size | None) -> str:
    return "the budget's size" if size is None else f"{size[0]}x{size[1]}"


def _words(values: tuple[object, ...]) -> str:
    return ", ".join(map(str, values))
