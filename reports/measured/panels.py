# SPDX-License-Identifier: Apache-2.0
"""Protocols that differ in their segmenter alone, and the rows whose images all of them judged."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from spade_eval.reports.measured.grouping import ProtocolGroup, Row

MODELS = ("generator", "shipped", "checkpoint", "images")


@dataclass(frozen=True)
class Panel:
    """Tables of several segmenters on the same images; the first is the one that was asked first.

    Their numbers never share a column: each segmenter has its own.
    """

    groups: tuple[ProtocolGroup, ...]
    rows: tuple[tuple[Row, ...], ...]  # of every source one row under each segmenter

    @property
    def segmenters(self) -> list[str]:
        """Titles of the segmenters."""
        return [group.measurements[0].segmenter or "" for group in self.groups]

    @property
    def title(self) -> str:
        """The data, for the head of a table."""
        return self.groups[0].title.partition(", profile")[0]


def alone(group: ProtocolGroup) -> Panel:
    """Return the panel of one segmenter."""
    return Panel((group,), tuple((row,) for row in group.rows))


def panels_of(groups: Sequence[ProtocolGroup]) -> list[Panel]:
    """Join groups of equal data, size and number of images that have different segmenters."""
    alike: dict[Hashable, dict[str | None, ProtocolGroup]] = defaultdict(dict)
    for group in groups:
        key = group.key
        data = (key.dataset, key.dataset_sha256, key.split, key.height, key.width, key.num_images)
        alike[data].setdefault(key.segmenter_sha256, group)
    return [_panel(list(same.values())) for same in alike.values() if len(same) > 1]


def _panel(groups: Sequence[ProtocolGroup]) -> Panel:
    first, *others = groups
    tables = [{_images(row): row for row in group.rows} for group in others]
    joined = [
        (row, *(table[_images(row)] for table in tables))
        for row in first.rows
        if all(_images(row) in table for table in tables)
    ]
    return Panel(tuple(groups), tuple(joined))


def _images(row: Row) -> Hashable:
    """Tell which images a row is of."""
    item = row.measurements[0]
    return (row.title, row.kind, item.source_sha256, item.seed, item.train_config_sha256)
