# SPDX-License-Identifier: Apache-2.0
"""The table of systems: facts as they are given, scores of the shown models from records."""

import dataclasses
from typing import Any

from synthetic import job

from spade_eval.records import Measurement
from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.reports.tables.systems import SystemFacts, measured, systems_text


def facts(model: str, others: tuple[str, ...] = ()) -> SystemFacts:
    return SystemFacts(
        model=model, others=others, paper="Someone, 2019", sees="label map", trained="GAN",
        released=("a_*.pt",), parameters={"ADE20K": 1234567}, protocol="FID", licence="MIT",
    )  # fmt: skip


def scored(source: str, value: float, kind: str = "generator", **changes: Any) -> list[Measurement]:
    items = job(source, kind, metrics=("miou", "acc_valid"), **changes)
    return [dataclasses.replace(item, value=value) for item in items]


def test_scores_are_those_of_the_model_in_all_seeds_and_protocols() -> None:
    items = [
        *scored("munit", 0.25, seed=0),
        *scored("munit", 0.35, seed=1),
        *scored("spade", 0.9),
        *scored("munit", 0.8, "checkpoint"),
        *scored("real", 1.0, "real"),
        *scored("munit", 0.5, dataset="other", dataset_sha256="e" * 64),
    ]
    first, second = measured("munit", by_protocol(items)).split("; ")
    assert first == (
        "scenes: mIoU 30.00 ± 7.07%, pixel accuracy (valid) 30.00 ± 7.07%, 400 steps, 2 seeds"
    )
    assert second == "other: mIoU 50.00%, pixel accuracy (valid) 50.00%, 400 steps"
    assert measured("unit", by_protocol(items)) == "-"
    assert measured("munit", ()) == "-"


def test_a_distance_stands_behind_two_shares() -> None:
    items = job("munit", metrics=("miou", "acc_valid", "acc_all", "fwiou", "fd_in_domain"))
    text = measured("munit", by_protocol(items))
    assert [part.rsplit(" ", 1)[0] for part in text.removeprefix("scenes: ").split(", ")] == [
        "mIoU", "pixel accuracy (valid)", "FD (in-domain)", "400"
    ]  # fmt: skip


def test_every_system_is_a_row_and_protocols_stand_below() -> None:
    items = scored("munit", 0.25)[:1]
    text = systems_text([facts("spade", ("concat", "sft")), facts("munit")], items)
    header, _, spade, munit, *notes = text.splitlines()
    assert header.startswith("| system | paper | sees |")
    assert "| spade \\(and 2 more\\) |" in spade
    assert "| 1,234,567 | FID | - | MIT |" in spade
    assert "| FID | scenes: mIoU 25.00%, 400 steps | MIT |" in munit
    assert "a\\_\\*.pt" in munit
    assert "- measured: scenes val, 500 images of 64x64, profile in-domain" in notes
    assert any(note.startswith("- munit: one training each.") for note in notes)
