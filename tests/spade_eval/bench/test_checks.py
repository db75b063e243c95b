# SPDX-License-Identifier: Apache-2.0
"""Checks before anything is timed: they pass here, fail where a form is wrong, and read pytest."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from spade_eval.bench import checks
from spade_eval.bench.checks import check_forms, check_gradients, check_reference
from spade_eval.bench.maps import open_maps
from spade_eval.models.fast.spade import FastSPADE

CPU = torch.device("cpu")
MAPS = open_maps(None, None, "scenes", Path(), (32, 32), 14, 2)


def test_forms_and_gradients_pass_here() -> None:
    (forms,) = check_forms(["spade"], MAPS, 2, 1 / 16, CPU)
    assert forms["check"] == "spade: fast form against float64"
    assert 0 < forms["largest"] <= forms["limit"]
    both, twice = check_gradients(MAPS, 2, CPU)
    assert 0 < both["largest"] <= both["limit"]
    assert (twice["largest"], twice["passed"]) == (0.0, True)
    assert forms["passed"]
    assert both["passed"]


@pytest.mark.parametrize("error", [1e-2, float("nan")])
def test_a_wrong_form_fails(monkeypatch: pytest.MonkeyPatch, error: float) -> None:
    plain = FastSPADE._table

    def wrong(self: FastSPADE, *given: Any, **named: Any) -> torch.Tensor:
        return plain(self, *given, **named) * (1 + error)

    monkeypatch.setattr(FastSPADE, "_table", wrong)
    (forms,) = check_forms(["spade"], MAPS, 2, 1 / 16, CPU)
    both, _ = check_gradients(MAPS, 2, CPU)
    assert not forms["passed"]
    assert not both["passed"]


REPORT = """<testsuites><testsuite>
<testcase name="test_parity[a]"><properties><property name="max_abs_difference" value="2e-06"/>
</properties></testcase>
<testcase name="test_parity[b]"><failure message="differs"/></testcase>
<testcase name="test_parity[c]"><skipped message="on the CPU"/></testcase>
<testcase name="test_other"><skipped/></testcase>
</testsuite></testsuites>"""


def test_the_reference_is_compared_by_its_own_tests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def run(command: list[str], **named: Any) -> "subprocess.CompletedProcess[str]":
        asked.update(named, command=command)
        (tmp_path / "reference.xml").write_text(REPORT)
        return subprocess.CompletedProcess(command, 1, "", "")

    monkeypatch.setattr(checks.subprocess, "run", run)
    checkout = tmp_path / "checkout"
    (checkout / checks.REFERENCE_TESTS).parent.mkdir(parents=True)
    (checkout / checks.REFERENCE_TESTS).write_text("")
    device = torch.device("cuda:1")
    found, outside = check_reference(checkout, tmp_path, device, slow=False, seconds=9)
    assert (asked["env"]["PARITY_DEVICE"], asked["timeout"]) == ("cuda:1", 9)
    assert "not slow" in asked["command"]
    assert found == {
        "check": "networks against the reference: test_parity", "cases": 2, "skipped": 1,
        "failed": ["test_parity[b]"], "largest": 2e-06, "passed": False,
    }  # fmt: skip
    assert "no ../shared/parity here" in outside["note"]
    (tmp_path / "reference.xml").unlink()
    silent = subprocess.CompletedProcess([], 1, "", "python: No module named pytest\n")
    monkeypatch.setattr(checks.subprocess, "run", lambda *_, **__: silent)
    (missing,) = check_reference(checkout, tmp_path, device, slow=False, seconds=9)
    assert (missing["passed"], missing["note"]) == (
        None, "left out: python: No module named pytest",
    )  # fmt: skip


def test_without_a_checkout_it_is_said(tmp_path: Path) -> None:
    (row,) = check_reference(tmp_path, tmp_path, CPU, slow=True, seconds=1)
    assert row["passed"] is None
    assert "left out: no tests" in row["note"]
    assert row["check"].startswith("segmenters")
