# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spade_eval.datasets.base import set_name_of
from spade_eval.datasets.file_dataset import is_validation
from spade_eval.datasets.flickr_landscapes import FlickrLandscapes
from spade_eval.datasets.folder import Folder
from spade_eval.datasets.tools.check import check_files
from spade_eval.datasets.tools.proposal import propose
from spade_eval.errors import UserError

Write = Callable[..., None]
SIZE = (20, 30)
SPLIT_FOLDERS = 'images = "images/{split}"\nlabels = "labels/{split}"\n'


@pytest.fixture
def write_own(write_map: Write, write_photo: Write) -> Callable[..., Path]:
    """A folder of two samples a split with these label values and this description."""

    def write(
        root: Path, values: list[int], toml: str | None = None, dtype: Any = np.uint8
    ) -> Path:
        for split in ("train", "val"):
            for stem in ("a", "b"):
                write_photo(root / "images" / split / f"{stem}.jpg")
                ids = np.resize(np.array(values, dtype=dtype), SIZE)
                write_map(root / "labels" / split / f"{stem}.png", ids)
        if toml is not None:
            (root / "dataset.toml").write_text(SPLIT_FOLDERS + toml)
        return root

    return write


def test_values_of_any_numbering(tmp_path: Path, write_own: Callable[..., Path]) -> None:
    toml = (
        'classes = ["sky", "tree"]\nvalues = [300, 7]\nignored = [0, 9]\n'
        "palette = [[1, 2, 3], [1, 2, 3]]\n"
    )
    dataset = Folder("val", SIZE, write_own(tmp_path, [300, 7, 0, 9], toml, np.uint16))
    assert dataset.label_space.class_names == ("sky", "tree")
    assert dataset.label_space.palette == ((1, 2, 3), (1, 2, 4))
    assert dataset[0].label_map[0, :4].tolist() == [0, 1, 255, 255]
    assert not dataset.has_instances


def test_a_name_titles_the_tables(tmp_path: Path, write_own: Callable[..., Path]) -> None:
    toml = 'classes = ["sky", "tree"]\n'
    root = write_own(tmp_path, [0, 1], toml)
    assert set_name_of(Folder("val", SIZE, root)) == "folder"
    before = Folder("val", SIZE, root).fingerprint()
    write_own(tmp_path, [0, 1], toml + 'name = "Cité & trees"\n')
    named = Folder("val", SIZE, root)
    assert set_name_of(named) == "folder (Cité & trees)"
    assert named.fingerprint() == before, "a title is no content"
    for wrong in ('""', '" a"', '"a\\nb"', f'"{"a" * 61}"', "3"):
        write_own(tmp_path, [0, 1], f"{toml}name = {wrong}\n")
        with pytest.raises(UserError, match="name"):
            Folder("val", SIZE, root)


def test_eight_bit_values_with_gaps(tmp_path: Path, write_own: Callable[..., Path]) -> None:
    toml = 'classes = ["sky", "tree"]\nvalues = [30, 7]\nignored = [0]\n'
    root = write_own(tmp_path, [30, 7, 0], toml)
    assert Folder("val", SIZE, root)[0].label_map[0, :3].tolist() == [0, 1, 255]
    write_own(tmp_path, [30, 7, 8])
    with pytest.raises(UserError, match=r"label ids 8 were found, 7, 30 or 0 \(unlabelled\)"):
        Folder("val", SIZE, root)[0]


@pytest.mark.parametrize(
    "edited",
    [
        'classes = ["tree", "sky"]\nignored = [9]\n',
        'classes = ["sky", "tree"]\nignored = [8]\n',
        'classes = ["sky", "tree"]\nvalues = [1, 0]\nignored = [9]\n',
        'classes = ["sky", "tree"]\n',
        'classes = ["sky", "tree"]\nignored = [9]\npalette = [[255, 0, 0], [0, 255, 0]]\n',
    ],
)
def test_fingerprint_follows_the_description(
    tmp_path: Path, write_own: Callable[..., Path], edited: str
) -> None:
    described = 'classes = ["sky", "tree"]\nignored = [9]\n'
    root = write_own(tmp_path, [0, 1], described)
    first = Folder("val", SIZE, root).fingerprint()
    (root / "dataset.toml").write_text(SPLIT_FOLDERS + edited)
    assert Folder("val", SIZE, root).fingerprint() != first
    (root / "dataset.toml").write_text(f"# a remark\n{SPLIT_FOLDERS}{described}")
    assert Folder("val", SIZE, root).fingerprint() == first


@pytest.mark.parametrize("role", ["images", "labels"])
def test_fingerprint_follows_content_of_the_same_size(
    tmp_path: Path, write_own: Callable[..., Path], role: str
) -> None:
    root = write_own(tmp_path, [0, 1], 'classes = ["sky", "tree"]\n')
    opened = Folder("val", SIZE, root)
    first = opened.fingerprint()
    path = sorted((root / role / "val").iterdir())[0]
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert Folder("val", SIZE, root).fingerprint() != first
    assert opened.fingerprint() == first, "a run has one identity, from its start"
    path.write_bytes(content)
    assert Folder("val", SIZE, root).fingerprint() == first


def test_fingerprint_follows_which_photo_has_which_labels(
    tmp_path: Path, write_own: Callable[..., Path], write_map: Write
) -> None:
    root = write_own(tmp_path, [0, 1], 'classes = ["sky", "tree"]\n')
    write_map(root / "labels" / "val" / "b.png", np.ones(SIZE, dtype=np.uint8))
    first = Folder("val", SIZE, root).fingerprint()
    one, other = (root / "labels" / "val" / f"{stem}.png" for stem in ("a", "b"))
    swapped = one.read_bytes(), other.read_bytes()
    other.write_bytes(swapped[0])
    one.write_bytes(swapped[1])
    assert Folder("val", SIZE, root).fingerprint() != first


@pytest.mark.parametrize(
    ("toml", "part"),
    [
        ('classes = ["a", "a"]', "names that differ"),
        ('classes = ["a"]\nvalues = [1, 2]', "1 values, one a class"),
        ('classes = ["a"]\nvalues = [1]\nignored = [1]', "values that differ"),
        ('classes = ["a"]\npalette = [[1, 2]]', "red, green, blue"),
        ('classes = ["a"]\ncolors = []', "colors is no key"),
        ('classes = "a"', "a list was expected"),
        ("values = [1]", "classes is missing"),
        ('classes = ["a"', "is not TOML"),
        ('classes = ["a"]\nval_share = 2', "between 0 and 1"),
        ('classes = ["a"]\npalette = ' + "[" * 5000 + "]" * 5000, "nested deeper than 20"),
        ('classes = ["a"]\npalette = ' + "[" * 30 + "]" * 30, "nested deeper than 20"),
        ('classes = ["a"]\nx = ' + "{a = " * 5000 + "1" + "}" * 5000, "nested deeper than 20"),
        ('classes = ["a"]\nval_share = 1' + "0" * 5000, "whole number of more than 64 bits"),
        ('classes = ["a"]\nval_share = 0x' + "f" * 5000, "whole number of more than 64 bits"),
        ('classes = ["a"]\nval_share = 1e999', "between 0 and 1"),
        ('classes = ["a"]\n' + "a." * 100_000 + "a = 1", "a key has more than 20 parts"),
        ('classes = ["a"]\n["#".' + '"a" . ' * 100_000 + "a]", "a key has more than 20 parts"),
        ('classes = ["a"]\n#' + "x" * (8 << 20), r"expected at most 8,388,608"),
        ('classes = ["a"]\n' + "".join(f"x{i} = 1\n" for i in range(99)), r"\.\.\. \(99 in all\)"),
        ('classes = ["a"]\ninstances = "none"', "which is no folder"),
        (f'classes = ["a"]\ninstances = "{"n" * 5000}"', "which is no folder"),
        (f"classes = {'[' * 5000}", "is not TOML"),
        (f'classes = ["a"]\nval_share = {"9" * 400}', "whole number of more than 64 bits"),
        ('classes = ["a"]\nval_share = true', "a float was expected"),
        ('classes = ["a"]\nvalues = [true]', r"numbers 0\.\.65535"),
        ('classes = ["a"]\ncrop = 1', "a bool was expected"),
        ('classes = ["a"]\nsegmenter = "scenes"', "segmenter: the classes of scenes"),
        ('classes = ["a"]\nsegmenter = "ade20k"', r"no shipped segmenter in .* is called 'ade20k'"),
    ],
)
def test_faults_of_a_description_are_named(
    tmp_path: Path, write_own: Callable[..., Path], toml: str, part: str
) -> None:
    with pytest.raises(UserError, match=part) as raised:
        Folder("val", SIZE, write_own(tmp_path, [0], toml))
    assert "\n" not in str(raised.value)
    assert "dataset.toml" in str(raised.value)


def test_a_description_may_have_a_byte_order_mark(
    tmp_path: Path, write_own: Callable[..., Path]
) -> None:
    path = write_own(tmp_path, [0], 'classes = ["caf\u00e9"]\n') / "dataset.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8-sig")
    assert Folder("val", SIZE, tmp_path).label_space.class_names == ("caf\u00e9",)
    path.write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"dataset\.toml: is no text in UTF-8"):
        Folder("val", SIZE, tmp_path)


def test_dots_in_texts_and_comments_are_no_keys(
    tmp_path: Path, write_own: Callable[..., Path]
) -> None:
    dots = "." * 100
    root = write_own(tmp_path, [0], f'# "{dots}\nclasses = ["a\\"{dots}"]  # {dots}')
    assert Folder("val", SIZE, root).label_space.class_names == (f'a"{dots}',)


def test_no_description_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="check --dataset folder"):
        Folder("val", SIZE, tmp_path)


def test_folders_without_splits_are_split_by_name(
    tmp_path: Path, write_map: Write, write_photo: Write
) -> None:
    for number in range(40):
        write_photo(tmp_path / "images" / f"{number}.jpg")
        write_map(tmp_path / "labels" / f"{number}.png", np.zeros(SIZE, dtype=np.uint8))
    (tmp_path / "dataset.toml").write_text(
        'images = "images"\nlabels = "labels"\nclasses = ["a"]\nval_share = 0.3\n'
    )
    train, val = (Folder(split, SIZE, tmp_path).names for split in ("train", "val"))
    assert sorted(train + val) == sorted(map(str, range(40)))
    # 40 draws with p = 0.3: 12 expected, 3 standard deviations are 9.
    assert 3 <= len(val) <= 21
    flickr = FlickrLandscapes("train", SIZE, tmp_path)
    assert len(flickr) >= 35
    assert flickr.label_space.num_classes == 182


def test_validation_is_a_share_of_names() -> None:
    chosen = sum(is_validation(f"photo{number}", 1 / 41) for number in range(4100))
    assert abs(chosen - 100) < 40  # 4 standard deviations
    assert not is_validation("a", 0.0)


def test_flickr_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="spade-eval data label"):
        FlickrLandscapes("val", SIZE, tmp_path)


@pytest.mark.parametrize(
    ("values", "classes", "ignored", "part"),
    [
        ([0, 1, 2, 255], (0, 1, 2), (255,), "3 classes (values 0..2), ignored: 255"),
        ([0, 1, 2], (0, 1, 2), (), "ignored: none"),
        ([0, 3, 255], (0, 3), (255,), "values 1, 2 never occur"),
        ([0, 255], (0, 255), (), "black and white masks"),
        ([254, 255], (254, 255), (), "values 254, 255"),
    ],
)
def test_proposals(
    tmp_path: Path,
    write_own: Callable[..., Path],
    values: list[int],
    classes: tuple[int, ...],
    ignored: tuple[int, ...],
    part: str,
) -> None:
    root = write_own(tmp_path, values)
    proposal = propose(root)
    assert (proposal.classes, proposal.ignored) == (classes, ignored)
    assert part in "\n".join(proposal.lines())
    (root / "dataset.toml").write_text(proposal.toml)
    assert check_files(Folder, root).problems == []


def test_colour_files_are_told_from_ids(
    tmp_path: Path, write_own: Callable[..., Path], write_map: Write
) -> None:
    root = write_own(tmp_path, [0, 1])
    write_map(root / "labels" / "val" / "a.png", np.zeros((*SIZE, 3), dtype=np.uint8))
    text = "\n".join(propose(root).lines())
    assert "problem: " in text
    assert "data convert" in text


def test_folders_that_cannot_be_told_are_listed(tmp_path: Path) -> None:
    (tmp_path / "stuff").mkdir()
    with pytest.raises(UserError, match="no folder of photos was found among stuff"):
        propose(tmp_path)


def test_binary_masks_read_as_unlabelled_are_a_problem(
    tmp_path: Path, write_own: Callable[..., Path]
) -> None:
    root = write_own(tmp_path, [0, 255], 'classes = ["a"]\nignored = [255]\n')
    assert "black and white masks" in check_files(Folder, root).problems[0]
