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
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

import jinja2
from markupsafe import Markup

from spade_eval.reports.html.details import Details
from spade_eval.reports.html.figures import Figure
from spade_eval.reports.html.galleries import PAINTER, Gallery
from spade_eval.reports.html.report_data import ReportData

MARK = '<meta name="generator" content="spade-eval report">'
_STYLES = ("page.css", "tables.css", "gallery.css")
_SCRIPTS = ("theme.js", "legend.js", "tables.js", "details.js", "gallery.js", "zoom.js")


def rendered(
    report: ReportData,
    figures: Sequence[Figure],
    galleries: Sequence[Gallery],
    details: Details,
) -> str:
    """Render the whole report."""
    shown = [item.as_json() for item in galleries]
    return rendered_page(
        "report.html.j2",
        styles=_STYLES,
        scripts=_SCRIPTS,
        title=report.title,
        mark=MARK,
        # Asked for after the tables, whose numbers have places then.
        data=lambda: {
            "provenance": details.as_json(),
            "galleries": shown,
            "painter": PAINTER,
        },
        place_of=details.place_of,
        report=report,
        figures=figures,
        galleries=galleries,
    )


def rendered_page(
    template: str,
    *,
    styles: Sequence[str],
    scripts: Sequence[str],
    title: str,
    data: Callable[[], Any],
    mark: str = MARK,
    connects: bool = False,
    **values: Any,
) -> str:
    """Render a page that extends `base.html.j2`, from files of `templates/` and `static/`.

    `data()` is what its script reads (`dataOfPage`), asked for at the end of the page. One that
    `connects` may send requests to its own server and show pictures that its script has made.
    `values` are what the template reads.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spade_eval.reports.html"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["indented"] = lambda value: json.dumps(value, indent=2, default=str)
    style, script = _joined(styles), _joined(scripts)
    environment.globals |= {name: value for name, value in values.items() if callable(value)}
    return environment.get_template(template).render(
        **values,
        title=title,
        mark=Markup(mark),
        policy=_policy(style, script, connects),
        # Both are files of this package, and `embedded` escapes all that could end its element.
        style=Markup(style),
        script=Markup(script),
        data=lambda: Markup(embedded(data())),
    )


def policy_of(styles: Sequence[str], scripts: Sequence[str], *, connects: bool) -> str:
    """Return the policy of a page of these files, for a server that sends it as a header, too."""
    return _policy(_joined(styles), _joined(scripts), connects)


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


def _policy(style: str, script: str, connects: bool) -> str:
    """Allow nothing but the page's own style, script and pictures; no frame or form.

    And no connection, unless a server of its own stands behind the page.
    """
    parts = (
        "default-src 'none'",
        f"script-src {_source(script)}",
        f"style-src {_source(style)}",
        f"img-src 'self' data:{' blob:' if connects else ''}",
        *(["connect-src 'self'"] if connects else []),
        "base-uri 'none'",
        "form-action 'none'",
    )
    return "; ".join(parts)


def _source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
