# SPDX-License-Identifier: Apache-2.0
"""Which device a run uses, and its name in records."""

import torch

from spade_eval.errors import UserError
from spade_eval.models.training.distributed import ALONE, World


def resolve_device(name: str, world: World = ALONE) -> torch.device:
    """Find a device; 'auto' is CUDA where there is one, and one that is not here is an error.

    Of several processes on a machine each has the GPU of its number there.
    """
    # TensorFloat-32 moves reported numbers; cuDNN takes it by default.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and world.size > 1:
        name = f"cuda:{world.local_rank}"
        if torch.cuda.device_count() > world.local_rank:
            torch.cuda.set_device(world.local_rank)
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise UserError(
            f"device {name!r} cannot be used here ({str(error).splitlines()[0]}); use --device cpu"
        ) from error


def device_name(device: torch.device) -> str:
    """Return the device as records name it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
