# SPDX-License-Identifier: Apache-2.0
"""Whose look synthesized images take, for generators that take one from a photo or class means."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from spade_eval.batches import photos, semantic_map
from spade_eval.datasets.base import Dataset, HasStoredLabels, Sample
from spade_eval.errors import UserError
from spade_eval.models.choices import StyleInput
from spade_eval.models.inputs import Noise, Style
from spade_eval.models.labels import IGNORE_INDEX, SemanticLayout
from spade_eval.progress import followed
from spade_eval.sources.source import reconstruction_notes

Opened = Callable[[], Dataset]


@dataclass(frozen=True)
class StylePhotos:
    """The photo of each image: its own, or where `others` is a split another one, drawn by seed."""

    others: Dataset | None
    layout: SemanticLayout
    device: torch.device
    seed: int

    def of(self, indices: Sequence[int], samples: Sequence[Sample], draw: int) -> Style:
        """Return a photo with its label map for each sample; another photo hangs on `draw`, too."""
        shown = samples if self.others is None else self._drawn(self.others, indices, draw)
        scaled = photos(shown).to(self.device).float() / 127.5 - 1
        return Style(scaled, semantic_map(shown, self.layout, self.device))

    def _drawn(self, others: Dataset, indices: Sequence[int], draw: int) -> list[Sample]:
        places = Noise.of_images(self.seed, indices, draw).uniform("style photo")
        return [others[int(place * len(others))] for place in places.double()]


def chosen_style(
    name: str, whose: str, asked: StyleInput | None, known: Sequence[StyleInput]
) -> StyleInput:
    """Return the style that is asked for, else the first that the generator may be given.

    `UserError` for one that it cannot.
    """
    if asked is None:
        return known[0]
    if asked in known:
        return asked
    hint = ""
    if asked == "class means" and len(known) > 1:
        hint = " (class means are made by a training; released files have none)"
    raise UserError(
        f"--style-input {name}={asked!r}: {whose} is given {' or '.join(map(repr, known))}{hint}; "
        "name one of these, or leave the flag out"
    )


def style_photos(
    style: StyleInput,
    training: Opened | None,
    layout: SemanticLayout,
    device: torch.device,
    seed: int,
) -> StylePhotos | None:
    """Return where the photos of that style are; None where it needs none.

    Other photos are those of the training split: the split that is scored is what distances compare
    with.
    """
    if style == "real image (same)":
        return StylePhotos(None, layout, device, seed)
    if style != "another photo":
        return None
    assert training is not None
    return StylePhotos(training(), layout, device, seed)


def style_notes(
    name: str, style: StyleInput, seed: int, completed: bool | None = None
) -> tuple[str, ...]:
    """Return the sentences without which no number of images in that style is shown.

    Of styles of regions `completed` says whether class means stand in where a photo lacks a label.
    """
    if style == "another photo":
        lacking = "its mean over training images" if completed else "a code of zeros"
        rest = "" if completed is None else f"; a label that this photo lacks has {lacking}"
        return (
            f"{name}: each image has the style of another photo, a training image drawn from seed "
            f"{seed} and the image's index{rest}.",
        )
    if style == "class means":
        return (
            f"{name}: every label has its mean style over training images, so no photo of the "
            "scored split was looked at.",
        )
    return reconstruction_notes(name, style)


def require_class_means(
    file: Path, absent: Sequence[int], layout: SemanticLayout, dataset: Dataset, count: int
) -> None:
    """Refuse label maps (the first `count`) with a label whose class mean is `absent`."""
    missing = set(absent)
    if layout.edges:
        missing.discard(layout.num_labels - 1)  # thin, and in no map of single instances
    if not missing:
        return
    for index in followed(range(count), "labels of class means", count, "label map"):
        found = missing & _channels(dataset, index, layout)
        if found:
            raise UserError(
                f"checkpoint {file} has no class mean of {_called(min(found), layout, dataset)}, "
                f"which {dataset.names[index]} shows: none of the training images that made the "
                'means had it; say "another photo" with --style-input, or train on images that '
                "have it"
            )


def _channels(dataset: Dataset, index: int, layout: SemanticLayout) -> set[int]:
    """Return the channels of the labels of a sample; of label files, before they are resized."""
    if isinstance(dataset, HasStoredLabels):
        label_map = dataset.stored_label_map(index)
    else:
        label_map = dataset[index].label_map
    values = np.unique(label_map).tolist()
    first = layout.unknown == "first"
    unknown = 0 if first else layout.num_classes
    return {unknown if value == IGNORE_INDEX else value + first for value in values}


def _called(channel: int, layout: SemanticLayout, dataset: Dataset) -> str:
    value = channel - (layout.unknown == "first")
    names = dataset.label_space.class_names
    return names[value] if 0 <= value < min(len(names), layout.num_classes) else "unlabelled pixels"
