# SPDX-License-Identifier: Apache-2.0
"""Which network a released file belongs to, read from the names and shapes of its tensors."""

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn

from spade_eval.models.discriminators.multiscale import MultiscaleDiscriminator
from spade_eval.models.encoders.instance_features import InstanceFeatureEncoder
from spade_eval.models.encoders.variational import ImageEncoder
from spade_eval.models.generators.local_enhancer import LocalEnhancerGenerator
from spade_eval.models.generators.pix2pixhd import Pix2PixHDGenerator
from spade_eval.models.generators.spade import NUM_UPSAMPLINGS, SPADEGenerator, Upsampling
from spade_eval.models.labels import RELEASED_LAYOUTS, SemanticLayout, Size

# Five and six upsamplings have equal shapes; these are the released networks' by label channels.
_RELEASED_UPSAMPLING: dict[int, Upsampling] = {184: "normal", 151: "normal", 36: "more"}

Arch = Literal["spade", "pix2pixhd", "pix2pixhdpp"]
Shapes = Mapping[str, Tensor]


def resolve_layout(
    num_labels: int, layout: str | SemanticLayout | None
) -> tuple[str, SemanticLayout]:
    """(name, layout) for a network of so many channels; `ValueError` where it must be asked for."""
    fitting = [name for name, known in RELEASED_LAYOUTS.items() if known.num_labels == num_labels]
    if isinstance(layout, SemanticLayout):
        name, chosen = "custom", layout
    elif layout is not None:
        if layout not in RELEASED_LAYOUTS:
            known = ", ".join(RELEASED_LAYOUTS)
            raise ValueError(f"no label layout is called {layout!r}; known: {known}")
        name, chosen = layout, RELEASED_LAYOUTS[layout]
    elif len(fitting) == 1:
        name, chosen = fitting[0], RELEASED_LAYOUTS[fitting[0]]
    else:
        choices = " or ".join(fitting) or "a SemanticLayout (none of the known ones fits)"
        raise ValueError(
            f"the network has {num_labels} label channels, whose order its shapes cannot tell; "
            f"set the label layout: {choices}"
        )
    if chosen.num_labels != num_labels:
        raise ValueError(
            f"the label layout {name} has {chosen.num_labels} channels, the network {num_labels}; "
            f"layouts that fit: {', '.join(fitting) or 'none of the known ones'}"
        )
    return name, chosen


def generator_config_of(
    tensors: Shapes,
    upsampling: Upsampling | None,
    image_size: Size | None,
    num_features: int,
) -> tuple[type[nn.Module], Any]:
    """Generator class and configuration of a state dict with published names."""
    if "fc.weight" in tensors and "head_0.norm_0.mlp_shared.0.weight" in tensors:
        return SPADEGenerator, _spade_config(tensors, upsampling, image_size)
    if "model.1.weight" in tensors or "model.1.0.weight_orig" in tensors:
        return _pix2pixhd_config(tensors, num_features)
    shown = ", ".join(list(tensors)[:4])
    raise ValueError(
        f"the tensors ({shown}, ...) are no SPADE or pix2pixHD generator's; give the file of the "
        "generator (*_net_G.pth)"
    )


def arch_of(config: Any) -> Arch:
    """The name of a generator's family."""
    if isinstance(config, SPADEGenerator.Config):
        return "spade"
    return "pix2pixhdpp" if config.spectral else "pix2pixhd"


def is_critic_or_encoder(tensors: Shapes) -> bool:
    """Whether a state dict with published names is a discriminator's or an encoder's."""
    if {"discriminator_0.model0.0.weight", "scale0_layer0.0.weight", "fc_mu.weight"} & set(tensors):
        return True
    return "model.1.weight" in tensors and not any(".conv_block." in name for name in tensors)


def critic_or_encoder_config_of(tensors: Shapes) -> tuple[type[nn.Module], Any]:
    """Class and configuration of a discriminator or an encoder with published names."""
    if "discriminator_0.model0.0.weight" in tensors:
        spectral = "discriminator_0.model1.0.0.weight_orig" in tensors
        norm = "instance" if spectral else "none"
        if "discriminator_0.model1.0.1.weight" in tensors:
            norm = "syncbatch"
        names = ("discriminator_", ".model")
        return MultiscaleDiscriminator, _critic_config(tensors, names, f"spectral{norm}")
    if "scale0_layer0.0.weight" in tensors:
        norm = "syncbatch" if "scale0_layer1.1.weight" in tensors else "instance"
        return MultiscaleDiscriminator, _critic_config(tensors, ("scale", "_layer"), norm)
    if "fc_mu.weight" in tensors:
        layers = _numbered(tensors, "layer", ".weight_orig")
        return ImageEncoder, ImageEncoder.Config(
            base_channels=tensors["layer1.0.weight_orig"].shape[0],
            z_dim=tensors["fc_mu.weight"].shape[0],
            input_size=4 << len(layers),
        )
    if "model.1.weight" in tensors and not _numbered(tensors, "model.", ".conv_block."):
        convolutions = _numbered(tensors, "model.", ".weight")
        return InstanceFeatureEncoder, InstanceFeatureEncoder.Config(
            num_features=tensors[f"model.{max(convolutions)}.weight"].shape[0],
            base_channels=tensors["model.1.weight"].shape[0],
            num_downsamplings=(len(convolutions) - 2) // 2,
        )
    raise ValueError("the tensors are no SPADE or pix2pixHD discriminator's or encoder's")


def _critic_config(
    tensors: Shapes, names: tuple[str, str], norm: Any
) -> MultiscaleDiscriminator.Config:
    scale, layer = names
    first = tensors[f"{scale}0{layer}0.0.weight"]
    parts = [name.removeprefix(scale).split(layer) for name in tensors]
    return MultiscaleDiscriminator.Config(
        num_labels=first.shape[1] - 3,
        base_channels=first.shape[0],
        num_layers=max(int(rest.partition(".")[0]) for _, rest in parts),
        num_scales=1 + max(int(number) for number, _ in parts),
        norm=norm,
    )


def _spade_config(
    tensors: Shapes, upsampling: Upsampling | None, image_size: Size | None
) -> SPADEGenerator.Config:
    start = tensors["fc.weight"]
    hidden_channels, num_labels, kernel_size, _ = tensors["head_0.norm_0.mlp_shared.0.weight"].shape
    base_channels = tensors["head_0.conv_0.bias"].numel() // 16
    has_latent = start.ndim == 2
    pixels = start.shape[0] // (16 * base_channels) if has_latent else 1
    if upsampling is None:
        upsampling = _upsampling_of(tensors, num_labels, pixels if has_latent else 0, image_size)
    scale = 2 ** NUM_UPSAMPLINGS[upsampling]
    if image_size is None:  # a square, where the latent input says how large
        side = round(pixels**0.5)
        image_size = (scale * side, scale * side) if has_latent else (256, 256)
    if has_latent and image_size[0] * image_size[1] != pixels * scale**2:
        raise ValueError(
            f"the latent input makes {pixels} pixels, which {upsampling!r} upsampling turns into "
            f"{pixels * scale**2}, but image_size is {image_size}; set image_size (height, width)"
        )
    statistics = "head_0.norm_0.param_free_norm.running_mean"
    return SPADEGenerator.Config(
        num_labels=num_labels,
        base_channels=base_channels,
        upsampling=upsampling,
        z_dim=start.shape[1] if has_latent else None,
        image_size=image_size,
        param_free_norm="syncbatch" if statistics in tensors else "instance",
        spade_kernel_size=kernel_size,
        hidden_channels=hidden_channels,
        spectral="head_0.conv_0.weight_orig" in tensors,
    )


def _upsampling_of(
    tensors: Shapes, num_labels: int, latent_pixels: int, image_size: Size | None
) -> Upsampling:
    if "up_4.conv_0.bias" in tensors:
        return "most"
    choices: tuple[Upsampling, ...] = ("normal", "more")
    if latent_pixels and image_size is not None:
        for choice in choices:
            if latent_pixels * 4 ** NUM_UPSAMPLINGS[choice] == image_size[0] * image_size[1]:
                return choice
    if num_labels not in _RELEASED_UPSAMPLING:
        raise ValueError(
            "five and six upsamplings have the same shapes: set upsampling to 'normal' or 'more'"
            + (" or give image_size" if latent_pixels else "")
        )
    return _RELEASED_UPSAMPLING[num_labels]


def _pix2pixhd_config(tensors: Shapes, num_features: int) -> tuple[type[nn.Module], Any]:
    """Sizes of the global generator; the local enhancer has it inside under the same names."""
    paired = "model.1.0.weight_orig" in tensors
    first = tensors["model.1.0.weight_orig" if paired else "model.1.weight"]
    numbers = _numbered(tensors, "model.", ".conv_block.")
    norm = "instance"
    if "model.1.1.weight" in tensors or "model.2.weight" in tensors:
        norm = "syncbatch"
    suffix = "1.0.weight_orig" if paired else "1.weight"
    settings: dict[str, Any] = {
        "num_labels": first.shape[1] - num_features,
        "num_features": num_features,
        "base_channels": first.shape[0],
        "num_blocks": len(numbers),
        "num_downsamplings": (min(numbers, default=1) - 1) // (2 if paired else 3) - 1,
        "outer_kernel_size": first.shape[-1],
        "norm": norm,
        "spectral": paired,
        "conv_bias": not paired,
    }
    if not numbers:
        raise ValueError("no residual blocks (model.*.conv_block) found: not a generator's file")
    block = tensors.get(f"model.{min(numbers)}.conv_block.{suffix}")
    if block is not None:
        settings["block_kernel_size"] = block.shape[-1]
    enhancers = 0
    while f"model{enhancers + 1}_1.1.weight" in tensors:
        enhancers += 1
    if not enhancers:
        return Pix2PixHDGenerator, Pix2PixHDGenerator.Config(**settings)
    settings["base_channels"] //= 2**enhancers
    settings["num_enhancers"] = enhancers
    settings["num_local_blocks"] = len(_numbered(tensors, "model1_2.", ".conv_block."))
    return LocalEnhancerGenerator, LocalEnhancerGenerator.Config(**settings)


def _numbered(tensors: Shapes, before: str, after: str) -> set[int]:
    """The numbers between two parts of the names."""
    found = set()
    for name in tensors:
        if name.startswith(before) and after in name:
            found.add(int(name.removeprefix(before).partition(".")[0]))
    return found
