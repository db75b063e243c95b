# SPDX-License-Identifier: Apache-2.0
"""`evaluate`, `evaluate_images`, `compare`: the numbers, records and pages of the command line."""

import dataclasses
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from few_scenes import few_scenes
from torch import Tensor

import spade_eval as se
from spade_eval import datasets
from spade_eval.api.running import benchmark_of
from spade_eval.cli import main
from spade_eval.records import RecordStore

TABLE = torch.rand(256, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def four_scenes_a_split(four_scenes: None) -> None:
    """Every test scores four images."""


def coloured(batch: se.MapBatch) -> Tensor:
    """Random colours a class, uint8: what a PNG holds."""
    return (TABLE[batch.label_map].permute(0, 3, 1, 2) * 255).to(torch.uint8)


def evaluated(out: Path, name: str = "coloured", **options: object) -> se.Result:
    return se.evaluate(
        coloured, name=name, dataset="scenes", device="cpu", out=out, value_range="uint8", **options
    )  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(datasets.DATASETS, "scenes", few_scenes(4))
        evaluated(tmp_path_factory.mktemp("api") / "run")
    return next((tmp_path_factory.getbasetemp()).glob("api*/run"))


@pytest.fixture(scope="module")
def written(run: Path) -> Path:
    return run / "images" / "coloured"


def numbers(run: Path, name: str) -> dict[object, float | None]:
    store = RecordStore(run / "records.jsonl")
    return {(item.metric, item.class_name): item.value for item in store if item.source == name}


def test_a_result_says_what_was_recorded(run: Path) -> None:
    result = evaluated(run)
    recorded = numbers(run, "coloured")
    assert {name: result[name] for name in result.metrics} == {
        name: value for (name, of_class), value in recorded.items() if of_class is None
    }  # type: ignore[misc]
    assert len(result.frame) == len(recorded)
    sky = result.frame.query("metric == 'iou' and `class` == 'sky'")
    assert sky["value"].item() == recorded["iou", "sky"]
    low, high = result.interval("miou") or (1.0, 0.0)
    assert low <= (result["miou"] or 0) <= high
    assert result.frame.query("metric == 'miou'")["low"].item() == low
    with pytest.raises(se.UserError, match="no metric of coloured is called 'mIoU'"):
        result["mIoU"]


def test_a_generator_is_scored_once(run: Path) -> None:
    before = (run / "records.jsonl").read_bytes()
    assert evaluated(run)["miou"] is not None
    assert (run / "records.jsonl").read_bytes() == before


def test_the_command_line_gives_the_same_numbers(run: Path, written: Path, tmp_path: Path) -> None:
    """The same images as files, under the same configuration."""
    shutil.copytree(run, tmp_path / "run")
    command = ["score", f"files={written}", "--out", str(tmp_path / "run"), "--device", "cpu"]
    with pytest.raises(SystemExit, match="0"):
        main(command)
    assert numbers(tmp_path / "run", "files") == numbers(run, "coloured")
    table = (tmp_path / "run" / "tables" / "scores.csv").read_text()
    assert "coloured" in table, "one table holds both"


def test_images_in_any_form_give_the_same_numbers(run: Path, written: Path, tmp_path: Path) -> None:
    from PIL import Image

    paths = sorted(written.glob("*.png"))
    pictures = {path.stem: Image.open(path) for path in paths}
    names = benchmark_of(dataset="scenes", device="cpu").dataset.names
    np.save(tmp_path / "array.npy", np.stack([np.asarray(pictures[name]) for name in names]))
    with zipfile.ZipFile(tmp_path / "zip.zip", "w") as archive:
        for path in paths:
            archive.write(path, f"out/{path.name}")
    forms: dict[str, object] = {
        "folder": written,
        "zip": tmp_path / "zip.zip",
        "array": str(tmp_path / "array.npy"),
        "iterator": ((name, pictures[name]) for name in reversed(names)),
    }
    for name, form in forms.items():
        result = se.evaluate_images(form, name=name, dataset="scenes", device="cpu", out=run)  # type: ignore[arg-type]
        assert numbers(run, name) == numbers(run, "coloured"), name
        assert result.row.kind == "images"


def test_another_generator_of_one_name_is_scored_and_told(run: Path) -> None:
    first = se.evaluate(coloured, name="changing", device="cpu", out=run, value_range="uint8")

    def other(batch: se.MapBatch) -> Tensor:
        return 255 - coloured(batch)

    second = se.evaluate(other, name="changing", device="cpu", out=run, value_range="uint8")
    assert first["miou"] != second["miou"]
    assert first["miou"] == numbers(run, "coloured")["miou", None], "a result stays what it was"
    again = se.evaluate(coloured, name="changing", device="cpu", out=run, value_range="uint8")
    assert again["miou"] == first["miou"], "that of the generator at hand, not the last one"


def test_nothing_recorded_is_lost_when_a_generator_fails(run: Path) -> None:
    before = (run / "records.jsonl").read_bytes()

    def late(batch: se.MapBatch) -> Tensor:
        return coloured(batch)[:-1]

    with pytest.raises(se.UserError, match="3 images for 4 label maps"):
        se.evaluate(late, device="cpu", out=run, value_range="uint8")
    assert (run / "records.jsonl").read_bytes() == before


def test_results_are_compared_paired_by_image(run: Path, tmp_path: Path) -> None:
    def black(batch: se.MapBatch) -> Tensor:
        return torch.zeros(len(batch), 3, *batch.size)

    mine = evaluated(run)
    # Another run folder of the same configuration.
    other = se.evaluate(black, device="cpu", out=tmp_path / "other", value_range="[0,1]")
    comparison = se.compare(mine, other, "grey")
    line = comparison.frame.query("metric == 'miou' and baseline == 'black'")
    assert line["difference"].item() == pytest.approx((mine["miou"] or 0) - (other["miou"] or 0))
    assert set(comparison.frame["baseline"]) == {"black", "grey"}
    assert len(comparison.images) > 0
    assert "mIoU" in repr(comparison)
    assert "black" in comparison._repr_html_()

    page = comparison.report(tmp_path / "page.html").read_text()
    assert "data:image/svg+xml;base64," in page, "figures are inside"
    assert 'src="plots/' not in page
    assert {path.name for path in tmp_path.iterdir()} == {"other", "page.html"}
    folder = comparison.report(tmp_path / "page").parent
    assert any(folder.rglob("*.png"))


def test_what_cannot_be_compared_is_refused(run: Path, tmp_path: Path) -> None:
    mine = evaluated(run)
    other = evaluated(tmp_path / "three", name="other", limit=3)
    for baselines, told in (
        ((), "no baseline"),
        ((mine,), "two rows are called 'coloured'"),
        (("nobody",), "no row is called 'nobody'"),
        ((other,), "no row is called"),
    ):
        with pytest.raises(se.UserError, match=told):
            se.compare(mine, *baselines)  # type: ignore[arg-type]


def test_a_result_shows_itself(run: Path, tmp_path: Path) -> None:
    result = evaluated(run)
    shown = result._repr_html_()
    assert "<table>" in shown
    assert "coloured" in shown
    assert "oracle" in shown, "what it is to be read beside"
    assert "coloured" in repr(result)
    assert "coloured" in result.report(tmp_path / "row.html").read_text()


def test_names_become_folders() -> None:
    with pytest.raises(se.UserError, match=r"the name '\.\./up' becomes a folder"):
        evaluated(Path("unused"), name="../up")
    result = se.evaluate(
        lambda batch: coloured(batch), dataset="scenes", device="cpu", value_range="uint8"
    )
    assert result.name == "mine", "no folder is called <lambda>"
    assert not (Path.cwd() / "runs").exists() or result.run_folder.parent != Path.cwd() / "runs"


def test_image_files_have_no_other_range(written: Path) -> None:
    with pytest.raises(se.UserError, match="which hold 8 bits"):
        se.evaluate_images(written, value_range="[0,1]", dataset="scenes")


def test_further_features_are_those_of_the_command_line() -> None:
    with pytest.raises(se.UserError, match="no feature network of --features is called 'lite1'"):
        benchmark_of(features=["lite1"], device="cpu")
    plain, compared = (
        benchmark_of(features=names, device="cpu").config for names in ([], ["lite0", "lite0"])
    )
    assert compared.features == ("lite0",)
    assert plain == dataclasses.replace(compared, features=())
