# SPDX-License-Identifier: Apache-2.0
"""The time of networks that score: all forms of one look at the same images."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from spade_eval.bench.scoring_networks import scoring_network, time_scoring_network
from spade_eval.bench.variants import DENSE, Variant
from spade_eval.cli import main
from spade_eval.errors import UserError
from spade_eval.segmenters import SEGMENTERS

CPU = torch.device("cpu")


def test_rows_compare_with_the_plain_form(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small = {"blocks": (1, 1, 1, 1), "base_channels": 2}
    entry = replace(SEGMENTERS["drn-d-105"], options=small)
    monkeypatch.setitem(SEGMENTERS, "drn-d-105", entry)
    scoring = scoring_network("drn-d-105", tmp_path)
    assert (scoring.filled, scoring.is_segmenter) == (True, True)
    chosen = [DENSE, Variant(fast=True), Variant(fast=False, channels_last=True),
              Variant(fast=False, precision="bf16")]  # fmt: skip
    rows = time_scoring_network(
        scoring, (32, 48), 2, chosen=chosen, repeats=2, warm_up=0, device=CPU, ceiling=1e9
    )
    dense, fast, last, half = rows
    assert [row["variant"] for row in rows] == [variant.name for variant in chosen]
    assert (dense["deviation"], dense["same_classes"], dense["ratio"]) == (0, 1, 1)
    # Standard deviations of the output: rounding of float32, and that of 8 bits of mantissa.
    assert max(fast["deviation"], last["deviation"]) < 1e-4 < half["deviation"] < 1
    assert fast["same_classes"] > 0.999
    for row in rows:
        assert row["fastest"] <= row["seconds"] <= row["slowest"]
        assert row["share"] == pytest.approx(row["operations"] / row["seconds"] / 1e9)
        assert row["operations"] == dense["operations"] > 0
        assert row["filled"]


def test_a_name_is_a_segmenter_or_an_fid_profile(tmp_path: Path) -> None:
    assert not scoring_network("pytorch-fid", tmp_path).is_segmenter
    with pytest.raises(UserError, match=r"no segmenter or FID profile is called 'deeplab-v'"):
        scoring_network("deeplab-v", tmp_path)


def test_a_size_that_a_network_does_not_take_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "networks", "drn-d-105", "--size", "31", "--weights-dir", str(tmp_path)])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: bench networks drn-d-105: images are 31x31, expected multiples")
