# SPDX-License-Identifier: Apache-2.0
"""How the images of a diffusion model are sampled: as it was made to, or as the user says."""

import dataclasses
from typing import Any

from torch import nn

from spade_eval.errors import UserError, as_user_error
from spade_eval.models.choices import Sampling


def is_diffusion(network: type[nn.Module]) -> bool:
    """Return whether networks of a class sample their images in steps."""
    return hasattr(network.Config, "sampling_steps")  # type: ignore[attr-defined]


def sampled_as(whose: str, generator: nn.Module, asked: Sampling) -> tuple[str, ...]:
    """Make a generator sample as it is asked to; returns what has to be said of that.

    `UserError` for numbers that it cannot do, and for one that is no diffusion model; `whose` is
    what it is called there.
    """
    if not asked.flags:
        return ()
    said = " and ".join(f"{flag} {value}" for flag, value in asked.flags.items())
    if not is_diffusion(type(generator)):
        raise UserError(
            f"{said}: {whose} is no diffusion model and makes an image in one pass; leave it out"
        )
    config: Any = generator.config
    own = f"{config.sampling_steps:,} steps and guidance {config.guidance:g}"
    changes = {
        "sampling_steps": config.sampling_steps if asked.steps is None else asked.steps,
        "guidance": config.guidance if asked.guidance is None else asked.guidance,
    }
    with as_user_error(f"{said}: {whose}"):
        generator.config = dataclasses.replace(config, **changes)
    return (f"sampled as {said} says, in the place of its own {own}.",)


def sampling_facts(generator: nn.Module) -> dict[str, Any]:
    """Return how it samples, as fields of a record; nothing for what is no diffusion model."""
    if not is_diffusion(type(generator)):
        return {}
    config: Any = generator.config
    return {"sampling_steps": config.sampling_steps, "guidance": float(config.guidance)}
