# SPDX-License-Identifier: Apache-2.0
"""Variance components of simulated IoU whose components are known."""

import numpy as np
import pytest

from spade_eval.reports.statistics.variance_shares import (
    MAIN,
    REST,
    cells_of,
    variance_components,
    variance_shares,
)

TRUE = {
    "generator": 4.0, "segmenter": 1.0, "image": 2.0, "class": 3.0, "generator x segmenter": 1.5,
    "generator x image": 1.0, "generator x class": 1.0, "segmenter x image": 1.0,
    "segmenter x class": 1.0, "image x class": 1.0, "generator x segmenter x image x class": 5.0,
}  # fmt: skip


def _simulated(numbers: np.random.Generator, generators: int, segmenters: int, true=TRUE):  # type: ignore[no-untyped-def]
    """IoU of the cells that a label map holds, more of some classes than of others."""
    num_images, num_classes = 50, 12
    present = numbers.random((num_images, num_classes)) < np.linspace(0.1, 0.8, num_classes)
    images, classes = cells_of(present)
    places = {
        "generator": (generators, 1, 1), "segmenter": (1, segmenters, 1),
        "generator x segmenter": (generators, segmenters, 1),
    }  # fmt: skip
    iou = np.zeros((generators, segmenters, len(images)))
    for name, variance in true.items():
        spread = np.sqrt(variance)
        if name in places:
            iou += spread * numbers.normal(size=places[name])
            continue
        levels = {"image": (num_images, images), "class": (num_classes, classes)}
        own = next((part for part in levels if name.endswith(part)), "")
        if "image x class" in name:
            content, size = np.arange(len(images)), len(images)
        else:
            size, content = levels[own]
        shape = (
            generators if name.startswith("generator") else 1,
            segmenters if "segmenter" in name else 1,
            size,
        )
        iou += spread * numbers.normal(size=shape)[..., content]
    return iou, images, classes


def test_components_are_those_of_the_simulation_on_average() -> None:
    numbers = np.random.default_rng(0)
    found = [variance_components(*_simulated(numbers, 10, 8)) for _ in range(25)]
    for name, true in TRUE.items():
        values = np.array([item[name] for item in found])
        # Four standard errors of the mean of the draws.
        assert abs(values.mean() - true) < 4 * values.std(ddof=1) / np.sqrt(len(values)), name


def test_one_source_of_variance_has_nearly_all_of_it() -> None:
    """Nearly: cells are not balanced, so images of many classes lend these some of theirs."""
    for name in ("generator", "segmenter", "image", "class"):
        shares = variance_shares(*_simulated(np.random.default_rng(1), 5, 4, {name: 1.0}))
        assert shares[name] == pytest.approx(1.0, abs=0.05), name


def test_shares_sum_to_one_and_none_is_negative() -> None:
    shares = variance_shares(*_simulated(np.random.default_rng(2), 3, 3))
    assert list(shares) == [*MAIN, REST]
    assert sum(shares.values()) == pytest.approx(1.0)
    assert min(shares.values()) >= 0


def test_balanced_data_give_the_textbooks_two_way_components() -> None:
    """Every image holds every class, nothing but generators and noise: one-way mean squares."""
    numbers = np.random.default_rng(3)
    images, classes = cells_of(np.ones((40, 6), dtype=bool))
    iou = numbers.normal(size=(6, 4, len(images))) + 2 * numbers.normal(size=(6, 1, 1))
    found = variance_components(iou, images, classes)
    by_pair = iou.mean(axis=2)
    between = by_pair.mean(axis=1).var(ddof=1)
    # Mean squares of a balanced crossed design: what generators differ by, without the part that
    # pairs with segmenters, images and classes bring.
    assert found["generator"] == pytest.approx(between, abs=0.05)
    assert found["generator x segmenter x image x class"] == pytest.approx(1.0, abs=0.05)
