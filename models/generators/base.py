# SPDX-License-Identifier: Apache-2.0
"""What every generator checks of its input before the first layer."""

from torch import Tensor

from spade_eval.models.labels import Size
from spade_eval.models.semantics import SemanticMap


def check_semantics(semantics: SemanticMap, num_labels: int, multiple: int) -> None:
    """Raise `ValueError` unless the channels fit and the sides are multiples of `multiple`."""
    if semantics.num_labels != num_labels:
        raise ValueError(
            f"the semantic map has {semantics.num_labels} channels, the generator was built for "
            f"{num_labels}; check num_classes, unknown and edges of the SemanticLayout"
        )
    check_size(semantics.size, multiple)


def check_size(size: Size, multiple: int) -> None:
    """Raise `ValueError` unless height and width are positive multiples of `multiple`."""
    height, width = size
    if height <= 0 or width <= 0 or height % multiple or width % multiple:
        raise ValueError(
            f"the size is {height} x {width}, expected multiples of {multiple} (height x width); "
            "resize the label maps or set another image_size"
        )


def refuse_latent(z: Tensor | None, network: str) -> None:
    """Raise `ValueError` if a latent is given to a network without one."""
    if z is not None:
        raise ValueError(
            f"z of shape {tuple(z.shape)} was given, but {network} takes the semantic map alone; "
            "leave z out, or build a z-input generator (spade_vae, spade_random)"
        )


def check_latent(z: Tensor | None, batch_size: int, z_dim: int) -> Tensor:
    """Return the latent (N, z_dim); `ValueError` if it is missing or of another shape."""
    if z is None or tuple(z.shape) != (batch_size, z_dim):
        given = "no z" if z is None else f"z of shape {tuple(z.shape)}"
        raise ValueError(
            f"{given} was given, expected ({batch_size}, {z_dim}): draw it from N(0, 1) or take it "
            "from the encoder; for a network without latent set z_dim=None"
        )
    return z


def check_noise(z: Tensor | None, semantics: SemanticMap, z_dim: int) -> Tensor:
    """Return z as (N, z_dim) or as a map (N, z_dim, H, W); `ValueError` for any other."""
    vector = (semantics.batch_size, z_dim)
    if z is None or tuple(z.shape) not in (vector, (*vector, *semantics.size)):
        given = "no z" if z is None else f"z of shape {tuple(z.shape)}"
        raise ValueError(
            f"{given} was given, expected {vector} or {(*vector, *semantics.size)}: draw it from "
            "N(0, 1), one vector an image or one a pixel; for a network without it set z_dim=None"
        )
    return z
