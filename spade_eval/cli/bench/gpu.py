# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench gpu`: everything that is measured on a GPU that is there for minutes."""

import functools
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.bench.gpu_page import line_text, page_text, suggestions_of
from spade_eval.cli.bench.lines import append_lines, line_of
from spade_eval.cli.bench.score import timed_scores
from spade_eval.cli.console.output import plain, say, show, wrote
from spade_eval.cli.console.paths import checked
from spade_eval.cli.console.topics import PLACE

if TYPE_CHECKING:
    from spade_eval.bench.campaign import Measurement
    from spade_eval.bench.gpu import Setting
    from spade_eval.bench.timing import Row

LINES, PAGE = "lines.jsonl", "page.md"
_SCORED = {"full": 200, "tiny": 3}


def bench_gpu(
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Folder of lines.jsonl and page.md, which are whole after every measurement.",
            rich_help_panel=PLACE,
            callback=checked("folder", written=True),
        ),
    ],
    minutes: Annotated[
        float,
        typer.Option(min=0.01, help="What is expected to take longer than is left is left out."),
    ] = 10.0,
    setting: Annotated[
        str,
        typer.Option(
            metavar="full|tiny", help="tiny tries the command where no GPU is, in seconds."
        ),
    ] = "full",
    maps: options.Maps = None,
    instances: options.Instances = None,
    weights_dir: options.WeightsDir = None,
    device: options.Device = "cuda",
) -> None:
    """Check and time everything on a GPU, the most important first; sets nothing by itself.

    Checks, generators, scoring networks, training, single layers, the distance; in float32,
    TensorFloat-32 and bf16, channels last, as CUDA graphs, compiled. It may be cut off anywhere.
    """
    from spade_eval.bench.campaign import run_campaign
    from spade_eval.bench.gpu import SETTINGS, Bench, maps_opener
    from spade_eval.devices import resolve_device
    from spade_eval.errors import lookup

    ends, chosen = time.monotonic() + 60 * minutes, lookup(SETTINGS, setting, "setting")
    place = resolve_device(device)
    root = options.data_root_or_default(None)
    bench = Bench(
        setting=chosen, device=place, weights_dir=options.weights_dir_or_default(weights_dir),
        folder=out, checkout=Path(__file__).resolve().parents[3],
        open_maps=maps_opener(maps, instances, root, chosen.classes),
        left=lambda: ends - time.monotonic(),
        one_pass=functools.partial(_one_pass, chosen, _SCORED[setting], device),
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    kept = _Kept(out)
    run_campaign(bench.planned(), ends - time.monotonic(), kept.add, kept.write_page, say)
    wrote([out / LINES, out / PAGE])
    suggestions = suggestions_of(kept.rows)
    show("\n".join(suggestions) or "no layer was measured", rows=kept.rows, folder=out)
    say(f"{out / PAGE}")


class _Kept:
    """The rows so far: in the lines at once, on the page after each measurement."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows: list[Row] = []

    def add(self, measurement: "Measurement", row: "Row") -> None:
        from spade_eval.json_fields import parsed_json

        named = {"section": measurement.section, "title": measurement.title, **plain(row)}
        line = line_of(measurement.bench, named)
        append_lines(self.folder / LINES, [line])
        self.rows.append(parsed_json(line))
        say(line_text(self.rows[-1]))

    def write_page(self) -> None:
        from spade_eval.files import written_whole

        with written_whole(self.folder / PAGE) as path:
            path.write_text(page_text(self.rows, suggestions_of(self.rows)), encoding="utf-8")


def _one_pass(setting: "Setting", count: int, device: str) -> "list[Row]":
    """Time in-domain scoring of drawn scenes, whose segmenter is shipped."""
    from spade_eval.bench.score import WAYS

    height, width = setting.size
    config = options.run_config("scenes", "default", 0, f"{height}x{width}", segmenter_steps=1)
    with tempfile.TemporaryDirectory() as folder:
        place = options.workplace(config, Path(folder), None, None, device)
        ways = [WAYS[0], WAYS[2], WAYS[3]]
        return timed_scores(config, place, "spade", setting.width, count, 16, ways, setting.repeats)
