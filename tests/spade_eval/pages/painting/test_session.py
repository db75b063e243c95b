# SPDX-License-Identifier: Apache-2.0
"""Images of painted maps: those that would be scored, in the style that was asked for."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import painting_files
import pytest
import torch
from painting_files import CPU, SIZE, session_of, write_encoder, write_generator

from spade_eval.baselines import shipped
from spade_eval.batches import to_8_bit
from spade_eval.datasets.scenes import Scenes
from spade_eval.errors import UserError
from spade_eval.metrics.segmentation import SegmentationScores
from spade_eval.models.encoders.variational import ImageEncoder
from spade_eval.models.fast.spade import FastSPADE
from spade_eval.models.inputs import Noise
from spade_eval.models.limits import MOST_PHOTOS_HELD
from spade_eval.pages.painting import maps
from spade_eval.pages.painting.models import open_models, titles_of, trained_size
from spade_eval.pages.painting.session import Session
from spade_eval.pages.painting.styles import AskedStyle, TurnedNoise
from spade_eval.protocol import PROFILES
from spade_eval.sources.checkpoints import encoder_beside
from spade_eval.sources.synthesis import SynthesizedByCheckpoint

PLAIN = AskedStyle(0, 0.0, None)


@pytest.fixture(scope="module")
def scenes() -> Scenes:
    return Scenes("val", SIZE, length=6)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("generators")
    models = ("spade", "spade_vae", "pix2pixhd", "sean")
    return {name: write_generator(folder / name / "generator.safetensors", name) for name in models}


def painted(session: Session, index: int, style: AskedStyle, place: int = 0) -> np.ndarray:
    name = session.dataset.names[index]
    return session.painted(place, session.opened(name)[0], style).pixels


@pytest.mark.parametrize("model", ["spade", "spade_vae", "pix2pixhd"])
def test_the_image_of_a_map_of_the_dataset_is_the_scored_one(
    model: str, files: dict[str, Path], scenes: Scenes
) -> None:
    """Bit for bit: edges of instances, the latent of its index, rounding."""
    session = session_of(scenes, files[model])
    source = SynthesizedByCheckpoint("x", files[model], scenes, PROFILES["in-domain"], CPU)
    for index in (0, 3):
        _, place = session.opened(scenes.names[index])
        assert place == index
        scored = to_8_bit(source.floats([index], [scenes[index]]), PROFILES["in-domain"])
        expected = scored[0].permute(1, 2, 0).numpy()
        assert expected.std() > 5, "an image without content proves nothing"
        assert (painted(session, index, AskedStyle(place, 0.0, None)) == expected).all()


def test_networks_have_their_fast_forms(files: dict[str, Path], scenes: Scenes) -> None:
    (model,) = session_of(scenes, files["spade"]).models
    assert any(isinstance(module, FastSPADE) for module in model.network.modules())


def test_a_stroke_changes_the_image(files: dict[str, Path], scenes: Scenes) -> None:
    session = session_of(scenes, files["spade"])
    opened, _ = session.opened(scenes.names[0])
    labels = opened.labels.copy()
    labels[8:24, 8:24] = (labels[8:24, 8:24] + 1) % 16
    changed = maps.PaintedMap(labels, opened.objects)
    before, after = (session.painted(0, one, PLAIN).pixels for one in (opened, changed))
    assert (before != after).any()


def test_the_reading_is_the_segmenters_count_of_this_image(
    files: dict[str, Path], scenes: Scenes
) -> None:
    session = session_of(scenes, files["spade"])
    opened, _ = session.opened(scenes.names[1])
    made = session.painted(0, opened, PLAIN)
    assert made.reading is not None
    assert session.segmenter is not None
    unit = torch.from_numpy(made.pixels).permute(2, 0, 1)[None].float() / 255
    predicted = session.segmenter(unit).argmax(dim=1)
    counts = SegmentationScores(16, averaged="target")
    counts.update(predicted, torch.from_numpy(opened.labels)[None].long())
    assert (made.reading.labels == predicted[0].numpy()).all()
    assert made.reading.miou == counts.compute()["miou"]
    assert set(made.reading.iou) == set(np.unique(opened.labels).tolist())
    assert made.seconds > 0
    assert made.cpu_seconds > 0


def test_noise_turns_on_a_circle_of_two_draws() -> None:
    drawn = Noise.of_images(0, [7])
    start = TurnedNoise.of(AskedStyle(7, 0.0, None), CPU)
    assert torch.equal(start.normal("z", 64), drawn.normal("z", 64))
    quarter = TurnedNoise.of(AskedStyle(7, 90.0, None), CPU).normal("z", 100_000)
    assert abs(quarter.mean()) < 0.02  # six standard errors of 100,000 draws
    assert abs(quarter.std() - 1) < 0.02
    third = TurnedNoise.of(AskedStyle(7, 60.0, None), CPU).normal("z", 100_000)
    expected = 0.5 * drawn.normal("z", 100_000) + math.sqrt(0.75) * quarter
    assert torch.allclose(third, expected, atol=1e-5)  # cos 90 degrees is 6e-17, not 0
    whole = TurnedNoise.of(AskedStyle(7, 360.0, None), CPU).normal("z", 64)
    assert torch.allclose(whole, drawn.normal("z", 64), atol=1e-5)


def test_a_turn_and_a_draw_change_images_with_a_latent_alone(
    files: dict[str, Path], scenes: Scenes
) -> None:
    session = session_of(scenes, files["spade_vae"], files["spade"])
    assert [model.facts()["isDrawn"] for model in session.models] == [True, False]
    styles = [PLAIN, AskedStyle(0, 40.0, None), AskedStyle(1, 0.0, None)]
    first, turned, other = (painted(session, 0, style) for style in styles)
    assert (first != turned).any()
    assert (first != other).any()
    first, turned, other = (painted(session, 0, style, place=1) for style in styles)
    assert (first == turned).all()
    assert (first == other).all()


def test_a_photo_gives_the_latent_of_the_encoder_beside(
    files: dict[str, Path], scenes: Scenes, tmp_path: Path
) -> None:
    file = tmp_path / "generator.safetensors"
    file.write_bytes(files["spade_vae"].read_bytes())
    write_encoder(tmp_path / "encoder.safetensors")
    session = session_of(scenes, file)
    (model,) = session.models
    assert model.photos == "any"
    assert isinstance(model.encoder, ImageEncoder)
    style = AskedStyle(0, 0.0, scenes.names[2])
    made = painted(session, 0, style)
    with torch.inference_mode():
        photo = torch.from_numpy(scenes[2].photo).permute(2, 0, 1)[None].float() / 127.5 - 1
        mu, logvar = model.encoder(photo)
        z = mu + (logvar / 2).exp() * Noise.of_images(0, [0]).normal("z", mu.shape[1])
        from spade_eval.batches import semantic_map, to_unit_range

        image = model.network(semantic_map([scenes[0]], model.layout, CPU), z)
    expected = to_8_bit(to_unit_range(image), PROFILES["in-domain"])[0].permute(1, 2, 0).numpy()
    assert (made == expected).all()
    assert (made != painted(session, 0, PLAIN)).any()


def test_what_ships_takes_its_style_from_a_photo() -> None:
    """The encoder was trained with the generator: a dark photo makes a darker image, and back."""
    scenes = Scenes("val", (64, 64), length=2)
    (model,) = open_models({"shipped": shipped()["spade_vae"].path()}, scenes, CPU)
    assert model.photos == "any"
    dark, bright = (
        model.image(
            scenes[0], PLAIN, replace(scenes[1], photo=np.full_like(scenes[1].photo, level))
        )
        for level in (20, 220)
    )
    drawn = model.image(scenes[0], PLAIN)
    assert (dark != bright).any()
    assert (dark != drawn).any()
    # Of levels: an encoder of another training has no reason to order them, nor so far apart.
    assert dark.float().mean() + 20 < bright.float().mean()


def test_an_encoder_of_another_latent_is_refused(
    files: dict[str, Path], scenes: Scenes, tmp_path: Path
) -> None:
    file = tmp_path / "generator.safetensors"
    file.write_bytes(files["spade_vae"].read_bytes())
    write_encoder(tmp_path / "encoder.safetensors", z_dim=8)
    with pytest.raises(UserError, match=r"no image encoder of its latent of 256 numbers"):
        session_of(scenes, file)


@pytest.mark.parametrize(
    ("generator", "encoder"),
    [
        ("generator.safetensors", "encoder.safetensors"),
        ("latest_net_G.pth", "latest_net_E.pth"),
        ("spade_vae.safetensors", "spade_vae-encoder.safetensors"),
    ],
)
def test_an_encoder_is_found_by_its_name(generator: str, encoder: str, tmp_path: Path) -> None:
    assert encoder_beside(tmp_path / generator) is None
    (tmp_path / encoder).touch()
    assert encoder_beside(tmp_path / generator) == tmp_path / encoder


def test_styles_of_regions_need_a_photo_with_its_map(
    files: dict[str, Path], scenes: Scenes
) -> None:
    session = session_of(scenes, files["sean"])
    (model,) = session.models
    assert model.photos == "of the dataset"
    own, other = (painted(session, 0, AskedStyle(0, 0.0, scenes.names[i])) for i in (0, 2))
    assert (own != other).any()
    painted(session, 0, PLAIN)  # without one it still makes an image
    name = session.hold_photo(_png(np.zeros((8, 8, 3), np.uint8)))
    with pytest.raises(UserError, match="takes a style from each region"):
        painted(session, 0, AskedStyle(0, 0.0, name))


def _png(array: np.ndarray) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


def test_photos_that_were_opened_are_held_up_to_a_number(
    files: dict[str, Path], scenes: Scenes
) -> None:
    session = session_of(scenes, files["spade"])
    names = [
        session.hold_photo(_png(np.full((8, 8, 3), level, np.uint8)))
        for level in range(MOST_PHOTOS_HELD + 2)
    ]
    assert session.photo(names[-1]).shape == (*SIZE, 3)
    assert session.photo(names[-1]).mean() == MOST_PHOTOS_HELD + 1
    with pytest.raises(UserError, match="is no map or photo of scenes val"):
        session.photo(names[0])


def test_what_is_not_there_is_one_line(files: dict[str, Path], scenes: Scenes) -> None:
    session = session_of(scenes, files["spade"])
    for name in ("", "../../etc/passwd", "val_99999", "x" * 10_000):
        with pytest.raises(UserError, match="is no map or photo") as refused:
            session.opened(name)
        assert len(str(refused.value)) < 400
    opened, _ = session.opened(scenes.names[0])
    for place in (-1, 1):
        with pytest.raises(UserError, match=f"no model {place}, expected 0..0"):
            session.painted(place, opened, PLAIN)


def test_models_are_told_apart(files: dict[str, Path], tmp_path: Path) -> None:
    assert list(titles_of([files["spade"], files["sean"]])) == ["spade", "sean"]
    second = write_generator(tmp_path / "seed1" / "generator.safetensors")
    assert list(titles_of([files["spade"], second])) == ["spade (spade)", "spade (seed1)"]
    third = tmp_path / "b" / "seed1" / "generator.safetensors"
    third.parent.mkdir(parents=True)
    third.write_bytes(second.read_bytes())
    assert list(titles_of([second, third])) == [str(second), str(third)]
    with pytest.raises(UserError, match="is given twice"):
        titles_of([second, second])
    assert titles_of([]) == {}


def test_a_size_too_large_to_paint_on_is_refused(files: dict[str, Path]) -> None:
    with pytest.raises(UserError, match="at most 1,048,576 pixels can be painted on"):
        session_of(Scenes("val", (2048, 1024), length=1), files["spade"])


def test_the_size_of_a_training_is_read(tmp_path: Path) -> None:
    from spade_eval.models.checkpoints.files import load_description, load_weights, save_network

    file = write_generator(tmp_path / "generator.safetensors")
    assert trained_size(file) is None
    described = load_description(file)
    for size, expected in (([64, 32], (64, 32)), (None, None), ("64", None), ([64], None)):
        save_network(file, load_weights(file), {**described, "train": {"size": size}})
        assert trained_size(file) == expected
    assert trained_size(tmp_path / "absent") is None
    assert painting_files.SIZE == SIZE
