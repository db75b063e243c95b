# SPDX-License-Identifier: Apache-2.0
"""What the processes of a training exchange in a step, counted before the first one.

Gradients go once an update, all of them as one message (`World.average_gradients`). Every batch
norm over the whole batch ("sync BN", SPADE, Sec. 4) sends its sums in each forward pass, and again
in each backward pass that goes through it. As in `memory_estimate`, the passes are those of a micro
batch on tensors without content.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from spade_eval.config import TrainConfig
from spade_eval.models.systems.base import Data, System
from spade_eval.models.training.trainer import frozen_but
from spade_eval.training.memory_estimate import num_bytes, step_without_content

_FLOAT = 4  # bytes


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """The messages of one step with one micro batch; bytes are what one process puts in."""

    gradients: Mapping[str, int]  # bytes, by update: one all-reduce each
    forward_channels: tuple[int, ...]  # of each batch norm's forward pass, in order
    backward_channels: tuple[int, ...]  # of those that a backward pass goes through

    @property
    def norm_messages(self) -> int:
        """Number of exchanges of torch's SyncBatchNorm: one a pass, each waited for."""
        return len(self.forward_channels) + len(self.backward_channels)

    @property
    def norm_bytes(self) -> int:
        """Mean, inverse deviation and a count going forward, two sums going backward."""
        forward = sum(2 * channels + 1 for channels in self.forward_channels)
        return _FLOAT * (forward + sum(2 * channels for channels in self.backward_channels))

    def __str__(self) -> str:
        gradients = " + ".join(
            f"{size / 1e6:,.1f} MB ({name})" for name, size in self.gradients.items()
        )
        return (
            f"gradients {gradients}; batch norm {self.norm_messages} messages, "
            f"{self.norm_bytes / 1e3:,.1f} kB"
        )


def traffic_of(config: TrainConfig, data: Data, images: int) -> Traffic:
    """Count what a step exchanges with `images` in each process; no memory is taken for it."""
    with step_without_content(config, data, images) as (system, batch):
        counted = _Norms()
        counted.watch(system)
        gradients = {}
        for update in system.updates():
            networks = [getattr(system, name) for name in update.learns]
            gradients[update.name] = sum(num_bytes(net.parameters()) for net in networks)
            with frozen_but(system, update.learns):
                update.terms(batch)
    return Traffic(
        gradients=gradients,
        forward_channels=tuple(counted.forward),
        backward_channels=tuple(counted.backward),
    )


@dataclass
class _Norms:
    """Channels of the batch norms as they are called."""

    forward: list[int] = field(default_factory=list)
    backward: list[int] = field(default_factory=list)

    def watch(self, system: System) -> None:
        for module in system.modules():
            if type(module) is nn.BatchNorm2d:  # what `synchronise_batch_norm` replaces
                module.register_forward_hook(self._called)

    def _called(self, norm: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        self.forward.append(norm.num_features)
        if output.requires_grad:
            self.backward.append(norm.num_features)
