# SPDX-License-Identifier: Apache-2.0
"""The run that a call of Python scores in: what `spade-eval score` would make of its arguments."""

import functools
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from spade_eval.api.settings import configured
from spade_eval.devices import resolve_device
from spade_eval.engine import Benchmark
from spade_eval.models.labels import Size
from spade_eval.weights import DEFAULT_WEIGHTS_DIR
from spade_eval.workplace import FEW_IMAGES, Workplace


class Scoring(TypedDict, total=False):
    """How images are scored, and where; the flags of `spade-eval score` by the same names."""

    dataset: str  # scenes, cocostuff, ade20k, ade20k_outdoor, cityscapes, flickr_landscapes, folder
    data_root: str | Path | None  # $SPADE_EVAL_DATA, else data/
    profile: str | None  # in-domain, spade-paper, ...; see `spade-eval protocol`
    segmenter: str | None  # instead of the profile's
    fid_profile: str | None
    features: Sequence[str]  # further networks that are compared: lite0, hf:DIR
    size: int | Size | None  # pixels, or (height, width); None: those of profile and dataset
    limit: int | None  # the first so many samples
    samples: int  # images a label map whose diversity is measured, of generators
    draws: int  # images a label map that generators make, all of them scored
    best_draw: bool  # score the best image of each label map as well, which is an oracle
    damage: str | None  # generators are given damaged label maps: ds, edge, random
    masks: str | None  # generators are given few masks, on which they are scored: large, few
    seed: int  # of the noise that generators are given
    device: str  # auto, cpu, cuda, cuda:N
    out: str | Path | None  # a run folder that stays; None: one that ends with the program
    weights_dir: str | Path | None
    save_images: int | None  # of every row, the first so many; None: all
    filled_weights: bool  # noise for a segmenter's weights, to try the chain


def benchmark_of(
    *,
    dataset: str = "scenes",
    data_root: str | Path | None = None,
    profile: str | None = None,
    segmenter: str | None = None,
    fid_profile: str | None = None,
    features: Sequence[str] = (),
    size: int | Size | None = None,
    limit: int | None = None,
    samples: int = 0,
    draws: int = 1,
    best_draw: bool = False,
    damage: str | None = None,
    masks: str | None = None,
    seed: int = 0,
    device: str = "auto",
    out: str | Path | None = None,
    weights_dir: str | Path | None = None,
    save_images: int | None = FEW_IMAGES,
    filled_weights: bool = False,
) -> Benchmark:
    """Open the run of these arguments; see `Scoring`."""
    pixels = (size, size) if isinstance(size, int) else size
    config = configured(
        dataset, "default", seed, pixels, segmenter, filled_weights, fid_profile,
        features=features, samples=samples, draws=draws, best_draw=best_draw, damage=damage,
        masks=masks, profile=profile, val_limit=limit,
    )  # fmt: skip
    place = Workplace(
        run_folder=Path(out) if out is not None else session_folder() / config.run_name,
        data_root=Path(data_root or os.environ.get("SPADE_EVAL_DATA") or "data").expanduser(),
        weights_dir=Path(weights_dir or DEFAULT_WEIGHTS_DIR).expanduser(),
        device=resolve_device(device),
        save_images=save_images,
    )
    return Benchmark(config, place)


def session_folder() -> Path:
    """Return where runs without a folder of their own are until the program ends.

    Calls with the same arguments share a run there, so that its photos and floors are scored once.
    """
    return Path(_session().name)


@functools.cache
def _session() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="spade-eval-")
