# SPDX-License-Identifier: Apache-2.0
"""Painted maps: edges and labels are those of the samples, files are those of the dataset."""

import io
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from borders import tried
from mutations import damaged
from PIL import Image

from spade_eval.datasets.base import Dataset, Sample
from spade_eval.datasets.folder import Folder
from spade_eval.datasets.scenes import Scenes
from spade_eval.errors import UserError
from spade_eval.models.semantics import instance_edges
from spade_eval.pages.painting import maps

SIZE = (64, 64)


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture
def scenes() -> Dataset:
    return Scenes("val", SIZE, length=12)


@pytest.fixture
def own(tmp_path: Path) -> Dataset:
    """Files whose values are others than the labels, one of 16 bits, and one is unlabelled."""
    for kind in ("images", "labels"):
        (tmp_path / kind / "val").mkdir(parents=True)
    shape = (4, 6)
    Image.fromarray(np.zeros((*shape, 3), np.uint8)).save(tmp_path / "images/val/a.png")
    Image.fromarray(np.full(shape, 300, np.uint16)).save(tmp_path / "labels/val/a.png")
    (tmp_path / "dataset.toml").write_text(
        'images = "images/{split}"\nlabels = "labels/{split}"\n'
        'classes = ["sky", "tree"]\nvalues = [300, 7]\nignored = [9, 0]\n'
    )
    return Folder("val", shape, tmp_path)


def test_objects_keep_every_edge_and_make_none(scenes: Dataset) -> None:
    for index in range(len(scenes)):
        sample = scenes[index]
        assert sample.instance_map is not None
        painted = maps.of_sample(sample)
        edges, kept = (
            instance_edges(torch.from_numpy(array.astype(np.int64))[None])
            for array in (sample.instance_map, painted.objects)
        )
        assert torch.equal(edges, kept)
        assert (painted.labels == sample.label_map).all()


def test_a_stroke_of_stuff_joins_the_stuff_around_it(scenes: Dataset) -> None:
    """The largest object of a class has the class's own number, which strokes paint."""
    painted = maps.of_sample(scenes[0])
    for label in np.unique(painted.labels):
        numbers, areas = np.unique(painted.objects[painted.labels == label], return_counts=True)
        assert numbers[areas.argmax()] == label
    things = painted.objects[painted.objects != painted.labels]
    assert things.size
    assert things.min() >= 256


def test_a_map_without_instances_has_its_classes_as_objects() -> None:
    labels = np.array([[0, 255], [1, 1]], np.uint8)
    photo = np.zeros((2, 2, 3), np.uint8)
    painted = maps.of_sample(Sample(name="", label_map=labels, instance_map=None, photo=photo))
    assert painted.objects.tolist() == [[0, 255], [1, 1]]


@pytest.mark.parametrize("kind", ["scenes", "own"])
def test_a_saved_map_is_a_label_file_of_the_dataset(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    dataset: Dataset = request.getfixturevalue(kind)
    space = dataset.label_space
    values = [*range(space.num_classes), *([255] if space.has_unlabelled else [])]
    drawn = np.random.default_rng(0).choice(values, dataset.size).astype(np.uint8)
    content = maps.label_file(drawn, dataset)
    path = tmp_path / "painted.png"
    path.write_bytes(content)
    assert (maps.label_files_of(dataset).read(path) == drawn).all()
    opened, resized = maps.read_label_file(content, dataset)
    assert (opened.labels == drawn).all()
    assert resized == ""


def test_the_values_in_a_file_are_those_of_the_dataset(own: Dataset) -> None:
    labels = np.array([[0, 1, 255, 0, 0, 0]] * 4, np.uint8)
    stored = np.asarray(Image.open(io.BytesIO(maps.label_file(labels, own))))
    assert stored[0].tolist() == [300, 7, 9, 300, 300, 300]


def test_a_file_of_another_size_is_resized_and_that_is_said(scenes: Dataset) -> None:
    stored = np.repeat(np.repeat(np.eye(2, dtype=np.uint8), 8, 0), 16, 1)
    painted, resized = maps.read_label_file(png(stored), scenes)
    assert resized == "Resized from 16x32 to 64x64, nearest pixels."
    assert (painted.labels == np.repeat(np.repeat(np.eye(2, dtype=np.uint8), 32, 0), 32, 1)).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be decoded"),
        (b"%!PS-Adobe-3.0\n", "cannot be decoded"),
        (png(np.full((4, 4), 16, np.uint8)), "this file: label ids 16 were found, 0..15"),
        (png(np.zeros((4, 4, 3), np.uint8)), "this file: a image of mode RGB"),
    ],
    ids=["empty", "another format", "another label", "colours"],
)
def test_what_is_no_label_file_is_refused(scenes: Dataset, content: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message) as refused:
        maps.read_label_file(content, scenes)
    assert "spade-eval-paint" not in str(refused.value), "names a file that nobody knows"


@pytest.mark.parametrize("side", [100_000, 5001])
def test_a_size_is_looked_at_before_it_is_believed(scenes: Dataset, side: int) -> None:
    """A header of too many pixels: more than Pillow takes, and more than the page does."""
    header = struct.pack(">2I5B", side, side, 8, 0, 0, 0, 0)

    def chunk(name: bytes, data: bytes) -> bytes:
        checked = name + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    rows = chunk(b"IDAT", zlib.compress(bytes(1_000_000)))
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + rows + chunk(b"IEND", b"")
    started = time.perf_counter()
    for read in (
        maps.read_label_file,
        lambda content, dataset: maps.read_photo_file(content, SIZE),
    ):
        with pytest.raises(UserError, match="pixels were found"):
            read(bomb, scenes)
    assert time.perf_counter() - started < 5  # a few milliseconds; decoding would take minutes


def test_damaged_files_are_right_or_refused_in_one_line(scenes: Dataset, tmp_path: Path) -> None:
    drawn = np.random.default_rng(0).integers(0, 16, (64, 64), dtype=np.uint8)
    sound = png(drawn)
    accepted, refused = tried(
        tmp_path / "sent",
        ((seed, damaged(sound, seed)) for seed in range(300)),
        lambda path: maps.read_label_file(path.read_bytes(), scenes)[0].labels,
        lambda labels: bool((labels == drawn).all()),  # checksums protect every byte
    )
    assert accepted > 0
    assert refused > 200


@pytest.mark.parametrize("labels", [b"", bytes(4095), bytes(4097)])
def test_layers_of_another_size_are_refused(scenes: Dataset, labels: bytes) -> None:
    with pytest.raises(UserError, match="expected 4,096 and 8,192 for 64x64"):
        maps.of_bytes(labels, None, SIZE, scenes.label_space)


@pytest.mark.parametrize(("label", "kind"), [(16, "scenes"), (255, "scenes"), (2, "own")])
def test_labels_that_the_dataset_lacks_are_refused(
    label: int, kind: str, request: pytest.FixtureRequest
) -> None:
    dataset: Dataset = request.getfixturevalue(kind)
    height, width = dataset.size
    with pytest.raises(UserError, match=f"holds the label {label}, expected 0.."):
        maps.of_bytes(bytes([label]) * height * width, None, dataset.size, dataset.label_space)


def test_layers_are_read_by_rows_little_end_first() -> None:
    space = Scenes("val", SIZE).label_space
    painted = maps.of_bytes(bytes([0, 1, 2, 3]), b"\x00\x00\x01\x00\x02\x01\x03\x00", (2, 2), space)
    assert painted.labels.tolist() == [[0, 1], [2, 3]]
    assert painted.objects.tolist() == [[0, 1], [258, 3]]
