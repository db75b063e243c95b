# SPDX-License-Identifier: Apache-2.0
"""Label maps in JPEG files: the nearest colour, what that costs, and that it is never forgotten."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from spade_eval.cli import main
from spade_eval.datasets import lossy_maps
from spade_eval.datasets.folder import Folder
from spade_eval.datasets.positional_maps import MARK
from spade_eval.datasets.scenes import Scenes
from spade_eval.datasets.tools.colour_maps import Palette, convert_folder
from spade_eval.errors import UserError

SCENES = Scenes("val", (64, 64), length=3)
COLOURS = np.array(SCENES.label_space.palette, dtype=np.uint8)
PALETTE = Palette(
    origin="scenes",
    id_of={tuple(map(int, colour)): value for value, colour in enumerate(COLOURS)},  # type: ignore[misc]
    shared=(),
)


def painted(folder: Path, kind: str = "jpg", quality: int = 75, count: int = 3) -> Path:
    folder.mkdir(exist_ok=True)
    for index in range(count):
        image = Image.fromarray(COLOURS[SCENES[index].label_map])
        image.save(folder / f"{SCENES.names[index]}.{kind}", quality=quality)
    return folder


def ids_in(folder: Path) -> np.ndarray:
    files = sorted(folder.glob("*.png"))
    return np.stack([np.asarray(Image.open(file)) for file in files])


def test_the_nearest_colour_is_taken_in_any_order_of_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    colours = COLOURS.astype(np.int64)
    plain = ((image[:, :, None].astype(np.int64) - colours) ** 2).sum(-1).argmin(-1)
    assert (lossy_maps.nearest_places(image, colours) == plain).all()
    monkeypatch.setattr(lossy_maps, "_PIXELS_AT_ONCE", 7)
    assert (lossy_maps.nearest_places(image, colours) == plain).all()


def test_what_is_lost_is_counted_and_is_less_of_a_better_file(tmp_path: Path) -> None:
    truth = np.stack([SCENES[index].label_map for index in range(3)])
    wrong, miou = [], []
    for quality in (20, 95):
        target = tmp_path / f"ids{quality}"
        written = convert_folder(
            painted(tmp_path / f"q{quality}", quality=quality), target, PALETTE
        )
        counts = lossy_maps.recorded(target)
        assert counts is not None
        assert written.lost == counts.sentence()
        assert f"3 of them come from JPEG files (quality {quality}, 4:2:0)" in written.lost
        assert (counts.files, counts.pixels) == (3, 3 * 64 * 64)
        assert 0 < counts.inexact <= counts.pixels
        wrong.append((ids_in(target) != truth).mean())
        miou.append(counts.miou)
        # 46% to 88% of what the first encoding changed were seen on such maps, never more than it.
        share = counts.changed / counts.pixels
        assert 0.4 * wrong[-1] <= share <= wrong[-1]
    assert wrong[1] < wrong[0]
    assert miou[0] < miou[1] <= 1


def test_the_counts_are_the_plain_ones() -> None:
    image = COLOURS[SCENES[0].label_map]
    content = painted_encoding(image)
    places = SCENES[0].label_map.astype(np.int64)
    colours, ids = COLOURS.astype(np.int64), np.arange(len(COLOURS))
    counts = lossy_maps.counted(image, places, colours, ids, content)
    again = lossy_maps.nearest_places(lossy_maps.applied_again(image, content), colours)
    assert (counts.inexact, counts.changed) == (0, (places != again).sum())
    for value in np.union1d(places, again).tolist():
        both = ((places == value) & (again == value)).sum()
        either = ((places == value) | (again == value)).sum()
        assert counts.hits.get(str(value), 0) == both
        assert counts.unions[str(value)] == either
    assert set(counts.unions) == set(map(str, np.union1d(places, again).tolist()))


def painted_encoding(image: np.ndarray) -> lossy_maps.JPEGEncoding:
    import io

    from spade_eval.datasets.jpeg import _read

    file = io.BytesIO()
    Image.fromarray(image).save(file, format="JPEG", quality=50)
    encoding = _read(Image.open(file))
    assert encoding is not None
    return encoding


def test_the_second_pass_is_on_another_grid() -> None:
    image = COLOURS[SCENES[0].label_map]
    encoding = painted_encoding(image)
    again = lossy_maps.applied_again(image, encoding)
    assert again.shape == image.shape
    assert (again != encoding.applied(image)).any()


def test_a_stopped_conversion_goes_on_counting(tmp_path: Path) -> None:
    source = painted(tmp_path / "colours", count=2)
    convert_folder(source, tmp_path / "ids", PALETTE)
    painted(source)
    convert_folder(source, tmp_path / "ids", PALETTE)
    whole = convert_folder(painted(tmp_path / "all"), tmp_path / "whole", PALETTE)
    assert lossy_maps.recorded(tmp_path / "ids") == lossy_maps.recorded(tmp_path / "whole")
    assert convert_folder(source, tmp_path / "ids", PALETTE).lost == whole.lost


def test_exact_maps_have_no_loss_and_indices_no_jpeg(tmp_path: Path) -> None:
    written = convert_folder(painted(tmp_path / "png", "png"), tmp_path / "ids", PALETTE)
    assert written.lost == ""
    assert lossy_maps.doubts_of([tmp_path / "ids", tmp_path]) == ()
    with pytest.raises(UserError, match=r"holds 0 colour label maps; files ending in \.png"):
        convert_folder(painted(tmp_path / "jpg"), tmp_path / "other", None)


@pytest.mark.parametrize(
    "text", ["", "[]", '{"jpeg": 1}', '{"jpeg": {"files": "x"}}', '{"jpeg": {"files": 1}}']
)
def test_a_strange_mark_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / MARK).write_text(text)
    assert lossy_maps.recorded(tmp_path) is None


def test_every_score_on_such_maps_says_so(tmp_path: Path) -> None:
    convert_folder(painted(tmp_path / "colours"), tmp_path / "labels" / "val", PALETTE)
    (tmp_path / "images" / "val").mkdir(parents=True)
    for index, name in enumerate(SCENES.names):
        Image.fromarray(SCENES[index].photo).save(tmp_path / "images" / "val" / f"{name}.png")
    names = ", ".join(f'"{name}"' for name in SCENES.label_space.class_names)
    (tmp_path / "dataset.toml").write_text(
        f'images = "images/{{split}}"\nlabels = "labels/{{split}}"\nclasses = [{names}]\n'
    )
    dataset = Folder.opened("val", (64, 64), tmp_path)
    (doubt, *_) = dataset.label_doubts()
    assert doubt.startswith("3 of them come from JPEG files (quality 75, 4:2:0): ")


def test_the_command_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    palette = tmp_path / "palette.txt"
    palette.write_text("".join(f"{k} {r} {g} {b}\n" for k, (r, g, b) in enumerate(COLOURS)))
    source = painted(tmp_path / "colours", quality=30)
    with pytest.raises(SystemExit) as ended:
        main(["data", "convert", str(source), str(tmp_path / "ids"), "--palette", str(palette)])
    told = capsys.readouterr()
    assert not ended.value.code, told.err
    assert "warning: of the label maps, 3 of them come from JPEG files (quality 30" in told.out
