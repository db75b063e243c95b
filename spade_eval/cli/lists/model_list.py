# SPDX-License-Identifier: Apache-2.0
"""The generators as a list: row of the paper, parameters on each dataset, printed count.

Parameters are counted on the meta device: without memory, in some seconds for the whole list.
The paper prints one count a network (Table 3), which is that of ADE20K.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spade_eval.errors import UserError, lookup
from spade_eval.files import written_whole
from spade_eval.models.labels import LAYOUTS, SemanticLayout
from spade_eval.models.systems.base import Difference, System
from spade_eval.models.systems.presets import GENERATORS, count_parameters, systems
from spade_eval.models.systems.settings import difference


@dataclass(frozen=True)
class ReleasedData:
    """A dataset as the releases train on it: its row of `LAYOUTS`, size, upsamplings."""

    layouts: str
    image_size: tuple[int, int] = (256, 256)
    upsampling: str = "normal"


DATASETS = {
    "ADE20K": ReleasedData("ade20k"),
    "COCO-Stuff": ReleasedData("cocostuff"),
    "Cityscapes": ReleasedData("cityscapes", (256, 512), "more"),
}


@dataclass(frozen=True)
class ListedModel:
    """One line of the list."""

    name: str
    paper_row: str
    printed_millions: int | None
    parameters: Mapping[str, int]  # by dataset
    description: str


def listed_models(names: Iterable[str] = ()) -> list[ListedModel]:
    """Return the models of these names, or all."""
    return [_listed(name) for name in tuple(names) or GENERATORS]


def layout_on(system: type[System], title: str) -> SemanticLayout:
    """Return the order of channels in which a method sees the label maps of a dataset."""
    published = LAYOUTS[DATASETS[title].layouts]
    own = published["spade"]
    return system.layout(
        published, own.num_classes, has_unlabelled=own.unknown != "none", has_instances=own.edges
    )


def _listed(name: str) -> ListedModel:
    preset = lookup(GENERATORS, name, "generator")
    counts = {}
    for title, data in DATASETS.items():
        layout = layout_on(preset.system, title)
        settings: dict[str, Any] = {"image_size": data.image_size, "edges": layout.edges}
        if "upsampling" in preset.network.Config.__dataclass_fields__:  # type: ignore[attr-defined]
            settings["upsampling"] = data.upsampling
        counts[title] = count_parameters(name, layout.num_labels, **settings)
    return ListedModel(name, preset.source, preset.millions, counts, preset.description)


def table(models: Sequence[ListedModel]) -> list[str]:
    """Return lines of text: a header, then two lines a model."""
    widths = [max(len(model.name) for model in models), 7, *(len(title) for title in DATASETS)]

    def line(cells: Sequence[str], last: str) -> str:
        first, *numbers = (
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join([first, *numbers, last])

    lines = ["Parameters in millions at full width; `printed` is the paper's count (ADE20K's).", ""]
    lines.append(line(["name", "printed", *DATASETS], "row of the paper"))
    for model in models:
        printed = "-" if model.printed_millions is None else str(model.printed_millions)
        counts = [f"{model.parameters[title] / 1e6:.2f}" for title in DATASETS]
        lines.append(line([model.name, printed, *counts], model.paper_row))
        lines.append(f"    {model.description}")
    return lines


def write_csv(models: Sequence[ListedModel], path: Path) -> None:
    """Write the list with exact counts, one row a model."""
    parameters = [f"parameters {title}" for title in DATASETS]
    rows: list[list[object]] = [
        ["name", "paper_row", "printed_millions", *parameters, "description"]
    ]
    for model in models:
        counts = [model.parameters[title] for title in DATASETS]
        rows.append(
            [model.name, model.paper_row, model.printed_millions, *counts, model.description]
        )
    with written_whole(path) as temporary, temporary.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def settings_differences(method: str | None = None) -> list[str]:
    """Say where the settings `paper` and `release` of a method differ, or of every method.

    A generator's name stands for the method that trains it.
    """
    methods = systems()
    if method is not None and method not in methods:
        if method not in GENERATORS:
            raise UserError(
                f"no method or generator is called {method!r}; methods: {', '.join(methods)}, "
                f"generators: {', '.join(sorted(GENERATORS))}"
            )
        method = GENERATORS[method].system.name
    lines: list[str] = []
    for name in methods if method is None else (method,):
        lines += [*_of_method(methods[name]), ""]
    return lines[:-1]


def _of_method(method: type[System]) -> list[str]:
    usual = difference(method)
    if not usual:
        return [f"{method.name}: paper and release agree."]
    lines = [f"{method.name}: where its paper and its release differ", *_of_settings(usual)]
    for dataset in dict.fromkeys(dataset for _, dataset in method.settings if dataset):
        own = [item for item in difference(method, dataset) if item not in usual]
        if own:
            lines += [f"on {dataset}, besides", *_of_settings(own)]
    return lines


def _of_settings(differences: Sequence[Difference]) -> list[str]:
    lines = []
    for item in differences:
        lines += [f"  {item.setting}", f"    paper    {item.paper}", f"    release  {item.release}"]
        lines += [f"    note     {item.note}"] * bool(item.note)
    return lines
