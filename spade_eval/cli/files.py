# SPDX-License-Identifier: Apache-2.0
"""`spade-eval convert`, `bundle`, `export`: checkpoints and results in forms for elsewhere."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from spade_eval.cli import options
from spade_eval.cli.console.conditions import (
    WITH_BENCHMARK,
    WITH_RELEASED,
    WITH_VERIFY,
    WITHOUT_VERIFY,
)
from spade_eval.cli.console.output import say, show, wrote
from spade_eval.cli.console.paths import Kind, checked, require
from spade_eval.cli.console.topics import RELEASED
from spade_eval.cli.flags import ReleasedFlags, grouped
from spade_eval.errors import UserError
from spade_eval.files import is_writable


@grouped
def convert(
    *,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A released *.pth, or a .safetensors of ours.",
            callback=checked("file"),
        ),
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET",
            help="The file to write, in the other form.",
            callback=checked("file", written=True),
        ),
    ],
    released: ReleasedFlags,
    size: Annotated[
        str | None,
        typer.Option(
            "--size",
            "--image-size",
            metavar="N|HxW",
            help="Pixels, of latent-input generators.",
            rich_help_panel=RELEASED,
        ),
        WITH_RELEASED,
    ] = None,
    num_features: Annotated[
        int,
        typer.Option(
            min=0,
            help="Of pix2pixHD generators trained with instance features: 3.",
            rich_help_panel=RELEASED,
        ),
        WITH_RELEASED,
    ] = 0,
) -> None:
    """Convert a checkpoint from the key layout of SPADE or pix2pixHD, or to it."""
    from spade_eval.sources.convert import convert as converted

    said = options.released_options(**vars(released), size=size, num_features=num_features)
    checkpoint = converted(source, target, said)
    settings = ", ".join(f"{name}={value}" for name, value in vars(checkpoint.config).items())
    wrote([target])
    show(f"{checkpoint.description['network']}({settings})")
    if checkpoint.layout is not None:
        show(f"label layout: {checkpoint.description['layout_name']} ({checkpoint.layout})")
    show(f"written: {target}")


def bundle(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN", help="Run folders to bundle.", callback=checked("folder")),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file to write, or the folder to extract into.",
            callback=checked("file or folder", written=True),
        ),
        WITHOUT_VERIFY,
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Check a bundle: hashes, and every number that it allows.",
            callback=checked("file"),
        ),
    ] = None,
    extract: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Unpack a bundle whose hashes agree, into --out.",
            callback=checked("file"),
        ),
    ] = None,
    features: Annotated[
        bool, typer.Option(help="Bundle features, from which --verify computes distances again.")
    ] = True,
    sha256: Annotated[
        str | None,
        typer.Option("--sha256", metavar="HASH", help="The identity that the bundle must have."),
        WITH_VERIFY,
    ] = None,
) -> None:
    """Bundle run folders into --out FILE, or verify or extract a bundle."""
    wanted = [bool(runs), verify is not None, extract is not None]
    if sum(wanted) != 1:
        raise UserError(
            "bundle: expected RUN folders, --verify FILE or --extract FILE, one of them"
        )
    if not features and not runs:
        raise UserError("--no-features was given without RUN folders, whose bundle it makes small")
    if verify is not None:
        _verify(verify, sha256)
    elif extract is not None:
        _extract(extract, _given(out, "folder", "--extract FILE --out FOLDER"))
    else:
        _write(list(runs or ()), _given(out, "file", "bundle RUN --out FILE.zip"), features)


def _given(out: Path | None, kind: Kind, example: str) -> Path:
    if out is None:
        raise UserError(f"bundle: --out is missing, expected {example}")
    require("--out", out, kind, written=True)
    return out


def _write(runs: list[Path], path: Path, features: bool) -> None:
    from spade_eval.reports.bundle.bundle import copied_parts, write_bundle
    from spade_eval.reports.run_report import write_run_tables
    from spade_eval.reports.runs import open_run

    with tempfile.TemporaryDirectory() as scratch:
        places = [
            run if is_writable(run) else copied_parts(run, Path(scratch) / str(number))
            for number, run in enumerate(runs)
        ]
        for place in places:
            write_run_tables(open_run(place))  # what is bundled agrees with the records
        identity = write_bundle(places, path, features=features)
    wrote([path])
    say(f"{path}: {path.stat().st_size:,} bytes, {len(runs)} runs")
    show(
        f"identity (SHA-256 of its manifest, to be published with it): {identity}", sha256=identity
    )


def _verify(path: Path, sha256: str | None) -> None:
    from spade_eval.reports.bundle_check import verify_bundle

    checked = verify_bundle(path)
    faults = list(checked.faults)
    if sha256 is not None and sha256.lower() != checked.sha256:
        faults.insert(0, f"identity {checked.sha256}, expected {sha256}")
    say(f"{path}: runs {', '.join(checked.runs)}")
    say(f"{checked.num_files:,} files, {checked.num_measurements:,} measurements")
    found = {
        "sha256": checked.sha256,
        "runs": checked.runs,
        "faults": faults,
        "unchecked": checked.unchecked,
    }
    show(f"identity (SHA-256 of its manifest): {checked.sha256}", **found)
    for fault in faults:
        show(f"fault: {fault}", **found)
    for sentence in checked.unchecked:
        show(f"cannot be checked: {sentence}", **found)
    if faults:
        raise UserError(
            f"{path}: {len(faults)} faults ({faults[0]}); do not use its numbers: ask for the "
            "bundle again"
        )
    show(checked.verdict, **found)


def _extract(path: Path, folder: Path) -> None:
    from spade_eval.reports.bundle.bundle import extract_bundle

    runs = extract_bundle(path, folder)
    wrote(runs)
    for run in runs:
        show(run)


def export(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN", help="Run folders or bundles.", callback=checked("file or folder")
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder to write into.", callback=checked("folder", written=True)
        ),
    ],
    benchmark: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME",
            help="Also write ROW/.eval_results/*.yaml for the repository of each model on the "
            "Hugging Face Hub, as results of this benchmark's dataset repository.",
        ),
    ] = None,
    source_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="What those results name as their source."),
        WITH_BENCHMARK,
    ] = None,
) -> None:
    """Write runs as one JSON for a leaderboard page, and as results of model repositories."""
    from spade_eval.reports.merged_report import export_runs
    from spade_eval.reports.runs import open_runs
    from spade_eval.reports.tables.exported import Hub

    hub = None if benchmark is None else Hub(benchmark, source_url)
    with tempfile.TemporaryDirectory() as scratch:
        paths = export_runs(open_runs(runs, Path(scratch)), out, hub)
    wrote(paths)
    for path in paths:
        show(path)
