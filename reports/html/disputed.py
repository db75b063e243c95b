# SPDX-License-Identifier: Apache-2.0
"""The page of a study's results: its tables and plot, and the questions people disagree about."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spade_eval.reports.html.figures import write_figures
from spade_eval.reports.html.galleries import link_file
from spade_eval.reports.html.rendering import rendered_page
from spade_eval.reports.html.report import PAGE, replaced_whole
from spade_eval.reports.html.report_data import Section
from spade_eval.reports.plots.page import Plot

_IMAGES = "images"


@dataclass(frozen=True)
class Disputed:
    """One question and how it was answered."""

    image: str
    rows: tuple[str, str]
    files: tuple[str, ...]  # of the map, the first and the second row
    counts: tuple[int, int, int]  # answers for the first row, for the second, ties
    share: float  # of pairs of answers that differ


def write_study_page(
    title: str,
    sections: Sequence[Section],
    plots: Sequence[Plot],
    disputed: Sequence[Disputed],
    images: Path,
    folder: Path,
) -> Path:
    """Write the page into `folder`, with the pictures of the disputed questions from `images`."""
    with replaced_whole(folder) as fresh:
        (fresh / _IMAGES).mkdir()
        for name in {name for item in disputed for name in item.files}:
            link_file(images / name, fresh / _IMAGES / name)
        page = rendered_page(
            "study_report.html.j2",
            styles=("page.css", "tables.css", "gallery.css", "study.css"),
            scripts=("theme.js", "legend.js", "tables.js"),
            title=title,
            data=dict,
            place_of=lambda origin: None,
            sections=sections,
            figures=write_figures(plots, fresh),
            disputed=disputed,
            images=_IMAGES,
        )
        (fresh / PAGE).write_bytes(page.encode())
    return folder / PAGE
