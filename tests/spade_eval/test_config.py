# SPDX-License-Identifier: Apache-2.0
import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from torch import Tensor

from spade_eval.cli import options
from spade_eval.config import RunConfig, budget_for, budgets_of
from spade_eval.datasets import DATASETS
from spade_eval.errors import UserError
from spade_eval.metrics.fid_profiles import FID_PROFILES
from spade_eval.protocol import PROFILES, ResolvedProtocol
from spade_eval.scoring.distances import Distance
from spade_eval.scoring.footnotes import footnotes
from spade_eval.workplace import claim_folder


def test_whatever_changes_a_number_changes_the_hash() -> None:
    config = options.run_config("scenes", "smoke", 0, None)
    hashes = {config.sha256}
    for field in dataclasses.fields(config.budget):
        budget = dataclasses.replace(config.budget, **{field.name: 77})
        hashes.add(dataclasses.replace(config, budget=budget).sha256)
    hashes.add(dataclasses.replace(config, seed=1).sha256)
    assert len(hashes) == 2 + len(dataclasses.fields(config.budget))
    assert options.run_config("scenes", "smoke", 0, None).sha256 == config.sha256


def test_flags_change_the_budget_only_where_they_are_given() -> None:
    plain = budget_for("scenes", "default")
    assert budget_for("scenes", "default", steps=None, width=None) == plain
    assert budget_for("scenes", "default", steps=7) == dataclasses.replace(plain, steps=7)


@pytest.mark.parametrize(("text", "size"), [("64", (64, 64)), ("256x512", (256, 512))])
def test_a_size_is_height_by_width(text: str, size: tuple[int, int]) -> None:
    assert options.parse_size(text) == size


RUN_NAMES = [
    "scenes-smoke-64x64-e92f6165",
    "scenes-default-64x64-453d0dca",
    "scenes-miniature-64x64-6ad004fb",
    "scenes-large-128x128-f6351ee7",
    "cocostuff-smoke-128x128-466ecfce",
    "cocostuff-default-128x128-a88c14c2",
    "cocostuff-paper-256x256-bfe02793",
    "ade20k-smoke-128x128-81d1d7a4",
    "ade20k-default-128x128-07bd5dce",
    "ade20k-paper-256x256-4c0f26f5",
    "ade20k_outdoor-smoke-128x128-f7ee5356",
    "ade20k_outdoor-default-128x128-e4ed1e5d",
    "ade20k_outdoor-paper-256x256-af2c31d5",
    "cityscapes-smoke-128x256-16bc5fef",
    "cityscapes-default-128x256-05e255a2",
    "cityscapes-paper-256x512-c52e0c7f",
    "flickr_landscapes-smoke-128x128-6b5bd2aa",
    "flickr_landscapes-default-128x128-bf09178c",
    "flickr_landscapes-paper-256x256-52bb6211",
    "folder-smoke-128x128-62e1aa16",
    "folder-default-128x128-a427ae2a",
]


def test_budgets_are_those_of_the_run_folders_that_users_have() -> None:
    """Every number of a budget is in the hash at the end of a folder's name."""
    configs = [
        RunConfig(dataset=dataset, profile="in-domain", budget_name=name, budget=budget, seed=0)
        for dataset in DATASETS
        for name, budget in budgets_of(dataset).items()
    ]
    assert [config.run_name for config in configs] == RUN_NAMES
    usual = budgets_of("ade20k")["paper"]
    assert (usual.size, usual.steps, usual.settings) == ((256, 256), None, "paper")


def test_the_configuration_needs_neither_torch_nor_the_datasets() -> None:
    light = "import sys, spade_eval.config as c; sys.exit('torch' in sys.modules or "
    light += "'spade_eval.datasets' in sys.modules)"
    subprocess.run([sys.executable, "-c", light], check=True)


def test_a_wrong_dataset_or_budget_is_named() -> None:
    with pytest.raises(UserError, match="no dataset is called 'cocostuf'; did you mean cocostuff"):
        budget_for("cocostuf", "smoke")
    with pytest.raises(UserError, match="no budget of scenes is called 'paper'"):
        budget_for("scenes", "paper")


@pytest.mark.parametrize("text", ["", "x", "64x", "1x2x3", "-4", "0", "64.5", "²"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="expected N or HEIGHTxWIDTH"):
        options.parse_size(text)


def test_the_data_root_comes_from_flag_environment_or_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("SPADE_EVAL_DATA", raising=False)
    assert options.data_root_or_default(None) == Path("data")
    monkeypatch.setenv("SPADE_EVAL_DATA", "elsewhere")
    assert options.data_root_or_default(None) == Path("elsewhere")
    assert options.data_root_or_default(Path("here")) == Path("here")


def test_a_run_folder_belongs_to_one_configuration(tmp_path: Path) -> None:
    config: RunConfig = options.run_config("scenes", "smoke", 0, None)
    claim_folder(tmp_path / "run", config)
    claim_folder(tmp_path / "run", config)
    with pytest.raises(UserError, match="--out"):
        claim_folder(tmp_path / "run", dataclasses.replace(config, seed=3))


@pytest.mark.parametrize(
    "content",
    [
        b"", b'{"sha256": "', b'\xef\xbb\xbf{"sha256": ""}', b'{"a": "\xe9"}', b"[1]", b"3",
        b"[" * 100_000,
    ],
    ids=["empty", "cut", "bom", "latin", "list", "number", "deep"],
)  # fmt: skip
def test_a_damaged_configuration_is_said_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UserError, match=r"config\.json is not the configuration of") as raised:
        claim_folder(tmp_path, options.run_config("scenes", "smoke", 0, None))
    assert "\n" not in str(raised.value)
    assert (tmp_path / "config.json").read_bytes() == content


def resolved(weights: str = "in-domain") -> ResolvedProtocol:
    profile = "in-domain" if weights == "in-domain" else "modern"
    return ResolvedProtocol(
        protocol=PROFILES[profile],
        size=(64, 64),
        segmenter="DeepLabV2",
        segmenter_sha256="a",
        segmenter_weights=weights,
        features=(),
    )


def no_network(images: Tensor) -> Tensor:
    raise AssertionError("notes compute nothing")


IN_DOMAIN_FD = Distance("fd_in_domain", "in-domain U-Net", "b", no_network)  # type: ignore[arg-type]
FID = Distance(
    "fid",
    "Inception",
    "b",
    no_network,
    "pytorch-fid",
    FID_PROFILES["pytorch-fid"],  # type: ignore[arg-type]
)


@pytest.mark.parametrize(
    ("distances", "count", "said"),
    [
        ([IN_DOMAIN_FD], 5000, "stands where FID would"),
        ([], 5000, "FID is left out"),
        ([IN_DOMAIN_FD], 8, "8 images are far too few"),
        ([FID], 500, "biased upward"),
        ([FID], 5000, "FID by profile pytorch-fid"),
        ([dataclasses.replace(FID, filled=True)], 5000, "mean nothing"),
    ],
)
def test_what_a_number_is_worth_is_said(distances: list[Distance], count: int, said: str) -> None:
    assert any(said in note for note in footnotes(resolved(), distances, count))


@pytest.mark.parametrize("weights", ["filled", "random"])
def test_scores_without_weights_are_called_meaningless(weights: str) -> None:
    first = footnotes(resolved(weights), [], 5000)[0]
    assert first.startswith(f"weights: {weights}. DeepLabV2 ran with")
    assert "mean nothing" in first


def test_a_full_fid_needs_no_warning() -> None:
    notes = footnotes(resolved("published"), [FID], 5000)
    assert notes == ("FID by profile pytorch-fid.",)
    assert "not comparable with any paper's" in footnotes(resolved(), [FID], 5000)[0]
    assert "No published score" in footnotes(resolved("given"), [FID], 5000)[0]
