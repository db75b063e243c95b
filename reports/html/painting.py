# SPDX-License-Identifier: Apache-2.0
"""The painting page as text: the look and the parts of the report, with scripts of its own.

It works only where `spade-eval paint` serves it, and may ask that place alone.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from spade_eval.reports.html.galleries import PAINTER
from spade_eval.reports.html.rendering import policy_of, rendered_page

PORT = urlsplit(PAINTER).port or 0
"""Where the page is served unless told otherwise."""
_MARK = '<meta name="generator" content="spade-eval paint">'
_STYLES = ("page.css", "tables.css", "gallery.css", "painting.css")
_SCRIPTS = (
    "theme.js",
    "legend.js",
    "painting-board.js",
    "painting-canvas.js",
    "painting-classes.js",
    "painting-images.js",
    "painting-style.js",
    "painting-files.js",
)


def painting_page(facts: Mapping[str, Any]) -> tuple[str, str]:
    """Render the page of what a session knows; return it and its Content-Security-Policy."""
    page = rendered_page(
        "painting.html.j2",
        styles=_STYLES,
        scripts=_SCRIPTS,
        title=f"Paint: {facts['dataset']}",
        data=lambda: facts,
        mark=_MARK,
        connects=True,
        facts=facts,
    )
    return page, policy_of(_STYLES, _SCRIPTS, connects=True)
