# SPDX-License-Identifier: Apache-2.0
"""The tables of papers, a row of data each, and which model of the suite is which of their lines.

A line joins the published numbers by (method, variant) and the measured ones by the name of the
model. A further table is one more `PaperTable` in `PAPER_TABLES`.
"""

from dataclasses import dataclass
from typing import Literal

from spade_eval.errors import lookup
from spade_eval.papers.publications import (
    LIU_2019,
    PARK_2019,
    SUITE,
    SUSHKO_2021,
    TAN_2021,
    TANG_2020,
    ZHU_2020,
    Paper,
)


@dataclass(frozen=True, kw_only=True)
class PaperRow:
    """One line of a table; `model` is None where the suite has no such generator.

    Of one that is `given` it is the name under which its authors' images are scored
    (--images NAME=DIR): nothing here trains it.
    """

    title: str
    model: str | None
    method: str  # as the published numbers name it
    variant: str = ""
    group: str = ""
    quoted: Paper | None = None  # whose numbers these are, where they are not the table's own
    given: bool = False


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """One table of a paper; the first row of a group is what the others vary."""

    paper: Paper
    number: int = 0
    title: str
    rows: tuple[PaperRow, ...]
    # Methods that the paper could not know, and what their own papers print: shown where they were
    # measured, trained where --model asks for them.
    later: tuple[PaperRow, ...] = ()
    # Pairs of models whose difference the notes state: (the one asked about, against whom).
    questions: tuple[tuple[str, str], ...] = ()
    metrics: tuple[str, ...] = ("miou",)  # that it prints
    open_to_others: bool = False  # shows further methods that were measured
    slopes: bool = False  # its groups are drawn as lines from variant to variant
    published_as: str = ""  # its name in `reports/published.csv`, if not "Table N"
    called: str = ""  # on the command line, in place of paper and number
    costs: bool = False  # shows multiplications and seconds an image beside parameters

    @property
    def key(self) -> str:
        """Name of the table on the command line: "park2019-3"."""
        return self.called or f"{self.paper.key}-{self.number}"

    @property
    def short(self) -> str:
        """The number alone where that is enough, else the key."""
        return str(self.number) if self.paper is PARK_2019 else self.key

    @property
    def stem(self) -> str:
        """Name of its files and folders."""
        return f"table{self.short}"

    @property
    def name(self) -> str:
        return f"Table {self.number or self.called}"

    @property
    def models(self) -> tuple[str, ...]:
        """The suite's models that the table needs, each once, in the order of the rows."""
        trained = (row.model for row in self.rows if not row.given)
        return tuple(dict.fromkeys(model for model in trained if model is not None))

    @property
    def known(self) -> tuple[str, ...]:
        """Those, images that are given, and the models of later papers' rows."""
        rows = (row.model for row in (*self.rows, *self.later) if row.model is not None)
        return tuple(dict.fromkeys(rows))


def _row(
    title: str, model: str | None, method: str = "", variant: str = "", group: str = ""
) -> PaperRow:
    return PaperRow(title=title, model=model, method=method or title, variant=variant, group=group)


def _given(title: str, name: str, quoted: Paper | None = None) -> PaperRow:
    return PaperRow(title=title, model=name, method=title, quoted=quoted, given=True)


def _quoted(title: str, model: str | None, paper: Paper, variant: str = "") -> PaperRow:
    return PaperRow(title=title, model=model, method=title, variant=variant, quoted=paper)


def _variant(title: str, model: str, variant: str, group: str = "") -> PaperRow:
    return _row(title, model, "SPADE", variant, group)


_LATER = (
    _quoted("CLADE", "clade", TAN_2021),
    _quoted("CLADE-ICPE", "clade_icpe", TAN_2021),
    _quoted(
        "SEAN",
        "sean",
        ZHU_2020,
        "reconstruction with the true image as style; FID against the training images",
    ),
)

PAPER_TABLES: dict[str, PaperTable] = {
    table.key: table
    for table in (
        PaperTable(
            paper=PARK_2019,
            number=1,
            title="Methods",
            metrics=("miou", "acc_valid", "acc_all", "fid"),
            open_to_others=True,
            rows=(
                _row("CRN", "crn"),
                _given("SIMS", "sims"),
                _row("pix2pixHD", "pix2pixhd"),
                _row("SPADE", "spade"),
            ),
            later=(_quoted("OASIS", "oasis", SUSHKO_2021), *_LATER),
        ),
        PaperTable(
            paper=PARK_2019,
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
            paper=PARK_2019,
            number=4,
            title="Variants of the SPADE generator",
            slopes=True,
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
            paper=PARK_2019,
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
        PaperTable(
            paper=SUSHKO_2021,
            number=1,
            title="Methods",
            published_as=SUSHKO_2021.main_table,
            metrics=("miou", "fid"),
            open_to_others=True,
            rows=(
                _quoted("CRN", "crn", PARK_2019),
                _given("SIMS", "sims", PARK_2019),
                _quoted("pix2pixHD", "pix2pixhd", PARK_2019),
                _quoted("LGGAN", None, TANG_2020),
                _quoted("CC-FPSE", None, LIU_2019),
                _quoted("SPADE", "spade", PARK_2019),
                _row("SPADE+", None),
                _row("OASIS", "oasis"),
            ),
            later=_LATER,
        ),
        PaperTable(
            paper=SUITE,
            called="systems",
            title="Systems",
            # As OASIS's paper says, and as pairs should help.
            questions=(
                ("oasis", "spade"),
                ("pix2pix", "cyclegan"),
                ("pix2pix", "unit"),
                ("pix2pix", "munit"),
            ),
            rows=(
                _row("CRN", "crn"),
                _row("pix2pixHD", "pix2pixhd"),
                _row("pix2pixHD++", "pix2pixhdpp"),
                _row("Concat", "concat"),
                _row("SPADE", "spade"),
                _row("CLADE", "clade"),
                _row("CLADE-ICPE", "clade_icpe"),
                _row("SEAN, class means", "sean"),
                _row("OASIS", "oasis"),
                _row("pix2pix", "pix2pix"),
                _row("CycleGAN", "cyclegan"),
                _row("UNIT", "unit"),
                _row("MUNIT", "munit"),
                _row("SDM", "sdm"),
            ),
        ),
        PaperTable(
            paper=SUITE,
            called="norms",
            title="Normalisations in SPADE's decoder",
            costs=True,
            rows=(
                _row("SPADE", "spade"),
                _row("CLADE", "clade"),
                _row("CLADE-ICPE", "clade_icpe"),
                _row("ACE, class means", "decoder_ace"),
                _row("SFT", "decoder_sft"),
                _row("AdaIN", "decoder_adain"),
                _row("Conditional BatchNorm", "decoder_conditional_batch"),
                _row("BatchNorm", "decoder_batch"),
                _row("InstanceNorm", "decoder_instance"),
                _row("LayerNorm", "decoder_layer"),
                _row("GroupNorm", "decoder_group"),
                _row("WeightNorm", "decoder_weight"),
                _row("Local response", "decoder_local_response"),
            ),
        ),
    )
}


def paper_table_called(name: str) -> PaperTable:
    """Return a table by its key, or one of Park et al. by its number; `UserError` for others."""
    short = {table.short: table for table in PAPER_TABLES.values()}
    return lookup({**PAPER_TABLES, **short}, name, "table of the paper")


@dataclass(frozen=True, kw_only=True)
class Untrained:
    """Why a row is not trained under some condition."""

    when: Literal["one process", "no perceptual loss", "no VGG-19"]
    reason: str  # the footnote
    same_as: str | None = None  # the model that would be its network, bit for bit


UNTRAINED: dict[str, Untrained] = {
    "spade_batch": Untrained(
        same_as="spade",
        when="one process",
        reason="BatchNorm is not measured separately: on one process its statistics are those of "
        "the whole batch, so it would be the network of Sync BatchNorm again, bit for bit.",
    ),
    "spade_without_perceptual": Untrained(
        same_as="spade",
        when="no perceptual loss",
        reason="SPADE w/o perceptual loss is not measured separately: no weights for it were "
        "there, so every row was trained without that loss. What stands in the row of the full "
        "model is this ablation, and the full model of the paper is not measured.",
    ),
    "crn": Untrained(
        when="no VGG-19",
        reason="CRN is not measured: it learns from features of VGG-19 alone, whose weights were "
        "not in --weights-dir.",
    ),
}
