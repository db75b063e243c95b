# SPDX-License-Identifier: Apache-2.0
"""Photos to label maps: the other direction of CycleGAN, scored as a segmenter."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spade_eval.engine import Benchmark
from spade_eval.metrics.counts import StoredCounts
from spade_eval.models.colours import written_palette
from spade_eval.papers.tables import paper_table_called
from spade_eval.records import PHOTOS_TO_LABELS
from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.reports.tables.paper_tables import paper_table
from spade_eval.rows import Request
from spade_eval.scoring.reversal import NearestColours
from spade_eval.sources.checkpoints import open_checkpoint

Make = Callable[..., Benchmark]


class Mirror(nn.Module):
    """Stands for a network that paints what it is shown."""

    def translated(self, images: Tensor) -> Tensor:
        return images


def test_a_perfect_painter_is_a_perfect_segmenter() -> None:
    colours = ((255, 0, 0), (0, 200, 0), (0, 0, 90))
    palette = written_palette(colours, 3, unlabelled_first=False)
    labels = torch.randint(0, 3, (2, 6, 5), generator=torch.Generator().manual_seed(0))
    painted = torch.tensor(colours)[labels].permute(0, 3, 1, 2) / 255
    segmenter = NearestColours(Mirror(), palette, 3)
    assert torch.equal(segmenter(painted).argmax(dim=1), labels)
    assert torch.equal(segmenter((painted + 0.1).clamp(0, 1)).argmax(dim=1), labels)
    assert (segmenter(painted).amax(dim=1).abs() < 1e-10).all(), "the distance to its own colour"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the run of the first test that needs it is kept for the others."""
    return tmp_path_factory.mktemp("kept") / "run"


@pytest.fixture
def measured(benchmark_in: Make, kept: Path) -> Benchmark:
    benchmark = benchmark_in()
    if kept.is_dir():
        shutil.copytree(kept, benchmark.place.run_folder)
    else:
        benchmark.run(Request(("cyclegan",)))
        shutil.copytree(benchmark.place.run_folder, kept)
    return benchmark_in()


def test_the_other_direction_is_scored_on_the_photos_in_a_table_of_its_own(
    measured: Benchmark,
) -> None:
    records = [item for item in measured.store if item.profile == PHOTOS_TO_LABELS]
    assert {item.source for item in records} == {"cyclegan"}
    assert not any(item.features or item.metric.startswith(("fid", "fd")) for item in records)
    assert len(by_protocol(measured.store)) == 2
    (file,) = measured.place.run_folder.glob("checkpoints/*/to_labels.safetensors")
    painter = open_checkpoint(file).network
    dataset = measured.dataset
    palette = np.array(dataset.label_space.palette, dtype=np.int64)
    right = np.zeros(len(palette), dtype=np.int64)
    either = np.zeros(len(palette), dtype=np.int64)
    there = np.zeros(len(palette), dtype=bool)
    for index in range(measured.count):
        sample = dataset[index]
        photo = torch.from_numpy(sample.photo.copy()).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.no_grad():
            painted = (painter.translated(photo)[0].permute(1, 2, 0).double().numpy() + 1) * 127.5
        nearest = np.square(painted[:, :, None] - palette).sum(axis=3).argmin(axis=2)
        for label in range(len(palette)):
            true, found = sample.label_map == label, nearest == label
            right[label] += (true & found).sum()
            either[label] += (true | found).sum()
            there[label] |= true.any()
    expected = (right[there] / either[there]).mean()
    (miou,) = (item.value for item in records if item.metric == "miou")
    # Colours may lie within rounding of the middle between two, in a pixel or two of 65,536.
    assert miou == pytest.approx(expected, abs=1e-4)
    (first, *_) = records
    assert first.segmenter_sha256 is None, "methods share the table"
    assert first.source_sha256 not in {
        item.source_sha256 for item in measured.store if item.profile != PHOTOS_TO_LABELS
    }
    assert first.parameters == sum(weight.numel() for weight in painter.parameters())
    assert any("from photos to label maps, as a segmenter" in note for note in first.notes)
    folder = measured.place.run_folder / "counts"
    counts = StoredCounts.load(folder / f"cyclegan-{first.job_sha256[:8]}.npz")
    assert len(counts.names) == measured.count


def test_what_is_recorded_is_not_measured_again_and_what_is_missing_is(
    measured: Benchmark, benchmark_in: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = measured.store.path.read_text().splitlines(keepends=True)
    again = benchmark_in()
    with monkeypatch.context() as patch:
        patch.setattr(Benchmark, "_train", lambda *_: pytest.fail("nothing is missing"))
        assert again.run(Request(("cyclegan",))) == []
    kept = [line for line in lines if PHOTOS_TO_LABELS not in line]
    assert 0 < len(kept) < len(lines)
    measured.store.path.write_text("".join(kept))  # as a run that was killed in between leaves it
    benchmark_in().run(Request(("cyclegan",)))

    def values(benchmark: Benchmark) -> list[tuple[str, str | None, float | None]]:
        return [
            (item.metric, item.class_name, item.value)
            for item in benchmark.store
            if item.profile == PHOTOS_TO_LABELS
        ]

    found = values(benchmark_in())
    assert len(found) == len(lines) - len(kept)
    assert (Path(measured.store.path).read_text().count("\n")) == len(lines)


def test_a_papers_table_takes_the_images_alone(measured: Benchmark) -> None:
    table = paper_table(paper_table_called("1"), by_protocol(measured.store))
    assert table["row"].tolist().count("cyclegan") == 1
