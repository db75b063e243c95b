# SPDX-License-Identifier: Apache-2.0
"""Which rows a run has: what ships is scored, what is asked for is trained, and no name is two."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from few_scenes import few_scenes

from spade_eval import baselines, datasets
from spade_eval.baselines import Baseline, shipped
from spade_eval.cli import main
from spade_eval.cli.benchmark.chosen import Chosen, chosen_rows, comparing
from spade_eval.cli.options import run_config
from spade_eval.config import FIRST_THREE, RunConfig
from spade_eval.errors import UserError
from spade_eval.records import Measurement, RecordStore

USUAL = run_config("scenes", "default", 0, None)
ROW = Baseline(
    name="spade", file="spade.safetensors", sha256="0", command="python",
    train={"dataset": "scenes", "size": [64, 64]}, train_config_sha256="1",
    checkpoint_rule="last", weights="plain", source_sha256="2", made_on={}, chosen_by="miou",
    seeds={}, scored={}, scores={}, half={},
)  # fmt: skip
SHIPS = {name: dataclasses.replace(ROW, name=name) for name in ("spade", "clade")}


@pytest.fixture
def two_ship(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "shipped", lambda: SHIPS)


def chosen(
    config: RunConfig = USUAL,
    model: list[str] | None = None,
    train: list[str] | None = None,
    compare: list[str] | None = None,
    given: tuple[str, ...] = (),
) -> Chosen:
    compared = comparing(compare, None, given, train or model)
    return chosen_rows(config, model, train, compared, given)


@pytest.mark.usefixtures("two_ship")
def test_without_named_rows_what_ships_is_scored_and_nothing_trained() -> None:
    rows = chosen(run_config("scenes", "default", 0, None, val_limit=50))
    assert rows.models == ()
    assert rows.shipped == {"spade": "spade (shipped)", "clade": "clade (shipped)"}
    assert "--train NAME trains another beside them" in rows.lines()[0]
    assert chosen(given=("mine",)).shipped == rows.shipped


@pytest.mark.usefixtures("two_ship")
@pytest.mark.parametrize(
    "config",
    [
        run_config("scenes", "default", 0, None, steps=100),
        run_config("scenes", "default", 0, None, ema_decay=0.5),
        run_config("scenes", "default", 1, None),
        run_config("scenes", "smoke", 0, None),
        run_config("scenes", "default", 0, "128"),
        run_config("cocostuff", "default", 0, "64"),
    ],
)
def test_flags_of_a_training_other_sizes_and_other_data_train_as_before(config: RunConfig) -> None:
    rows = chosen(config)
    assert (rows.models, rows.shipped, rows.lines()) == (FIRST_THREE, {}, [])


def test_with_nothing_shipped_the_default_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "shipped", dict)
    assert chosen().models == FIRST_THREE
    assert chosen(model=["clade"]).models == ("clade",)
    alone = chosen(train=["clade"])
    assert (alone.models, alone.shipped) == (("clade",), {})
    assert "no baselines ship for this dataset and size" in alone.lines()[0]
    compared = chosen(compare=["spade"], given=("mine",))
    assert (compared.models, compared.compared.baselines) == (("spade",), ("spade",))


@pytest.mark.usefixtures("two_ship")
def test_model_names_all_rows_and_train_adds_one() -> None:
    assert (chosen(model=["spade"]).models, chosen(model=["spade"]).shipped) == (("spade",), {})
    beside = chosen(train=["spade"])
    assert (beside.models, list(beside.shipped)) == (("spade",), ["spade", "clade"])
    assert list(chosen(USUAL, train=["none"]).shipped) == ["spade", "clade"]
    of_steps = run_config("scenes", "default", 0, None, steps=100)
    assert list(chosen(of_steps, train=["oasis"]).shipped) == ["spade", "clade"]
    assert chosen(run_config("scenes", "default", 0, "128"), train=["oasis"]).shipped == {}


@pytest.mark.usefixtures("two_ship")
def test_what_is_compared_ships_or_is_trained_unless_a_row_of_the_run_has_its_name() -> None:
    both = chosen(compare=["spade", "concat"], given=("mine",))
    assert (both.models, list(both.shipped)) == (("concat",), ["spade"])
    assert both.compared.baselines == ("spade (shipped)", "concat")
    assert chosen(compare=["real"], given=("mine",)).models == ()
    own = chosen(compare=["spade"], given=("mine", "spade"))
    assert (own.models, own.shipped, own.compared.baselines) == ((), {}, ("spade",))
    named = chosen(model=["concat"], compare=["spade"])
    assert (named.models, list(named.shipped)) == (("concat",), ["spade"])
    assert named.compared.subjects == ("concat",)
    trained = chosen(train=["spade"], compare=["spade", "spade (shipped)"], given=("mine",))
    assert trained.compared.baselines == ("spade", "spade (shipped)")
    against = chosen(train=["spade"], compare=["spade (shipped)"])
    assert against.compared.subjects == ("spade",)
    scored = chosen(model=[], compare=["spade (shipped)"], given=("mine",))
    assert (scored.models, list(scored.shipped)) == ((), ["spade"])
    with pytest.raises(UserError, match="has nothing to compare with them"):
        chosen(train=["none"], compare=["spade"])


@pytest.fixture(scope="module")
def shipping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder from which `concat` ships, trained for a step; scenes have four samples."""
    place = tmp_path_factory.mktemp("shipping")
    folder = place / "ships"
    folder.mkdir()
    (folder / baselines.LIST).write_text('{"baselines": []}\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(datasets.DATASETS, "scenes", few_scenes(4))
        patch.setattr(baselines, "FOLDER", folder)
        run = str(place / "run")
        for words in (
            ["benchmark", "--model", "concat", *TINY, "--no-report", "--out", run],
            ["baselines", "ship", run, "--row", "concat"],
        ):
            with pytest.raises(SystemExit) as ended:
                main(words)
            assert not ended.value.code
        yield place


TINY = ["--steps", "1", "--batch-size", "2", "--width", "0.0625"]
Called = Callable[..., str]


@pytest.fixture
def called(capsys: pytest.CaptureFixture[str], shipping: Path) -> Called:
    def call(*words: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        shown = capsys.readouterr()
        assert int(ended.value.code or 0) == code, shown.err
        return shown.err if code else shown.out

    return call


def kinds(run: Path) -> dict[str, str]:
    return {item.source: item.source_kind for item in RecordStore(run / "records.jsonl")}


def test_the_default_run_scores_what_ships_with_its_note_and_trains_nothing(
    shipping: Path, called: Called, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    out = called("benchmark", "--out", str(run))
    assert kinds(run) == {
        "real": "real", "oracle": "oracle", "grey": "grey", "label colours": "label colours",
        "concat (shipped)": "shipped",
    }  # fmt: skip
    assert not (run / "checkpoints").exists()
    assert "rows that ship with the suite, not trained now: concat" in out
    assert "ships with the suite: trained 1 steps, of one seed, weights in half precision" in out
    assert len(list((run / "images" / "concat (shipped)").glob("*.png"))) == 4
    assert (run / "samples.png").is_file()
    item = record(run, "concat (shipped)")
    assert item.source_sha256 == shipped()["concat"].sha256
    assert item.train_config_sha256 == shipped()["concat"].train_config_sha256
    again = called("benchmark", "--no-report", "--out", str(run))
    assert "measured now: nothing" in again


def record(run: Path, row: str) -> Measurement:
    return next(item for item in RecordStore(run / "records.jsonl") if item.source == row)


def test_a_trained_row_stands_beside_the_one_of_its_name_that_ships(
    shipping: Path, called: Called, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    out = called("benchmark", "--train", "concat", *TINY, "--compare", "concat (shipped)",
                 "--no-report", "--out", str(run))  # fmt: skip
    found = kinds(run)
    assert (found["concat"], found["concat (shipped)"]) == ("generator", "shipped")
    assert "concat against concat (shipped)" in out
    assert "concat (shipped)" in (run / "compare" / "concat" / "differences.csv").read_text()


def test_score_compares_with_what_ships_and_trains_nothing(
    shipping: Path, called: Called, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    mine = f"mine={shipping / 'run' / 'images' / 'oracle'}"
    called("score", mine, "--compare", "concat", "oracle", "--out", str(run))
    assert set(kinds(run)) >= {"mine", "concat (shipped)", "oracle"}
    assert not (run / "checkpoints").exists()
    lines = (run / "compare" / "mine" / "differences.csv").read_text()
    assert "concat (shipped)" in lines
    assert "oracle" in lines
    other = tmp_path / "other"
    err = called("score", mine, "--compare", "spade", "--out", str(other), code=2)
    assert "--compare 'spade': no row under this protocol has that name" in err
    assert not other.exists()


def test_a_file_that_was_changed_is_refused_before_anything_is_scored(
    shipping: Path, called: Called, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = {"concat": dataclasses.replace(shipped()["concat"], sha256="0" * 64)}
    monkeypatch.setattr(baselines, "shipped", lambda: changed)
    monkeypatch.setattr("spade_eval.rows.shipped", lambda: changed)
    err = called("benchmark", "--out", str(tmp_path / "run"), code=2)
    assert "concat.safetensors has another SHA-256 than baselines.json" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_names_of_rows_that_ship_are_no_names_of_a_user(called: Called, tmp_path: Path) -> None:
    err = called("benchmark", "--images", f"concat (shipped)={tmp_path}", code=2)
    assert "expected letters, digits" in err
