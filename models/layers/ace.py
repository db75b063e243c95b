# SPDX-License-Identifier: Apache-2.0
"""ACE, the layer of SEAN: a style code for each region, mixed with SPADE, and noise for each pixel.

Zhu et al., "SEAN: Image Synthesis with Semantic Region-Adaptive Normalization", CVPR 2020, Sec. 3
and Fig. 3. Names of parameters are those of the published checkpoints. Where the start of
`noise_var` is not published, it is zero here: noise comes in as it is learned.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from spade_eval.models.labels import Size
from spade_eval.models.layers.norms import ConditionalNorm, ParamFreeNorm, param_free_norm
from spade_eval.models.layers.spade import SPADE
from spade_eval.models.semantics import SemanticMap

NoiseAt = Callable[[str, Size], Tensor]
"""Draws (N, 1, h, w) from N(0, 1) for the layer of that name."""


class StyledMap(SemanticMap):
    """A semantic map with a style code for each of its labels, and noise for every layer.

    What depends on the labels alone is made once, for it and the map that it is made of.
    """

    codes: Tensor  # (N, num_labels, S)
    noise: NoiseAt | None

    @classmethod
    def of(cls, semantics: SemanticMap, codes: Tensor, noise: NoiseAt | None) -> "StyledMap":
        """Add codes (N, num_labels, S), else `ValueError`; without `noise` there is none."""
        expected = (semantics.batch_size, semantics.num_labels)
        if codes.ndim != 3 or tuple(codes.shape[:2]) != expected:
            raise ValueError(
                f"the style codes are {tuple(codes.shape)}, expected {expected} and the numbers of "
                "a code; encode a photo with its own label map of as many channels"
            )
        styled = cls.__new__(cls)
        vars(styled).update(vars(semantics))
        styled.codes, styled.noise = codes, noise
        return styled

    def styled_labels(self) -> tuple[int, ...]:
        """Return the labels whose codes are needed: those of any pixel; of a soft map, all.

        All in training, too, where a layer that no pixel goes through has a gradient of zero: Adam
        then counts the steps without a label, as with the PyTorch of the time, and layers have
        gradients in every process that shares a batch.
        """
        if torch.is_grad_enabled() or not self.is_hard:
            return tuple(range(self.num_labels))
        return self.memo(("present",), self._present)

    def regions_at(self, size: Size) -> Tensor:
        """Return (N, h, w) int64, the label of each pixel's region.

        Where instance edges are they hide the label: the published code writes regions in the
        order of channels, edges last.
        """
        return self.memo(("regions", size), lambda: self._regions(size))

    def _present(self) -> tuple[int, ...]:
        labels: list[int] = self.labels_at(self.size).unique().tolist()
        return tuple(sorted({*labels, self.num_labels - 1} if self.has_edges else labels))

    def _regions(self, size: Size) -> Tensor:
        if not self.is_hard:
            # The last of the strongest channels, so that edges hide labels here as well.
            return self.num_labels - 1 - self.at(size).flip(1).argmax(dim=1)
        labels, edges = self.labels_at(size), self.edges_at(size)
        return labels if edges is None else torch.where(edges, self.num_labels - 1, labels)


class ACE(ConditionalNorm):
    """x (N, C, H, W) and a `StyledMap` -> (N, C, H, W).

    Without `styled` it is SPADE with noise; the two mixing weights are then there and do nothing,
    as in the published network's last block.
    """

    def __init__(
        self,
        channels: int,
        num_labels: int,
        *,
        styled: bool = True,
        style_channels: int = 512,
        param_free: ParamFreeNorm = "syncbatch",
        kernel_size: int = 3,
        hidden_channels: int = 128,
    ) -> None:
        super().__init__()
        self.name = ""  # by which its noise is drawn
        self.styled = styled
        self.noise_var = nn.Parameter(torch.zeros(channels))
        self.blending_gamma = nn.Parameter(torch.zeros(1))
        self.blending_beta = nn.Parameter(torch.zeros(1))
        self.param_free_norm = param_free_norm(param_free, channels)
        # Its own normalisation is in the published files and never used.
        self.Spade = SPADE(
            channels,
            num_labels,
            param_free=param_free,
            kernel_size=kernel_size,
            hidden_channels=hidden_channels,
        )
        if styled:
            conv = partial(nn.Conv2d, kernel_size=kernel_size, padding=kernel_size // 2)
            for label in range(num_labels):
                self.add_module(f"fc_mu{label}", nn.Linear(style_channels, style_channels))
            self.conv_gamma = conv(style_channels, channels)
            self.conv_beta = conv(style_channels, channels)

    def forward(self, x: Tensor, semantics: SemanticMap) -> Tensor:
        """Add noise to x, normalise it, and modulate it by style and label of each pixel."""
        assert isinstance(semantics, StyledMap)
        size = (x.shape[-2], x.shape[-1])
        if semantics.noise is not None:
            noise = semantics.noise(self.name, size).to(x.dtype)
            x = x + noise * self.noise_var.to(x.dtype).view(-1, 1, 1)
        gamma, beta = self.modulation(semantics, size)
        normalised: Tensor = self.param_free_norm(x)
        return normalised * (1 + gamma) + beta

    def modulation(self, semantics: StyledMap, size: Size) -> tuple[Tensor, Tensor]:
        """Return gamma and beta, each (N, C, h, w), of the map resized to `size`."""
        gamma_o, beta_o = self.Spade.modulation(semantics, size)
        if not self.styled:
            return gamma_o, beta_o
        style = self.style_map(semantics, size)
        gamma_s, beta_s = self.conv_gamma(style), self.conv_beta(style)
        a_gamma, a_beta = self.blending_gamma.sigmoid(), self.blending_beta.sigmoid()
        return (
            a_gamma * gamma_s + (1 - a_gamma) * gamma_o,
            a_beta * beta_s + (1 - a_beta) * beta_o,
        )

    def style_map(self, semantics: StyledMap, size: Size) -> Tensor:
        """Write to each pixel its label's code through that label's own layer, (N, S, h, w)."""
        codes, known = semantics.codes, semantics.styled_labels()
        by_label = [F.relu(self.get_submodule(f"fc_mu{label}")(codes[:, label])) for label in known]
        mu = torch.stack(by_label, dim=1)  # (N, known labels, S)
        places = torch.zeros(semantics.num_labels, dtype=torch.int64)
        places[list(known)] = torch.arange(len(known))
        # One table for the batch; an image's rows begin at its number times those of an image.
        first = len(known) * torch.arange(len(mu), device=mu.device)
        rows = places.to(mu.device)[semantics.regions_at(size)] + first[:, None, None]
        return F.embedding(rows, mu.flatten(0, 1)).permute(0, 3, 1, 2)
