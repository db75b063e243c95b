# SPDX-License-Identifier: Apache-2.0
"""Facts of a row that say what its numbers may be compared with: what was given, seen, sampled."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from spade_eval.records import Measurement
from spade_eval.reports.measured.grouping import Row

NOT_STATED = "not stated"
# Rows of others, of which the suite sees the images alone, and those of others' weights.
_OF_OTHERS = ("images", "callable", "program")
_OF_WEIGHTS = (*_OF_OTHERS, "checkpoint", "diffusers")
REAL_MIOU = "real_miou"


@dataclass(frozen=True)
class RowFact:
    """A field of the records that all measurements of a row share."""

    name: str
    title: str
    explanation: str = ""  # of numbers
    dtype: str = "object"
    asked_of: tuple[str, ...] = ()  # kinds of rows whose makers alone can state it

    def column(self, items: Sequence[Measurement]) -> Any:
        """Return the values of rows as recorded; texts say where one is not stated."""
        if self.dtype == "object":
            return pd.Series([self.shown(item) for item in items], dtype="object")
        values = [getattr(item, self.name) for item in items]
        return pd.array(values, dtype=self.dtype)  # type: ignore[call-overload]

    def is_shown(self, items: Sequence[Measurement]) -> bool:
        """Return whether any row says more than that a model of the suite has none of it."""
        return any(
            value is not None and (value != "none" or item.source_kind in self.asked_of)
            for item in items
            for value in [getattr(item, self.name)]
        )

    def shown(self, item: Measurement) -> str | None:
        """Write the value as tables do; None where there is nothing to say."""
        value = getattr(item, self.name)
        if value is None:
            return NOT_STATED if item.source_kind in self.asked_of else None
        return f"{value:g}" if isinstance(value, float) else str(value)


ROW_FACTS = (
    RowFact("trained_with_segmenter", "trained with segmenter", asked_of=_OF_WEIGHTS),
    RowFact("text_input", "text input", asked_of=_OF_OTHERS),
    RowFact("num_draws", "images a map", "images of each label map, all of them scored", "Int64"),
    RowFact(
        "sampling_steps",
        "sampling steps",
        "steps in which the diffusion model makes an image",
        "Int64",
        _OF_OTHERS,
    ),
    RowFact(
        "guidance",
        "guidance",
        "how strongly the diffusion model follows what it is given; 1: as it learned to",
        "Float64",
        _OF_OTHERS,
    ),
    RowFact("sampler", "sampler"),
    RowFact("condition_palette", "condition palette"),
    RowFact("file_format", "file format"),
)
FACTS = {fact.name: fact for fact in ROW_FACTS}


def real_miou(rows: Sequence[Row]) -> float | None:
    """Return the mIoU of the real photos under the protocol of these rows; None without."""
    found = (
        row.scores["miou"].value for row in rows if row.kind == "real" and "miou" in row.scores
    )
    return next(found, None)
