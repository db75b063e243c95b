# SPDX-License-Identifier: Apache-2.0
"""Single layers in both forms, and the constants that their times suggest."""

from pathlib import Path
from typing import Any

import pytest
import torch

from spade_eval.bench.layers import CONVOLVED, LOOKED_UP, suggested_constants, time_layers
from spade_eval.bench.maps import open_maps
from spade_eval.models.fast import spade

MAPS = open_maps(None, None, "scenes", Path(), (32, 32), 14, 2)


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize(("model", "rule"), [("spade", LOOKED_UP), ("concat", CONVOLVED)])
def test_every_shape_of_a_generator_is_a_row(model: str, rule: str, gradient: bool) -> None:
    rows = time_layers(
        model, MAPS, 2, width=1 / 16, repeats=1, warm_up=0, device=torch.device("cpu"),
        gradient=gradient,
    )  # fmt: skip
    assert {row["rule"] for row in rows} == {rule}
    assert {row["gradient"] for row in rows} == {gradient}
    assert max(row["height"] for row in rows) == 32
    shapes = [(row["height"], row["channels"], row["inputs"], row["work"]) for row in rows]
    assert len(shapes) == len(set(shapes))
    for row in rows:
        assert min(row["dense_seconds"], row["lookup_seconds"], row["cost"]) > 0


def row(work: float, cost: float, dense: float, lookup: float, **other: Any) -> dict[str, Any]:
    return {"rule": LOOKED_UP, "device": "cpu", "work": work, "cost": cost, "layers": 1,
            "dense_seconds": dense, "lookup_seconds": lookup, "windows_seconds": 0.0,
            **other}  # fmt: skip


def test_the_threshold_is_put_where_looking_up_begins_to_pay() -> None:
    rows = [row(1e6, 0.5, 1.0, 2.0), row(1e8, 0.5, 1.0, 2.0), row(1e10, 0.5, 2.0, 1.0)]
    (found,) = suggested_constants(rows)
    assert found["seconds"] == found["best_seconds"] == 3.0
    assert found["least_work"] == found["least_work_now"] == spade._LEAST_WORK["cpu"], "it is so"
    rows[1] = row(1e8, 0.5, 2.0, 1.0)
    (found,) = suggested_constants(rows)
    assert 1e6 < found["least_work"] < 1e8
    assert (found["seconds_now"], found["seconds"]) == (4.0, 3.0)
    assert (found["dense_seconds"], found["lookup_seconds"]) == (5.0, 4.0)


def test_the_cost_is_fitted_as_well() -> None:
    rows = [row(1e10, 0.85, 1.0, 2.0), row(1e10, 0.4, 2.0, 1.0)]
    (found,) = suggested_constants(rows)
    assert 0.4 <= found["most_cost"] < 0.85
    assert found["seconds"] == 2.0


def test_layers_of_a_resolution_share_finding_its_windows() -> None:
    """3 s, of which 2.4 s are the windows of four layers: 1.2 s a layer, below 2 s of the dense."""
    (found,) = suggested_constants([row(1e10, 0.5, 2.0, 3.0, windows_seconds=2.4, layers=4)])
    assert found["seconds"] == pytest.approx(1.2)


def test_unknown_devices_are_measured_against_cudas_constants() -> None:
    (found,) = suggested_constants([row(1e10, 0.5, 2.0, 1.0, device="xpu")])
    assert found["least_work_now"] == spade._LEAST_WORK["cuda"]
    (found,) = suggested_constants([row(1e9, 0.5, 2.0, 1.0, rule=CONVOLVED, device="cuda")])
    assert (found["file"], found["most_cost"]) == ("models/fast/semantic_convolution.py", 1.0)
