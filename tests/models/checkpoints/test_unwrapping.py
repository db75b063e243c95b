# SPDX-License-Identifier: Apache-2.0
"""State dicts as users save them: wrappers, several networks in a file, two spellings of a norm."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spade_eval.models.checkpoints.published import (
    load_published,
    load_published_generator,
    load_published_network,
    to_published,
)
from spade_eval.models.checkpoints.unwrapping import unwrapped
from spade_eval.models.discriminators import MultiscaleDiscriminator
from spade_eval.models.discriminators.images import ImageDiscriminator
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.presets import build_generator

LAYOUT = SemanticLayout(num_classes=5, unknown="last", edges=True)


def _file(name: str = "spade", seed: int = 0) -> dict[str, Tensor]:
    return to_published(build_generator(name, LAYOUT.num_labels, width=1 / 32, seed=seed))


def _discriminator() -> dict[str, Tensor]:
    config = MultiscaleDiscriminator.Config(num_labels=LAYOUT.num_labels, base_channels=4)
    return to_published(MultiscaleDiscriminator(config))


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> bool:
    return list(found) == list(wanted) and all(found[name] is wanted[name] for name in wanted)


@pytest.mark.parametrize("name", ["spade", "pix2pixhd", "pix2pixhdpp"])
@pytest.mark.parametrize(
    "prefix",
    [
        *("", "module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "netG."),
        *("netG.module.", "module.netG._orig_mod.", "model.", "state_dict.generator.", "net_G."),
    ],
)
def test_prefixes_in_any_order_are_left_out(prefix: str, name: str) -> None:
    file = _file(name)
    assert _same(unwrapped(_below(prefix, file)).tensors, file)
    nested: dict[str, Any] = dict(file)
    for word in reversed(prefix.split(".")[:-1]):
        nested = {word: nested}
    assert _same(unwrapped(nested).tensors, file)


def test_blocks_that_were_compiled_one_by_one_load() -> None:
    file = _file()
    renamed = {name.replace("head_0.", "head_0._orig_mod."): value for name, value in file.items()}
    assert renamed.keys() != file.keys()
    assert _same(unwrapped(renamed).tensors, file)


def test_averaged_models_count_beside_their_weights() -> None:
    file = _file()
    averaged = _below("module.", file) | {"n_averaged": torch.tensor(3)}
    assert _same(unwrapped({"ema": averaged}).tensors, file)


def test_of_several_networks_the_averaged_generator_is_taken_and_a_note_says_so() -> None:
    plain, average = _file(seed=1), _file(seed=2)
    content = {"netD": _discriminator(), "netG": plain}
    found = unwrapped(content)
    assert _same(found.tensors, plain)
    assert found.notes == ("Of the networks in the file (netD, netG), netG was taken.",)
    assert _same(unwrapped(content | {"netG_ema": average}).tensors, average)
    flat = _below("netG.", plain) | _below("netG_ema.", average) | _below("netD.", _discriminator())
    assert _same(unwrapped({"state_dict": flat}).tensors, average)
    assert _same(unwrapped({"model": plain, "netEMA": average}).tensors, average)


def test_networks_between_which_no_rule_decides_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no rule decides \(model, generator\)"):
        unwrapped({"model": _file(seed=1), "generator": _file(seed=2)})
    file = _file()
    with pytest.raises(ValueError, match=r"two tensors are called fc\.weight"):
        unwrapped(file | {"module.fc.weight": file["fc.weight"]})


def test_parts_of_other_networks_are_not_taken_for_wrappers() -> None:
    with pytest.raises(ValueError, match=r"\(spade_generator\.fc\.weight, "):
        load_published_generator({"net_G": _below("module.spade_generator.", _file())}, LAYOUT)


def test_names_of_parametrizations_are_those_of_spectral_norm() -> None:
    """The names are torch's own, and both forms divide by the same number."""
    layer = nn.Conv2d(3, 4, 3)
    modern = nn.utils.parametrizations.spectral_norm(layer, n_power_iterations=2)
    found = unwrapped({f"up.{name}": value for name, value in modern.state_dict().items()})
    old = nn.utils.spectral_norm(nn.Conv2d(3, 4, 3))
    old.load_state_dict({name.removeprefix("up."): t for name, t in found.tensors.items()})
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(old.eval()(image), modern.eval()(image))


def test_files_of_parametrizations_load() -> None:
    file, spelled = _file(), {}
    for name, tensor in file.items():
        for ours, theirs in (("orig", "original"), ("u", "0._u"), ("v", "0._v")):
            name = name.replace(f".weight_{ours}", f".parametrizations.weight.{theirs}")
        spelled[name] = tensor
    assert spelled.keys() != file.keys()
    assert _same(unwrapped(spelled).tensors, file)


def _without_v(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in tensors.items() if not name.endswith("weight_v")}


def _images(tensors: dict[str, Tensor]) -> Tensor:
    loaded = load_published_generator(unwrapped(tensors).tensors, LAYOUT, upsampling="normal")
    labels = torch.arange(64 * 64).view(1, 64, 64) % 5
    with torch.no_grad():
        return loaded.generator(SemanticMap(labels, LAYOUT, labels))


def _matrix(weight: Tensor) -> Tensor:
    return weight.flatten(1).double()


def test_a_missing_v_is_made_from_a_u_that_has_converged() -> None:
    file = _file()
    for name in [name for name in file if name.endswith("weight_u")]:
        weight = file[name.replace("weight_u", "weight_orig")]
        u, _, vh = torch.linalg.svd(_matrix(weight))
        file[name] = u[:, 0].float()
        file[name.replace("weight_u", "weight_v")] = vh[0].float()
    found = unwrapped(_without_v(file))
    assert "made anew, v = W'u / |W'u|" in found.notes[0]
    # Singular vectors of float32 have errors of some 1e-6.
    assert torch.allclose(_images(_without_v(file)), _images(file), atol=1e-4)


def test_a_missing_v_beside_a_u_that_has_not_converged_is_refused() -> None:
    with pytest.raises(ValueError, match="weight_u has not converged"):
        unwrapped(_without_v(_file()))


def test_files_of_pytorch_0_4_give_the_weights_that_they_state() -> None:
    file, old = _file(), _without_v(_file())
    for name in [name for name in file if name.endswith("weight_v")]:
        layer = name.removesuffix("weight_v")
        weight = file[f"{layer}weight_orig"]
        norm = file[f"{layer}weight_u"] @ (weight.flatten(1) @ file[name])
        old[f"{layer}weight"] = weight / norm
    assert "norm is that of the stored effective weight" in unwrapped(old).notes[0]
    assert torch.allclose(_images(old), _images(file), atol=1e-4)
    old["up_0.conv_0.weight"] = torch.rand_like(old["up_0.conv_0.weight"])
    with pytest.raises(ValueError, match=r"up_0\.conv_0\.weight is no multiple of"):
        unwrapped(old)


@pytest.mark.parametrize(("name", "encoder"), [("munit", "enc_content."), ("unit", "enc.")])
@pytest.mark.parametrize("wrapped", [False, True])
def test_of_two_domains_the_translation_from_a_to_b_is_taken(
    name: str, encoder: str, wrapped: bool
) -> None:
    a, b = _file(name), _file(name, seed=1)
    old = {f"{encoder}model.0.norm.running_mean": torch.zeros(2)}  # of PyTorch 0.3
    content: dict[str, Any] = {"a": {**a, **old}, "b": {**b, **old}}
    found = unwrapped({"model": content} if wrapped else content)
    assert found.tensors.keys() == b.keys() | old.keys()
    for key, tensor in found.tensors.items():
        if key not in old:
            assert tensor is (a if key.startswith(encoder) else b)[key], key
    (note,) = found.notes
    assert note == (
        f"Of the domains a and b in the file, {encoder.rstrip('.')} of a and all else of b was "
        "taken."
    )
    network = build_generator(name, LAYOUT.num_labels, width=1 / 32)
    load_published(network, found.tensors)
    assert torch.equal(network.content.layers[0].conv.bias, a[f"{encoder}model.0.conv.bias"])


def test_what_is_missing_in_a_domain_is_reported_and_never_taken_from_the_other() -> None:
    a, b = _file("munit"), _file("munit", seed=1)
    del a["enc_content.model.1.conv.weight"]
    with pytest.raises(ValueError, match=r"1 missing: enc_content.model.1.conv.weight"):
        load_published(_munit(), unwrapped({"a": a, "b": b}).tensors)
    b["dec.surprise"] = torch.zeros(1)
    with pytest.raises(ValueError, match=r"1 unexpected: dec.surprise"):
        load_published(_munit(), unwrapped({"a": _file("munit"), "b": b}).tensors)


def _munit() -> nn.Module:
    return build_generator("munit", LAYOUT.num_labels, width=1 / 32)


def test_of_two_discriminators_that_of_b_is_taken() -> None:
    config = ImageDiscriminator.Config(base_channels=2, num_layers=3, num_scales=2)
    a, b = (to_published(ImageDiscriminator(config)) for _ in range(2))
    found = unwrapped({"a": a, "b": b})
    assert _same(found.tensors, b)
    assert found.notes == ("Of the domains a and b in the file, all of b was taken.",)
    assert load_published_network({"a": a, "b": b}).config == config
