# SPDX-License-Identifier: Apache-2.0
"""The page as text: Jinja2 with autoescaping, data that cannot end its element, a strict policy.

Names of classes, files and rows are data: in the template they are escaped, and the script sets
them as text. Were a name to slip through as markup all the same, the Content-Security-Policy lets
no script or style run but the page's own, known by their hashes, and lets nothing load from
anywhere but the page's own folder.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from spade_eval.reports.html.details import Details
from spade_eval.reports.html.figures import Figure
from spade_eval.reports.html.galleries import Gallery
from spade_eval.reports.html.report_data import ReportData

MARK = '<meta name="generator" content="spade-eval report">'
_STYLES = ("page.css", "tables.css", "gallery.css")
_SCRIPTS = ("theme.js", "tables.js", "details.js", "gallery.js", "zoom.js")


def rendered(
    report: ReportData,
    figures: Sequence[Figure],
    galleries: Sequence[Gallery],
    details: Details,
) -> str:
    """Render the whole page."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spade_eval.reports.html"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["indented"] = lambda value: json.dumps(value, indent=2, default=str)
    style, script = _joined(_STYLES), _joined(_SCRIPTS)
    environment.globals["place_of"] = details.place_of
    shown = [item.as_json() for item in galleries]

    def data() -> Markup:
        """All that the script reads: asked for after the tables, whose numbers have places then."""
        return Markup(embedded({"provenance": details.as_json(), "galleries": shown}))

    return environment.get_template("report.html.j2").render(
        report=report,
        figures=figures,
        galleries=galleries,
        mark=Markup(MARK),
        policy=_policy(style, script),
        # Both are files of this package, and `embedded` escapes all that could end its element.
        style=Markup(style),
        script=Markup(script),
        data=data,
    )


def embedded(data: Any) -> str:
    r"""Write JSON for a script: `<`, `>`, `&` as `\u003c` and so on, so no tag can occur."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _joined(names: Sequence[str]) -> str:
    """Files of static/ after each other, with the line ends that a browser hashes."""
    folder = resources.files("spade_eval.reports.html") / "static"
    return "\n" + "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def _policy(style: str, script: str) -> str:
    """Allow nothing but the page's own style, script and pictures; no connection, frame or form."""
    parts = (
        "default-src 'none'",
        f"script-src {_source(script)}",
        f"style-src {_source(style)}",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(parts)


def _source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
