# SPDX-License-Identifier: Apache-2.0
"""--features hf:DIR with the library itself: tiny networks of random weights, saved here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from spade_eval.engine import Benchmark
from spade_eval.errors import UserError
from spade_eval.metrics.frechet import frechet_distance
from spade_eval.metrics.moments import FeatureMoments
from spade_eval.rows import Request
from spade_eval.scoring.distances import Distance
from spade_eval.scoring.feature_networks import FAMILIES, open_features

Make = Callable[..., Benchmark]
CPU = torch.device("cpu")
MEANS = {"dinov2": (0.485, 0.456, 0.406), "clip": (0.48145466, 0.4578275, 0.40821073)}
DEVIATIONS = {"dinov2": (0.229, 0.224, 0.225), "clip": (0.26862954, 0.26130258, 0.27577711)}


@pytest.fixture(scope="module")
def transformers() -> Any:
    module = pytest.importorskip("transformers", reason="the extra `hf` is not installed")
    try:
        module.AutoModel  # noqa: B018
    except Exception as error:
        pytest.skip(f"transformers cannot be imported here: {error}")
    return module


def vision_sizes() -> dict[str, Any]:
    return {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 32, "patch_size": 8,
    }  # fmt: skip


def built(transformers: Any, kind: str) -> Any:
    """A tiny network of a family, of weights that differ enough for features to."""
    sizes = vision_sizes()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "dinov2":
            sizes |= {"patch_size": 14, "image_size": 56}
            del sizes["intermediate_size"]
            network = transformers.Dinov2Model(transformers.Dinov2Config(**sizes, mlp_ratio=2))
        elif kind == "clip":
            text = {**vision_sizes(), "vocab_size": 10, "max_position_embeddings": 4}
            config = transformers.CLIPConfig(
                vision_config={**sizes, "projection_dim": 12}, text_config=text, projection_dim=12
            )
            network = transformers.CLIPModel(config)
        elif kind == "vit":
            network = transformers.ViTModel(transformers.ViTConfig(**sizes))
        else:
            config = transformers.ConvNextConfig(hidden_sizes=[8, 12], depths=[1, 1], num_stages=2)
            network = transformers.ConvNextModel(config)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    return network.eval()


Saved = Callable[[str], tuple[Any, Path]]


@pytest.fixture
def saved(transformers: Any, tmp_path: Path) -> Saved:
    """Write a tiny network into a folder; give both."""

    def save(kind: str) -> tuple[Any, Path]:
        network, folder = built(transformers, kind), tmp_path / f"tiny-{kind}"
        network.save_pretrained(folder)
        return network, folder

    return save


def opened(folder: Path) -> Distance:
    (distance,) = open_features([f"hf:{folder}"], folder, CPU)
    return distance


def levels(height: int = 40, width: int = 64, count: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, 3, height, width), generator=generator, dtype=torch.uint8)


def entering(images: Tensor, side: int, kind: str, box: tuple[int, ...] | None = None) -> Tensor:
    """What Pillow and the papers' constants make of images, one by one."""
    made = []
    for image in images.permute(0, 2, 3, 1).numpy():
        picture = Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC, box=box)
        scaled = (np.asarray(picture) / 255 - MEANS[kind]) / DEVIATIONS[kind]
        made.append(torch.from_numpy(scaled).float().permute(2, 0, 1))
    return torch.stack(made)


@torch.inference_mode()
def test_dinov2_gives_its_class_token_at_224(saved: Saved) -> None:
    network, folder = saved("dinov2")
    distance = opened(folder)
    found = distance.features(levels().float() / 255)
    expected = network(entering(levels(), 224, "dinov2")).last_hidden_state[:, 0]
    assert found.shape == (2, distance.feature_dim) == (2, 16)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert (found[0] - found[1]).abs().max() > 100 * (found - expected).abs().max()
    assert distance.labels["fd_dinov2"] == "FD (DINOv2 16 wide/14)"
    assert distance.title == "DINOv2 16 wide/14, class token (tiny-dinov2)"


@torch.inference_mode()
def test_clip_gives_the_embedding_of_the_middle_square(saved: Saved) -> None:
    network, folder = saved("clip")
    distance = opened(folder)
    found = distance.features(levels().float() / 255)
    entered = entering(levels()[..., 12:52], 32, "clip")
    hidden = network.vision_model(pixel_values=entered).pooler_output
    expected = network.visual_projection(hidden)
    expected = expected / expected.norm(dim=1, keepdim=True)
    assert found.shape == (2, 12)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert distance.labels["mmd_clip"] == "MMD (CLIP 16 wide/8 at 32)"
    assert "middle square at 32x32. weights: given" in distance.remark


def test_papers_networks_have_their_names(transformers: Any) -> None:
    large = {
        "hidden_size": 1024, "num_hidden_layers": 24, "patch_size": 14, "num_attention_heads": 16
    }  # fmt: skip
    read = FAMILIES["clip_vision_model"].read
    vision = transformers.CLIPVisionConfig(**large, image_size=336)
    assert read(vision).labels == {"fd_clip": "FD (CLIP ViT-L/14 at 336)", "mmd_clip": "CMMD"}
    assert read(transformers.CLIPConfig(vision_config=vision.to_dict())).variant == (
        "ViT-L/14 at 336"
    )
    smaller = read(transformers.CLIPVisionConfig(**large, image_size=224))
    assert smaller.labels["mmd_clip"] == "MMD (CLIP ViT-L/14 at 224)"
    for width, name in ((384, "ViT-S"), (1024, "ViT-L"), (1536, "ViT-g")):
        config = transformers.Dinov2Config(hidden_size=width, patch_size=14)
        assert FAMILIES["dinov2"].read(config).variant == f"{name}/14"


@torch.inference_mode()
@pytest.mark.parametrize("kind", ["vit", "convnext"])
def test_other_families(saved: Saved, kind: str) -> None:
    network, folder = saved(kind)
    distance = opened(folder)
    side = {"vit": 32, "convnext": 224}[kind]
    output = network(entering(levels(), side, "dinov2"))
    expected = output.last_hidden_state[:, 0] if kind == "vit" else output.pooler_output
    found = distance.features(levels().float() / 255)
    torch.testing.assert_close(found, expected.flatten(1), rtol=1e-4, atol=1e-5)
    assert (distance.column, distance.kind) == ("fd_hf", "hf")
    assert distance.labels["mmd_hf"].startswith(f"MMD ({kind}, ")


def test_weights_and_not_the_folder_make_the_identity(saved: Saved, tmp_path: Path) -> None:
    network, folder = saved("dinov2")
    first = opened(folder)
    network.save_pretrained(tmp_path / "elsewhere")
    assert opened(tmp_path / "elsewhere").sha256 == first.sha256
    with torch.no_grad():
        next(network.parameters()).add_(1e-3)
    network.save_pretrained(folder)
    assert opened(folder).sha256 != first.sha256


def test_half_precision_is_computed_in_float32(saved: Saved) -> None:
    network, folder = saved("dinov2")
    network.half().save_pretrained(folder)
    found = opened(folder).features(levels().float() / 255)
    assert found.dtype == torch.float32
    assert torch.isfinite(found).all()


def test_a_run_has_columns_of_both_distances(saved: Saved, benchmark_in: Make) -> None:
    import dataclasses

    _, folder = saved("dinov2")
    _, clip = saved("clip")
    benchmark = benchmark_in()
    features = (f"hf:{folder}", f"hf:{clip}")
    benchmark.config = dataclasses.replace(benchmark.config, features=features)
    benchmark.run(Request())
    rows = {
        source: {item.metric: item for item in benchmark.store if item.source == source}
        for source in ("real", "grey")
    }
    for column in ("fd_dinov2", "fd_clip"):
        assert rows["real"][column].value == pytest.approx(0, abs=1e-6)
        kept = [
            benchmark.networks.references[column].features,
            stored_features(benchmark, rows["grey"][column]),
        ]
        assert all(item is not None for item in kept)
        moments = [FeatureMoments(item.shape[1]) for item in kept if item is not None]
        for one, item in zip(moments, kept, strict=True):
            assert item is not None
            one.update(item)
        # The existing distance on the same features.
        assert rows["grey"][column].value == pytest.approx(frechet_distance(*moments), rel=1e-9)
    assert rows["grey"]["fd_dinov2"].label == "FD (DINOv2 16 wide/14)"
    assert rows["grey"]["mmd_clip"].label == "MMD (CLIP 16 wide/8 at 32)"
    # Four images: too few for a kernel's neighbours, so it is recorded without a value.
    assert rows["grey"]["mmd_dinov2"].value is None
    notes = " ".join(rows["grey"]["miou"].notes)
    assert "FD (DINOv2 16 wide/14) and MMD (DINOv2 16 wide/14): class token, at 224x224" in notes


def stored_features(benchmark: Benchmark, item: Any) -> Tensor:
    name = f"grey-{item.job_sha256[:8]}-{item.reference_sha256[:8]}.npz"
    with np.load(benchmark.place.run_folder / "features" / name) as arrays:
        return torch.from_numpy(arrays["features"])


def refused(name: str) -> str:
    with pytest.raises(UserError) as raised:
        open_features([f"hf:{name}"], Path(), CPU)
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith(f"--features hf:{name}")
    return message


def test_two_networks_of_one_kind_are_refused(saved: Saved, tmp_path: Path) -> None:
    network, folder = saved("dinov2")
    network.save_pretrained(tmp_path / "other")
    with pytest.raises(UserError, match="would share the column fd_dinov2"):
        open_features([f"hf:{folder}", f"hf:{tmp_path / 'other'}"], tmp_path, CPU)


def test_pickled_or_no_weights_are_refused(saved: Saved) -> None:
    network, folder = saved("dinov2")
    (folder / "model.safetensors").unlink()
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    assert "holds 0 bytes of *.safetensors" in refused(str(folder))


def test_lacking_weights_are_refused(saved: Saved) -> None:
    """The library would draw them at random and only remark on it."""
    from safetensors.torch import load_file, save_file

    _, folder = saved("dinov2")
    tensors = load_file(folder / "model.safetensors")
    del tensors["layernorm.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert "lacks weights" in refused(str(folder))
    assert "layernorm.weight" in refused(str(folder))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"hidden_size": 2**20}, "makes the width 1,048,576"),
        ({"hidden_size": 4096}, "makes bytes of weights 67,108,864"),
        ({"num_hidden_layers": 10**12}, "num_hidden_layers is 1000000000000, expected 0 to 512"),
        ({"vision_config": {"num_hidden_layers": 513}}, "num_hidden_layers is 513"),
        ({"mlp_ratio": 10**6}, "makes mlp_ratio 1,000,000"),
        ({"patch_size": 1}, "makes patches 50,176"),
        ({"num_channels": 10**6}, "makes channels 1,000,000"),
        ({"num_hidden_layers": 0}, "config.json"),
        ({"num_hidden_layers": -1}, "num_hidden_layers is -1"),
        ({"model_type": "nonsense"}, "says model_type nonsense, expected one of dinov2"),
        ({"hidden_size": "wide"}, "config.json"),
    ],
)
def test_sizes_are_bounded_before_anything_is_built(
    saved: Saved, changes: dict[str, Any], said: str
) -> None:
    _, folder = saved("dinov2")
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    assert said in refused(str(folder))


def test_what_is_no_model_is_refused(transformers: Any, tmp_path: Path) -> None:
    assert "not on this machine" in refused(str(tmp_path / "absent"))
    assert "holds 0 bytes" in refused(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"0" * 100)
    assert "config.json is missing" in refused(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "dinov2"')
    refused(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "dinov2"}')
    refused(str(tmp_path))
    (tmp_path / "config.json").write_text("[]")
    assert "is no object" in refused(str(tmp_path))
    (tmp_path / "config.json").write_text('{"auto_map": {"AutoModel": "evil.Model"}}')
    assert "model_type None" in refused(str(tmp_path))
