# SPDX-License-Identifier: Apache-2.0
"""A ControlNet pipeline of a few hundred weights, drawn from a seed and saved by its library."""

import json
import os
import shutil
import string
from pathlib import Path
from typing import Any

import pytest
import torch

os.environ["HF_HUB_OFFLINE"] = "1"


def _tokenizer(folder: Path, transformers: Any) -> Any:
    """Letters alone; a text has at most 16 of them."""
    letters = string.ascii_lowercase + string.digits + ",.-_"
    words = ["<|startoftext|>", "<|pad|>", "<|endoftext|>"]
    words += [end for letter in letters for end in (letter, f"{letter}</w>")]
    folder.mkdir()
    (folder / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return transformers.CLIPTokenizer.from_pretrained(str(folder), model_max_length=16)


@pytest.fixture(scope="session")
def saved_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder; only to be read or copied."""
    diffusers: Any = pytest.importorskip("diffusers", reason="the extra `diffusers` is absent")
    transformers: Any = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("pipeline")
    down, up = ("DownBlock2D", "CrossAttnDownBlock2D"), ("CrossAttnUpBlock2D", "UpBlock2D")
    shape: dict[str, Any] = {
        "block_out_channels": (4, 8), "layers_per_block": 1, "in_channels": 4,
        "down_block_types": down, "cross_attention_dim": 8, "norm_num_groups": 1,
        "attention_head_dim": 2,
    }  # fmt: skip
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        text = transformers.CLIPTextConfig(
            hidden_size=8, intermediate_size=16, num_attention_heads=2, num_hidden_layers=1,
            vocab_size=600, bos_token_id=0, pad_token_id=1, eos_token_id=2,
        )  # fmt: skip
        control = diffusers.ControlNetModel(**shape, conditioning_embedding_out_channels=(2, 4))
        # It begins at zero, as if there were no condition.
        for layer in (control.controlnet_mid_block, *control.controlnet_down_blocks):
            torch.nn.init.normal_(layer.weight, std=0.5)
        torch.nn.init.normal_(control.controlnet_cond_embedding.conv_out.weight, std=0.5)
        parts = {
            "unet": diffusers.UNet2DConditionModel(
                **shape, sample_size=32, out_channels=4, up_block_types=up
            ),
            "controlnet": control,
            "vae": diffusers.AutoencoderKL(
                block_out_channels=[4, 8], latent_channels=4, norm_num_groups=2,
                down_block_types=["DownEncoderBlock2D"] * 2,
                up_block_types=["UpDecoderBlock2D"] * 2,
            ),
            "text_encoder": transformers.CLIPTextModel(text),
        }  # fmt: skip
    pipeline = diffusers.StableDiffusionControlNetPipeline(
        **parts,
        tokenizer=_tokenizer(folder / "letters", transformers),
        scheduler=diffusers.DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder / "saved")
    return folder / "saved"


@pytest.fixture
def copied_pipeline(saved_pipeline: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(saved_pipeline, tmp_path / "copy"))
