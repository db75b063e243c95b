# SPDX-License-Identifier: Apache-2.0
"""How much memory a training step needs, counted before the first one.

Weights, gradients and Adam's two moments follow from the networks. The tensors that autograd keeps
for the backward pass are counted in a forward pass on tensors without content (torch's
FakeTensorMode), at the run's image size, batch and precision. Not counted: temporaries and the
workspaces of convolutions; and compilation, which keeps less.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from spade_eval.models.encoders.variational import reparametrise
from spade_eval.models.labels import Size
from spade_eval.models.losses.objective import Objective
from spade_eval.models.losses.perceptual import PerceptualLoss, vgg19_features
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.training.gan import GANTraining
from spade_eval.models.training.precision import autocast

_MIB = 2**20
_ADAM_MOMENTS = 2


@dataclass(frozen=True, kw_only=True)
class MemoryEstimate:
    """In bytes, at the moment when the generator's backward pass starts."""

    weights: int  # of all networks: the average's and VGG-19's too, with buffers
    gradients: int
    optimizers: int
    activations: int  # kept for the backward pass of whichever half of a step keeps more

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizers + self.activations

    def __str__(self) -> str:
        return (
            f"about {self.total / _MIB:,.0f} MiB of tensors a step (weights "
            f"{self.weights / _MIB:,.0f}, gradients {self.gradients / _MIB:,.0f}, optimizers "
            f"{self.optimizers / _MIB:,.0f}, activations {self.activations / _MIB:,.0f}; "
            "counted, not measured, without temporaries and workspaces)"
        )


def estimate_memory(training: GANTraining, size: Size, images: int) -> MemoryEstimate:
    """Of a step with `images` of that (height, width) in each micro batch."""
    learned = [training.generator, training.discriminator]
    if training.encoder is not None:
        learned.append(training.encoder)
    kept = list(learned)
    if training.average is not None:
        kept.append(training.average)
    if training.objective.perceptual is not None:
        kept.append(training.objective.perceptual)
    parameters = sum(_bytes(network.parameters()) for network in learned)
    return MemoryEstimate(
        weights=sum(_bytes(network.state_dict().values()) for network in kept),
        gradients=parameters,
        optimizers=_ADAM_MOMENTS * parameters,
        activations=_activations(training, size, images),
    )


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


@dataclass(frozen=True)
class _Shell:
    """A training's networks without content, and a batch for them; made in FakeTensorMode."""

    generator: nn.Module
    discriminator: nn.Module
    encoder: nn.Module | None
    objective: Objective
    semantics: SemanticMap
    photos: Tensor
    z: Tensor | None

    @classmethod
    def of(cls, training: GANTraining, size: Size, images: int) -> "_Shell":
        discriminator = _without_content(training.discriminator)
        num_labels = int(discriminator.config.num_labels)  # type: ignore[union-attr,arg-type]
        perceptual = None
        if training.objective.perceptual is not None:
            vgg = vgg19_features().state_dict()
            perceptual = PerceptualLoss({f"features.{name}": vgg[name] for name in vgg})
        latent = training.latent
        return cls(
            _without_content(training.generator),
            discriminator,
            None if training.encoder is None else _without_content(training.encoder),
            Objective(training.objective.config, perceptual),
            SemanticMap.from_tensor(torch.empty(images, num_labels, *size)),
            torch.empty(images, 3, *size),
            None if latent is None else torch.empty(images, latent.z_dim),
        )

    def generator_pass(self) -> object:
        mu, logvar, z = None, None, self.z
        if self.encoder is not None and z is not None:
            mu, logvar = self.encoder(self.photos)
            z = reparametrise(mu, logvar, z)
        self.discriminator.requires_grad_(False)
        fake = self.generator(self.semantics) if z is None else self.generator(self.semantics, z)
        return self.objective.generator_terms(
            self.discriminator, self.semantics, fake.float(), self.photos, mu, logvar
        )

    def discriminator_pass(self) -> object:
        self.discriminator.requires_grad_(True)
        return self.objective.discriminator_terms(
            self.discriminator, self.semantics, self.photos, self.photos
        )

    def kept_by(self, forward: Callable[[], object]) -> int:
        """Bytes that autograd keeps after a forward pass, weights aside; each storage once."""
        known = {
            _storage(tensor)
            for network in (self.generator, self.discriminator, self.encoder)
            if network is not None
            for tensor in network.state_dict().values()
        }
        kept: dict[int, int] = {}

        def keep(tensor: Tensor) -> Tensor:
            if _storage(tensor) not in known:
                kept[_storage(tensor)] = tensor.untyped_storage().nbytes()
            return tensor

        with saved_tensors_hooks(keep, lambda tensor: tensor):
            terms = forward()  # holds the graph, so that no storage's place is taken by another
        del terms
        return sum(kept.values())


def _activations(training: GANTraining, size: Size, images: int) -> int:
    # Constructors draw first weights; here they must not move the global random state.
    with torch.random.fork_rng(devices=[]), FakeTensorMode():
        shell = _Shell.of(training, size, images)
        with autocast(training.compute.precision, "cpu"):
            passes = (shell.generator_pass, shell.discriminator_pass)
            return max(shell.kept_by(forward) for forward in passes)


def _without_content(network: nn.Module) -> nn.Module:
    """The same architecture, made in the mode that is on."""
    return type(network)(network.config)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
