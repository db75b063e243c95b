# SPDX-License-Identifier: Apache-2.0
"""The lines of JSON that every `spade-eval bench` command prints, and `--save`, which keeps them.

One line holds one timing with the machine it was taken on, so that lines of several commands,
days and machines may stand in one file: `spade-eval bench plot` compares only what belongs
together.
"""

import json
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Any

import typer

from spade_eval.errors import UserError

Save = Annotated[
    Path | None,
    typer.Option(
        "--save",
        metavar="FILE",
        dir_okay=False,
        writable=True,
        help="Append the lines of JSON to this file as well, for `spade-eval bench plot`.",
    ),
]


def print_lines(bench: str, rows: Sequence[Mapping[str, object]], save: Path | None) -> None:
    """Print one JSON object a row, with what all rows share, and append them to `save`.

    A field of a row wins over the shared one of its name (threads of another process, say).
    """
    shared = _shared()
    lines = [json.dumps({**shared, **row, "bench": bench}, sort_keys=True) for row in rows]
    # Printed first: a full disk must not take away what was measured.
    for line in lines:
        typer.echo(line)
    if save is not None:
        _append(save, lines)


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


def _append(path: Path, lines: Sequence[str]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except OSError as error:
        raise UserError(
            f"--save {path}: cannot be written ({error.strerror or error}); "
            "the lines stand above, and another file may be named"
        ) from error
