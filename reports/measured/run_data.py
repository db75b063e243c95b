# SPDX-License-Identifier: Apache-2.0
"""One run as reports read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from spade_eval.records import Measurement
from spade_eval.reports.measured.grouping import ProtocolGroup, by_protocol


@dataclass(frozen=True, kw_only=True)
class RunData:
    """One run folder: its configuration and its complete measurements."""

    folder: Path
    name: str
    config: Mapping[str, Any] | None
    measurements: tuple[Measurement, ...]

    @cached_property
    def groups(self) -> tuple[ProtocolGroup, ...]:
        """Group the measurements that may share a table; done once."""
        return by_protocol(self.measurements)
