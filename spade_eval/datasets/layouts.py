# SPDX-License-Identifier: Apache-2.0
"""One-hot layouts by name: which channel of a generator's input belongs to which label.

Released generators of one dataset differ in it, and one fed with another's layout draws wrong
pictures without an error: for ADE20K, SPADE and SDM both take 151 channels, SPADE with "other" in
channel 0, SDM with "other" in channel 150. Numbers of channels are those of the released code of
SPADE, OASIS and SDM. Plain data: fields are those of `spade_eval.models.semantics.SemanticLayout`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from spade_eval.datasets.base import Dataset, LabelSpace
from spade_eval.errors import UserError, lookup


@dataclass(frozen=True, kw_only=True)
class LayoutParameters:
    """What `SemanticLayout` is made from."""

    num_classes: int
    unknown: Literal["none", "first", "last"]
    edges: bool

    @property
    def num_labels(self) -> int:
        """Channels: classes, "unknown", instance edges."""
        return self.num_classes + (self.unknown != "none") + self.edges

    def __str__(self) -> str:
        parts = [f"{self.num_classes} classes"]
        parts += [] if self.unknown == "none" else [f"unknown {self.unknown}"]
        parts += ["instance edges"] if self.edges else []
        return ", ".join(parts)


def _row(
    num_classes: int, unknown: Literal["none", "first", "last"], edges: bool
) -> LayoutParameters:
    return LayoutParameters(num_classes=num_classes, unknown=unknown, edges=edges)


LAYOUTS: dict[str, dict[str, LayoutParameters]] = {
    "cocostuff": {
        "spade": _row(182, "last", edges=True),  # 184
        "oasis": _row(182, "first", edges=False),  # 183
        "sdm": _row(182, "last", edges=True),  # 184
    },
    # The relabelling step in SPADE's code changes nothing, so its layout is that of the files.
    "ade20k": {
        "spade": _row(150, "first", edges=False),  # 151
        "oasis": _row(150, "first", edges=False),  # 151
        "sdm": _row(150, "last", edges=False),  # 151
    },
    # Ids 0..33; channel 34 stays empty.
    "cityscapes": {
        "spade": _row(35, "none", edges=True),  # 36
        "oasis": _row(35, "none", edges=False),  # 35
        "sdm": _row(35, "none", edges=True),  # 36
    },
}
LAYOUTS["ade20k_outdoor"] = LAYOUTS["ade20k"]
LAYOUTS["flickr_landscapes"] = LAYOUTS["cocostuff"]


def layouts_of(
    dataset: str, label_space: LabelSpace, has_instances: bool
) -> dict[str, LayoutParameters]:
    """Every layout of a dataset by name; edges only where there are instance maps."""
    rows: Mapping[str, LayoutParameters] = LAYOUTS.get(dataset) or _conventions(label_space)
    return {
        name: _row(row.num_classes, row.unknown, edges=row.edges and has_instances)
        for name, row in rows.items()
    }


def layout_for(dataset: Dataset, name: str = "spade") -> LayoutParameters:
    """One layout of an opened dataset."""
    known = layouts_of(dataset.name, dataset.label_space, dataset.has_instances)
    return lookup(known, name, f"layout of {dataset.name}")


def require_channels(dataset: Dataset, name: str, channels: int) -> LayoutParameters:
    """The named layout if a generator of so many input channels takes it.

    Equal numbers do not prove that the layout is the right one, so it is never chosen by number.
    """
    layout = layout_for(dataset, name)
    if layout.num_labels == channels:
        return layout
    known = layouts_of(dataset.name, dataset.label_space, dataset.has_instances)
    fitting = [other for other, row in known.items() if row.num_labels == channels]
    advice = f"layouts with {channels}: {', '.join(fitting) or 'none'}"
    if not fitting and not dataset.has_instances:
        with_edges = layouts_of(dataset.name, dataset.label_space, has_instances=True)
        fitting = [other for other, row in with_edges.items() if row.num_labels == channels]
        if fitting:
            advice += f"; with instance maps, which are missing: {', '.join(fitting)}"
    raise UserError(
        f"the generator takes {channels} channels, layout {name!r} of {dataset.name} has "
        f"{layout.num_labels} ({layout}); {advice}"
    )


def _conventions(space: LabelSpace) -> dict[str, LayoutParameters]:
    """What the three programs do with a dataset that they were not made for."""
    classes = space.num_classes
    last: Literal["none", "last"] = "last" if space.has_unlabelled else "none"
    first: Literal["none", "first"] = "first" if space.has_unlabelled else "none"
    return {
        "spade": _row(classes, last, edges=True),
        "oasis": _row(classes, first, edges=False),
        "sdm": _row(classes, last, edges=True),
    }
