# SPDX-License-Identifier: Apache-2.0
"""Figures 1, 3, 9 and that of 3D noise: arithmetic, the checkpoints they take, and pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from spade_eval.batches import photos, semantic_map
from spade_eval.datasets.base import Dataset
from spade_eval.datasets.scenes import Scenes
from spade_eval.errors import UserError
from spade_eval.figures.guidance import guidance_line
from spade_eval.figures.layout import latent_scores
from spade_eval.figures.networks import FigureGenerator, preserve_variance
from spade_eval.figures.noise import noise
from spade_eval.figures.styles import multimodal, style
from spade_eval.figures.washaway import washaway
from spade_eval.models.checkpoints.files import save_network
from spade_eval.models.checkpoints.published import to_published
from spade_eval.models.encoders import ImageEncoder
from spade_eval.models.labels import SemanticLayout
from spade_eval.models.semantics import SemanticMap
from spade_eval.models.systems.presets import build_generator
from spade_eval.sources.checkpoints import ReleasedOptions, description, open_checkpoint

SIZE = (64, 64)
LABELS = ("sky", "sea", "grass")
NONE = ReleasedOptions()
CPU = torch.device("cpu")


@pytest.fixture
def scenes() -> Dataset:
    return Scenes("val", SIZE, length=9)


def checkpoint(path: Path, name: str, **settings: Any) -> Path:
    """A small network with weights that let the label through."""
    network = build_generator(name, 17, SIZE, width=1 / 16, **settings)
    preserve_variance(network, seed=1)
    layout = SemanticLayout(num_classes=16, edges=True)
    save_network(path, network.state_dict(), description(network, layout, "scenes", "a test"))
    return path


def encoder_file(path: Path, z_dim: int = 8) -> Path:
    network = ImageEncoder(ImageEncoder.Config(base_channels=2, z_dim=z_dim))
    preserve_variance(network, seed=1)
    torch.save(to_published(network), path)
    return path


def pixels(path: Path) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(path))


def number(lines: list[str], start: str, before: str) -> float:
    (line,) = (line for line in lines if line.startswith(start))
    return float(line.split(before)[1].split(",")[0])


def test_instance_norm_washes_labels_away_and_spade_does_not(
    tmp_path: Path, scenes: Dataset
) -> None:
    lines, picture = washaway(tmp_path, scenes, LABELS, (), NONE, seed=0)
    assert "random weights" in lines[0]
    assert number(lines, "(a)", "at most ") < 1e-4
    assert number(lines, "(b)", "between labels ") == 0
    assert number(lines, "(b)", "between pixels ") == 0
    # tanh of one scalar and of a tensor may differ in the last bit.
    assert number(lines, "(b)", "convolution) ") < 1e-6
    assert number(lines, "(c)", "between labels ") > 0.1
    assert 0 < number(lines, "(d)", "between labels ") < number(lines, "(c)", "between labels ")
    folder = tmp_path / "washaway"
    exact = [pixels(folder / f"02_{row:02d}.png") for row in range(3)]
    assert (exact[0] == exact[1]).all()
    assert (exact[0] == exact[0][0, 0]).all()
    spade = [pixels(folder / f"03_{row:02d}.png") for row in range(3)]
    assert (spade[0] != spade[1]).any()
    assert picture.is_file()


def test_washaway_of_checkpoints_says_nothing_of_random_weights(
    tmp_path: Path, scenes: Dataset
) -> None:
    files = [
        checkpoint(tmp_path / f"{name}.safetensors", name) for name in ("pix2pixhd", "spade_vae")
    ]
    lines, _ = washaway(tmp_path, scenes, LABELS[:2], files, NONE, seed=0)
    assert not any("random" in line for line in lines)
    assert number(lines, "(b) pix2pixhd", "between labels ") == 0
    assert number(lines, "(c) spade_vae", "between labels ") > 0


@pytest.mark.parametrize("labels", [("sky",), ("sky", "sky"), ("sky", "heaven")])
def test_wrong_labels_are_refused(tmp_path: Path, scenes: Dataset, labels: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=r"--label: .*sky, cloud"):
        washaway(tmp_path, scenes, labels, (), NONE, seed=0)


def test_each_latent_gives_another_image(tmp_path: Path, scenes: Dataset) -> None:
    file = checkpoint(tmp_path / "vae.safetensors", "spade_vae", z_dim=8)
    lines, picture = multimodal(tmp_path, scenes, file, NONE, 2, 3, seed=0)
    assert not any("random" in line for line in lines)
    folder = tmp_path / "multimodal"
    assert len(list(folder.iterdir())) == 2 * (1 + 3)
    images = [pixels(folder / f"{column:02d}_01.png") for column in range(4)]
    for place, image in enumerate(images):
        assert not any((image == other).all() for other in images[place + 1 :])
    first = picture.read_bytes()
    assert multimodal(tmp_path, scenes, file, NONE, 2, 3, seed=0)[0] == lines
    assert picture.read_bytes() == first
    assert multimodal(tmp_path, scenes, file, NONE, 2, 3, seed=1)[0] != lines


def test_the_layout_is_scored_with_every_latent(tmp_path: Path, scenes: Dataset) -> None:
    file = checkpoint(tmp_path / "vae.safetensors", "spade_vae", z_dim=8)
    lines, _ = multimodal(tmp_path, scenes, file, NONE, 1, 3, seed=0, score=5)
    layout, shared, diversity = lines[-3:]
    assert layout.startswith("layout: mIoU of 5 label maps, scored 3 times")
    for line in (layout, shared):
        scores = [float(part) for part in line.split(": ", 2)[-1].split("%")[0].split(", ")]
        assert len(scores) == 3
        assert f"range {max(scores) - min(scores):.2f}"[:-1] in line  # printed from exact values
    assert float(diversity.split("label map ")[1].split()[0]) > 0.01
    without = multimodal(tmp_path, scenes, file, NONE, 1, 3, seed=0)[0]
    assert lines[:-3] == without


def test_scores_are_those_of_the_images(scenes: Dataset) -> None:
    """Photos in place of syntheses, whatever the latent: every latent scores as photos do."""

    class Photos(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.served = 0

        def forward(self, semantics: SemanticMap, z: torch.Tensor) -> torch.Tensor:
            start = self.served // 3 * len(z)  # three latents a batch of maps
            self.served += 1
            found = [torch.tensor(scenes[start + place].photo) for place in range(len(z))]
            return torch.stack(found).permute(0, 3, 1, 2).float() / 127.5 - 1

    layout = SemanticLayout(num_classes=16, edges=True)
    generator = FigureGenerator("photos", Photos(), layout, is_random=False)
    scores = latent_scores(generator, scenes, lambda number, rows: torch.zeros(len(rows), 8), 3, 9)
    assert scores.diversity == 0
    assert scores.range == 0
    assert scores.miou[0] > 0.6  # the segmenter's own on photos; 0.89 over the whole split


def test_guidance_is_a_correlation_of_looks(scenes: Dataset) -> None:
    class Painter(nn.Module):
        """Paints the picture in the colour that the latent holds."""

        def forward(self, semantics: SemanticMap, z: torch.Tensor) -> torch.Tensor:
            return z[:, :3, None, None].expand(-1, -1, *SIZE)

    photos = torch.stack([torch.tensor(scenes[i].photo).float() / 127.5 - 1 for i in range(9)])
    colours = photos.mean(dim=(1, 2))
    layout = SemanticLayout(num_classes=16, edges=True)
    generator = FigureGenerator("painter", Painter(), layout, is_random=False)
    follows = guidance_line(generator, scenes, colours, range(9))
    assert "1.00 in brightness and 1.00 in warmth" in follows
    opposes = guidance_line(generator, scenes, -colours, range(9))
    assert "-1.00 in brightness and -1.00 in warmth" in opposes


def test_the_layout_of_other_datasets_is_not_scored(
    tmp_path: Path, scenes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = checkpoint(tmp_path / "vae.safetensors", "spade_vae", z_dim=8)
    monkeypatch.setattr("spade_eval.figures.layout.SHIPPED", {})
    lines, _ = multimodal(tmp_path, scenes, file, NONE, 1, 2, seed=0, score=5)
    assert lines[-1] == "layout: not scored, no segmenter of scenes ships with the suite"


def test_more_label_maps_than_there_are_are_refused(tmp_path: Path, scenes: Dataset) -> None:
    file = checkpoint(tmp_path / "vae.safetensors", "spade_vae", z_dim=8)
    with pytest.raises(UserError, match="--score 10: scenes val has 9 label maps"):
        multimodal(tmp_path, scenes, file, NONE, 1, 2, seed=0, score=10)


def test_untrained_figures_say_so(tmp_path: Path, scenes: Dataset) -> None:
    for lines, picture in (
        multimodal(tmp_path, scenes, None, NONE, 1, 2, seed=0, score=5),
        style(tmp_path, scenes, None, None, NONE, 1, (), 2, seed=0, score=5),
    ):
        assert "random weights" in lines[0]
        assert not any(line.startswith(("layout", "guidance")) for line in lines)
        assert picture.is_file()


def test_styles_come_from_photos(tmp_path: Path, scenes: Dataset) -> None:
    file = checkpoint(tmp_path / "vae.safetensors", "spade_vae", z_dim=8)
    encoder = encoder_file(tmp_path / "latest_net_E.pth")
    lines, picture = style(tmp_path, scenes, file, encoder, NONE, 2, (), 3, seed=0, score=6)
    assert lines[-1].startswith("guidance: over 6 style photos the correlation")
    assert lines[-4].startswith("layout: mIoU of 6 label maps, scored 3 times with other styles")
    assert not any("random" in line for line in lines)
    folder = tmp_path / "style"
    # The corner above the label maps stays empty.
    assert len(list(folder.iterdir())) == (1 + 2) * (1 + 3) - 1
    assert (pixels(folder / "01_00.png") == scenes[2].photo).all()
    assert (pixels(folder / "01_01.png") != pixels(folder / "02_01.png")).any()
    odd = tmp_path / "odd.png"
    Image.fromarray(scenes[0].photo).resize((50, 90)).save(odd)
    lines, _ = style(tmp_path, scenes, file, encoder, NONE, 2, [odd], 3, seed=0)
    assert "1 style photos" in lines[0]
    assert (pixels(folder / "01_00.png") == pixels(odd)).all()
    assert picture.is_file()


def test_styles_of_regions_come_from_photos_and_their_labels(
    tmp_path: Path, scenes: Dataset
) -> None:
    file = checkpoint(tmp_path / "sean.safetensors", "sean")
    lines, picture = style(tmp_path, scenes, file, None, NONE, 2, (), 3, seed=0, score=4)
    assert "2 label maps of scenes (rows) x 3 style photos" in lines[0]
    assert lines[1].startswith("largest |code| ")
    assert lines[2].startswith("regions: on average ")
    assert "the rest has its class means. The noise of the layers is off" in lines[2]
    assert lines[-1].startswith("guidance: over 4 style photos")
    folder = tmp_path / "style"
    assert len(list(folder.iterdir())) == (1 + 2) * (1 + 3) - 1
    assert (pixels(folder / "01_00.png") == scenes[2].photo).all()
    assert (pixels(folder / "01_01.png") != pixels(folder / "02_01.png")).any()
    assert picture.is_file()
    with pytest.raises(UserError, match="own label map, which an image file lacks"):
        style(tmp_path, scenes, file, None, NONE, 1, [picture], 1, seed=0)
    with pytest.raises(UserError, match="has its encoder in its own file"):
        style(tmp_path, scenes, file, file, NONE, 1, (), 1, seed=0)


def test_munit_takes_styles_by_its_own_encoder(tmp_path: Path, scenes: Dataset) -> None:
    file = checkpoint(tmp_path / "munit.safetensors", "munit")
    lines, picture = style(tmp_path, scenes, file, None, NONE, 2, (), 3, seed=0)
    assert lines[0].endswith("weights of munit.safetensors")
    assert picture.is_file()
    folder = tmp_path / "style"
    columns = [pixels(folder / f"0{column}_01.png").astype(int) for column in (1, 2, 3)]
    network = open_checkpoint(file).network
    samples = [scenes[2], scenes[3], scenes[4]]
    with torch.no_grad():
        styles = network.style(photos(samples).float() / 127.5 - 1)
        semantics = semantic_map([scenes[0]], SemanticLayout(num_classes=16, edges=True), CPU)
        for column, z in zip(columns, styles, strict=True):
            made = (network(semantics, z[None])[0] + 1) * 127.5
            assert np.abs(made.permute(1, 2, 0).numpy() - column).max() < 1.01  # truncated to 8 bit
    with pytest.raises(UserError, match="holds its own; leave the flag out"):
        style(tmp_path, scenes, file, encoder_file(tmp_path / "E.pth"), NONE, 1, (), 1, seed=0)
    lines, _ = multimodal(tmp_path, scenes, file, NONE, 1, 2, seed=0)
    assert "mean absolute difference between two latents' images" in lines[1]


def test_networks_that_do_not_fit_are_refused(tmp_path: Path, scenes: Dataset) -> None:
    vae = checkpoint(tmp_path / "vae.safetensors", "spade_vae", z_dim=8)
    plain = checkpoint(tmp_path / "plain.safetensors", "spade")
    encoder = encoder_file(tmp_path / "E.pth")
    other = encoder_file(tmp_path / "E16.pth", z_dim=16)

    def styled(file: Path | None, encoder: Path | None) -> None:
        style(tmp_path, scenes, file, encoder, NONE, 1, (), 1, seed=0)

    with pytest.raises(UserError, match="takes the label map alone, expected a generator with a"):
        multimodal(tmp_path, scenes, plain, NONE, 1, 2, seed=0)
    with pytest.raises(UserError, match="takes the label map alone"):
        styled(plain, encoder)
    with pytest.raises(UserError, match="latents of 16 numbers, expected 8"):
        styled(vae, other)
    with pytest.raises(UserError, match="holds a SPADEGenerator, expected an image encoder"):
        styled(vae, plain)
    with pytest.raises(UserError, match="--checkpoint was given without --encoder"):
        styled(vae, None)
    with pytest.raises(UserError, match="--encoder was given without --checkpoint"):
        styled(None, encoder)
    with pytest.raises(UserError, match="has 9 samples, expected at least 10"):
        multimodal(tmp_path, scenes, vae, NONE, 10, 2, seed=0)


def test_released_generators_are_taken(tmp_path: Path, scenes: Dataset) -> None:
    network: nn.Module = build_generator("spade_vae", 17, SIZE, width=1 / 16, z_dim=8)
    preserve_variance(network, seed=1)
    torch.save(to_published(network), tmp_path / "latest_net_G.pth")
    told = ReleasedOptions(label_layout="16+edges")
    lines, _ = multimodal(tmp_path, scenes, tmp_path / "latest_net_G.pth", told, 1, 2, seed=0)
    assert len(lines) == 2


def oasis_checkpoint(path: Path, **settings: Any) -> Path:
    network = build_generator("oasis", 16, SIZE, width=1 / 16, **settings)
    preserve_variance(network, seed=1)
    layout = SemanticLayout(num_classes=16)
    save_network(path, network.state_dict(), description(network, layout, "scenes", "a test"))
    return path


def test_the_figure_of_noise_says_what_it_shows(tmp_path: Path, scenes: Dataset) -> None:
    file = oasis_checkpoint(tmp_path / "oasis.safetensors")
    lines, picture = noise(tmp_path, scenes, file, NONE, num_maps=2, seed=0)
    assert picture.is_file()
    assert "weights of oasis.safetensors" in lines[0]
    heads = ["z per image", "z per class", "z per region", scenes[0].name, scenes[1].name]
    assert [line.split(":")[0] for line in lines[1:]] == heads
    for row in range(2):
        shown = [pixels(tmp_path / "noise" / f"{column:02d}_{row:02d}.png") for column in range(8)]
        assert len({image.tobytes() for image in shown}) == 8
        labels = scenes[row].label_map
        mask = labels == np.bincount(labels.flatten()).argmax()
        moved = np.abs(shown[7].astype(float) - shown[3]).mean(axis=2) * 2 / 255
        told = [float(text.split()[0].rstrip(",")) for text in lines[4 + row].split(" by ")[1:]]
        assert told == pytest.approx([moved[mask].mean(), moved[~mask].mean()], abs=0.01)


def test_untrained_noise_says_so(tmp_path: Path, scenes: Dataset) -> None:
    lines, _ = noise(tmp_path, scenes, None, NONE, num_maps=1, seed=0)
    assert "random weights: nothing was trained" in lines[0]


@pytest.mark.parametrize("name", ["spade", "oasis_without_noise"])
def test_a_generator_without_3d_noise_is_refused(
    tmp_path: Path, scenes: Dataset, name: str
) -> None:
    file = tmp_path / "G.safetensors"
    if name == "spade":
        checkpoint(file, name)
    else:
        oasis_checkpoint(file, z_dim=None)
    with pytest.raises(UserError, match="no noise that may vary within an image"):
        noise(tmp_path, scenes, file, NONE, num_maps=1, seed=0)
