# SPDX-License-Identifier: Apache-2.0
"""Tables of the paper beside measured numbers: golden frames, footnotes, seeds, refusals."""

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from counted import write_run
from synthetic import job

from spade_eval.cli import main
from spade_eval.errors import UserError
from spade_eval.papers.publications import Paper
from spade_eval.papers.tables import PAPER_TABLES, PaperRow, PaperTable, paper_table_called
from spade_eval.records import Measurement, RecordStore
from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.reports.paper_report import write_paper_table
from spade_eval.reports.statistics.ordering import ordered_pairs
from spade_eval.reports.tables import published
from spade_eval.reports.tables.paper_layout import measured_table
from spade_eval.reports.tables.paper_tables import FACTS, paper_table
from spade_eval.reports.tables.published import DATASETS
from spade_eval.reports.tables.writing import plain_attrs

PAPER_COCO = {
    "dataset": "cocostuff",
    "profile": "spade-paper",
    "num_images": 5000,
    "height": 256,
    "width": 256,
    "segmenter_weights": "published",
    "notes": (),
}


def valued(source: str, miou: float, **changes: object) -> list[Measurement]:
    kind = source if source in ("real", "oracle") else "generator"
    return scored(source, kind, {"miou": miou}, **changes)


def scored(
    source: str, kind: str, values: dict[str, float], **changes: object
) -> list[Measurement]:
    items = job(source, kind, metrics=list(values), **{**PAPER_COCO, **changes})
    return [dataclasses.replace(item, value=values[item.metric]) for item in items]


def test_golden_table_3() -> None:
    seeds = [valued("spade", 0.36, seed=0), valued("spade", 0.34, seed=1)]
    measurements = [*valued("concat", 0.3), *seeds[0], *seeds[1], *valued("real", 0.39)]
    table = paper_table(paper_table_called("3"), by_protocol(measurements))
    assert list(table.columns) == [
        *FACTS, "miou", "miou_spread", "miou_paper", "miou_difference", "miou_seeds_low",
        "miou_seeds_high", "miou_images_low", "miou_images_high", "miou_best", "recalled", "source",
        "notes",
    ]  # fmt: skip
    shown = table[["row", "kind", "model", "seeds", "parameters_paper", "miou", "miou_paper"]]
    golden = pd.DataFrame(
        [
            ("real", "real", None, 1, None, 0.39, math.nan),
            ("decoder w/ SPADE", "generator", "spade", 2, 96e6, 0.35, 0.352),
            ("compact decoder w/ SPADE", "paper", "spade_compact", 0, 61e6, math.nan, 0.352),
            ("decoder w/ Concat", "generator", "concat", 1, 79e6, 0.3, 0.319),
            ("pix2pixHD++ w/ SPADE", "paper", "pix2pixhdpp_spade", 0, 237e6, math.nan, 0.344),
            ("pix2pixHD++ w/ Concat", "paper", "pix2pixhdpp_concat", 0, 195e6, math.nan, 0.329),
            ("pix2pixHD++", "paper", "pix2pixhdpp", 0, 183e6, math.nan, 0.327),
            ("compact pix2pixHD++", "paper", "pix2pixhdpp_compact", 0, 103e6, math.nan, 0.316),
            ("pix2pixHD", "paper", "pix2pixhd", 0, 183e6, math.nan, 0.146),
        ],
        columns=list(shown.columns),
    )
    pd.testing.assert_frame_equal(shown, golden, check_dtype=False)
    others = ", ".join(golden["row"][golden["kind"] == "paper"])
    assert f"In none of these runs: {others}." in table.attrs["notes"]
    assert "shown" in plain_attrs(table), "JSON, as Parquet files hold it"
    spade = table.iloc[1]
    assert spade["miou_spread"] == pytest.approx(np.std([0.36, 0.34], ddof=1))
    assert spade["miou_difference"] == pytest.approx(0.35 - 0.352)
    assert "Table 3" in spade["source"]


@pytest.mark.parametrize(
    ("real", "grey", "ranked"), [(0.9, 0.1, True), (0.05, 0.01, False), (0.6, 0.6, False)]
)
def test_a_segmenter_that_fails_on_photos_ranks_no_row(
    real: float, grey: float, ranked: bool
) -> None:
    """As in tables of runs: no mark, no verdict of the order; a distance does not ask it."""
    methods = {"spade": (0.36, 20.0), "concat": (0.3, 30.0)}
    rows = [*valued("real", real), *scored("grey", "grey", {"miou": grey})]
    for seed in range(3):
        for name, (miou, distance) in methods.items():
            values = {"miou": miou + seed / 999, "fd_in_domain": distance - seed / 99}
            rows += scored(name, "generator", values, seed=seed)
    table = paper_table(paper_table_called("3"), by_protocol(rows))
    best = table.set_index("model")
    assert [*best.index[best["miou_best"]]] == (["spade"] if ranked else [])
    assert [*best.index[best["fd_in_domain_best"]]] == ["spade"]
    assert ("mIoU: decoder w/ SPADE above" in table.attrs["shown"]) is ranked
    assert "FD (in-domain): decoder w/ SPADE above" in table.attrs["shown"]
    (pair,) = ordered_pairs(table, table)
    assert pair.verdict == ("confirmed" if ranked else "not tested")
    assert any("no row is called better" in text for text in table.attrs["warnings"]) is not ranked


def test_the_papers_own_tables_need_no_measurements() -> None:
    table = paper_table(paper_table_called("1"), [])
    assert list(dict.fromkeys(table["dataset"])) == list(DATASETS)
    line = table[(table["dataset"] == "cityscapes") & (table["row"] == "SPADE")].iloc[0]
    assert line["miou_paper"] == 0.623
    assert line["acc_all_paper"] == pytest.approx(0.819)
    assert math.isnan(line["acc_valid_paper"])
    assert line["fid_paper"] == 71.8
    assert table.attrs["notes"] == [
        "SIMS: not trained here; its authors' images are scored with --images sims=DIR."
    ]


def test_every_number_of_table_4_was_seen_in_print() -> None:
    table = paper_table(paper_table_called("4"), [])
    assert table["miou_paper"].notna().sum() == 33
    assert not table["recalled"].any()


def test_recalled_numbers_are_shown_on_request_and_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Table 4 stood before a copy of it was found: two rows of it are in Table 3 as well."""
    rows = published._all_rows().copy()
    of_table_4 = (rows["paper"] == "SPADE (arXiv 1903.07291)") & (rows["table"] == "Table 4")
    seen = rows["variant"].isin(["segmap input", "kernel size 3x3"])
    rows.loc[of_table_4 & ~seen, "verified"] = False
    monkeypatch.setattr(published, "_all_rows", lambda: rows)
    asked = paper_table_called("4")
    plain, recalled = paper_table(asked, []), paper_table(asked, [], unverified=True)
    assert plain["miou_paper"].notna().sum() == 6
    assert not plain["recalled"].any()
    assert recalled["miou_paper"].notna().sum() == 33
    printed = measured_table(recalled)
    cells = [cell.text for column in printed.columns for cell in column.cells]
    assert "32.7†" in cells
    assert "35.2" in cells
    assert printed.notes[0] == "† recalled, unverified"


def test_table_1_over_datasets_takes_other_methods_too() -> None:
    city = {"dataset": "cityscapes", "num_images": 500, "width": 512}
    measurements = [
        *valued("spade", 0.4), *valued("mine", 0.5), *valued("spade", 0.6, **city),
        *valued("real", 0.7, **city),
    ]  # fmt: skip
    table = paper_table(paper_table_called("1"), by_protocol(measurements))
    coco = table[table["dataset"] == "cocostuff"]
    assert coco["row"].tolist() == ["CRN", "SIMS", "pix2pixHD", "SPADE", "mine"]
    assert math.isnan(coco.iloc[-1]["miou_paper"])
    assert table[table["dataset"] == "cityscapes"]["row"].tolist()[0] == "real"


def test_images_that_are_given_are_measured_in_their_row() -> None:
    asked = paper_table_called("1")
    assert "sims" not in asked.models, "nothing trains it"
    city = {"dataset": "cityscapes", "num_images": 500, "width": 512}
    given = [*valued("sims", 0.45, source_kind="images", **city), *valued("spade", 0.6, **city)]
    table = paper_table(asked, by_protocol(given))
    line = table[table["row"] == "SIMS"].iloc[0]
    assert (line["miou"], line["miou_paper"]) == (0.45, pytest.approx(0.472))
    assert table["row"].tolist().count("SIMS") == 1
    assert "sims" not in table["row"].tolist()
    assert not any("SIMS" in note for note in table.attrs["notes"] if "not trained" in note)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"profile": "in-domain", "segmenter_weights": "in-domain"}, "in-domain segmenter"),
        ({"segmenter_weights": "filled"}, "weights are filled"),
        ({"num_images": 40}, "N = 40 images, where the paper scores 5,000"),
        ({"height": 128, "width": 128}, "128x128, where the paper's are 256x256"),
        ({"profile": "oasis"}, "profile oasis"),
        ({"dataset": "scenes"}, "the paper has no scores on it"),
    ],
)
def test_every_difference_of_protocol_has_a_footnote(changes: dict[str, object], said: str) -> None:
    table = paper_table(paper_table_called("3"), by_protocol(valued("spade", 0.4, **changes)))
    assert any(said in note for note in table.attrs["notes"]), table.attrs["notes"]
    comparable = changes.get("segmenter_weights") is None and "dataset" not in changes
    assert table["miou_difference"].notna().any() == comparable


def test_the_paper_fid_is_noted() -> None:
    (item,) = valued("spade", 30.0)
    fid = dataclasses.replace(item, metric="fid", label="FID", unit="", larger_is_better=False)
    table = paper_table(paper_table_called("1"), by_protocol([fid]))
    assert table.set_index("row").loc["SPADE", "fid_difference"] == pytest.approx(30 - 22.6)
    assert any("legacy-2019a" in note for note in table.attrs["notes"])


def test_rows_that_cannot_be_told_apart_are_refused() -> None:
    two_protocols = [*valued("spade", 0.4), *valued("concat", 0.4, profile="oasis")]
    with pytest.raises(UserError, match="cocostuff was measured under 2 protocols"):
        paper_table(paper_table_called("3"), by_protocol(two_protocols))
    two_budgets = [*valued("spade", 0.4), *valued("spade", 0.5, train_steps=9, seed=1)]
    with pytest.raises(UserError, match="spade was trained in two ways"):
        paper_table(paper_table_called("3"), by_protocol(two_budgets))
    with pytest.raises(UserError, match="no table of the paper is called '2'"):
        paper_table_called("2")


def test_a_table_is_written_in_every_form(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path / f"run{seed}", {"real": 0.1, "spade": 0.5, "concat": 0.7}, seed=seed)
    folders = [tmp_path / "run0", tmp_path / "run1"]
    written = write_paper_table(paper_table_called("3"), folders, tmp_path / "out")
    names = {path.name for path in written.paths}
    assert {f"table3.{form}" for form in ("csv", "md", "tex", "txt", "png", "pdf", "svg")} <= names
    assert "Park et al., Table 3, as printed" in written.text
    stored = pd.read_csv(tmp_path / "out" / "table3.csv").set_index("row")
    assert stored.loc["decoder w/ SPADE", "seeds"] == 2
    assert "±" in (tmp_path / "out" / "table3.md").read_text("utf-8")
    page = (tmp_path / "out" / "table3_html" / "index.html").read_text("utf-8")
    anchors = re.findall(r'id="(table-3[^"]*)"', page)
    assert {"table-3", "table-3-printed"} <= set(anchors)
    assert len(anchors) == len(set(anchors))


def test_a_table_of_another_paper_is_one_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = PaperTable(
        paper=Paper(
            key="sushko2021",
            authors="Sushko et al.",
            venue="ICLR 2021",
            numbers="OASIS (arXiv 2012.04781)",
            image_counts={"COCO-Stuff": 4999},
        ),
        number=1,
        title="Made up of what other papers quote",
        published_as="main results",
        metrics=("miou", "fid"),
        rows=(
            PaperRow(title="OASIS", model=None, method="OASIS"),
            PaperRow(title="SPADE+", model="spade", method="SPADE+"),
        ),
        open_to_others=True,
    )
    monkeypatch.setitem(PAPER_TABLES, made.key, made)
    items = [*valued("spade", 0.4), *valued("concat", 0.3)]
    RecordStore(tmp_path / "run" / "records.jsonl").append(items)
    page = tmp_path / "page.md"
    page.write_text("<!-- tablesushko2021-1 -->\n<!-- /tablesushko2021-1 -->\n")
    words = ["report", str(tmp_path / "run"), "--table", "sushko2021-1", "--into", str(page)]
    with pytest.raises(SystemExit) as ended:
        main([*words, "--out", str(tmp_path / "out")])
    assert not ended.value.code
    assert "where the paper scores 4,999" in capsys.readouterr().out
    stored = pd.read_csv(tmp_path / "out" / "tablesushko2021-1.csv").set_index("row")
    assert list(stored.index) == ["OASIS", "SPADE+", "concat"]
    assert stored.loc["OASIS", "miou_paper"] == pytest.approx(0.441)
    assert stored.loc["SPADE+", "miou"] == 0.4
    html = (tmp_path / "out" / "tablesushko2021-1_html" / "index.html").read_text("utf-8")
    assert "Sushko et al., ICLR 2021" in html
    assert "Park et al." not in html
    assert "![Table 1](page-tablesushko2021-1.png)" in page.read_text()


def test_a_table_answers_what_it_asks(tmp_path: Path) -> None:
    changes = {"dataset": "scenes"}
    items = [
        item
        for seed, (mine, other) in enumerate([(0.30, 0.50), (0.34, 0.52), (0.29, 0.53)])
        for model, value in (("oasis", mine), ("spade", other), ("pix2pix", mine + 0.2 * seed),
                             ("cyclegan", other))
        for item in valued(model, value, seed=seed, source_sha256=f"{seed}" * 64, **changes)
    ]  # fmt: skip
    RecordStore(tmp_path / "run" / "records.jsonl").append(items)
    text = write_paper_table(paper_table_called("systems"), [tmp_path / "run"], tmp_path).text
    half = 4.302653 * np.std([-20, -18, -24], ddof=1) / np.sqrt(3)  # Student's, 2 degrees
    mean = np.mean([-20, -18, -24])
    assert (
        f"OASIS against SPADE, asked beforehand: behind, mIoU {mean:+.1f} points, 95% "
        f"[{mean - half:+.1f}, {mean + half:+.1f}] over 3 seeds, paired."
    ) in text
    assert "pix2pix against CycleGAN, asked beforehand: not told apart" in text
    assert "against UNIT" not in text


def test_later_methods_stand_beside_what_their_own_papers_print(tmp_path: Path) -> None:
    methods = paper_table_called("1")
    measured = write_paper_table(methods, _run_of(tmp_path / "a", "spade"), tmp_path / "a")
    assert "OASIS" not in measured.text
    run = _run_of(tmp_path / "b", "spade", "oasis")
    measured = write_paper_table(methods, run, tmp_path / "b")
    line = pd.read_csv(tmp_path / "b" / "table1.csv").set_index("row").loc["OASIS"]
    assert (line["miou_paper"], line["model"], line["miou"]) == (0.441, "oasis", 0.4)
    assert "published numbers are those of Sushko et al., ICLR 2021" in measured.text
    own = write_paper_table(paper_table_called("oasis2021-1"), run, tmp_path / "c")
    stored = pd.read_csv(tmp_path / "c" / "tableoasis2021-1.csv").set_index("row")
    assert stored.loc["OASIS", "miou_paper"] == 0.441
    assert stored.loc["SPADE", "miou_paper"] == 0.374
    assert "SPADE: published numbers are those of Park et al." in own.text.replace(
        "pix2pixHD, ", ""
    )


def _run_of(folder: Path, *models: str) -> list[Path]:
    items = [item for model in models for item in valued(model, 0.4)]
    RecordStore(folder / "records.jsonl").append(items)
    return [folder]


def test_a_number_alone_is_of_the_spade_paper() -> None:
    assert paper_table_called("3") is paper_table_called("park2019-3") is PAPER_TABLES["park2019-3"]


def test_the_suites_own_table_shows_costs_and_nothing_printed(tmp_path: Path) -> None:
    norms = paper_table_called("norms")
    costs = {"dataset": "scenes", "multiplications": 42_200_000, "parameters": 71_000_000}
    items = [
        *job("spade", images_per_second=4.0, seed=0, **costs),
        *job("spade", images_per_second=2.0, seed=1, source_sha256="b" * 64, **costs),
        *job("clade", images_per_second=8.0, seed=0, **costs),
        *job("oracle", "oracle", dataset="scenes"),
    ]
    RecordStore(tmp_path / "run" / "records.jsonl").append(items)
    written = write_paper_table(norms, [tmp_path / "run"], tmp_path)
    stored = pd.read_csv(tmp_path / "tablenorms.csv").set_index("row")
    assert list(stored.index)[:3] == ["oracle", "SPADE", "CLADE"]
    assert len(stored) == 1 + len(norms.rows)
    assert stored.loc["SPADE", "seconds_per_image"] == pytest.approx((1 / 4 + 1 / 2) / 2)
    assert stored.loc["CLADE", "seconds_per_image"] == pytest.approx(1 / 8)
    assert stored.loc["CLADE", "multiplications"] == 42_200_000
    assert math.isnan(stored.loc["SFT", "multiplications"])
    for words in ("multiplications", "42.20M", "375.00", "71.00M", "ms"):
        assert words in written.text
    assert "as printed" not in written.text
    assert "the paper" not in written.text
    html = (tmp_path / "tablenorms_html" / "index.html").read_text("utf-8")
    assert "no paper has this table" in html


def test_costs_stand_in_tables_that_compare_them_alone() -> None:
    items = valued("spade", 0.36, multiplications=5, images_per_second=2.0)
    assert "multiplications" not in paper_table(paper_table_called("3"), by_protocol(items))
