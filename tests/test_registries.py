# SPDX-License-Identifier: Apache-2.0
"""Checks that every entry of a table gets without asking for them."""

from pathlib import Path

import pytest
import torch

from models.generators import GENERATORS, build_generator
from spade_eval.batches import layout_of, semantic_map, training_batch
from spade_eval.config import BUDGETS, FIRST_THREE, budget_for
from spade_eval.datasets import DATASETS, open_dataset
from spade_eval.datasets.base import IGNORE_INDEX, Dataset
from spade_eval.errors import UserError, lookup
from spade_eval.metrics import METRICS
from spade_eval.protocol import PROFILES

SIZE = (64, 64)


@pytest.fixture(params=sorted(DATASETS))
def dataset(request: pytest.FixtureRequest, coco_like: Path) -> Dataset:
    return open_dataset(request.param, "val", SIZE, coco_like)


@pytest.fixture
def coco_like(tmp_path: Path) -> Path:
    """Two files of COCO-Stuff's form, made here."""
    from PIL import Image

    for split in ("train", "val"):
        for kind in ("img", "label", "inst"):
            folder = tmp_path / f"{split}_{kind}"
            folder.mkdir()
            for index, stem in enumerate(("000000000139", "000000000785")):
                if kind == "img":
                    photo = Image.linear_gradient("L").rotate(90).resize((80, 70))
                    photo.convert("RGB").save(folder / f"{stem}.jpg")
                    continue
                values = Image.new("L", (80, 70), 3 + index)
                values.paste(IGNORE_INDEX if kind == "label" else 9, (10, 10, 40, 30))
                values.save(folder / f"{stem}.png")
    return tmp_path


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
    batch = training_batch([dataset[0], dataset[1]], layout, torch.device("cpu"))
    assert batch.semantics.full.shape == (2, layout.num_labels, *SIZE)
    assert -1 <= batch.photos.min() <= batch.photos.max() <= 1
    one_hot = batch.semantics.full[:, : layout.num_labels - layout.edges]
    assert torch.equal(one_hot.sum(dim=1), torch.ones(2, *SIZE))


@pytest.mark.parametrize("model", FIRST_THREE)
def test_the_default_models_take_every_dataset(model: str, dataset: Dataset) -> None:
    layout = layout_of(dataset)
    generator = build_generator(model, layout.num_labels, image_size=SIZE, width=4 / 64).eval()
    with torch.inference_mode():
        images = generator(semantic_map([dataset[0]], layout, torch.device("cpu")))
    assert images.shape == (1, 3, *SIZE)
    assert images.abs().max() <= 1


def test_every_dataset_has_budgets_and_they_are_trainable() -> None:
    assert set(BUDGETS) == set(DATASETS)
    for dataset, budgets in BUDGETS.items():
        assert {"smoke", "default"} <= set(budgets)
        for name in budgets:
            budget = budget_for(dataset, name)
            assert all(side % 32 == 0 for side in budget.size), "five upsamplings"


def test_names_are_lower_case_words() -> None:
    for table in (GENERATORS, DATASETS, METRICS, PROFILES):
        for name in table:
            assert name == name.lower()
            assert name.replace("_", "").replace("-", "").isalnum()


def test_a_wrong_name_is_answered_with_the_near_ones_and_the_list() -> None:
    with pytest.raises(UserError, match=r"no metric is called 'miuo'; did you mean miou\b.*fid"):
        lookup(METRICS, "miuo", "metric")
    with pytest.raises(UserError, match=r"no metric is called 'xyz'\. Known: "):
        lookup(METRICS, "xyz", "metric")
