# SPDX-License-Identifier: Apache-2.0
"""The rows of the paper's Tables 1, 3, 4 and 5, and which model of the suite is each of them.

Park et al., "Semantic Image Synthesis with Spatially-Adaptive Normalization", CVPR 2019. A row
joins the published numbers by (method, variant) and the measured ones by the name of the model.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class PaperRow:
    """One line of a table; `model` is None where the suite has no such generator."""

    title: str
    model: str | None
    method: str  # as the published numbers name it
    variant: str = ""
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """One table of the paper; the first row of a group is what the others vary."""

    number: int
    title: str
    rows: tuple[PaperRow, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """The suite's models that the table needs, each once, in the order of the rows."""
        return tuple(dict.fromkeys(row.model for row in self.rows if row.model is not None))


def _row(
    title: str, model: str | None, method: str = "", variant: str = "", group: str = ""
) -> PaperRow:
    return PaperRow(title=title, model=model, method=method or title, variant=variant, group=group)


def _variant(title: str, model: str, variant: str, group: str = "") -> PaperRow:
    return _row(title, model, "SPADE", variant, group)


PAPER_TABLES: dict[int, PaperTable] = {
    table.number: table
    for table in (
        PaperTable(
            number=1,
            title="Methods",
            rows=(
                _row("CRN", None),
                _row("SIMS", None),
                _row("pix2pixHD", "pix2pixhd"),
                _row("SPADE", "spade"),
            ),
        ),
        PaperTable(
            number=3,
            title="Architectures",
            rows=(
                _row("decoder w/ SPADE", "spade"),
                _row("compact decoder w/ SPADE", "spade_compact"),
                _row("decoder w/ Concat", "concat"),
                _row("pix2pixHD++ w/ SPADE", "pix2pixhdpp_spade"),
                _row("pix2pixHD++ w/ Concat", "pix2pixhdpp_concat"),
                _row("pix2pixHD++", "pix2pixhdpp"),
                _row("compact pix2pixHD++", "pix2pixhdpp_compact"),
                _row("pix2pixHD", "pix2pixhd"),
            ),
        ),
        PaperTable(
            number=4,
            title="Variants of the SPADE generator",
            rows=(
                _variant("segmap input", "spade", "segmap input", "input"),
                _variant("random input", "spade_random", "random input", "input"),
                _variant("kernelsize 5x5", "spade_kernel5", "kernel size 5x5", "kernel"),
                _variant("kernelsize 3x3", "spade", "kernel size 3x3", "kernel"),
                _variant("kernelsize 1x1", "spade_kernel1", "kernel size 1x1", "kernel"),
                _variant("# params 141M", "spade_141m", "141M parameters", "capacity"),
                _variant("# params 96M", "spade", "96M parameters", "capacity"),
                _variant("# params 61M", "spade_compact", "61M parameters", "capacity"),
                _variant("Sync BatchNorm", "spade", "Sync BatchNorm", "norm"),
                _variant("BatchNorm", "spade_batch", "BatchNorm", "norm"),
                _variant("InstanceNorm", "spade_instance", "InstanceNorm", "norm"),
            ),
        ),
        PaperTable(
            number=5,
            title="Losses and normalisation",
            rows=(
                _variant("SPADE", "spade", "full model"),
                _variant(
                    "SPADE w/o perceptual loss",
                    "spade_without_perceptual",
                    "without perceptual loss",
                ),
                _variant(
                    "SPADE w/o GAN feature matching loss",
                    "spade_without_feature_matching",
                    "without GAN feature matching loss",
                ),
                _variant(
                    "SPADE w/ a deeper discriminator",
                    "spade_deeper_discriminator",
                    "with a deeper discriminator",
                ),
                _row("pix2pixHD++ w/ SPADE", "pix2pixhdpp_spade"),
                _row("pix2pixHD++", "pix2pixhdpp"),
                _row(
                    "pix2pixHD++ w/o Sync BatchNorm",
                    "pix2pixhdpp_without_syncbn",
                    "pix2pixHD++",
                    "without Sync BatchNorm",
                ),
                _row(
                    "pix2pixHD++ w/o Sync BatchNorm and w/o Spectral Norm",
                    "pix2pixhdpp_without_both",
                    "pix2pixHD++",
                    "without Sync BatchNorm and without Spectral Norm",
                ),
                _row("pix2pixHD", "pix2pixhd"),
            ),
        ),
    )
}


@dataclass(frozen=True, kw_only=True)
class SameNetwork:
    """Why a row is not trained: under some condition it is another row's network, bit for bit."""

    model: str  # whose row it would repeat
    when: Literal["one process", "no perceptual loss"]
    reason: str  # the footnote


SAME_NETWORK: dict[str, SameNetwork] = {
    "spade_batch": SameNetwork(
        model="spade",
        when="one process",
        reason="BatchNorm is not measured separately: on one process its statistics are those of "
        "the whole batch, so it would be the network of Sync BatchNorm again, bit for bit.",
    ),
    "spade_without_perceptual": SameNetwork(
        model="spade",
        when="no perceptual loss",
        reason="SPADE w/o perceptual loss is not measured separately: no VGG-19 weights were "
        "there, so every row was trained without that loss. What stands in the row of the full "
        "model is this ablation, and the full model of the paper is not measured.",
    ),
}
