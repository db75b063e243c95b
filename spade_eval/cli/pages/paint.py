# SPDX-License-Identifier: Apache-2.0
"""`spade-eval paint`: label maps painted in the browser, the images of models beside them."""

import threading
import webbrowser
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.console.output import say, show
from spade_eval.cli.console.topics import DATA, PLACE, ROWS
from spade_eval.errors import UserError

if TYPE_CHECKING:
    from spade_eval.models.labels import Size
    from spade_eval.pages.painting.session import Session

_TRY = "such as RUN/checkpoints/MODEL/generator.safetensors, which `spade-eval train` writes"


def paint(
    *,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|NAME",
            help="A generator: its file, or the name of a baseline that ships. Repeatable, side by "
            "side [default: every baseline that ships for the dataset].",
            rich_help_panel=ROWS,
        ),
    ] = None,
    dataset: options.Dataset = "scenes",
    data_root: options.DataRoot = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="N|HxW",
            help="Pixels [default: those that the first model was trained at].",
            rich_help_panel=DATA,
        ),
    ] = None,
    device: options.Device = "auto",
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65_535,
            help="Of the page on this machine; 0 takes any that is free [default: that to which "
            "reports link].",
            rich_help_panel=PLACE,
        ),
    ] = None,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser.", rich_help_panel=PLACE)
    ] = False,
    time: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Print what so many strokes take, in the fast forms and in the plain ones, and "
            "end.",
        ),
    ] = None,
) -> None:
    """Paint label maps in the browser: the image beside, and how a segmenter reads it.

    Serves until Ctrl-C, on this machine alone.
    """
    session = _session(model or [], dataset, data_root, size, device)
    if time is not None:
        _show_times(session, time)
        return
    _serve(session, port, open_page)


def _session(
    named: Sequence[str], dataset: str, data_root: Path | None, size: str | None, device: str
) -> "Session":
    """Open models and dataset; everything that can be refused is refused here."""
    from spade_eval.datasets import open_dataset
    from spade_eval.devices import resolve_device
    from spade_eval.pages.painting.models import open_models
    from spade_eval.pages.painting.session import Session

    said = None if size is None else options.parse_size(size)
    files = _named_files(named, dataset) if named else _shipped_files(dataset, said)
    pixels = said or _size_of(next(iter(files.values())), dataset)
    split = open_dataset(dataset, "val", pixels, options.data_root_or_default(data_root))
    place = resolve_device(device)
    return Session(split, open_models(files, split, place), place)


def _named_files(named: Sequence[str], dataset: str) -> dict[str, Path]:
    """Return the files of --model by title."""
    from spade_eval.baselines import shipped
    from spade_eval.cli.console.conditions import is_checkpoint
    from spade_eval.pages.painting.models import titles_of

    known = {name: item for name, item in shipped().items() if item.train["dataset"] == dataset}
    for name in named:
        if name not in known and not is_checkpoint(Path(name)):
            raise UserError(
                f"--model {name}: neither a file nor a baseline that ships for {dataset} "
                f"({', '.join(known) or 'there is none'}); expected a generator, {_TRY}"
            )
    ours = {known[name].row: known[name].path() for name in named if name in known}
    given = [Path(name) for name in named if name not in known]
    titled = {**ours, **titles_of(given)}
    if len(titled) < len(named):
        raise UserError("--model: a name is given twice; expected different models, leave one out")
    return titled


def _shipped_files(dataset: str, size: "Size | None") -> dict[str, Path]:
    """Return what ships for the dataset at a size, or at the first size that there is."""
    from spade_eval.baselines import shipped

    ours = [item for item in shipped().values() if item.train["dataset"] == dataset]
    wanted = size or next((item.size for item in ours), None)
    files = {item.row: item.path() for item in ours if item.size == wanted}
    if not files:
        at = "" if wanted is None else " at {}x{}".format(*wanted)
        raise UserError(
            f"no baseline ships for {dataset}{at}; give a generator with --model FILE, {_TRY}"
        )
    return files


def _size_of(file: Path, dataset: str) -> "Size":
    """Return the size that a checkpoint was trained at; else that of the dataset's budget."""
    from spade_eval.config import budget_for
    from spade_eval.pages.painting.models import trained_size

    return trained_size(file) or budget_for(dataset, "default").size


def _serve(session: "Session", port: int | None, open_page: bool) -> None:
    from spade_eval.pages.local_server import LocalServer, serving
    from spade_eval.pages.painting.routes import painting_routes
    from spade_eval.reports.html.painting import PORT, painting_page

    routes = painting_routes(session, *painting_page(session.facts()))
    with serving(LocalServer(routes, port=PORT if port is None else port)) as address:
        models = [model.title for model in session.models]
        show(address, address=address, models=models)
        say(f"painting with {', '.join(models)}; Ctrl-C ends it")
        if open_page:
            webbrowser.open(address)
        with suppress(KeyboardInterrupt):
            _wait()


def _wait() -> None:
    threading.Event().wait()


def _show_times(session: "Session", strokes: int) -> None:
    from spade_eval.pages.painting.timing import timed

    rows: list[Mapping[str, object]] = []
    for row in timed(session, strokes):
        rows.append(row)
        show(
            "{model}, {height}x{width}, {form}: {answer_ms:.0f} ms from request to answer "
            "({answer_cpu_ms:.0f} ms of all cores), of which the network {network_ms:.0f} ms "
            "({network_cpu_ms:.0f} ms); medians of {strokes} strokes on {device}".format(**row),
            rows=rows,
        )
