# SPDX-License-Identifier: Apache-2.0
"""CLADE's generator: SPADE's decoder with scale and shift looked up by class.

Tan et al., "Efficient Semantic Image Synthesis via Class-Adaptive Normalization", TPAMI 2021. The
first convolution sees the instance edges in the semantic map as SPADE's does; behind every norm
they are a channel of their own. With `norm="clade_icpe"` the layers read positional maps as well.
"""

from dataclasses import dataclass
from typing import ClassVar

from spade_eval.models.generators.spade import SPADEGenerator, published_names, published_sizes
from spade_eval.models.layers.norms import NormKind
from spade_eval.models.layers.spade import MakeNorm, norm_maker
from spade_eval.models.released import Hints, Published, Shapes

_TABLE = "head_0.norm_0.class_specified_affine"


class CLADEGenerator(SPADEGenerator):
    """`SPADEGenerator` with CLADE layers, which know the edges from the classes."""

    published: ClassVar[Published]

    @dataclass(frozen=True, kw_only=True)
    class Config(SPADEGenerator.Config):
        norm: NormKind = "clade"
        edges: bool = False  # whether the last channel of the semantic map holds instance edges

    config: Config

    def _norm_maker(self) -> MakeNorm:
        config = self.config
        return norm_maker(
            config.norm, config.num_labels, param_free=config.param_free_norm, edges=config.edges
        )


def _config_of(tensors: Shapes, hints: Hints) -> CLADEGenerator.Config:
    """Infer the configuration of a state dict with published names."""
    edges = "head_0.norm_0.inst_conv.weight" in tensors
    num_labels = tensors[f"{_TABLE}.weight"].shape[0] + edges
    return CLADEGenerator.Config(
        **published_sizes(tensors, hints, num_labels),
        norm="clade_icpe" if f"{_TABLE}.dist_conv_w.weight" in tensors else "clade",
        edges=edges,
    )


CLADEGenerator.published = Published(
    recognises=lambda tensors: {"fc.weight", f"{_TABLE}.weight"} <= set(tensors),
    config_of=_config_of,
    names=published_names,
    layouts=("coco_stuff", "ade20k_raw", "cityscapes"),
    families=("clade",),
    family_of=lambda config: "clade",
)
