# SPDX-License-Identifier: Apache-2.0
"""The provenance of every number of the page, in the form that its script reads.

Thousands of numbers share a few dozen facts, so each distinct fact is stored once and a number
holds the places of its facts.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from spade_eval.records import Measurement
from spade_eval.reports.measured.provenance import Origin, command_to_repeat, provenance_lines
from spade_eval.reports.measured.run_data import RunData


class Details:
    """Collects the provenance of the numbers shown; a number is known by the place it gets."""

    def __init__(self, runs: Iterable[RunData]) -> None:
        self._run_of_job = {item.job_sha256: run for run in runs for item in run.measurements}
        self._facts: dict[tuple[str, str], int] = {}
        self._texts: dict[str, int] = {}
        self._details: list[list[dict[str, Any]]] = []

    def place_of(self, origin: Origin | None) -> int | None:
        """Keep where a number comes from and return its place; None for what has no origin."""
        if origin is None or origin == Origin():
            return None
        self._details.append(self._parts(origin))
        return len(self._details) - 1

    def as_json(self) -> dict[str, Any]:
        return {
            "facts": [list(fact) for fact in self._facts],
            "texts": list(self._texts),
            "details": self._details,
        }

    def _of_measurement(self, item: Measurement) -> dict[str, Any]:
        run = self._run_of_job.get(item.job_sha256)
        what = f"{item.label} of class {item.class_name}" if item.class_name else item.label
        detail: dict[str, Any] = {
            "heading": f"{item.source}: {what}",
            "exact": "no value" if item.value is None else repr(item.value),
            "scale": "a fraction, shown times 100" if item.unit == "%" else "",
            "facts": self._places(provenance_lines(item)),
            "notes": [self._text(note) for note in item.notes],
        }
        if run is not None:
            detail["run"] = self._text(run.name)
        if run is not None and run.config is not None:
            detail["command"] = self._text(command_to_repeat(run.config, item))
        return detail

    def _parts(self, origin: Origin) -> list[dict[str, Any]]:
        stated = {"heading": origin.heading, "exact": origin.exact}
        if not origin.records:
            return [{**stated, "facts": self._places(origin.facts)}]
        parts = [self._of_measurement(item) for item in origin.records]
        if origin.heading:  # a fact that a record states beside its number: steps, images
            source = origin.records[0].source
            stated |= {"heading": f"{source}: {origin.heading}", "scale": ""}
            parts = [{**part, **stated} for part in parts]
        return parts

    def _places(self, facts: Mapping[str, str]) -> list[int]:
        return [self._facts.setdefault(fact, len(self._facts)) for fact in facts.items()]

    def _text(self, text: str) -> int:
        return self._texts.setdefault(text, len(self._texts))
