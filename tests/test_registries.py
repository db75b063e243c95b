# SPDX-License-Identifier: Apache-2.0
"""Checks that every entry of a table gets without asking for them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from spade_eval.batches import layout_of, semantic_map, training_batch
from spade_eval.config import FIRST_THREE, budgets_of
from spade_eval.datasets import DATASETS, open_dataset
from spade_eval.datasets.base import Dataset
from spade_eval.errors import UserError, lookup
from spade_eval.metrics import METRICS, columns
from spade_eval.models.inputs import Noise
from spade_eval.models.labels import IGNORE_INDEX
from spade_eval.models.systems.presets import GENERATORS, build_generator
from spade_eval.protocol import PROFILES

SIZE = (64, 64)


@pytest.fixture(params=sorted(DATASETS))
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
    """Each dataset from a tiny folder of its official form, made here."""
    write_files_of(request.param, tmp_path)
    return open_dataset(request.param, "val", SIZE, tmp_path)


def write_files_of(dataset: str, root: Path) -> None:
    """Two samples a split with the file values of the dataset."""
    photos, labels, instances, values = {
        "cocostuff": ("{split}_img", "{split}_label", "{split}_inst", (3, 4, 255)),
        "ade20k": ("images/{long}", "annotations/{long}", None, (3, 150, 0)),
        "ade20k_outdoor": ("images/{long}", "annotations/{long}", None, (3, 150, 0)),
        "cityscapes": ("leftImg8bit/{split}/ulm", "gtFine/{split}/ulm", "", (0, 33, 7)),
        "flickr_landscapes": ("images/{split}", "labels/{split}", None, (3, 4, 5)),
        "folder": ("photos/{split}", "ids/{split}", "objects/{split}", (10, 20, 7)),
        "scenes": (None, None, None, (0, 0, 0)),
    }[dataset]
    stems = ("000000000139", "000000000785")
    endings = ("", "", "")
    if dataset == "cityscapes":
        instances = labels
        stems = ("ulm_000000_000019", "ulm_000001_000019")
        endings = ("_leftImg8bit", "_gtFine_labelIds", "_gtFine_instanceIds")
    if dataset == "folder":
        (root / "dataset.toml").write_text(
            'images = "photos/{split}"\nlabels = "ids/{split}"\ninstances = "objects/{split}"\n'
            'classes = ["sky", "tree"]\nvalues = [10, 20]\nignored = [7]\n'
        )
    for split, long in (("train", "training"), ("val", "validation")):
        for role, folder in enumerate((photos, labels, instances)):
            if folder is None:
                continue
            place = root / folder.format(split=split, long=long)
            for index, stem in enumerate(stems):
                file = place / f"{stem}{endings[role]}.png"
                write_file(file, role, (values[index], values[2]))
        if dataset == "ade20k_outdoor":
            (root / dataset).mkdir(exist_ok=True)
            (root / dataset / f"{split}.txt").write_text("\n".join(stems))


def write_file(path: Path, role: int, values: tuple[int, int]) -> None:
    """A photo (0), a label map (1) of two values or a 16-bit instance map (2)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if role == 0:
        photo = Image.linear_gradient("L").rotate(90).resize((80, 70))
        photo.convert("RGB").save(path)
        return
    ids = np.full((70, 80), values[0], dtype=np.uint8 if role == 1 else np.uint16)
    ids[10:30, 10:40] = values[1] if role == 1 else 40_000
    Image.fromarray(ids).save(path)


def test_a_dataset_keeps_its_promises(dataset: Dataset) -> None:
    space = dataset.label_space
    assert len(space.palette) == space.num_classes == len(set(space.class_names))
    assert len(set(space.palette)) == space.num_classes
    assert len(dataset.names) == len(dataset) == len(set(dataset.names))
    sample = dataset[0]
    assert sample.name == dataset.names[0]
    assert sample.label_map.shape == SIZE
    assert sample.photo.shape == (*SIZE, 3)
    values = set(sample.label_map.flatten().tolist())
    known = set(range(space.num_classes)) | ({IGNORE_INDEX} if space.has_unlabelled else set())
    assert values <= known
    assert (sample.instance_map is not None) == dataset.has_instances


def test_a_training_sample_is_a_function_of_seed_epoch_and_index(dataset: Dataset) -> None:
    def photo(epoch: int, seed: int) -> bytes:
        return dataset.training_sample(1, epoch, seed).photo.tobytes()

    assert photo(3, 7) == photo(3, 7)
    drawn = {photo(epoch, seed) for epoch in range(8) for seed in range(2)}
    assert len(drawn) > 1, "flips (and crops) are drawn"


def test_a_dataset_feeds_the_networks(dataset: Dataset) -> None:
    layout = layout_of(dataset)
    samples = [dataset[0], dataset[1]]
    batch = training_batch(samples, samples, layout, Noise.of_step(0, 0, 0, 2))
    assert batch.semantics.full.shape == (2, layout.num_labels, *SIZE)
    assert -1 <= batch.photos.min() <= batch.photos.max() <= 1
    one_hot = batch.semantics.full[:, : layout.num_labels - layout.edges]
    assert torch.equal(one_hot.sum(dim=1), torch.ones(2, *SIZE))


def synthesize(model: str, dataset: Dataset) -> None:
    layout = layout_of(dataset)
    generator = build_generator(model, layout.num_labels, image_size=SIZE, width=4 / 64)
    semantics = semantic_map([dataset[0], dataset[1]], layout, torch.device("cpu"))
    with torch.no_grad():
        # Spectral norm starts from random vectors; until its first power iteration it may divide
        # by next to nothing, and eight such layers in a row overflow.
        generator(semantics)
        images = generator.eval()(semantics)
    assert images.shape == (2, 3, *SIZE)
    assert images.abs().max() <= 1


def test_a_model_takes_every_dataset(dataset: Dataset) -> None:
    synthesize(FIRST_THREE[0], dataset)


@pytest.mark.parametrize("model", FIRST_THREE[1:])
def test_every_default_model_takes_a_dataset_with_instances(model: str, tmp_path: Path) -> None:
    write_files_of("cityscapes", tmp_path)
    synthesize(model, open_dataset("cityscapes", "val", SIZE, tmp_path))


def test_every_dataset_has_budgets_and_they_are_trainable() -> None:
    for dataset in DATASETS:
        budgets = budgets_of(dataset)
        assert {"smoke", "default"} <= set(budgets)
        for budget in budgets.values():
            assert all(side % 32 == 0 for side in budget.size), "five upsamplings"


def test_names_are_lower_case_words() -> None:
    for table in (GENERATORS, DATASETS, METRICS, columns(), PROFILES):
        for name in table:
            assert name == name.lower()
            assert name.replace("_", "").replace("-", "").isalnum()


def test_a_wrong_name_is_answered_with_the_near_ones_and_the_list() -> None:
    with pytest.raises(UserError, match=r"no metric is called 'miuo'; did you mean miou\b.*fid"):
        lookup(columns(), "miuo", "metric")
    with pytest.raises(UserError, match=r"no metric is called 'xyz'\. Known: "):
        lookup(columns(), "xyz", "metric")
