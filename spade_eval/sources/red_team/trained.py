# SPDX-License-Identifier: Apache-2.0
"""A generator that learns one loss for half of a budget's steps: SPADE's, without opponent."""

import functools
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spade_eval.batches import label_maps, layout_of, photos, semantic_map, to_unit_range
from spade_eval.datasets.base import Sample
from spade_eval.errors import as_user_error
from spade_eval.models.checkpoints.files import load_weights, previous_state, save_network
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.presets import build_generator
from spade_eval.models.training.loop import Loop, LoopSettings
from spade_eval.models.training.order import DataOrder
from spade_eval.records import sha256_of_file, sha256_of_json
from spade_eval.sources.red_team.base import Cheat

_MODEL = "spade"
_RATE = 1e-3
_BATCH = 8  # of a budget that has none
_STEPS = 1_000


@dataclass(frozen=True)
class CheatBatch:
    """What a loss may look at."""

    semantics: SemanticMap
    label_maps: Tensor  # (N, H, W) int64 label values
    photos: Tensor  # (N, 3, H, W) in [-1, 1]


class TrainedCheat(Cheat):
    """One loss, Adam, half of the steps that a model of the run has."""

    @abstractmethod
    def loss(self, images: Tensor, batch: CheatBatch) -> Tensor:
        """Return what is minimised; images are (N, 3, H, W) in [-1, 1]."""

    @property
    def settings(self) -> Mapping[str, Any]:
        """What decides the weights, besides the code."""
        budget = self.loot.budget
        return {
            "cheat": self.name,
            "train": self.loot.train.fingerprint(),
            "steps": self.steps,
            "batch_size": min(budget.batch_size or _BATCH, len(self.loot.train)),
            "width": budget.width,
            "rate": _RATE,
            "seed": self.loot.seed,
        }

    @property
    def steps(self) -> int:
        """Half of the budget's."""
        return max(1, (self.loot.budget.steps or _STEPS) // 2)

    @property
    def identity(self) -> Mapping[str, Any]:
        return self.settings

    @cached_property
    def provenance(self) -> Mapping[str, Any]:
        """Those of a generator that was trained."""
        weights = self.network.parameters()
        return {
            **super().provenance,
            "source_sha256": sha256_of_file(self._file),
            "parameters": sum(weight.numel() for weight in weights),
            "train_steps": self.steps,
            "train_batch_size": self.settings["batch_size"],
            "train_config_sha256": sha256_of_json(dict(self.settings)),
            "checkpoint_rule": "last",
            "seed": self.loot.seed,
        }

    def floats(self, indices: Sequence[int], samples: Sequence[Sample]) -> Tensor:
        network = self.network  # trained now, if it was not yet, which needs gradients
        with torch.inference_mode():
            return to_unit_range(network(self._semantics(samples), None))

    @cached_property
    def network(self) -> nn.Module:
        """The trained generator, in evaluation mode; trained now where it was not yet."""
        self.prepare()
        network = self._fresh()
        network.load_state_dict(load_weights(self._file))
        return network.eval()

    def prepare(self) -> None:
        """Train the generator, continuing what is there."""
        if not self._file.is_file():
            self._train(self._fresh())

    def _fresh(self) -> nn.Module:
        network = build_generator(
            _MODEL, self._layout.num_labels, self.loot.dataset.size, width=self.loot.budget.width,
            seed=self.loot.seed, edges=self._layout.edges,
        )  # fmt: skip
        return network.to(self.loot.device)

    @cached_property
    def _file(self) -> Path:
        identity = sha256_of_json(dict(self.settings))[:8]
        return self.loot.folder / f"{self.name}-{identity}" / "generator.safetensors"

    @cached_property
    def _layout(self) -> Any:
        return layout_of(self.loot.dataset)

    def _semantics(self, samples: Sequence[Sample]) -> SemanticMap:
        return semantic_map(samples, self._layout, self.loot.device)

    def _train(self, network: nn.Module) -> None:
        state_file, settings = self._file.with_name("state.pt"), self.settings
        with as_user_error(f"training {self.name}"):
            Loop(
                trainable=_Training(network, self.loss),
                batch_at=functools.partial(self._batch_at, settings["batch_size"]),
                settings=LoopSettings(
                    steps=self.steps, batch_size=settings["batch_size"], prefetch=0
                ),
                state_file=state_file,
                config_sha256=sha256_of_json(dict(settings)),
                title=self.name,
            ).run()
        description = {"red team": self.name, "train": dict(settings)}
        save_network(self._file, network.state_dict(), description)
        for state in (state_file, previous_state(state_file)):
            state.unlink(missing_ok=True)

    def _batch_at(self, batch_size: int, step: int) -> CheatBatch:
        train, seed = self.loot.train, self.loot.seed
        order = DataOrder(num_samples=len(train), batch_size=batch_size, seed=seed)
        epoch, indices = order.at(step)
        samples = [train.training_sample(index, epoch, seed) for index in indices]
        device = self.loot.device
        scaled = photos(samples).to(device).float() / 127.5 - 1
        return CheatBatch(self._semantics(samples), label_maps(samples).to(device), scaled)


class _Training:
    """A generator and its optimizer."""

    def __init__(self, network: nn.Module, loss: Any) -> None:
        self.network, self.loss = network.train(), loss
        self.optimizer = torch.optim.Adam(network.parameters(), lr=_RATE, betas=(0.5, 0.999))

    def step(self, batch: CheatBatch, step: int) -> dict[str, Tensor]:
        """Make one update; return the detached loss."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self.network(batch.semantics, None), batch)
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.detach()}

    def state_dict(self) -> dict[str, Any]:
        """Return all that `step` depends on."""
        return {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
