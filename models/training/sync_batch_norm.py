# SPDX-License-Identifier: Apache-2.0
"""Batch norm over the batch of all processes, as SPADE is trained ("sync BN", Sec. 4).

On GPUs it is torch's SyncBatchNorm. That refuses CPU tensors, so there a plain form stands in: the
definition of batch norm with every sum taken over all processes.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spade_eval.models.training.distributed import all_sum


class AllReduceBatchNorm2d(nn.BatchNorm2d):
    """(N, C, H, W) share -> the same shape; keys and evaluation mode are `nn.BatchNorm2d`'s."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        shape = (1, -1, 1, 1)
        values = x.float()  # as torch's kernels do below float32
        count = all_sum(values.new_tensor(values.numel() / values.shape[1]))
        mean = all_sum(values.sum(dim=(0, 2, 3))) / count
        centred = values - mean.view(shape)
        variance = all_sum(centred.square().sum(dim=(0, 2, 3))) / count
        self._track(mean.detach(), (variance * count / (count - 1)).detach())
        normalised = centred * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normalised = normalised * self.weight.view(shape) + self.bias.view(shape)
        return normalised.to(x.dtype)

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics; the variance is the unbiased one."""
        assert self.momentum is not None
        for running, batch in ((self.running_mean, mean), (self.running_var, variance)):
            assert running is not None
            running.lerp_(batch.to(running.dtype), self.momentum)
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)


def synchronise_batch_norm(network: nn.Module, device: torch.device) -> None:
    """Replace the batch norms inside a network, in place; parameters, buffers and keys stay.

    Only `nn.BatchNorm2d` itself: `LocalBatchNorm2d` is the norm whose statistics stay local.
    """
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d:
                setattr(parent, name, _synchronised(child, device))


def _synchronised(norm: nn.BatchNorm2d, device: torch.device) -> nn.Module:
    if device.type != "cpu":
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)
        return converted
    return _with_tensors_of(norm, AllReduceBatchNorm2d)


def _with_tensors_of(norm: _BatchNorm, kind: type[nn.BatchNorm2d]) -> nn.Module:
    """Build a batch norm of that kind on the parameters and buffers of another."""
    stand_in = kind(norm.num_features, norm.eps, norm.momentum, norm.affine)
    for name, tensor in {**dict(norm.named_parameters()), **dict(norm.named_buffers())}.items():
        setattr(stand_in, name, tensor)
    return stand_in.train(norm.training)


def with_local_batch_norm(network: nn.Module) -> nn.Module:
    """Return a copy that one process can run in training mode, alone: its norms ask no other."""
    copied = copy.deepcopy(network)
    for parent in list(copied.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, (AllReduceBatchNorm2d, nn.SyncBatchNorm)):
                setattr(parent, name, _with_tensors_of(child, nn.BatchNorm2d))
    return copied
