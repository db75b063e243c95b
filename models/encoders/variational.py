# SPDX-License-Identifier: Apache-2.0
"""Image encoder of the variational SPADE model: a photo to the mean and variance of its style.

Park et al., CVPR 2019, Sec. 3 "Multi-modal synthesis" and Fig. 14.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.layers.spectral import spectral_norm
from spade_eval.models.released import Hints, Published, Shapes, numbered

# Output widths in units of base_channels; further layers keep the last one.
_WIDTHS = (1, 2, 4, 8)
_FINAL_SIDE = 4


class ImageEncoder(nn.Module):
    """Strided convolutions down to 4x4, then one linear layer each for mu and log-variance."""

    published: ClassVar[Published]

    @dataclass(frozen=True, kw_only=True)
    class Config:
        base_channels: int = 64
        z_dim: int = 256
        input_size: int = 256  # images are resized to this square; a power of two

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        depth = config.input_size.bit_length() - _FINAL_SIDE.bit_length()
        if depth < 1 or config.input_size != _FINAL_SIDE << depth:
            raise ValueError(
                f"input_size is {config.input_size}, expected a power of two of at least 8 "
                "(published: 256); images of any size are resized to it"
            )
        self.layers = nn.ModuleList()
        channels = 3
        for i in range(depth):
            width = config.base_channels * _WIDTHS[min(i, len(_WIDTHS) - 1)]
            conv = nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False)
            self.layers.append(spectral_norm(conv))
            channels = width
        self.fc_mu = nn.Linear(channels * _FINAL_SIDE**2, config.z_dim)
        self.fc_var = nn.Linear(channels * _FINAL_SIDE**2, config.z_dim)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Map (N, 3, H, W) in [-1, 1] -> mu (N, z_dim), log-variance (N, z_dim)."""
        size = (self.config.input_size, self.config.input_size)
        x = image
        if image.shape[-2:] != size:
            x = F.interpolate(image, size=size, mode="bilinear", align_corners=False)
        for conv in self.layers:
            x = F.leaky_relu(F.instance_norm(conv(x)), 0.2)
        x = x.flatten(1)
        return self.fc_mu(x), self.fc_var(x)


def reparametrise(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """Compute z = mu + exp(logvar / 2) * noise, all (N, z_dim); the caller draws N(0, 1) noise.

    The published model uses it at test time too.
    """
    return mu + (0.5 * logvar).exp() * noise


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """Sum the divergence from N(0, I) of (N, Z) Gaussians over batch and dimensions, as SPADE does.

    Kingma & Welling 2014, Appendix B; SPADE, Eq. 4.
    """
    return -0.5 * (1 + logvar - mu.square() - logvar.exp()).sum()  # SPADE, Eq. 4


def published_names(config: ImageEncoder.Config) -> dict[str, str]:
    """Map our module names -> those of the authors' checkpoints."""
    depth = config.input_size.bit_length() - _FINAL_SIDE.bit_length()
    return {f"layers.{i}": f"layer{i + 1}.0" for i in range(depth)}


def _config_of(tensors: Shapes, hints: Hints) -> ImageEncoder.Config:
    """Infer the configuration of a state dict with published names."""
    return ImageEncoder.Config(
        base_channels=tensors["layer1.0.weight_orig"].shape[0],
        z_dim=tensors["fc_mu.weight"].shape[0],
        input_size=_FINAL_SIDE << len(numbered(tensors, "layer", ".weight_orig")),
    )


ImageEncoder.published = Published(
    recognises=lambda tensors: "fc_mu.weight" in tensors,
    config_of=_config_of,
    names=published_names,
)
