# SPDX-License-Identifier: Apache-2.0
"""Losses and whole training steps against the reference's numbers."""

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from parity.case import TOLERANCE, Case
from parity.fill import draw, filled_state
from parity.pix2pixhd import pix2pixhdpp_generator
from parity.spade import spade_discriminator, spade_generator
from torch import Tensor, nn

from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.encoders.variational import ImageEncoder, kl_divergence, reparametrise
from spade_eval.models.inputs import Batch, Noise
from spade_eval.models.losses.gan import (
    discriminator_fake_loss,
    discriminator_real_loss,
    generator_loss,
    pix2pixhd_feature_matching,
    spade_feature_matching,
)
from spade_eval.models.losses.objective import Objective, ObjectiveConfig
from spade_eval.models.losses.perceptual import vgg19_loss
from spade_eval.models.losses.vgg19 import CONV5_1, vgg19_trunk
from spade_eval.models.systems.base import Optimizer
from spade_eval.models.systems.settings import changed, settings_of
from spade_eval.models.systems.spade import SPADE
from spade_eval.models.training.schedule import RateSchedule
from spade_eval.models.training.trainer import Trainer

Networks = dict[str, nn.Module]
Step = Callable[[int], tuple[dict[str, Tensor], Tensor]]
"""Takes the iteration of that number: terms by the reference's names, image of the G half."""

# The reference's names of the terms, and of the adversarial modes.
_NAMES = {"G/gan": "GAN", "G/feature_matching": "GAN_Feat", "G/kld": "KLD",
          "D/fake": "D_Fake", "D/real": "D_real"}  # fmt: skip
_MODES = {"hinge": "hinge", "ls": "lsgan", "original": "original", "w": "wasserstein"}
# Float32 sums of a few hundred terms, of any size.
_RELATIVE = 1e-5
# Steps of an optimiser spread rounding errors: allow this many times the reference's own.
_DEVIATIONS = 20


def check_losses(case: Case) -> None:
    fake, real = _features(case, "in_fake"), _features(case, "in_real")
    on_fake, on_real = [scale[-1] for scale in fake], [scale[-1] for scale in real]
    mu, logvar = case.tensor("in_mu"), case.tensor("in_logvar")
    found: dict[str, Tensor] = {
        "kld_unweighted": kl_divergence(mu, logvar),
        "kld_lambda0.05": 0.05 * kl_divergence(mu, logvar),
        "spade_feature_matching_lambda10": 10 * spade_feature_matching(fake, real),
        "pix2pixhd_feature_matching_lambda10": 10 * pix2pixhd_feature_matching(fake, real),
    }
    for family, reduction in (("spade", "mean"), ("pix2pixhd", "sum")):
        for name, mode in _MODES.items():
            prefix = f"{family}_{name}"
            found[f"{prefix}_D_fake"] = discriminator_fake_loss(on_fake, mode, reduction)
            found[f"{prefix}_D_real"] = discriminator_real_loss(on_real, mode, reduction)
            found[f"{prefix}_G"] = generator_loss(on_fake, mode, reduction)
    for name, value in case.meta["values"].items():
        case.close(name, found[name], value, _RELATIVE * max(1.0, abs(value)))


def _features(case: Case, prefix: str) -> list[list[Tensor]]:
    scales: list[list[Tensor]] = []
    while f"{prefix}_{len(scales)}_0" in case.arrays:
        scale = f"{prefix}_{len(scales)}_"
        count = sum(name.startswith(scale) for name in case.arrays)
        scales.append([case.tensor(f"{scale}{j}") for j in range(count)])
    return scales


def check_perceptual(case: Case) -> None:
    with torch.device("meta"):
        network = vgg19_trunk(CONV5_1).state_dict()
    shapes = {f"features.{name}": tuple(tensor.shape) for name, tensor in network.items()}
    loss = vgg19_loss(filled_state(shapes, case.fill_prefix))
    fake, real = case.image("in_fake_u8"), case.image("in_real_u8")
    activations = loss.network.activations(fake)
    assert [list(a.shape) for a in activations] == case.meta["slice_shapes"]
    values = case.meta["values"]
    # The fill shrinks deep activations to 1e-3 and less; an absolute 1e-6 sees all of them.
    case.close("l1_per_slice", loss.per_layer(fake, real), values["l1_per_slice"], 1e-6)
    case.close("total", loss(fake, real), values["total"], 1e-6)


def check_objective(case: Case) -> None:
    """`steps` iterations of generator and discriminator; 0 means one of each without update.

    Iterations in training mode are taken twice: written out here, and by the training engine.
    """
    _compare_steps(case, written_out)
    if case.meta["steps"] and case.meta["mode"] == "train":
        _compare_steps(case, by_the_engine)


def _compare_steps(case: Case, form: Callable[[Case, Networks], Step]) -> None:
    meta = case.meta
    networks = networks_of(case)
    take = form(case, networks)
    for step in range(max(meta["steps"], 1)):
        losses, fake = take(step)
        # At later steps the reference's own float32 is this far from its float64.
        deviation = _DEVIATIONS * meta.get("fake_float64_deviation", [0.0])[step]
        case.output(f"out_fake_{step}", fake, max(TOLERANCE, deviation))
        deviations = meta.get("losses_float64_deviation", [{}])[step]
        for name, value in meta["losses"][step].items():
            slack = _DEVIATIONS * deviations.get(name, 0.0)
            tolerance = max(TOLERANCE * max(1.0, abs(value)), slack)
            case.close(f"{name} of step {step}", losses[name], value, tolerance)
    _compare_state(case, networks)


def networks_of(case: Case) -> Networks:
    """G, D and, where the case has one, E, filled and in the case's mode."""
    options = case.options
    networks = {"G": _generator(options), "D": spade_discriminator(options)}
    if options.get("use_vae"):
        networks["E"] = ImageEncoder(ImageEncoder.Config(base_channels=options["ngf"]))
    for name, network in networks.items():
        case.prepare(network, case.meta[f"fill_prefix_{name}"])
    return networks


def written_out(case: Case, networks: Networks) -> Step:
    """An iteration as the paper tells it, with torch's own optimisers."""
    objective = Objective(_objective_config(case.options))
    optimisers = _optimisers(networks, case.options) if case.meta["steps"] else {}
    return functools.partial(_step, case, networks, objective, optimisers)


def by_the_engine(case: Case, networks: Networks) -> Step:
    """An iteration as `spade-eval train` takes it, at a constant learning rate."""
    options = case.options
    rate, two_time_scale = options["lr"], not options["no_TTUR"]
    betas = (options["beta1"], options["beta2"])
    settings = changed(
        settings_of(SPADE, "release"),
        {
            "optimizers.G": Optimizer(rate=rate / 2 if two_time_scale else rate, betas=betas),
            "optimizers.D": Optimizer(rate=rate * 2 if two_time_scale else rate, betas=betas),
        },
    )
    encoder = networks.get("E")
    z_dim = None if encoder is None else encoder.config.z_dim
    objective = Objective(_objective_config(options))
    system = SPADE(networks["G"], networks["D"], encoder, objective, z_dim)
    training = Trainer(system, settings, RateSchedule(constant=case.meta["steps"], decay=1))
    made: list[Tensor] = []
    networks["G"].register_forward_hook(lambda network, inputs, image: made.append(image.detach()))

    def take(step: int) -> tuple[dict[str, Tensor], Tensor]:
        made.clear()
        semantics, real = case.semantics(f"_{step}"), case.image(f"in_image_u8_{step}")
        terms = training.step(
            [Batch(semantics, real, _StoredNoise((), case=case, step=step))], step
        )
        return {_NAMES[name]: term for name, term in terms.items()}, made[0]

    return take


@dataclass(frozen=True)
class _StoredNoise(Noise):
    """The noise of the case, in both halves of a step."""

    case: Case | None = None
    step: int = 0

    def normal(self, name: str, *shape: int) -> Tensor:
        assert self.case is not None
        semantics = self.case.semantics(f"_{self.step}")
        return _noise(self.case, (semantics.batch_size, *shape), self.step)


def _generator(options: dict[str, Any]) -> nn.Module:
    if "spade" in options["norm_G"]:
        return spade_generator(options)
    return pix2pixhdpp_generator(options)


def _objective_config(options: dict[str, Any]) -> ObjectiveConfig:
    assert options.get("no_vgg_loss", False), "the reference ran without VGG weights"
    matching = 0.0 if options.get("no_ganFeat_loss") else options["lambda_feat"]
    return ObjectiveConfig(
        gan=_MODES[options["gan_mode"]],
        feature_matching_weight=matching,
        perceptual_weight=0.0,
        kld_weight=options["lambda_kld"],
    )


def _optimisers(
    networks: dict[str, nn.Module], options: dict[str, Any]
) -> dict[str, torch.optim.Optimizer]:
    rate, two_time_scale = options["lr"], not options["no_TTUR"]
    betas = (options["beta1"], options["beta2"])
    generating = [p for name in ("G", "E") if name in networks for p in networks[name].parameters()]
    discriminating = list(networks["D"].parameters())
    return {
        "G": torch.optim.Adam(generating, rate / 2 if two_time_scale else rate, betas),
        "D": torch.optim.Adam(discriminating, rate * 2 if two_time_scale else rate, betas),
    }


def _step(
    case: Case,
    networks: dict[str, nn.Module],
    objective: Objective,
    optimisers: dict[str, torch.optim.Optimizer],
    step: int,
) -> tuple[dict[str, Tensor], Tensor]:
    """One iteration; the terms under the reference's names and the generator pass's image."""
    semantics, real = case.semantics(f"_{step}"), case.image(f"in_image_u8_{step}")
    fake, mu, logvar = _synthesize(case, networks, semantics, real, step)
    terms = objective.generator_terms(networks["D"], semantics, fake, real, mu, logvar)
    _update(optimisers.get("G"), terms)
    with torch.no_grad():  # made again by the updated generator, still in the case's mode
        again, _, _ = _synthesize(case, networks, semantics, real, step)
    judged = objective.discriminator_terms(networks["D"], semantics, again, real)
    _update(optimisers.get("D"), judged)
    found = {f"G/{name}": term for name, term in terms.items()}
    found |= {f"D/{name}": term for name, term in judged.items()}
    return {_NAMES[name]: term for name, term in found.items()}, fake


def _synthesize(
    case: Case, networks: dict[str, nn.Module], semantics: Any, real: Tensor, step: int
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    if "E" not in networks:
        return networks["G"](semantics), None, None
    mu, logvar = networks["E"](real)
    z = reparametrise(mu, logvar, _noise(case, tuple(mu.shape), step))
    return networks["G"](semantics, z), mu, logvar


def _noise(case: Case, shape: tuple[int, ...], step: int) -> Tensor:
    """The noise of the encoder's sample: stored, none, or a rule of the form 'normal:TAG'."""
    for name in (f"in_eps_{step}", f"in_z_{step}", f"in_noise_{step}", "in_eps", "in_z"):
        if name in case.arrays:
            return case.tensor(name)
    rule = case.meta.get("z")
    if isinstance(rule, list):
        rule = rule[step]
    assert isinstance(rule, str), "the case says nothing about the encoder's noise"
    if rule.startswith("encoder mean"):
        return torch.zeros(shape)
    return torch.from_numpy(draw(rule, shape))


def _update(optimiser: torch.optim.Optimizer | None, terms: dict[str, Tensor]) -> None:
    if optimiser is None:
        return
    optimiser.zero_grad()
    torch.stack(list(terms.values())).sum().backward()
    optimiser.step()


def _compare_state(case: Case, networks: dict[str, nn.Module]) -> None:
    """Mean and root mean square of the tensors after the last step, the noisy ones left out.

    A case may list tensors with or without what the prefixes of its networks have in common.
    """
    prefixes = {name: case.meta[f"fill_prefix_{name}"] for name in networks}
    common = os.path.commonprefix(list(prefixes.values()))  # noqa: RUF071 (no paths)
    noisy = case.meta.get("state_tensors_noisy_in_float32", [])
    left_out = {name.removeprefix(common) for name in noisy}
    state = {
        (prefixes[name] + key).removeprefix(common): tensor.double()
        for name, network in networks.items()
        for key, tensor in to_published(network).items()
    }
    for listed, (mean, rms) in case.meta.get("state_after_mean_rms", {}).items():
        name = listed.removeprefix(common)
        if name in left_out or name.endswith("num_batches_tracked"):
            continue
        tolerance = TOLERANCE + 1e-4 * abs(rms)
        case.close(f"mean of {name}", state[name].mean(), mean, tolerance)
        case.close(f"rms of {name}", state[name].square().mean().sqrt(), rms, tolerance)
