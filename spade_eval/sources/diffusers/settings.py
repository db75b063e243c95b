# SPDX-License-Identifier: Apache-2.0
"""What a user says of a pipeline: how it samples, what it reads, in which colours it sees maps."""

from dataclasses import dataclass, field

from spade_eval.models.choices import Sampling


@dataclass(frozen=True, kw_only=True)
class PipelineSettings:
    """Flags of `diffusers:DIR`; None leaves a choice to the folder, or to its class."""

    sampling: Sampling = field(default_factory=Sampling)
    sampler: str | None = None  # the class of a scheduler
    text_input: str = "none"  # see `texts.TextInput`
    palette: str | None = None  # None: the dataset's own colours
