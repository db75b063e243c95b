# SPDX-License-Identifier: Apache-2.0
"""Writes the folder of the web page: `index.html`, `plots/*.svg`, `images/COLUMN/STEM.png`.

Style, script and data stand inside `index.html`; pictures lie beside it. Nothing else is needed and
nothing else is ever asked for: the page's own Content-Security-Policy forbids every other address.
"""

import base64
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from spade_eval.errors import UserError
from spade_eval.files import replaced
from spade_eval.reports.html.details import Details
from spade_eval.reports.html.figures import write_figures
from spade_eval.reports.html.galleries import galleries, link_images
from spade_eval.reports.html.rendering import MARK, rendered
from spade_eval.reports.html.report_data import ReportData

PAGE = "index.html"


def write_html(report: ReportData, folder: Path) -> list[Path]:
    """Write the page into `folder`; returns its path, then those of the plots.

    An earlier page in that folder is replaced as a whole. A folder with anything else in it is a
    `UserError`, so that no file is ever lost to a mistyped path.
    """
    with replaced_whole(folder) as fresh:
        details = Details(report.runs)
        shown = galleries(report.runs)
        for gallery in shown:
            link_images(gallery, fresh)
        figures = write_figures(report.plots, fresh)
        page = rendered(report, figures, shown, details)
        (fresh / PAGE).write_bytes(page.encode())
    plots = [folder / name for figure in figures for name in (figure.light, figure.dark)]
    return [folder / PAGE, *plots]


def write_single_file(report: ReportData, path: Path) -> Path:
    """Write the page as one file: figures inside, no gallery of images; returns the path."""
    with tempfile.TemporaryDirectory(prefix="spade-eval-page-") as scratch:
        figures = [
            replace(
                figure,
                light=_inside(Path(scratch) / figure.light),
                dark=_inside(Path(scratch) / figure.dark),
            )
            for figure in write_figures(report.plots, Path(scratch))
        ]
    page = rendered(report, figures, [], Details(report.runs))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as temporary:
            temporary.write_bytes(page.encode())
    except OSError as error:
        raise UserError(
            f"{path}: the page cannot be written ({error.strerror or error}); name another file"
        ) from error
    return path


def _inside(picture: Path) -> str:
    """Return a drawing as the address that holds it."""
    return f"data:image/svg+xml;base64,{base64.b64encode(picture.read_bytes()).decode()}"


@contextmanager
def replaced_whole(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `folder` when the block succeeds."""
    _refuse_foreign(folder)
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    former = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        fresh.mkdir(parents=True)
        yield fresh
        if folder.exists():
            os.replace(folder, former)
        os.replace(fresh, folder)
    except OSError as error:
        raise UserError(
            f"{folder}: the page cannot be written ({error.strerror or error}); "
            "make the folder writable or free space, then repeat"
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(former, ignore_errors=True)


def _refuse_foreign(folder: Path) -> None:
    if not folder.exists():
        return
    if folder.is_dir() and not any(folder.iterdir()):
        return
    page = folder / PAGE
    if not page.is_file() or MARK not in page.read_text("utf-8", errors="replace")[:2000]:
        raise UserError(
            f"{folder} holds files that are not an earlier report; give an empty or new folder"
        )
