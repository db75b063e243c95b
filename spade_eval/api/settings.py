# SPDX-License-Identifier: Apache-2.0
"""What flags of the command line and arguments of Python mean together: one configuration."""

from collections.abc import Sequence
from typing import Any

from spade_eval.config import PRECISIONS, RunConfig, budget_for
from spade_eval.errors import UserError, lookup
from spade_eval.models.labels import Size
from spade_eval.protocol import called, further_protocol, map_change, profile_name, protocol_for


def configured(
    dataset: str,
    budget: str,
    seed: int,
    size: Size | None,
    segmenter: str | Sequence[str] | None = None,
    filled_weights: bool = False,
    fid_profile: str | None = None,
    features: Sequence[str] | None = None,
    samples: int = 0,
    profile: str | None = None,
    synthesis_precision: str = "float32",
    until: str | None = None,
    draws: int = 1,
    best_draw: bool = False,
    damage: str | None = None,
    masks: str | None = None,
    **changes: Any,
) -> RunConfig:
    """Return the configuration of a run; `changes` are fields of the budget.

    Of several segmenters the first one decides the profile.
    """
    first, *further = _each_once([segmenter] if isinstance(segmenter, str) else segmenter or [None])
    name = profile_name(profile, dataset, first)
    given_maps = map_change(damage, masks)
    protocol = protocol_for(name, dataset, first, fid_profile, until, given_maps)
    if until is not None and samples:
        raise UserError(
            f"--samples {samples} with --until {until}: diversity is measured on the whole split; "
            "leave one of them out"
        )
    if draws < 1:
        raise UserError(f"--draws {draws}: expected 1 or more images of each label map")
    if until is not None and draws > 1:
        raise UserError(
            f"--draws {draws} with --until {until}: each draw would end at another image; leave "
            "one of them out"
        )
    if until is not None and further:
        raise UserError(
            f"--segmenter {further[0]} with --until {until}: each of several segmenters would stop "
            "elsewhere; give one, or leave --until out"
        )
    for name_of_other in further:
        further_protocol(protocol, dataset, str(name_of_other))  # refused now
    changed = budget_for(dataset, budget, size=size or protocol.size, **changes)
    return RunConfig(
        dataset=dataset,
        profile=name,
        budget_name=budget,
        budget=changed,
        seed=seed,
        segmenter=first,
        further_segmenters=tuple(map(str, further)),
        filled_weights=filled_weights,
        fid_profile=fid_profile,
        until=protocol.until or None,
        features=_feature_networks(features or ()),
        samples=samples,
        draws=draws,
        best_draw=best_draw,
        given_maps=given_maps,
        synthesis_precision=lookup(PRECISIONS, synthesis_precision, "precision"),
    )


def _feature_networks(names: Sequence[str]) -> tuple[str, ...]:
    """Return those of --features, each once; `UserError` for others."""
    if not names:
        return ()
    from spade_eval.scoring.feature_networks import require_features  # needs torch

    return require_features(names)


def _each_once(names: Sequence[str | None]) -> list[str | None]:
    if len({called(name) if name else None for name in names}) < len(names):
        raise UserError(
            f"--segmenter: {', '.join(map(str, names))} holds a name twice (folders go by their "
            "last part); expected each once"
        )
    return list(names)
