# SPDX-License-Identifier: Apache-2.0
"""The web page without a browser: what it holds, what it escapes, what it may overwrite."""

import base64
import errno
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import html_runs
import numpy as np
import pytest
import synthetic
import typer.main

from spade_eval.cli import app, main
from spade_eval.errors import UserError
from spade_eval.metrics.counts import StoredCounts
from spade_eval.reports.html import report as page_module
from spade_eval.reports.html.figures import darkened
from spade_eval.reports.html.galleries import PAINTER, galleries
from spade_eval.reports.html.image_scores import image_scores
from spade_eval.reports.html.rendering import embedded
from spade_eval.reports.html.report import write_html
from spade_eval.reports.measured.run_data import RunData

STEMS = [f"val_{number:03d}" for number in range(6)]
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def run(tmp_path: Path) -> RunData:
    return html_runs.write_run(tmp_path / "run", html_runs.measurements(), STEMS)


@pytest.fixture
def page(run: RunData, tmp_path: Path) -> str:
    return write_html(html_runs.report_of([run]), tmp_path / "html")[0].read_text("utf-8")


class Tables(HTMLParser):
    """Cells of every table as (text of its button, data-value, data-detail)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[dict[str, Any]]]] = []
        self.cell: dict[str, Any] | None = None
        self.in_body = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "tbody":
            self.tables.append([])
            self.in_body = True
        elif tag == "tr" and self.in_body:
            self.tables[-1].append([])
        elif tag in ("td", "th") and self.in_body:
            self.cell = {"text": "", "value": given.get("data-value"), "detail": None}
            self.tables[-1][-1].append(self.cell)
        elif tag == "button" and self.cell is not None:
            self.cell["detail"] = given.get("data-detail")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.cell = None
        self.in_body = self.in_body and tag != "tbody"

    def handle_data(self, data: str) -> None:
        if self.cell is not None:
            self.cell["text"] += data.strip()


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', page)
    assert found is not None
    return json.loads(found[1])


def test_every_number_has_its_provenance(page: str, run: RunData) -> None:
    provenance = data_of(page)["provenance"]
    recorded = {
        (item.source, item.metric, item.class_name): item.value for item in run.measurements
    }
    scores, classes = Tables(page).tables[:2]
    assert [row[0]["text"] for row in scores] == ["real", "oracle", "spade", "concat"]
    seen = []
    for cell in (cell for row in [*scores, *classes] for cell in row if cell["value"] is not None):
        (detail,) = provenance["details"][int(cell["detail"])]
        facts = dict(provenance["facts"][place] for place in detail["facts"])
        assert any(len(value) == 64 for value in facts.values()), "no SHA-256 among the facts"
        assert "--dataset scenes" in provenance["texts"][detail["command"]]
        assert [provenance["texts"][note] for note in detail["notes"]]
        seen.append(detail["exact"])
    exact = {repr(value) for value in recorded.values()}
    assert exact <= set(seen), "a recorded number is not on the page at full precision"


def test_sorting_values_are_the_records_at_full_precision(page: str, run: RunData) -> None:
    row = next(row for row in Tables(page).tables[0] if row[0]["text"] == "spade")
    miou = next(
        item.value for item in run.measurements if (item.source, item.metric) == ("spade", "miou")
    )
    values = [float(cell["value"]) for cell in row if cell["value"] is not None]
    assert 100 * miou in values


def test_the_page_names_nothing_outside_of_its_folder(run: RunData, tmp_path: Path) -> None:
    report = html_runs.report_of([run], plots=[html_runs.plot(tmp_path)])
    page, light, dark = write_html(report, tmp_path / "html")
    text = page.read_text("utf-8")
    # But where a link leads that is pressed: to a page of the suite on this machine.
    assert re.findall(r"https?:[^\"\s]*", text) == [PAINTER]
    assert PAINTER.startswith("http://127.0.0.1:")
    addresses = re.findall(r'(?:src|href|srcset)="([^"]*)"', text)
    assert {"plots/00.svg", "plots/00-dark.svg"} <= set(addresses)
    for address in addresses:
        inside = (page.parent / address).is_file()
        assert inside or address == "data:," or address.startswith("#"), address
    assert light.is_file()
    assert dark.is_file()


def test_the_policy_knows_script_and_style_by_their_hashes(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    allowed = policy[1].replace("&#39;", "'")
    assert allowed.startswith("default-src 'none'; ")
    assert "unsafe" not in allowed
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in allowed
    assert not re.search(
        r"\s(style|on[a-z]+)=", re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    )


@pytest.mark.parametrize(
    "text", ["</script><script>alert(1)</script>", "<!--", "a&b", "\u2028\u2029"]
)
def test_embedded_data_cannot_end_its_element(text: str) -> None:
    written = embedded({text: [text]})
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written) == {text: [text]}


def test_names_are_never_markup(tmp_path: Path) -> None:
    classes = ("sky", "</script><script>alert(1)</script>", HOSTILE)
    measured = html_runs.measurements(classes, (HOSTILE, '"><u>'), dataset="<i>data</i>")
    run = html_runs.write_run(tmp_path / "<u>run", measured, [HOSTILE, "a'b\"c"], classes=classes)
    report = html_runs.report_of([run], title=HOSTILE)
    text = write_html(report, tmp_path / "html")[0].read_text("utf-8")
    assert not re.search(r"<img src=x|<i>data|<u>|<script>alert", text)
    assert text.count("</script>") == 2  # the data's and the script's own
    assert Tables(text).tables[0][2][0]["text"] == HOSTILE


def test_scores_of_images_against_plain_loops(run: RunData) -> None:
    (gallery,) = galleries([run])
    data = gallery.as_json()
    assert data["names"] == STEMS
    assert [column["title"] for column in data["columns"]] == [
        "label map", "real", "oracle", "spade", "concat",
    ]  # fmt: skip
    assert "miou" not in data["columns"][0]
    for column in data["columns"][1:]:
        counts = html_runs.image_counts(column["title"], len(STEMS), len(html_runs.CLASSES))
        shown = list(base64.b64decode(column["classIou"]))
        for image, (hits, target, prediction) in enumerate(counts.tolist()):
            present = [label for label in range(len(target)) if target[label]]
            iou = [hits[k] / (target[k] + prediction[k] - hits[k]) for k in present]
            assert data["labels"][image] == present
            assert [shown.pop(0) for _ in present] == [round(200 * value) for value in iou]
            if not present:
                assert column["miou"][image] is None
                continue
            assert column["miou"][image] == round(10_000 * sum(iou) / len(iou))
            assert column["accuracy"][image] == round(10_000 * sum(hits) / sum(target))
        assert not shown


def test_images_without_counts_have_no_scores() -> None:
    counts = StoredCounts(("b",), np.array([[[1], [2], [1]]], np.uint32), np.zeros(1, np.uint32))
    scores = image_scores([(counts, ["sky"]), (None, [])], ["a", "b"])
    assert scores.labels == [[], [0]]
    assert scores.of_column(0)["miou"] == [None, 5000]
    assert scores.of_column(1) == {}


def test_scores_follow_names_and_not_places() -> None:
    counts = np.array([[[1], [2], [1]], [[3], [4], [3]]], np.uint32)  # IoU 1/2 of b, 3/4 of a
    stored = StoredCounts(("b", "a"), counts, np.zeros(2, np.uint32))
    assert image_scores([(stored, ["sky"])], ["a", "b"]).of_column(0) == {
        "miou": [7500, 5000],
        "accuracy": [7500, 5000],
        "classIou": base64.b64encode(bytes([150, 100])).decode(),
    }


def test_what_is_there_is_shown_and_what_is_not_is_said(tmp_path: Path) -> None:
    run = html_runs.write_run(
        tmp_path / "run", html_runs.measurements(), STEMS, kept={"label map": 2, "real": 0},
        with_colors=False,
    )  # fmt: skip
    (gallery,) = galleries([run])
    columns = {column["title"]: column for column in gallery.as_json()["columns"]}
    assert columns["label map"]["present"] == "110000"
    assert "real" not in columns
    assert gallery.as_json()["classes"][0] == ["sky", None]


def test_runs_on_the_same_data_share_label_maps_and_photos(tmp_path: Path) -> None:
    runs = [
        html_runs.write_run(tmp_path / name, html_runs.measurements(seed=seed), STEMS)
        for seed, name in enumerate(("first", "second"))
    ]
    (gallery,) = galleries(runs)
    assert [column.title for column in gallery.columns] == [
        "label map", "real", "oracle",
        "spade (first)", "concat (first)", "spade (second)", "concat (second)",
    ]  # fmt: skip


def test_a_run_on_other_data_has_its_own_gallery(tmp_path: Path) -> None:
    other = html_runs.measurements(dataset="others", dataset_sha256="e" * 64)
    runs = [
        html_runs.write_run(tmp_path / "first", html_runs.measurements(), STEMS),
        html_runs.write_run(tmp_path / "second", other, STEMS),
    ]
    assert [gallery.prefix for gallery in galleries(runs)] == ["images/0", "images/1"]


def test_the_folder_is_complete_without_the_run(run: RunData, tmp_path: Path) -> None:
    write_html(html_runs.report_of([run]), tmp_path / "html")
    before = (run.folder / "images" / "spade" / f"{STEMS[0]}.png").read_bytes()
    shutil.rmtree(run.folder)
    assert (tmp_path / "html" / "images" / "0" / "3" / f"{STEMS[0]}.png").read_bytes() == before


def test_images_are_copied_where_they_cannot_be_linked(
    run: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(os, "link", refused)
    write_html(html_runs.report_of([run]), tmp_path / "html")
    copied = tmp_path / "html" / "images" / "0" / "3" / f"{STEMS[0]}.png"
    original = run.folder / "images" / "spade" / f"{STEMS[0]}.png"
    assert copied.read_bytes() == original.read_bytes()
    assert copied.stat().st_ino != original.stat().st_ino


def test_an_earlier_page_is_replaced_whole(run: RunData, tmp_path: Path) -> None:
    folder = tmp_path / "html"
    first = write_html(html_runs.report_of([run]), folder)[0].read_bytes()
    stale = folder / "images" / "stale.png"
    stale.touch()
    assert write_html(html_runs.report_of([run]), folder)[0].read_bytes() == first
    assert not stale.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["html", "run"]


@pytest.mark.parametrize("name", ["notes.txt", "index.html"])
def test_a_folder_of_something_else_is_refused(run: RunData, tmp_path: Path, name: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text("my own")
    with pytest.raises(UserError, match="not an earlier report"):
        write_html(html_runs.report_of([run]), tmp_path / "mine")
    assert (tmp_path / "mine" / name).read_text() == "my own"


def test_a_failure_leaves_the_earlier_page(
    run: RunData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "html"
    first = write_html(html_runs.report_of([run]), folder)[0].read_bytes()

    def fails(*_: Any) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(page_module, "rendered", fails)
    with pytest.raises(UserError, match="No space left"):
        write_html(html_runs.report_of([run]), folder)
    assert (folder / "index.html").read_bytes() == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["html", "run"]


@pytest.mark.parametrize("text", ["{", "[1]", '[{"name": "sky", "color": [1, 2]}]'])
def test_a_damaged_class_list_is_one_line(run: RunData, tmp_path: Path, text: str) -> None:
    (run.folder / "classes.json").write_text(text)
    with pytest.raises(UserError, match=r"classes\.json"):
        write_html(html_runs.report_of([run]), tmp_path / "html")


def test_a_dark_plot_keeps_its_series(tmp_path: Path) -> None:
    dark = darkened(html_runs.SVG)
    assert "#ffffff" not in dark
    assert "#222222" not in dark
    assert "#d55e00" in dark


def commands_of(page: str) -> set[str]:
    provenance = data_of(page)["provenance"]
    parts = [part for detail in provenance["details"] for part in detail]
    return {provenance["texts"][part["command"]] for part in parts if "command" in part}


def test_the_commands_are_ones_that_the_command_line_knows(tmp_path: Path) -> None:
    kinds = {"spade": "generator", "mine": "checkpoint", "folder of theirs": "images"}
    changes = {"height": html_runs.SIZE, "width": html_runs.SIZE, "classes": html_runs.CLASSES}
    measured = [
        item for name, kind in kinds.items() for item in synthetic.job(name, kind, **changes)
    ]
    run = html_runs.write_run(tmp_path / "run", measured, STEMS)
    page = write_html(html_runs.report_of([run]), tmp_path / "html")[0].read_text("utf-8")
    found = commands_of(page)
    assert len(found) == len(kinds)
    group = typer.main.get_command(app)
    for command in found:
        program, *words = shlex.split(command)
        words = ["benchmark", *words[1:]] if program == "python" else words
        context = group.make_context("spade-eval", list(words))
        name, chosen, rest = group.resolve_command(context, words)  # type: ignore[attr-defined]
        chosen.make_context(name, list(rest))


@pytest.mark.slow
def test_the_command_of_the_documentation_writes_the_page(
    run: RunData, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[3] / "docs" / "html_report.md").read_text("utf-8")
    (line,) = re.findall(r"^spade-eval (report .*)$", text, re.MULTILINE)
    shutil.rmtree(run.folder / "counts")  # drawn at random, they contradict the records
    monkeypatch.chdir(run.folder.parent)
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(line.replace("runs/NAME", run.folder.name)))
    assert not ended.value.code
    assert (run.folder / "html" / "index.html").is_file()
    assert list((run.folder / "html" / "plots").glob("*-dark.svg"))


def test_marked_rows_are_models(page: str) -> None:
    assert page.count(' best"') == len(synthetic.METRICS)
    assert page.count("Shown at 5% over the images, of these trainings") == 1
    for row in re.findall(r'<tr class="reference">.*?</tr>', page, re.DOTALL):
        assert "best" not in row


def test_pages_are_made_without_torch() -> None:
    forbidden = "{'torch', 'matplotlib'} & set(sys.modules)"
    code = f"import sys, spade_eval.reports.html; assert not {forbidden}"
    subprocess.run([sys.executable, "-c", code], check=True)
