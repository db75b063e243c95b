# SPDX-License-Identifier: Apache-2.0
"""The page of a preference study, on which people answer: from disk, or from the study's server."""

from typing import Any

from spade_eval.reports.html.rendering import rendered_page

MARK = '<meta name="generator" content="spade-eval study">'
TITLE = "Which image fits the map better?"


def study_page(data: dict[str, Any], *, served: bool = False) -> str:
    """Write the page; `data` is what its script reads (`pages/study/key.py`)."""
    return rendered_page(
        "study.html.j2",
        styles=("page.css", "study.css"),
        scripts=("theme.js", "legend.js", "study.js"),
        title=TITLE,
        mark=MARK,
        data=lambda: {**data, "served": served},
        connects=served,
        served=served,
        ties=data["ties"],
        seconds=data["seconds"],
    )
