# SPDX-License-Identifier: Apache-2.0
"""Single layers in both forms, and the constants of the rules that choose one, which they suggest.

A rule reads the batch and never a clock (docs/speed.md), so its constants are measured once for a
kind of device and written into the code. Nothing here changes them.
"""

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from spade_eval.bench.maps import BenchMaps
from spade_eval.bench.networks import synthesized, twin
from spade_eval.bench.timing import Clock, Row, Run, alternating
from spade_eval.models.fast import semantic_convolution, spade
from spade_eval.models.fast.semantic_convolution import FastSemanticConv2d
from spade_eval.models.fast.spade import FastSPADE
from spade_eval.models.labels import Size
from spade_eval.models.layers.semantic_convolution import SemanticConv2d
from spade_eval.models.layers.spade import SPADE
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.presets import plain_generator
from spade_eval.models.training.precision import tf32

LOOKED_UP = "SPADE layers"
CONVOLVED = "convolutions of the map"
# Of the dense form's cost, tried as the largest with which a layer looks up.
_COSTS = tuple(round(0.1 * step, 1) for step in range(3, 16))


@dataclass(frozen=True)
class Met:
    """A layer as a generator calls it."""

    layer: nn.Module
    x: Tensor | None
    size: Size


def time_layers(
    model: str,
    maps: BenchMaps,
    batch_size: int,
    *,
    width: float,
    repeats: int,
    warm_up: int,
    device: torch.device,
    gradient: bool = False,
) -> list[Row]:
    """Time every layer that has a rule, in both forms -> a row a shape; seconds are of one batch.

    Windows are found once for all layers of one resolution, so a row has its share of that. With
    `gradient`, forward and backward pass.
    """
    size = (maps.labels.shape[1], maps.labels.shape[2])
    generator = plain_generator(
        model, maps.layout.num_labels, size, width, edges=maps.layout.edges
    ).to(device)
    met = _met_layers(generator.eval(), maps.batch(0, batch_size, device))
    sharing = Counter((type(item.layer), item.size) for item in met)
    shapes = {(type(item.layer), item.size, _channels(item)): item for item in met}
    return [
        _time_layer(item, maps, batch_size, repeats, warm_up, device, gradient)
        | {"model": model, "layers": sharing[type(item.layer), item.size]}
        for item in shapes.values()
    ]


def _met_layers(generator: nn.Module, semantics: SemanticMap) -> list[Met]:
    found: list[Met] = []

    def meet(layer: nn.Module, given: tuple[Any, ...]) -> None:
        if len(given) == 2 and isinstance(given[1], SemanticMap):
            x = None if given[0] is None else given[0].detach().clone()
            size = given[1].size if x is None else (x.shape[-2], x.shape[-1])
            found.append(Met(layer, x, size))

    layers = [item for item in generator.modules() if type(item) in (SPADE, SemanticConv2d)]
    hooks = [layer.register_forward_pre_hook(meet) for layer in layers]
    with torch.no_grad(), tf32(False):
        synthesized(generator, semantics)
    for hook in hooks:
        hook.remove()
    return found


def _channels(item: Met) -> tuple[int, ...]:
    layer = item.layer
    weight = layer.mlp_gamma.weight if isinstance(layer, SPADE) else layer.weight
    assert isinstance(weight, Tensor)
    return tuple(weight.shape)


def _time_layer(
    item: Met,
    maps: BenchMaps,
    batch_size: int,
    repeats: int,
    warm_up: int,
    device: torch.device,
    gradient: bool,
) -> Row:
    forms = [twin(item.layer, fast=fast, always=True) for fast in (False, True)]
    for form in forms:
        form.train(gradient)
    fast, x = forms[1], item.x

    def semantics(number: int) -> SemanticMap:  # one that has made nothing yet
        return maps.batch(max(number, 0), batch_size, device)

    def of_form(form: nn.Module) -> Run[object]:
        def run(number: int, clock: Clock) -> object:
            batch = semantics(number)
            given = None if x is None else x.clone().requires_grad_(gradient)
            with clock(), tf32(False), torch.set_grad_enabled(gradient):
                y = form(given, batch)
                if gradient:
                    y.sum().backward()
            return None

        return run

    def find(number: int, clock: Clock) -> object:
        batch = semantics(number)
        with clock():
            return _rule_numbers(fast, batch, item.size)

    dense, looked_up, found = alternating(
        [*map(of_form, forms), find], repeats=repeats, warm_up=warm_up, device=device
    )
    return {
        "rule": LOOKED_UP if isinstance(fast, FastSPADE) else CONVOLVED,
        "height": item.size[0],
        "width": item.size[1],
        "batch": batch_size,
        "channels": _channels(item)[0],
        "inputs": _channels(item)[1],
        "gradient": gradient,
        "device": device.type,
        "repeats": repeats,
        "dense_seconds": dense.median,
        "lookup_seconds": looked_up.median,
        "windows_seconds": found.median,
        **_rule_numbers(fast, semantics(0), item.size),
    }


def _rule_numbers(layer: nn.Module, semantics: SemanticMap, size: Size) -> Row:
    """Return what a rule compares: multiplications, and the cost as a part of the dense form's."""
    pixels = semantics.batch_size * size[0] * size[1]
    if isinstance(layer, FastSPADE):
        second = layer.mlp_gamma
        both = spade.lookup_windows(semantics, size, second.kernel_size[0])
        cost = spade.lookup_cost(both, second.in_channels) / pixels
        return {"work": spade.dense_work(pixels, second), "cost": cost}
    assert isinstance(layer, FastSemanticConv2d)
    work = semantic_convolution.dense_work(layer, semantics, size)
    windows = semantic_convolution.map_windows(layer, semantics, size)
    return {"work": work, "cost": semantic_convolution.lookup_cost(layer, windows) / work}


def suggested_constants(rows: Sequence[Row]) -> list[Row]:
    """Return the constants with which the measured layers together take least time, by rule.

    Of equal ones the nearest to the constants of now. `best_seconds` is what a rule could reach
    that knew the times.
    """
    return [
        _suggestion(rule, [row for row in rows if row["rule"] == rule])
        for rule in dict.fromkeys(row["rule"] for row in rows)
    ]


def _suggestion(rule: str, rows: Sequence[Row]) -> Row:
    least, most = _constants_now(rule, rows[0]["device"])
    costs = (*_COSTS, most) if rule == LOOKED_UP else (most,)
    tried = itertools.product((*_thresholds([row["work"] for row in rows]), least), costs)

    def order(constants: tuple[float, float]) -> tuple[float, float]:
        moved = abs(math.log(constants[0] / least)) + abs(math.log(constants[1] / most))
        return _seconds(rows, *constants), moved

    best = min(tried, key=order)
    by_row = [(row["dense_seconds"], _shared_seconds(row)) for row in rows]
    file = "spade.py" if rule == LOOKED_UP else "semantic_convolution.py"
    return {
        "rule": rule,
        "file": f"models/fast/{file}",
        "layers": len(rows),
        "least_work": best[0],
        "least_work_now": least,
        "most_cost": best[1],
        "most_cost_now": most,
        "seconds": _seconds(rows, *best),
        "seconds_now": _seconds(rows, least, most),
        "dense_seconds": sum(dense for dense, _ in by_row),
        "lookup_seconds": sum(fast for _, fast in by_row),
        "best_seconds": sum(map(min, by_row)),
    }


def _constants_now(rule: str, device: str) -> tuple[float, float]:
    if rule == CONVOLVED:
        return semantic_convolution._LEAST_WORK, 1.0
    of_devices = spade._LEAST_WORK
    return of_devices.get(device, of_devices["cuda"]), spade._MOST_COST


def _thresholds(works: Sequence[int]) -> list[float]:
    """Return a number below, between and above those measured, as a rule may be cut there."""
    known = sorted(set(works))
    between = [math.sqrt(one * other) for one, other in itertools.pairwise(known)]
    return [float(f"{value:.1e}") for value in (known[0] / 2, *between, 2 * known[-1])]


def _seconds(rows: Sequence[Row], least: float, most: float) -> float:
    """Return what all layers take under a rule of these constants."""
    return sum(
        _shared_seconds(row)
        if row["work"] >= least and row["cost"] <= most
        else row["dense_seconds"]
        for row in rows
    )


def _shared_seconds(row: Row) -> float:
    """Return the look-up's time where the layers of a resolution share its windows."""
    alone: float = row["lookup_seconds"] - row["windows_seconds"]
    return max(0.0, alone) + row["windows_seconds"] / row["layers"]
