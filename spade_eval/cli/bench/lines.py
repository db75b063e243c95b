# SPDX-License-Identifier: Apache-2.0
"""What every `spade-eval bench` command prints: a table, and lines of JSON, which `--save` keeps.

One line holds one timing with the machine it was taken on, so that lines of several commands,
days and machines may stand in one file: `spade-eval bench plot` compares only what belongs
together.
"""

import json
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from spade_eval.cli.console.output import say, show, wrote
from spade_eval.errors import UserError
from spade_eval.json_fields import parsed_json

if TYPE_CHECKING:
    from spade_eval.bench.timing import Row


@dataclass(frozen=True)
class Column:
    """One column of a table that is printed while it is measured, so its width is given."""

    title: str
    width: int
    text: "Callable[[Row], str]"
    align: Literal[">", "<"] = ">"

    def padded(self, text: str) -> str:
        return f"{text:{self.align}{self.width}}"


def print_table(columns: Sequence[Column], rows: "Iterable[Row]") -> "list[Row]":
    """Print the titles, then each row as soon as it is measured; returns all of them."""
    say(" ".join(column.padded(column.title) for column in columns))
    printed = []
    for row in rows:
        say(" ".join(column.padded(column.text(row)) for column in columns))
        printed.append(row)
    return printed


def optional(value: float | None, form: str) -> str:
    """Return a number as text, or a dash where it is not known."""
    return "-" if value is None else format(value, form)


SIZE = Column("size", 11, lambda row: f"{row['height']} x {row['width']}")
RATIO = Column("ratio", 6, lambda row: optional(row["ratio"], ".2f"))
PEAK = Column("peak MiB", 8, lambda row: optional(row["peak_mib"], ".0f"))


def spread(width: int) -> Column:
    """Return the column from the fastest to the slowest run."""
    return Column("from - to", width, lambda row: f"{row['fastest']:.2f} - {row['slowest']:.2f}")


def print_lines(bench: str, rows: "Sequence[Row]", save: Path | None) -> None:
    """Print one JSON object a row, with what all rows share, and append them to `save`.

    A field of a row wins over the shared one of its name (threads of another process, say).
    """
    lines = [line_of(bench, row) for row in rows]
    # Printed first: a full disk must not take away what was measured.
    for line in lines:
        show(line, rows=[parsed_json(line) for line in lines])
    if save is not None:
        append_lines(save, lines)
        wrote([save])


def line_of(bench: str, row: "Row") -> str:
    """Return one line of JSON: the row, and the machine it was taken on."""
    return json.dumps({**_shared(), **row, "bench": bench}, sort_keys=True, default=asdict)


def _shared() -> dict[str, Any]:
    import torch

    from spade_eval.records import provenance

    known = provenance()
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "processor": _processor(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "commit": known["commit"],
        "commit_clean": known["commit_clean"],
    }


def _processor() -> str:
    """The name the maker gave it, where the system tells (Linux)."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    names = [line.partition(":")[2] for line in text.splitlines() if line.startswith("model name")]
    return names[0].strip() if names else platform.processor() or platform.machine()


def append_lines(path: Path, lines: Sequence[str]) -> None:
    """Append lines to a file that `--save` or `--out` names."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise UserError(
            f"--save {path}: cannot be written ({error.strerror or error}); "
            "the lines stand above, and another file may be named"
        ) from error
