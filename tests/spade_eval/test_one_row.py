# SPDX-License-Identifier: Apache-2.0
"""A method is its own file and one row of GENERATORS: here the file is this test."""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.cli.lists.model_list import listed_models
from spade_eval.engine import Benchmark
from spade_eval.models.checkpoints.files import load_description
from spade_eval.models.choices import StyleInput
from spade_eval.models.initialisation import build
from spade_eval.models.inputs import Batch, Inputs
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.base import Data, Optimizer, Preset, Settings, System
from spade_eval.models.systems.base import Update as Move
from spade_eval.models.systems.presets import GENERATORS
from spade_eval.models.systems.scaling import network_config
from spade_eval.rows import Request
from spade_eval.sources.checkpoints import open_generator
from spade_eval.training.memory_estimate import estimate_memory

ROOT = Path(__file__).resolve().parents[2]
Make = Callable[..., Benchmark]


class Painter(nn.Module):
    """A colour for each label, and some noise."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        num_labels: int
        base_channels: int = 64

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.hidden = nn.Conv2d(config.num_labels + 1, config.base_channels, 1)
        self.to_rgb = nn.Conv2d(config.base_channels, 3, 1)

    def forward(self, semantics: SemanticMap, grain: Tensor) -> Tensor:
        x = torch.cat([semantics.full, grain], dim=1)
        return self.to_rgb(F.relu(self.hidden(x))).tanh()


SETTINGS = Settings(
    optimizers={"paint": Optimizer(rate=1e-2, decay="constant")},
    batch_size=2,
    constant_epochs=1,
    decay_epochs=0,
    initialisation="glorot",
)


class Painting(System):
    """Photos' pixels, and nothing else."""

    name = "painting"
    labels = "oasis"
    settings: ClassVar = {("paper", ""): SETTINGS, ("release", ""): SETTINGS}

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    @classmethod
    def build(
        cls, preset: Preset, data: Data, settings: Any, *, width: float = 1.0, seed: int = 0,
        measure: nn.Module | None = None,
    ) -> "Painting":  # fmt: skip
        config = network_config(preset, data.num_labels, data.size, width)
        return cls(build(preset.network, config, settings.initialisation, seed))

    @classmethod
    def style_input(cls, network: nn.Module) -> StyleInput:
        return "random"

    @classmethod
    def synthesized_by(cls, network: nn.Module, inputs: Inputs, *, quick: bool = False) -> Tensor:
        images: Tensor = network(
            inputs.semantics, inputs.noise.normal("grain", 1, *inputs.semantics.size)
        )
        return images

    def updates(self) -> tuple[Move, ...]:
        return (Move("paint", ("generator",), self.terms),)

    def terms(self, batch: Batch) -> dict[str, Tensor]:
        grain = batch.noise.normal("grain", 1, *batch.semantics.size)
        return {"pixels": F.l1_loss(self.generator(batch.semantics, grain), batch.photos)}


@pytest.fixture
def row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one row."""
    preset = Preset(
        system=Painting, network=Painter, source="nobody, nowhere", description="paints labels"
    )
    monkeypatch.setitem(GENERATORS, "painter", preset)


@pytest.mark.usefixtures("row")
def test_one_row_is_listed_trained_scored_exported_described_and_loaded(
    benchmark_in: Make,
) -> None:
    (listed,) = listed_models(["painter"])
    assert (listed.paper_row, listed.description) == ("nobody, nowhere", "paints labels")
    assert all(count > 0 for count in listed.parameters.values())

    benchmark = benchmark_in()
    benchmark.run(Request(("painter",)))
    items = [item for item in benchmark.store if item.source == "painter"]
    assert {"miou", "fd_in_domain"} <= {item.metric for item in items}
    assert items[0].style_input == "random"
    assert items[0].train_settings == {
        "optimizers": {"paint": {"rate": 1e-2 * 4, "betas": [0.0, 0.9], "weight_decay": 0.0,
                                 "kind": "adam", "decay": "constant", "halve_every": None}},
        "batch_size": 2, "constant_epochs": 1, "decay_epochs": 0, "initialisation": "glorot",
        "ema_decay": None, "ema_buffers": False,
    }  # fmt: skip

    file = benchmark.train("painter")
    assert load_description(file)["network"] == "Painter"
    checkpoint = open_generator(file, benchmark.dataset)
    assert type(checkpoint.network) is Painter
    assert checkpoint.layout == Painting.layout(
        {}, 16, has_unlabelled=benchmark.dataset.label_space.has_unlabelled,
        has_instances=True,
    )  # fmt: skip


@pytest.mark.usefixtures("row")
def test_its_memory_is_counted_by_its_updates(benchmark_in: Make) -> None:
    config = benchmark_in().train_config("painter")
    estimate = estimate_memory(config, Data(num_labels=17, size=(64, 64)), 2)
    assert estimate.gradients == 4 * sum(
        weight.numel()
        for weight in Painter(Painter.Config(num_labels=17, base_channels=4)).parameters()
    )
    assert estimate.activations > 2 * 17 * 64 * 64 * 4


# Data that names rows: what a paper's table compares, and what a plain run takes.
TABLES = {"spade_eval/papers/tables.py", "spade_eval/config.py", "models/systems/presets.py"}
# Words that are also names of label layouts, profiles, methods or norms, or of a record's field.
WORDS = {
    "spade",
    "concat",
    "pix2pixhd",
    "pix2pixhdpp",
    "oasis",
    "clade",
    "clade_icpe",
    "sean",
    "unit",
    "sdm",
}
OWN_ROOMS = ("models/systems/", "models/generators/")


def test_no_code_names_a_row() -> None:
    for place in ("spade_eval", "models", "segmenters", "reports"):
        for path in sorted((ROOT / place).rglob("*.py")):
            relative = path.relative_to(ROOT).as_posix()
            if relative in TABLES or relative.startswith(("spade_eval/figures/", *OWN_ROOMS)):
                continue  # the figures of Park et al. are about their rows
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                named = isinstance(node, ast.Constant) and node.value in set(GENERATORS) - WORDS
                assert not named, f"{relative}:{node.lineno} names the row {node.value}"


def test_methods_and_their_networks_are_imported_by_their_own_rooms() -> None:
    general = {"base", "presets", "scaling", "settings"}
    for path in sorted((ROOT / "spade_eval").rglob("*.py")):
        relative = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                head, _, last = node.module.rpartition(".")
                method = head == "spade_eval.models.systems" and last not in general
                assert not method, f"{relative} imports {node.module}"
