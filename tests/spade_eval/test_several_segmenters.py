# SPDX-License-Identifier: Apache-2.0
"""Several segmenters of one run look at the same images, each under a protocol of its own."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from spade_eval.api.settings import configured
from spade_eval.cli import main
from spade_eval.engine import Benchmark
from spade_eval.errors import UserError
from spade_eval.metrics.counts import StoredCounts
from spade_eval.protocol import further_protocol, protocol_for
from spade_eval.reports.measured.counts import counts_path
from spade_eval.reports.measured.panels import panels_of
from spade_eval.reports.run_report import write_report
from spade_eval.reports.runs import open_run
from spade_eval.rows import Request
from spade_eval.sources.source import Grey, RealPhotos

OTHERS = ("in-domain-dilated", "in-domain-pyramid")


def _with(benchmark: Benchmark, *others: str) -> Benchmark:
    config = dataclasses.replace(benchmark.config, further_segmenters=others)
    return Benchmark(config, benchmark.place)


def test_each_segmenter_has_a_table_and_images_are_made_once(
    benchmark_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def counted(self: Grey, indices: Sequence[int], samples: Sequence[Any]) -> Any:
        made.extend(indices)
        return RealPhotos().floats(indices, samples)

    monkeypatch.setattr(Grey, "floats", counted)
    suite = _with(benchmark_in(), *OTHERS)
    assert suite.run(Request()) == ["real", "oracle", "grey", "label colours"]
    assert made == [0, 1, 2, 3]
    groups = open_run(suite.place.run_folder).groups
    assert [group.key.profile for group in groups] == [
        "in-domain", "in-domain with in-domain-dilated", "in-domain with in-domain-pyramid"
    ]  # fmt: skip
    assert len({group.key.segmenter_sha256 for group in groups}) == 3
    assert suite.run(Request()) == []


def test_a_run_that_lacks_one_segmenter_measures_that_one_alone(benchmark_in: Any) -> None:
    plain = benchmark_in()
    alone = dataclasses.replace(plain.config, further_segmenters=())
    Benchmark(alone, plain.place).run(Request())
    before = {item.job_sha256 for item in plain.store}
    wider = _with(plain, OTHERS[0])
    (plain.place.run_folder / "config.json").unlink()  # another configuration has another folder
    assert len(wider.run(Request())) == 4
    after = [item for item in wider.store if item.job_sha256 not in before]
    assert {item.profile for item in after} == {f"in-domain with {OTHERS[0]}"}


def test_counts_of_each_segmenter_are_kept_apart(benchmark_in: Any) -> None:
    suite = _with(benchmark_in(), OTHERS[0])
    suite.run(Request())
    run = open_run(suite.place.run_folder)
    (panel,) = panels_of(run.groups)
    assert [row[0].title for row in panel.rows] == ["real", "oracle", "grey", "label colours"]
    first, second = (
        StoredCounts.load(counts_path(run.folder, row.measurements[0])) for row in panel.rows[0]
    )
    assert (first.target == second.target).all()
    assert (first.prediction != second.prediction).any()


def test_the_report_joins_the_segmenters_and_keeps_their_tables_apart(benchmark_in: Any) -> None:
    suite = _with(benchmark_in(), OTHERS[0])
    suite.run(Request())
    written = write_report(suite.place.run_folder)
    names = {path.relative_to(suite.place.run_folder).as_posix() for path in written.paths}
    assert "tables/segmenters.md" in names
    assert sum(name.endswith("/scores.csv") for name in names) == 2
    text = (suite.place.run_folder / "tables" / "segmenters.md").read_text("utf-8")
    assert "mIoU, in-domain U-Net" in text
    assert "mIoU, in-domain dilated" in text


def test_a_further_segmenter_has_no_fid_of_its_own() -> None:
    first = protocol_for("modern", "cityscapes", "drn-d-105")
    further = further_protocol(first, "cityscapes", "drn-d-105-ms")
    assert further.fid_profiles == ()
    assert further.profile == "modern with drn-d-105-ms without FID"
    without = protocol_for("modern", "cityscapes", "drn-d-105", "none")
    assert further_protocol(without, "cityscapes", "drn-d-105-ms") == further


@pytest.mark.parametrize("fid", ["pytorch-fid", "clean-fid", "none"])
def test_a_further_in_domain_segmenter_has_the_distance_of_its_own_features(fid: str) -> None:
    first = protocol_for("in-domain", "scenes", fid_profile=fid)
    further = further_protocol(first, "scenes", OTHERS[0])
    assert further.fid_profiles == first.fid_profiles
    assert further.segmenter == OTHERS[0]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("in-domain", "in-domain-dilated --until miou+-5"), "would stop elsewhere"),
        (("in-domain", "in-domain"), "holds a name twice"),
        (("in-domain", "drn-d-105"), "in-domain is a profile of its own"),
        (("in-domain-deep",), "in-domain-deep"),
    ],
)
def test_segmenters_that_cannot_go_together_are_refused_before_work(
    names: Sequence[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = " ".join(f"--segmenter {name}" for name in names).split()
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", *flags, "--out", str(tmp_path / "run"), "--budget", "smoke"])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run" / "records.jsonl").exists()


def test_a_segmenter_of_a_folder_goes_by_the_folder_s_name(tmp_path: Path) -> None:
    """So that its records are the same wherever it lies, and a name is that of one alone."""
    names = [f"hf:{tmp_path / place / 'best'}" for place in "ab"]
    for name in names:
        Path(name.removeprefix("hf:")).mkdir(parents=True)
    one, other = (protocol_for("modern", "scenes", name) for name in names)
    assert (one.profile, one.segmenter) == ("modern with hf:best", names[0])
    assert (one.profile, one.hashed()) == (other.profile, other.hashed())
    hub = protocol_for("modern", "scenes", "hf:nvidia/best")
    assert hub.profile == "modern with hf:nvidia/best"
    with pytest.raises(UserError, match="holds a name twice"):
        configured("scenes", "smoke", 0, None, names)
