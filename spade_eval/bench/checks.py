# SPDX-License-Identifier: Apache-2.0
"""Whether a device computes what the equations say, before anything is timed on it.

The forms of every generator against its dense form in float64, on the device itself, with
TensorFloat-32 off; gradients of the look-up form, and that they are the same bits twice; and the
reference's numbers, which are part of a checkout, in a pytest of their own.
"""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from spade_eval.bench.maps import BenchMaps
from spade_eval.bench.networks import calibrate, synthesized, twin
from spade_eval.bench.timing import Row
from spade_eval.models.layers.spade import SPADE
from spade_eval.models.systems.presets import plain_generator, system_of
from spade_eval.models.training.precision import tf32

# Rounding of float32 in another order of additions: so many times the dense form's own, or so much
# of images that spread by 0.3 around 0 where that happens to be very small.
_TIMES, _LEAST = 8, 2e-5
# Of the largest gradient: sums over all pixels of a batch, in float32.
_GRADIENT = 1e-4
_CHANNELS = 32
REFERENCE_TESTS = Path("tests") / "reference" / "test_parity.py"
_OUTSIDE = Path("shared") / "parity"


def check_forms(
    models: Sequence[str],
    maps: BenchMaps,
    batch_size: int,
    width: float,
    device: torch.device,
) -> Iterator[Row]:
    """Compare images of each generator in float32, in both forms, with its dense float64 form."""
    for model in models:
        size = (maps.labels.shape[1], maps.labels.shape[2])
        generator = plain_generator(
            model, maps.layout.num_labels, size, width, edges=maps.layout.edges
        ).to(device)
        semantics, system = maps.batch(0, max(2, batch_size), device), system_of(generator)
        generator.config, _ = system.fewest_passes(generator.config)
        calibrate(generator, semantics)
        forms = [twin(generator, fast=False, dtype=torch.float64), twin(generator, fast=False)]
        forms.append(twin(generator, fast=True, always=True))
        with torch.no_grad(), tf32(False):
            exact, dense, fast = (
                synthesized(form, semantics.to(dtype=next(form.parameters()).dtype), system)
                for form in forms
            )
        own, others = _largest(dense, exact), _largest(fast, exact)
        limit = max(_TIMES * own, _LEAST)
        yield _row(f"{model}: fast form against float64", others, limit) | {"dense": own}


def check_gradients(maps: BenchMaps, batch_size: int, device: torch.device) -> Iterator[Row]:
    """Compare gradients of a SPADE layer's two forms, and those of the fast one with its own."""
    semantics = maps.batch(0, batch_size, device)
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(0)  # constructors draw from the global state, which is restored
        dense = SPADE(_CHANNELS, maps.layout.num_labels).to(device)
    x = torch.randn(batch_size, _CHANNELS, *semantics.size, generator=generator).to(device)
    fast = twin(dense, fast=True, always=True)
    with tf32(False):
        expected, once, again = (
            _gradients(layer, x, maps, batch_size) for layer in (dense, fast, fast)
        )
    scale = max(gradient.abs().max().item() for gradient in expected)
    largest = max(map(_largest, once, expected)) / scale
    yield _row("SPADE layer: gradients of both forms, over the largest", largest, _GRADIENT)
    moved = max(map(_largest, once, again))
    yield _row("SPADE layer: gradients of the fast form, computed twice", moved, 0.0)


def _gradients(layer: nn.Module, x: Tensor, maps: BenchMaps, batch_size: int) -> list[Tensor]:
    given = x.clone().requires_grad_()
    y = layer(given, maps.batch(0, batch_size, x.device))
    wanted = [given, *layer.parameters()]
    return list(torch.autograd.grad(y.square().mean(), wanted))


def _largest(one: Tensor, other: Tensor) -> float:
    return (one.double() - other.double()).abs().max().item()


def _row(check: str, largest: float, limit: float) -> Row:
    # Not `not largest > limit`: NaN has to fail.
    return {"check": check, "largest": largest, "limit": limit, "passed": largest <= limit}


def check_reference(
    checkout: Path, folder: Path, device: torch.device, *, slow: bool, seconds: float
) -> Iterator[Row]:
    """Compare the networks with the reference's numbers on the device, a row a family.

    Needs the tests of a checkout and pytest, and says so where they are not there; takes the cases
    of `../shared/parity` where these are. `slow` ones are the whole segmenters.
    """
    tests = checkout / REFERENCE_TESTS
    what = "segmenters against the reference" if slow else "networks against the reference"
    if not tests.is_file():
        yield {"check": what, "passed": None, "note": f"left out: no {REFERENCE_TESTS} here"}
        return
    report = folder / f"reference{'-slow' if slow else ''}.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=--import-mode=importlib",
               "-p", "no:cacheprovider", "-m", "slow" if slow else "not slow",
               f"--junitxml={report}", str(tests)]  # fmt: skip
    known = {**os.environ, "PARITY_DEVICE": str(device), "PYTHONPATH": str(checkout)}
    report.unlink(missing_ok=True)
    done = subprocess.run(
        command, cwd=checkout, env=known, timeout=seconds, capture_output=True, text=True
    )
    if not report.is_file():
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        yield {"check": what, "passed": None, "note": f"left out: {' '.join(last) or 'no pytest'}"}
        return
    yield from _cases_of(report, what)
    if not (checkout.parent / _OUTSIDE).is_dir():
        note = f"further cases: none, no ../{_OUTSIDE.as_posix()} here"
        yield {"check": what, "passed": None, "note": note}


def _cases_of(report: Path, what: str) -> Iterator[Row]:
    """Read pytest's own report: cases by test, the largest difference, the names of failures."""
    cases = list(ET.parse(report).iter("testcase"))
    for test in dict.fromkeys(_test_of(case) for case in cases):
        ours = [case for case in cases if _test_of(case) == test]
        failed = [c.get("name", "") for c in ours if c.find("failure") is not None
                  or c.find("error") is not None]  # fmt: skip
        skipped = sum(case.find("skipped") is not None for case in ours)
        if skipped == len(ours):
            continue
        differences = [float(item.get("value", "nan")) for case in ours
                       for item in case.iter("property")]  # fmt: skip
        yield {
            "check": f"{what}: {test}",
            "cases": len(ours) - skipped,
            "skipped": skipped,
            "failed": failed,
            "largest": max(differences, default=None),
            "passed": not failed,
        }


def _test_of(case: "ET.Element") -> str:
    return case.get("name", "").partition("[")[0]
