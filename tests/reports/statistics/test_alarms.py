# SPDX-License-Identifier: Apache-2.0
"""Each rule rings where it says, and a column tells a cheat only if it is silent for models."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from synthetic import group, measurement

from spade_eval.metrics.counts import StoredCounts, miou_of
from spade_eval.records import Measurement
from spade_eval.reports.measured.counts import counts_path
from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.reports.measured.panels import Panel, alone, panels_of
from spade_eval.reports.statistics.alarms import RULES, Alarms, alarms_of
from spade_eval.reports.statistics.intervals import Uncertainty
from spade_eval.reports.statistics.stored_distances import Corrected
from spade_eval.reports.tables.formats import as_text
from spade_eval.reports.tables.joined import Joined
from spade_eval.reports.tables.red_team import red_team_table

KINDS = {"real": "real", "spade": "generator", "cheat": "cheat"}
UNKNOWN = Uncertainty({}, {})


def _row(name: str, segmenter: str = "c", **values: Any) -> list[Measurement]:
    """The measurements of a source under a segmenter."""
    facts = {"file_format": values.pop("file_format", None)}
    common = {
        "source": name, "source_kind": KINDS[name], "source_sha256": name, "train_steps": None,
        "job_sha256": f"{name}-{segmenter}", "job_size": len(values), "segmenter": segmenter,
        "segmenter_sha256": segmenter * 64, "protocol_sha256": segmenter * 64, "num_images": 40,
        "profile": f"of {segmenter}", **facts,
    }  # fmt: skip
    return [measurement(metric=m, value=v, label=m, **common) for m, v in values.items()]


def _alone(cheat: dict[str, Any], model: dict[str, Any], known: Uncertainty = UNKNOWN) -> Alarms:
    rows = [*_row("real", miou=0.9), *_row("spade", **model), *_row("cheat", **cheat)]
    return alarms_of(alone(group(rows)), Path("nowhere"), [known])


HONEST = {"miou": 0.4, "memorised": 0.05, "leaked": 0.04, "precision": 0.5, "recall": 0.3}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, ()),
        ({"memorised": 0.21}, ("memorised",)),
        ({"memorised": 0.19}, ()),
        ({"leaked": 1.0}, ("leaked",)),
        ({"precision": 1.0, "recall": 0.02}, ("precision - recall",)),
        ({"precision": 0.6, "recall": 0.2}, ()),
        ({"file_format": "JPEG, PNG"}, ("file format",)),
        ({"file_format": "PNG"}, ()),
        ({"leaked": 1.0, "file_format": "JPEG"}, ("leaked", "file format")),
    ],
)
def test_a_rule_rings_beyond_its_limit(changed: dict[str, Any], told: tuple[str, ...]) -> None:
    alarms = _alone({**HONEST, "miou": 0.6, **changed}, HONEST)
    assert alarms.told["cheat"] == told
    assert alarms.rung["cheat"] == ()


def test_what_rings_for_a_model_as_well_tells_nothing() -> None:
    leaky = {**HONEST, "leaked": 1.0}
    alarms = _alone(leaky, leaky)
    assert alarms.told["cheat"] == ()
    assert alarms.rung["cheat"] == ("leaked",)


@pytest.mark.parametrize(
    ("miou", "own", "rings"),
    [
        (0.6, Corrected(2.0, 1.8, 2.2), True),  # ahead in mIoU, behind in distance
        (0.6, Corrected(2.0, 1.1, 2.9), False),  # intervals meet
        (0.6, Corrected(0.5, 0.4, 0.6), False),  # ahead in both
        (0.3, Corrected(2.0, 1.8, 2.2), False),  # behind in both
        (0.6, Corrected(float("nan"), remark="not corrected"), False),
    ],
)
def test_the_distance_rings_where_it_orders_otherwise(
    miou: float, own: Corrected, rings: bool
) -> None:
    places = {("spade", "fd_in_domain"): Corrected(1.0, 0.8, 1.2), ("cheat", "fd_in_domain"): own}
    rows = [{"miou": value, "fd_in_domain": 1.0} for value in (miou, 0.4)]
    alarms = _alone(*rows, Uncertainty({}, places))
    assert alarms.readings["cheat"]["distance, corrected"].rings is rings


def _panel(folder: Path, falls: dict[str, float]) -> Panel:
    """Two segmenters; under the second each row hits so much less."""
    numbers, rows = np.random.default_rng(0), []
    for name, fall in falls.items():
        for segmenter, share in (("c", 0.8), ("e", 0.8 - fall)):
            hits = numbers.binomial(1000, share, (40, 3))
            counts = np.stack([hits, np.full_like(hits, 1000), np.full_like(hits, 1000)], axis=1)
            kept = StoredCounts(tuple(map(str, range(40))), counts.astype(np.uint32),
                                np.zeros(40, np.uint32))  # fmt: skip
            miou = float(miou_of(counts.sum(axis=0).astype(float), "target"))
            (item,) = _row(name, segmenter, miou=miou)
            rows.append(item)
            counts_path(folder, item).parent.mkdir(exist_ok=True)
            kept.save(counts_path(folder, item))
    (panel,) = panels_of(by_protocol(rows))
    return panel


@pytest.mark.parametrize(("fall", "rings"), [(0.30, True), (0.11, False), (0.0, False)])
def test_a_fall_counts_beyond_that_of_the_real_photos(
    fall: float, rings: bool, tmp_path: Path
) -> None:
    panel = _panel(tmp_path, {"real": 0.1, "spade": 0.05, "cheat": fall})
    alarms = alarms_of(panel, tmp_path, [UNKNOWN, UNKNOWN])
    reading = alarms.readings["cheat"]["fall under other segmenters"]
    assert reading.rings is rings
    assert reading.value is not None


def test_the_table_says_what_nothing_tells(tmp_path: Path) -> None:
    panel = _panel(tmp_path, {"real": 0.1, "spade": 0.1, "cheat": 0.1})
    table = red_team_table(panel, alarms_of(panel, tmp_path, [UNKNOWN, UNKNOWN]))
    assert "told by no column, which is a finding" in " ".join(table.notes)
    assert [column.heading for column in table.columns][3:-1] == [rule.name for rule in RULES]
    assert as_text(table).splitlines()[-1].endswith("none")


@pytest.mark.parametrize(
    ("elsewhere", "said"),
    [
        (0.5, "cheat: ahead of spade in mIoU under all 2 segmenters; told"),
        (0.3, "cheat: ahead of spade in mIoU; under all 2 segmenters ahead of none; told"),
    ],
)
def test_the_table_says_whom_a_cheat_leaves_behind(
    elsewhere: float, said: str, tmp_path: Path
) -> None:
    rows = [
        item
        for segmenter, cheat in (("c", 0.5), ("d", elsewhere))
        for name, miou in {"real": 0.9, "spade": 0.4, "cheat": cheat}.items()
        for item in _row(name, segmenter, miou=miou)
    ]
    (panel,) = panels_of(by_protocol(rows))
    table = red_team_table(panel, alarms_of(panel, tmp_path, [UNKNOWN, UNKNOWN]))
    assert said in " ".join(table.notes)


def test_a_page_with_two_blocks_is_written_once(tmp_path: Path) -> None:
    panel = _panel(tmp_path, {"real": 0.1, "spade": 0.1, "cheat": 0.1})
    table = red_team_table(panel, alarms_of(panel, tmp_path, [UNKNOWN, UNKNOWN]))
    both = Joined({"red-team": [table], "segmenters": [table]}, {}, {})
    page = tmp_path / "page.md"
    page.write_text("\n".join(f"<!-- {name} -->\n<!-- /{name} -->" for name in ("x", *both.tables)))
    assert both.fill(page, ["of here"]) == [page]
    assert page.read_text().count("of here") == 2
    page.write_text("no block\n")
    assert both.fill(page, []) == []
