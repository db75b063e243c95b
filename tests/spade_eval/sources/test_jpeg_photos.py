# SPDX-License-Identifier: Apache-2.0
"""JPEG files are accepted, told, and measured on the real photos; nothing is guessed of them."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spade_eval.cli import main
from spade_eval.datasets.jpeg import encoding_of
from spade_eval.datasets.scenes import Scenes
from spade_eval.records import RecordStore
from spade_eval.sources.jpeg_photos import JPEGPhotos
from spade_eval.sources.source import SynthesizedFolder

PHOTO = Scenes("val", (64, 64), length=1)[0].photo


def through(photo: np.ndarray, **settings: object) -> tuple[bytes, np.ndarray]:
    file = io.BytesIO()
    Image.fromarray(photo).save(file, format="JPEG", **settings)  # type: ignore[arg-type]
    return file.getvalue(), np.asarray(Image.open(file))


@pytest.mark.parametrize("quality", [1, 40, 75, 92, 100])
@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:0"])
def test_the_encoding_of_a_file_is_read_and_repeated(
    tmp_path: Path, quality: int, sampling: str
) -> None:
    content, decoded = through(PHOTO, quality=quality, subsampling=sampling)
    (tmp_path / "a.jpg").write_bytes(content)
    encoding, count = encoding_of([tmp_path / "a.jpg"])
    assert encoding is not None
    assert count == 1
    assert encoding.described == f"quality {quality}, {sampling}"
    assert encoding.name == f"JPEG {quality}"
    assert (encoding.applied(PHOTO) == decoded).all()


def test_own_tables_are_named_by_their_hash(tmp_path: Path) -> None:
    content, decoded = through(PHOTO, qtables=[list(range(1, 65))])
    (tmp_path / "a.jpg").write_bytes(content)
    encoding, _ = encoding_of([tmp_path / "a.jpg"])
    assert encoding is not None
    assert encoding.described.startswith("own tables, ")
    assert (encoding.applied(PHOTO) == decoded).all()


def test_the_most_frequent_encoding_counts_and_others_have_none(tmp_path: Path) -> None:
    for place, quality in enumerate((75, 90, 75)):
        (tmp_path / f"{place}.jpg").write_bytes(through(PHOTO, quality=quality)[0])
    Image.fromarray(PHOTO).save(tmp_path / "3.png")
    files = sorted(tmp_path.iterdir())
    encoding, count = encoding_of(files)
    assert encoding is not None
    assert (encoding.name, count) == ("JPEG 75", 3)
    assert encoding_of([tmp_path / "3.png"]) == (None, 0)


def folder_of(path: Path, kind: str) -> Path:
    scenes = Scenes("val", (64, 64), length=4)
    path.mkdir()
    for index, name in enumerate(scenes.names):
        Image.fromarray(scenes[index].photo).save(path / f"{name}.{kind}", quality=30)
    return path


def test_a_folder_says_that_it_holds_jpeg_files(tmp_path: Path) -> None:
    scenes = Scenes("val", (64, 64), length=4)
    lossy = SynthesizedFolder("mine", folder_of(tmp_path / "jpg", "jpg"), scenes, 4, "none")
    assert lossy.notes == (
        "mine: 4 of 4 images are JPEG files (quality 30, 4:2:0), whose losses are scored, too; the "
        "row real JPEG 30 is what they cost the real photos.",
    )
    exact = SynthesizedFolder("mine", folder_of(tmp_path / "png", "png"), scenes, 4, "none")
    assert exact.jpeg is None
    assert exact.notes == ()
    # The photos in the same files as the folder's, whose images are these photos.
    assert lossy.jpeg is not None
    photos = JPEGPhotos(lossy.jpeg).floats([0, 1], [scenes[0], scenes[1]])
    torch.testing.assert_close(photos, lossy.floats([0, 1], []), rtol=0, atol=0)


def test_what_jpeg_costs_is_measured_and_told(
    four_scenes: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, run = folder_of(tmp_path / "jpg", "jpg"), tmp_path / "run"
    with pytest.raises(SystemExit) as ended:
        main(["score", f"mine={folder}", "--device", "cpu", "--out", str(run),
              "--style-input", "mine=none"])  # fmt: skip
    told = capsys.readouterr()
    assert not ended.value.code, told.err
    assert "warning: mine: JPEG files (quality 30, 4:2:0)" in told.err
    numbers = {
        source: {
            (item.metric, item.class_name): item.value
            for item in RecordStore(run / "records.jsonl")
            if item.source == source
        }
        for source in ("real", "real JPEG 30", "mine")
    }
    # The folder holds the photos themselves, in these very files.
    assert numbers["mine"] == numbers["real JPEG 30"]
    before, after = (numbers[row]["miou", None] for row in ("real", "real JPEG 30"))
    assert before is not None
    assert after is not None
    assert after < before
    words = " ".join(told.out.split())
    cost = f"mIoU {100 * before:.1f}% of the real photos becomes {100 * after:.1f}%"
    assert f"real JPEG 30 is what JPEG files cost: {cost}" in words
