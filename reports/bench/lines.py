# SPDX-License-Identifier: Apache-2.0
"""Timings read back: the lines of JSON that `spade-eval bench` prints, or appends with `--save`.

A terminal's log works as well: of a text file, only lines that are JSON objects with a "bench"
count, and tables or progress bars around them are passed over.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from spade_eval.errors import UserError
from spade_eval.json_fields import parsed_json

Line = Mapping[str, Any]  # the fields of one line
# What must agree where two lines are compared, and how it reads.
_FACTS = {
    "model": "{}",
    "work": "{}",
    "size": "{}",
    "batch": "batch {}",
    "num_labels": "{} labels",
    "images": "{} images",
    "num_images": "{} images on each side",
    "dim": "{} dimensions",
    "base_channels": "{} base channels",
    "maps": "label maps: {}",
    "dataset": "dataset {}",
    "settings": "{}",
    "segmenter": "segmenter {}",
    "features": "features {}",
    "machine": "{}",
    "torch": "torch {}",
    "scipy_version": "SciPy {}",
}
MACHINE_FACTS = ("machine", "torch", "scipy_version")
_SECONDS = ("seconds", "fastest", "slowest")


def read_bench_lines(paths: Sequence[Path]) -> pd.DataFrame:
    """Read a row a line in order of the files, a column a field; NaN where a line lacks it.

    Values stay as they were written (columns of objects), so whole numbers are not made fractions.
    """
    rows = []
    for path in paths:
        objects = list(_objects_of(path))
        if not objects:
            raise UserError(
                f'{path}: no line of it is a JSON object with a "bench", as `spade-eval bench ...` '
                "prints them; measure again with --save FILE and give that file"
            )
        rows += objects
    return pd.DataFrame(rows, dtype=object)


def _objects_of(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(_text(path).split("\n"), 1):
        # A progress bar ends in a carriage return, and what follows it stands in the same line.
        for part in map(str.strip, line.split("\r")):
            if not part.startswith("{"):
                continue
            try:
                fields = parsed_json(part)
            except ValueError as error:
                raise UserError(
                    f"{path}, line {number}: begins like a JSON object and is none ({error}); "
                    "it may have been cut off: delete the line or measure again"
                ) from error
            if "bench" in fields:
                yield fields


def _text(path: Path) -> str:
    try:
        # As bytes, or a carriage return would count as the end of a line.
        return path.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); give a file of "
            "`spade-eval bench ... --save FILE`"
        ) from error


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One mark of a figure; seconds are of one image (or of one distance)."""

    curve: str
    facts: Mapping[str, str]
    places: Mapping[str, float]  # on each axis that it could stand on
    seconds: float
    fastest: float
    slowest: float
    ratio: float  # NaN where the bench has none
    line: Line


def marks_of(table: pd.DataFrame, bench: str) -> list[Mark]:
    """Return the marks of one bench, oldest first; `UserError` for another version's lines."""
    marks: list[Mark] = []
    for line in _lines_of(table, bench):
        try:
            marks += _READERS[bench](line)
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise UserError(
                f"a line of bench {bench} cannot be drawn ({type(error).__name__}: {error}); "
                "this version of the suite prints others: delete it or measure again"
            ) from error
    return marks


def _lines_of(table: pd.DataFrame, bench: str) -> list[Line]:
    """Return the lines of one bench, oldest first, without the fields that only others have."""
    records = table[table["bench"] == bench].to_dict("records")
    lines = [{str(k): v for k, v in line.items() if not _is_nan(v)} for line in records]
    return sorted(lines, key=lambda line: str(line.get("time", "")))


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def facts_of(line: Line) -> dict[str, str]:
    """Say in words what a line was measured on and with."""
    known = {name: line[name] for name in _FACTS if line.get(name) is not None}
    if "height" in line:
        known["size"] = f"{line['height']} x {line['width']}"
    if "budget" in line:
        known["settings"] = _settings(line["budget"])
    known["machine"] = _machine(line)
    return {name: form.format(known[name]) for name, form in _FACTS.items() if name in known}


def _machine(line: Line) -> str:
    if str(line.get("device")).startswith("cuda"):
        return str(line.get("gpu") or "unknown GPU")
    processor = str(line.get("processor", "unknown processor"))
    return f"{processor}, {_threads(line)}" if line.get("threads") else processor


def _threads(line: Line) -> str:
    return "1 thread" if line["threads"] == 1 else f"{line['threads']} threads"


def _settings(budget: Line) -> str:
    """Return what changes the speed of a training."""
    parts = [f"network width {budget['width']:g}", budget["precision"]]
    parts += [
        name for name in ("tf32", "channels_last", "compile", "one_synthesis") if budget.get(name)
    ]
    if budget["accumulate"] > 1:
        parts.append(f"accumulate {budget['accumulate']}")
    return ", ".join(parts)


def _mark(line: Line, curve: str, names: Sequence[str] = _SECONDS, images: int = 1) -> Mark:
    """`names` are those of the median, the fastest and the slowest, of all `images` together."""
    facts = facts_of(line)
    places = {name: float(line[name]) for name in facts if isinstance(line.get(name), int)}
    if "size" in facts:
        places["size"] = math.sqrt(line["height"] * line["width"])
    seconds, fastest, slowest = (float(line[name]) / images for name in names)
    if not (seconds > 0 and fastest > 0 and slowest > 0):
        raise ValueError(f"times {seconds}, {fastest}, {slowest} are not above 0")
    ratio = line.get("ratio")
    return Mark(
        curve=curve,
        facts=facts,
        places=places,
        seconds=seconds,
        fastest=fastest,
        slowest=slowest,
        ratio=math.nan if ratio is None else float(ratio),
        line=line,
    )


def _of_generator(line: Line) -> list[Mark]:
    return [_mark(line, line["variant"], images=line["batch"])]


def _of_score(line: Line) -> list[Mark]:
    """Processes share the processor, so their threads tell curves apart and not machines."""
    curve = f"{line['way']}, {line['processes']} process{'es' * (line['processes'] > 1)}"
    if line.get("threads") and line.get("device") == "cpu":
        curve += f" ({_threads(line)})"
    return [_mark({**line, "threads": None}, curve, images=line["images"])]


def _of_distance(line: Line) -> list[Mark]:
    return [
        _mark(line, "ours", ("ours_seconds", "fastest", "slowest")),
        _mark(line, "SciPy", ("scipy_seconds", "scipy_fastest", "scipy_slowest")),
    ]


def _of_train(line: Line) -> list[Mark]:
    names = ("step_seconds", "fastest", "slowest")
    return [_mark({**line, "model": None}, line["model"], names, line["batch"])]


_READERS: dict[str, Callable[[Line], list[Mark]]] = {
    "generator": _of_generator,
    "score": _of_score,
    "distance": _of_distance,
    "train": _of_train,
}
