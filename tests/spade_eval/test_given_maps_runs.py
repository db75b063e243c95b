# SPDX-License-Identifier: Apache-2.0
"""`--damage` and `--masks` from flag to table: who sees what, and what it is scored against."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import spade_eval as se
from spade_eval.batches import layout_for, semantic_map
from spade_eval.cli import main
from spade_eval.datasets.base import Sample
from spade_eval.datasets.given_maps import DAMAGED, SPARSE, given_sample
from spade_eval.datasets.scenes import Scenes
from spade_eval.models.inputs import Inputs, Noise
from spade_eval.models.systems.presets import preset_of
from spade_eval.models.systems.scaling import network_config
from spade_eval.protocol import further_protocol, protocol_for
from spade_eval.records import Measurement, RecordStore
from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.reports.measured.provenance import command_to_repeat
from spade_eval.scoring.diversity import Comparison, diversity
from spade_eval.sources.style_photos import style_photos

HOW = {"dataset": "scenes", "device": "cpu", "size": 16, "value_range": "[0,1]"}
TABLE = torch.rand(256, 3, generator=torch.Generator().manual_seed(0))


class Seen:
    """Colours a class; remembers what it was given."""

    def __init__(self) -> None:
        self.maps: dict[str, Tensor] = {}
        self.semantics: dict[str, Tensor] = {}

    def __call__(self, batch: se.MapBatch) -> Tensor:
        self.maps |= dict(zip(batch.names, batch.label_map.clone(), strict=True))
        self.semantics |= dict(zip(batch.names, batch.one_hot.clone(), strict=True))
        return TABLE[batch.label_map].permute(0, 3, 1, 2)


def evaluated(folder: Path, seen: Seen | None = None, **flags: str) -> se.Result:
    return se.evaluate(seen or Seen(), name="mine", out=folder, **HOW, **flags)  # type: ignore[arg-type]


def exit_code(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def flags_of(how: str) -> dict[str, str]:
    return {"damage" if how in DAMAGED else "masks": how}


@pytest.mark.parametrize("how", ["edge", "few"])
def test_generators_see_the_given_maps_and_scores_say_against_what(
    four_scenes: None, tmp_path: Path, how: str
) -> None:
    seen, scenes = Seen(), Scenes("val", (16, 16), length=4)
    result = evaluated(tmp_path / how, seen, **flags_of(how))
    clean = evaluated(tmp_path / "clean")
    ignored = []
    for index in range(4):
        given = given_sample(scenes[index], how).label_map
        assert np.array_equal(seen.maps[scenes.names[index]], given)
        channels = seen.semantics[scenes.names[index]][:-1]  # the last one holds edges
        assert np.array_equal(channels.sum(dim=0), given != 255)
        ignored.append(int((given == 255).sum()))
    assert 0 < sum(ignored) < 4 * 256
    counts = np.load(next((tmp_path / how / "counts").glob("mine-*.npz")))
    assert counts["num_ignored"].tolist() == (ignored if how in SPARSE else [0] * 4)
    assert np.array_equal(counts["counts"][:, 1].sum(axis=1), 256 - counts["num_ignored"])
    real = {item.metric: item.value for item in result.group.rows[0].scores.values()}
    of_clean = {item.metric: item.value for item in clean.group.rows[0].scores.values()}
    assert (real["acc_all"] == of_clean["acc_all"]) is (how in DAMAGED)
    said = " ".join(result.notes)
    assert ("scored against the clean ones" if how in DAMAGED else "on these masks alone") in said
    assert f"profile in-domain with {'damage' if how in DAMAGED else 'masks'} {how}" in str(result)


def test_tables_of_other_maps_never_share_a_column(four_scenes: None, tmp_path: Path) -> None:
    found: list[Measurement] = []
    for number, flags in enumerate(
        [{}, {"damage": "ds"}, {"damage": "random"}, {"masks": "large"}]
    ):
        evaluated(tmp_path / str(number), **flags)
        found += RecordStore(tmp_path / str(number) / "records.jsonl")
    groups = by_protocol(found)
    assert len({group.title for group in groups}) == len(groups) == 4
    assert len({group.key.protocol_sha256 for group in groups}) == 4


def test_protocols_of_before_keep_their_hashes() -> None:
    plain = protocol_for("in-domain", "scenes")
    assert "given_maps" not in plain.hashed()
    assert protocol_for("in-domain", "scenes", given_maps="ds").hashed()["given_maps"] == "ds"


def test_further_segmenters_judge_images_of_the_same_maps() -> None:
    first = protocol_for("modern", "ade20k", given_maps="edge")
    other = further_protocol(first, "ade20k", "upernet101-single")
    assert other.given_maps == "edge"
    assert other.profile == "modern with upernet101-single without FID with damage edge"


def test_the_given_maps_are_kept_as_pictures(four_scenes: None, tmp_path: Path) -> None:
    evaluated(tmp_path, damage="edge")
    scenes = Scenes("val", (16, 16), length=4)
    shown = np.asarray(Image.open(tmp_path / "images" / "label colours" / f"{scenes.names[0]}.png"))
    black = (shown == 0).all(axis=-1)
    assert np.array_equal(black, given_sample(scenes[0], "edge").label_map == 255)
    clean = np.asarray(Image.open(tmp_path / "images" / "label map" / f"{scenes.names[0]}.png"))
    assert not (clean == 0).all(axis=-1).any()


MODELS = ("spade", "clade", "sean", "oasis", "concat", "crn")


@pytest.mark.parametrize("model", MODELS)
def test_every_kind_of_network_takes_maps_with_gaps(model: str) -> None:
    """Of a dataset that has no unknown channel: some read channels, some indices of labels."""
    scenes, cpu = Scenes("val", (64, 64), length=2), torch.device("cpu")
    whole, preset = [scenes[0], scenes[1]], preset_of(model)
    layout = layout_for(preset.system, scenes)
    config = network_config(preset, layout.num_labels, (64, 64), 1 / 16, edges=layout.edges)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = preset.network(config).eval()
    style = "another photo" if preset.system.styles_regions else "none"
    photos = style_photos(style, lambda: scenes, layout, cpu, 0)

    def made(samples: list[Sample]) -> Tensor:
        shown = None if photos is None else photos.of([0, 1], samples, 0)
        semantics = semantic_map(samples, layout, cpu)
        inputs = Inputs(semantics, Noise.of_images(0, [0, 1], 0, cpu), shown)
        with torch.inference_mode():
            return preset.system.synthesized_by(network, inputs)

    images = made([given_sample(sample, "few") for sample in whole])
    assert torch.isfinite(images).all()
    assert not torch.equal(images, made(whole))


def test_diversity_is_of_images_of_the_same_maps(four_scenes: None) -> None:
    asked: list[bool] = []

    class Sampled:
        name, device = "mine", torch.device("cpu")

        def samples(self, index: int, sample: object, count: int) -> Tensor:
            asked.append(getattr(sample, "is_given"))  # noqa: B009
            return torch.zeros(count, 3, 16, 16, dtype=torch.uint8)

    def alike(samples: Tensor) -> Tensor:
        return torch.zeros(1)

    pairs = Comparison("lpips_diversity", alike)
    diversity(Sampled(), Scenes("val", (16, 16), length=2), 2, 2, [pairs], given_maps="few")
    assert asked == [True, True]


REFUSED = [
    (["--damage", "blur"], "no setting of --damage is called 'blur'"),
    (["--damage", "ds", "--masks", "few"], "leave one out"),
]


@pytest.mark.parametrize(("flags", "said"), REFUSED)
def test_what_cannot_be_scored_is_refused_first(
    four_scenes: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    said: str,
) -> None:
    assert exit_code("benchmark", "--model", "none", "--out", str(tmp_path / "run"), *flags) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_masks_at_the_size_of_label_files_are_refused() -> None:
    with pytest.raises(se.UserError, match="nothing says what was given"):
        protocol_for("spade-paper-b", "cityscapes", given_maps="few")
    assert protocol_for("spade-paper-b", "cityscapes", given_maps="ds").given_maps == "ds"


def test_the_protocol_command_prints_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("protocol") == 0
    table = capsys.readouterr().out
    for flag, names in (("--damage", DAMAGED), ("--masks", SPARSE)):
        for name in names:
            assert f"{flag} {name}: " in table
    assert exit_code("protocol", "ade20k", "--profile", "modern", "--damage", "edge") == 0
    printed = capsys.readouterr().out
    assert "generators see   edge: no class where another class lies" in printed
    assert "scored against   the clean label maps" in printed
    assert exit_code("--json", "protocol", "ade20k", "--profile", "modern", "--masks", "few") == 0
    (protocol,) = json.loads(capsys.readouterr().out)["protocols"]
    assert protocol["given_maps"] == "few"


def test_the_command_to_repeat_names_the_flag() -> None:
    for how, flag in (("ds", "--damage ds"), ("few", "--masks few")):
        words = command_to_repeat({"dataset": "scenes", "given_maps": how, "draws": 3})
        assert flag in words
        assert "--draws 3" in words
