# SPDX-License-Identifier: Apache-2.0
"""The training engine takes the steps that the paper tells, on networks filled by the rule.

A case of the form of the reference data is made with the steps written out by hand; the engine has
to reach its numbers. This also tries the comparison itself on cases that are not in `data`.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from parity.case import Case
from parity.losses import by_the_engine, check_objective, networks_of, written_out

from spade_eval.models.checkpoints.published import to_published

STEPS = 2
OPTIONS: dict[str, Any] = {
    "aspect_ratio": 1.0, "beta1": 0.0, "beta2": 0.9, "contain_dontcare_label": True,
    "crop_size": 64, "gan_mode": "hinge", "label_nc": 12, "lambda_feat": 10.0, "lambda_kld": 0.05,
    "lr": 0.0002, "n_layers_D": 4, "ndf": 8, "ngf": 8, "no_TTUR": False, "no_instance": False,
    "no_vgg_loss": True, "norm_D": "spectralinstance", "norm_G": "spectralspadesyncbatch3x3",
    "num_D": 2, "num_upsampling_layers": "normal", "semantic_nc": 14, "use_vae": False,
    "z_dim": 256,
}  # fmt: skip


def write_case(path: Path, steps: int, common_prefix: str = "", **changes: Any) -> Case:
    """Labels, photos and noise of every step; what comes out is still missing."""
    random = np.random.Generator(np.random.PCG64(0))
    arrays: dict[str, Any] = {}
    for step in range(max(steps, 1)):
        coarse = random.integers(0, 13, (2, 8, 8), dtype=np.uint8)
        arrays[f"in_label_{step}"] = coarse.repeat(8, 1).repeat(8, 2)
        arrays[f"in_instance_{step}"] = arrays[f"in_label_{step}"].astype(np.int32)
        arrays[f"in_image_u8_{step}"] = random.integers(0, 256, (2, 3, 64, 64), dtype=np.uint8)
    meta = {
        "options": {**OPTIONS, **changes}, "mode": "train", "steps": steps, "z": "normal:z",
        "fill_prefix": common_prefix,
        **{f"fill_prefix_{name}": f"{common_prefix}{name}/" for name in "GDE"},
    }  # fmt: skip
    np.savez(path, meta=json.dumps(meta), **arrays)
    return Case(path)


def finished(case: Case) -> Case:
    """The case with the outputs of the steps as they are written out."""
    networks = networks_of(case)
    take, losses = written_out(case, networks), []
    for step in range(max(case.meta["steps"], 1)):
        terms, fake = take(step)
        losses.append({name: float(term.detach()) for name, term in terms.items()})
        case.arrays[f"out_fake_{step}"] = fake.detach().numpy()
    after = {
        case.meta[f"fill_prefix_{name}"] + key: tensor.double()
        for name, network in networks.items()
        for key, tensor in to_published(network).items()
        if not key.endswith("num_batches_tracked")
    }
    moments = {
        name: (float(tensor.mean()), float(tensor.square().mean().sqrt()))
        for name, tensor in after.items()
    }
    meta = {
        **case.meta,
        "losses": losses,
        "state_after_mean_rms": moments,
        "fake_float64_deviation": [0.0] * len(losses),
        "losses_float64_deviation": [{} for _ in losses],
    }
    return rewritten(case, meta)


def rewritten(case: Case, meta: dict[str, Any]) -> Case:
    np.savez(case.path, meta=json.dumps({**case.meta, **meta}), **case.arrays)
    return Case(case.path)


@pytest.mark.parametrize("use_vae", [False, True], ids=["segmap", "vae"])
def test_the_engine_reaches_the_numbers_of_the_steps_written_out(
    tmp_path: Path, use_vae: bool
) -> None:
    case = finished(write_case(tmp_path / "objective_train.npz", STEPS, use_vae=use_vae))
    check_objective(case)
    assert max(case.differences.values()) == 0.0, "the same operations in the same order"
    terms = {"GAN", "GAN_Feat", "D_Fake", "D_real"} | ({"KLD"} if use_vae else set())
    assert {f"{term} of step {STEPS - 1}" for term in terms} <= set(case.differences)


def test_a_forward_in_training_mode_alone_is_compared_too(tmp_path: Path) -> None:
    case = finished(write_case(tmp_path / "objective_forward.npz", steps=0))
    weights = {name: network.state_dict() for name, network in networks_of(case).items()}
    check_objective(case)
    assert weights
    changed = {**case.meta["state_after_mean_rms"]}
    assert any("running_mean" in name for name in changed), "batch statistics move in training"


@pytest.mark.parametrize("wrong", ["lr", "lambda_feat"])
def test_a_wrong_setting_of_the_engine_is_noticed(tmp_path: Path, wrong: str) -> None:
    case = finished(write_case(tmp_path / "objective_train.npz", STEPS))
    case.options[wrong] = case.options[wrong] * 0.5
    with pytest.raises(AssertionError, match="differs by"):
        check_objective(case)


def test_a_state_may_be_listed_without_the_common_prefix(tmp_path: Path) -> None:
    case = finished(write_case(tmp_path / "objective_train.npz", 1, common_prefix="own/"))
    state = case.meta["state_after_mean_rms"]
    assert all(name.startswith(("own/G/", "own/D/")) for name in state)
    short = {name.removeprefix("own/"): moments for name, moments in state.items()}
    noisy = next(iter(short))
    short[noisy] = (1e9, 1e9)
    listed = {"state_after_mean_rms": short, "state_tensors_noisy_in_float32": [f"own/{noisy}"]}
    case = rewritten(case, listed)
    check_objective(case)
    compared = {name for name in case.differences if name.startswith("rms of ")}
    assert compared == {f"rms of {name}" for name in short} - {f"rms of {noisy}"}
    with pytest.raises(AssertionError, match=f"mean of {noisy} differs by"):
        check_objective(rewritten(case, {"state_tensors_noisy_in_float32": []}))


def test_the_encoder_may_be_without_noise(tmp_path: Path) -> None:
    case = write_case(tmp_path / "objective_train.npz", 1, use_vae=True)
    case.arrays["in_eps_0"] = np.zeros((2, 256), np.float32)
    case = finished(case)
    del case.arrays["in_eps_0"]
    case = rewritten(case, {"z": "encoder mean (noise term set to zero)"})
    check_objective(case)
    assert max(case.differences.values()) == 0.0
    with pytest.raises(AssertionError, match="differs by"):
        check_objective(rewritten(case, {"z": "normal:z"}))


def test_the_engine_moves_every_network(tmp_path: Path) -> None:
    case = write_case(tmp_path / "objective_train.npz", 1, use_vae=True)
    networks = networks_of(case)
    before = {
        (name, key): weight.detach().clone()
        for name, network in networks.items()
        for key, weight in network.named_parameters()
    }
    by_the_engine(case, networks)(0)
    moved = {
        name
        for name, network in networks.items()
        for key, weight in network.named_parameters()
        if not torch.equal(weight, before[name, key])
    }
    assert moved == {"G", "D", "E"}
