# SPDX-License-Identifier: Apache-2.0
"""--features: networks of their own columns, and distances along few of their directions."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from spade_eval.api.settings import configured
from spade_eval.engine import Benchmark
from spade_eval.errors import UserError
from spade_eval.metrics.frechet import frechet_distance
from spade_eval.metrics.moments import FeatureMoments
from spade_eval.models.losses.efficientnet_lite0 import EfficientNetLite0
from spade_eval.records import sha256_of_json
from spade_eval.rows import Request
from spade_eval.scoring import networks
from spade_eval.scoring.distances import Distance
from spade_eval.scoring.feature_networks import FEATURES, directions
from spade_eval.scoring.feature_networks.directions import principal_directions
from spade_eval.scoring.feature_networks.lite0 import Lite0Features, open_lite0
from spade_eval.scoring.footnotes import notes_of_training
from spade_eval.weights import LITE0, is_installed

Make = Callable[..., Benchmark]


def test_directions_are_those_of_a_singular_value_decomposition() -> None:
    numbers = np.random.default_rng(0)
    features = numbers.normal(size=(50, 9)) * np.arange(1, 10) + 5
    axes = principal_directions(torch.from_numpy(features), 3).axes.double().numpy()
    _, _, rows = np.linalg.svd(features - features.mean(axis=0))
    assert np.abs(axes.T @ rows[:3].T) == pytest.approx(np.eye(3), abs=1e-6)  # float32
    assert (np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], 0) > 0).all()


def test_a_distance_along_all_directions_is_the_distance() -> None:
    numbers = torch.Generator().manual_seed(0)
    real, made = torch.randn(40, 5, generator=numbers), 2 * torch.randn(40, 5, generator=numbers)
    along = principal_directions(real, 5)

    def moments(features: torch.Tensor) -> FeatureMoments:
        found = FeatureMoments(features.shape[1])
        found.update(features)
        return found

    whole = frechet_distance(moments(real), moments(made))
    turned = frechet_distance(moments(along(real)), moments(along(made)))
    assert turned == pytest.approx(whole, rel=1e-5)  # directions are float32


def test_rows_that_learned_from_the_compared_features_say_so() -> None:
    of_lite0 = Distance("fd_lite0", "", "", Lite0Features(EfficientNetLite0()), kind="lite0")
    others = dataclasses.replace(of_lite0, kind="inception")
    (note,) = notes_of_training("lite0", [others, of_lite0])
    assert "suspect" in note
    assert notes_of_training("lite0", [others]) == []
    assert notes_of_training("vgg19", [of_lite0]) == []
    assert notes_of_training(None, [of_lite0]) == []


def test_images_of_any_size_enter_at_224(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def noted(self: EfficientNetLite0, images: torch.Tensor) -> torch.Tensor:
        seen.append(images)
        return images.mean(dim=(2, 3))

    monkeypatch.setattr(EfficientNetLite0, "forward", noted)
    Lite0Features(EfficientNetLite0())(torch.linspace(0, 1, 64).expand(1, 3, 8, 64))
    assert seen[0].shape == (1, 3, 224, 224)
    assert seen[0].min() == pytest.approx(-1, abs=0.02)
    assert seen[0].max() == pytest.approx(1, abs=0.02)


def test_without_the_extra_it_is_refused(tmp_path: Path) -> None:
    if is_installed(LITE0, tmp_path):
        pytest.skip("the extra features is installed")
    with pytest.raises(UserError, match=r"pip install .*features"):
        open_lite0(tmp_path, torch.device("cpu"))


def test_a_model_without_the_library_is_refused_before_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    (tmp_path / "config.json").write_text('{"model_type": "dinov2"}')
    (tmp_path / "model.safetensors").write_bytes(b"0" * 8)
    with pytest.raises(UserError, match=r"^--features hf:[^\n]*the extra `hf`[^\n]*$"):
        configured("scenes", "smoke", 0, None, features=[f"hf:{tmp_path}"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf:", "a folder is missing; expected hf:DIR"),
        ("hf:no/such/folder", "is not on this machine"),
        ("dinov2", "hf:DIR"),
    ],
)
def test_other_names_are_refused(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        configured("scenes", "smoke", 0, None, features=[name])


def test_columns_of_their_own_beside_the_usual_distance(
    benchmark_in: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the mean colour of each quarter in the place of the network."""
    calls = []

    class Quarters(torch.nn.Module):
        feature_dim = 12

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            calls.append(len(images))
            return torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)

    quarters = Quarters()
    of_quarters = Distance("fd_lite0", "quarters", sha256_of_json("quarters"), quarters,
                           kind="lite0")  # fmt: skip
    monkeypatch.setitem(FEATURES, "lite0", lambda *_: of_quarters)
    monkeypatch.setattr(networks, "NUM_DIRECTIONS", 1)
    monkeypatch.setattr(directions, "NUM_DIRECTIONS", 1)
    benchmark = benchmark_in()
    benchmark.config = dataclasses.replace(benchmark.config, features=("lite0",))
    benchmark.run(Request())
    rows = {
        source: {item.metric: item for item in benchmark.store if item.source == source}
        for source in ("real", "grey")
    }
    for column in ("fd_lite0", "fd_lite0_64", "fd_in_domain"):
        assert rows["real"][column].value == pytest.approx(0, abs=1e-6)
        assert (rows["grey"][column].value or 0) > 0
    along, whole = rows["grey"]["fd_lite0_64"], rows["grey"]["fd_lite0"]
    assert (along.value or 0) <= (whole.value or 0)
    assert "principal directions of train photos" in (along.features or "")
    assert along.features_sha256 != whole.features_sha256
    assert whole.label == "FD (EfficientNet-Lite0)"
    # References, train photos and four rows: both distances share what is computed.
    assert sum(calls) == (1 + 1 + 4) * benchmark.count


def test_a_run_without_them_keeps_its_identity(benchmark_in: Make) -> None:
    config = benchmark_in().config
    assert "features" not in config.as_json()
    assert dataclasses.replace(config, features=("lite0",)).sha256 != config.sha256


def test_the_real_network_sees_colours_move(tmp_path: Path) -> None:
    if not is_installed(LITE0, tmp_path):
        pytest.skip("the extra features is not installed")
    distance = open_lite0(tmp_path, torch.device("cpu"))
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    features = distance.features(images)
    assert features.shape == (2, 1280)
    assert torch.isfinite(features).all()
    assert not torch.allclose(features, distance.features(images.flip(1)))
