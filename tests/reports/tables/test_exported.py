# SPDX-License-Identifier: Apache-2.0
"""Results for other pages: the JSON of a leaderboard, and the Hub's `.eval_results`."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from counted import write_run
from synthetic import job

from spade_eval.cli import main
from spade_eval.errors import UserError
from spade_eval.reports.measured.grouping import by_protocol
from spade_eval.reports.measured.seeds import seeded_rows
from spade_eval.reports.merged_report import export_runs
from spade_eval.reports.runs import open_run
from spade_eval.reports.tables.exported import (
    Board,
    Hub,
    write_eval_results,
    write_leaderboard_json,
)
from spade_eval.reports.tables.leaderboard import leaderboard

# https://huggingface.co/docs/hub/eval-results, and eval_results.yaml of huggingface/hub-docs.
DATE = r"^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d([+-]\d\d:\d\d|Z))?$"
TEXT = {"type": "string", "minLength": 1}
ENTRY = {
    "type": "object",
    "required": ["dataset", "value"],
    "additionalProperties": False,
    "properties": {
        "dataset": {
            "type": "object",
            "required": ["id", "task_id"],
            "additionalProperties": False,
            "properties": {
                "id": {"type": "string", "pattern": "^[^/]+/[^/]+$"}, "task_id": TEXT,
                "revision": TEXT,
            },
        },
        "value": {"type": "number"},
        "verifyToken": TEXT,
        "date": {"type": "string", "pattern": DATE},
        "source": {
            "type": "object",
            "required": ["url"],
            "additionalProperties": False,
            "properties": {"url": TEXT, "name": TEXT, "user": TEXT, "org": TEXT},
        },
        "evaluation_framework": TEXT,
        "notes": TEXT,
    },
}  # fmt: skip
EVAL_RESULTS = {"type": "array", "minItems": 1, "items": ENTRY}
HUB = Hub("owner/scenes", "https://example.org/runs")


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / "runs" / name for name in ("one", "two")]
    for seed, folder in enumerate(folders):
        write_run(folder, {"real": 0.1, "spade": 0.4, "concat": 0.6}, seed=seed)
    return folders


def read(path: Path) -> Any:
    def refused(constant: str) -> float:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(path.read_text("utf-8"), parse_constant=refused)


def test_one_json_holds_every_protocol_with_hash_version_and_intervals(
    runs: list[Path], tmp_path: Path
) -> None:
    opened = [open_run(folder) for folder in runs]
    (path,) = export_runs(opened, tmp_path / "out")
    content = read(path)
    assert (content["format"], content["format_version"]) == ("spade-eval leaderboard", 1)
    (protocol,) = content["protocols"]
    (group,) = by_protocol(item for run in opened for item in run.measurements)
    assert protocol["protocol_sha256"] == group.key.protocol_sha256
    assert re.match(r"\d+\.\d+", content["suite_version"])
    board = leaderboard(group, runs)
    rows = {row["row"]: row for row in protocol["rows"]}
    assert list(rows) == board["row"].tolist()
    for place, row in enumerate(protocol["rows"]):
        for part in ("", "_spread", "_images_low", "_images_high", "_seeds_low"):
            shown = row["values"]["miou"][part.removeprefix("_") or "value"]
            expected = board[f"miou{part}"][place]
            assert shown == (pytest.approx(expected) if expected == expected else None)
    miou = rows["spade"]["values"]["miou"]
    assert miou["images_low"] < miou["value"] < miou["images_high"]
    assert (rows["spade"]["competes"], rows["real"]["competes"]) == (True, False)
    assert len(rows["spade"]["jobs"]) == rows["spade"]["seeds"] == 2
    assert {"metric": "miou", "label": "miou", "unit": "%", "larger_is_better": True} in protocol[
        "metrics"
    ]
    assert protocol["notes"]
    again = export_runs(opened, tmp_path / "again")[0]
    assert again.read_bytes() == path.read_bytes()


def test_results_of_a_model_repository_have_the_documented_form(
    runs: list[Path], tmp_path: Path
) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    opened = [open_run(folder) for folder in runs]
    _, *paths = export_runs(opened, tmp_path / "out", HUB)
    assert [path.relative_to(tmp_path / "out").parts[:2] for path in paths] == [
        ("spade", ".eval_results"), ("concat", ".eval_results")
    ]  # fmt: skip
    for path in paths:
        entries = yaml.safe_load(path.read_text("utf-8"))
        jsonschema.validate(entries, EVAL_RESULTS)
    (group,) = by_protocol(item for run in opened for item in run.measurements)
    (entry,) = (
        item
        for item in yaml.safe_load(paths[0].read_text("utf-8"))
        if item["dataset"]["task_id"] == "in-domain-miou"
    )
    board = leaderboard(group, runs).set_index("row")
    assert entry["value"] == pytest.approx(100 * board["miou"]["spade"])
    assert entry["dataset"]["id"] == "owner/scenes"
    assert entry["source"] == {"url": "https://example.org/runs", "name": "spade-eval"}
    low, high = (100 * board[f"miou_images_{end}"]["spade"] for end in ("low", "high"))
    for said in (
        "miou in %, larger is better", f"95% over label maps [{low:.6g}, {high:.6g}]",
        "mean of 2 seeds", group.key.protocol_sha256, group.key.dataset_sha256,
    ):  # fmt: skip
        assert said in entry["notes"]


def test_the_hubs_own_library_reads_them(runs: list[Path], tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub", reason="the extra `hf` is not installed")
    if not hasattr(hub, "parse_eval_result_entries"):
        pytest.skip("this huggingface_hub knows no results yet")
    _, path, _ = export_runs([open_run(runs[0])], tmp_path / "out", Hub("owner/scenes"))
    entries = yaml.safe_load(path.read_text("utf-8"))
    parsed = hub.parse_eval_result_entries(entries)
    assert hub.eval_result_entries_to_yaml(parsed) == entries
    assert {item.task_id for item in parsed} >= {"in-domain-miou", "in-domain-fd_in_domain"}


def test_versions_commits_and_footnotes_go_along(tmp_path: Path) -> None:
    items = job("mine", commit="c" * 40, versions={"spade-eval": "9.8.7"}, metrics=["miou"])
    (group,) = by_protocol(items)
    board = Board(group, seeded_rows(group), leaderboard(group))
    (path,) = write_eval_results([board], HUB, tmp_path)
    (entry,) = yaml.safe_load(path.read_text("utf-8"))
    for said in ("spade-eval 9.8.7", f"commit {'c' * 40}", *items[0].notes):
        assert said in entry["notes"]
    (protocol,) = read(write_leaderboard_json([board], [], tmp_path / "x.json"))["protocols"]
    assert (protocol["suite_versions"], protocol["commits"]) == (["9.8.7"], ["c" * 40])


def test_names_of_rows_leave_no_folder(tmp_path: Path) -> None:
    names = ("../../evil", "a/b", "a b", "..", "a-b")
    items = [item for name in names for item in job(name, metrics=["miou"])]
    (group,) = by_protocol(items)
    board = Board(group, seeded_rows(group), leaderboard(group))
    paths = write_eval_results([board], HUB, tmp_path / "out")
    assert len(set(paths)) == len(names)
    for path in paths:
        assert path.parents[2] == tmp_path / "out"
        assert path.parent.parent.name not in (".", "..")


@pytest.mark.parametrize(
    "given", [("scenes", None), ("a/b/c", None), ("../x", None), ("a/b", "ftp://x"), ("a/b", "x y")]
)
def test_what_the_hub_would_not_take_is_refused(given: tuple[str, str | None]) -> None:
    with pytest.raises(UserError, match=r"^--(benchmark|source-url) [^\n]*expected[^\n]*$"):
        Hub(*given)


def test_the_command(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page"
    words = ["--json", "export", *map(str, runs), "--out", str(out), "--benchmark", "owner/scenes"]
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert not ended.value.code
    written = json.loads(capsys.readouterr().out)["written"]
    assert str(out / "leaderboard.json") in written
    assert len(written) == 3
    with pytest.raises(SystemExit) as ended:
        main(["export", str(runs[0]), "--out", str(out), "--benchmark", "nonsense"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
