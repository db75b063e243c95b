# SPDX-License-Identifier: Apache-2.0
"""The page of a preference study, on which people answer: from disk, or from the study's server."""

from typing import Any

from spade_eval.reports.html.rendering import policy_of, rendered_page

MARK = '<meta name="generator" content="spade-eval study">'
TITLE = "Which image fits the map better?"
_STYLES = ("page.css", "study.css")
_SCRIPTS = ("theme.js", "legend.js", "kept.js", "study.js")


def study_page(data: dict[str, Any]) -> str:
    """Write the page that works from disk; `data` is what its script reads (`key.py`)."""
    return _page(data, served=False)


def served_study_page(data: dict[str, Any]) -> tuple[str, str]:
    """Write the page that sends its answers to its server, and its Content-Security-Policy."""
    return _page(data, served=True), policy_of(_STYLES, _SCRIPTS, connects=True)


def _page(data: dict[str, Any], *, served: bool) -> str:
    return rendered_page(
        "study.html.j2",
        styles=_STYLES,
        scripts=_SCRIPTS,
        title=TITLE,
        mark=MARK,
        data=lambda: {**data, "served": served},
        connects=served,
        served=served,
        ties=data["ties"],
        seconds=data["seconds"],
    )
