# SPDX-License-Identifier: Apache-2.0
"""`spade-eval bench --count`: operations and bytes against counts by hand and torch's own."""

import json
import re
import shlex
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from spade_eval.bench import count as bench_count
from spade_eval.bench.ceilings import Ceilings, measure_ceilings
from spade_eval.bench.count import OperationCounter, Work, count_stages, generator_stage, total
from spade_eval.bench.generator import latent
from spade_eval.bench.maps import BenchMaps, maps_of_folder
from spade_eval.cli import main
from spade_eval.models.fast.accelerate import set_form
from spade_eval.models.fast.convolution import Conv2d, Form
from spade_eval.models.generators import build_generator

CPU = torch.device("cpu")
PAGE = (Path(__file__).resolve().parents[3] / "docs" / "roofline.md").read_text("utf-8")
COMMANDS = re.findall(r"^(spade-eval .*)$", PAGE, re.M)
TINY = ["--size", "32", "--width", "0.05", "--classes", "14", "--repeats", "1", "--device", "cpu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two 8-bit label maps of large regions."""
    made = tmp_path_factory.mktemp("maps")
    for number in range(2):
        labels = np.kron([[number, 7], [255, 3]], np.ones((64, 64))).astype(np.uint8)
        Image.fromarray(labels).save(made / f"{number}.png")
    return made


def maps_at(folder: Path, side: int) -> BenchMaps:
    return maps_of_folder(folder, None, (side, side), classes=14)


def counted(run: Callable[[], object]) -> dict[str, tuple[int, int]]:
    """Operations and bytes by name of the operation."""
    counter = OperationCounter(lambda name: name, CPU)
    with torch.no_grad(), counter:
        run()
    return {name: (work.operations, work.bytes) for name, work in counter.work.items()}


def names_and_stages(generator: nn.Module, maps: BenchMaps) -> dict[tuple[str, str], Work]:
    """Work of one forward by stage and name of the operation."""
    counter = OperationCounter(lambda name: f"{generator_stage(name)}: {name}", CPU)
    with torch.no_grad():
        generator(maps.batch(0, 1, CPU), *latent(generator, maps.batch(0, 1, CPU)))
        batch = maps.batch(0, 1, CPU)
        with counter:
            generator(batch, *latent(generator, batch))
    return {tuple(key.split(": ")): work for key, work in counter.work.items()}  # type: ignore[misc]


def test_convolution_by_hand() -> None:
    x, conv = torch.ones(2, 3, 8, 8), nn.Conv2d(3, 5, 3, stride=2, padding=1)
    outputs, weights = 2 * 5 * 4 * 4, 5 * 3 * 9
    assert counted(lambda: conv(x)) == {
        "convolution": (2 * outputs * 3 * 9, 4 * (x.numel() + weights + 5 + outputs))
    }


def test_matrix_product_by_hand() -> None:
    x, y = torch.ones(5, 7), torch.ones(7, 3)
    expected = {"mm": (2 * 5 * 7 * 3, 4 * (35 + 21 + 15))}
    assert counted(lambda: x @ y) == expected
    out = torch.empty(5, 3)
    assert counted(lambda: torch.mm(x, y, out=out)) == expected


@pytest.mark.parametrize(("rows", "read"), [(100, 6 * 4), (3, 3 * 4)])
def test_sums_of_rows_by_hand(rows: int, read: int) -> None:
    """Six indices: no more rows are read than looked up, nor more than the table has."""
    table, indices = torch.ones(rows, 4), torch.tensor([0, 1, 2, 0, 1, 2])
    offsets = torch.tensor([0, 3])
    found = counted(lambda: F.embedding_bag(indices, table, offsets, mode="sum"))
    assert list(found.values()) == [(6 * 4, 4 * read + 8 * 6 + 8 * 2 + 4 * 2 * 4)]


def test_look_ups_and_scatters_by_hand() -> None:
    table, ids = torch.ones(100, 4), torch.tensor([5, 6, 6])
    looked_up = 4 * 12 + 8 * 3 + 4 * 12  # rows, indices, result
    assert counted(lambda: table.index_select(0, ids)) == {"index_select": (0, looked_up)}
    assert counted(lambda: table[ids]) == {"index": (0, looked_up)}
    place, at = torch.empty(50), torch.ones(3)

    def put() -> None:
        place[ids] = at

    assert counted(put) == {"index_put_": (0, 8 * 3 + 4 * 3 + 4 * 3)}
    assert counted(lambda: place.scatter_(0, ids, 1.0)) == {"scatter_": (0, 8 * 3 + 4 * 3)}


def test_elementwise_operations_by_hand() -> None:
    a, b, c = torch.ones(3, 6, 5)
    out = torch.empty(6, 5)
    multiply_add = {"addcmul": (2 * 30, 4 * (3 * 30 + 30))}
    assert counted(lambda: torch.addcmul(a, b, c)) == multiply_add
    assert counted(lambda: torch.addcmul(a, b, c, out=out)) == multiply_add
    assert counted(lambda: a.add_(b)) == {"add_": (30, 4 * 3 * 30)}
    assert counted(lambda: a * a) == {"mul": (30, 4 * 2 * 30)}  # read once
    assert counted(lambda: a * b[:1]) == {"mul": (30, 4 * (30 + 5 + 30))}
    assert counted(lambda: a * b[:1].expand(6, 5)) == {"mul": (30, 4 * (30 + 5 + 30))}
    assert counted(lambda: a.sum()) == {"sum": (30, 4 * (30 + 1))}
    assert counted(lambda: torch.mv(a, b[0])) == {"mv": (60, 4 * (30 + 5 + 6))}
    assert counted(lambda: out.copy_(a)) == {"copy_": (0, 4 * 2 * 30)}
    assert counted(lambda: torch.cat([a, b])) == {"cat": (0, 4 * 2 * 60)}


def test_views_and_bare_memory_are_free() -> None:
    x = torch.ones(6, 5)
    assert counted(lambda: x.view(5, 6).T[1:].permute(1, 0).split(2)) == {}
    assert counted(lambda: torch.empty_like(x)) == {"empty_like": (0, 0)}
    # Of a transposed tensor rows are no view: a copy.
    assert counted(lambda: x.T.reshape(-1)) == {"clone": (0, 4 * 60)}


def test_inference_mode_is_refused() -> None:
    with (
        pytest.raises(AssertionError, match="no_grad"),
        torch.inference_mode(),
        OperationCounter(lambda name: name, CPU),
    ):
        torch.ones(2).add(1)


def test_convolutions_are_those_of_torchs_counter(folder: Path) -> None:
    maps = maps_at(folder, 64)
    generator = build_generator("spade", maps.layout.num_labels, (64, 64), 1 / 8).eval()
    set_form(generator, "dense")
    with torch.no_grad(), FlopCounterMode(display=False) as torchs:
        generator(maps.batch(0, 1, CPU))
    by_module = {name: sum(ops.values()) for name, ops in torchs.get_flop_counts().items()}
    found = names_and_stages(generator, maps)
    assert found["convolutions", "convolution"].operations == sum(
        count
        for name, count in by_module.items()
        if re.search(r"\.(stem|conv_0|conv_1|conv_s|to_rgb)$", name)
    )
    assert found["label products", "convolution"].operations == sum(
        count
        for name, count in by_module.items()
        if re.search(r"\.(mlp_shared|mlp_gamma|mlp_beta)$", name)
    )
    convolutions = [work.operations for (_, name), work in found.items() if name == "convolution"]
    assert sum(convolutions) == torchs.get_total_flops()
    assert len(convolutions) == 2
    stages = {name: {stage for stage, other in found if other == name} for _, name in found}
    assert stages["relu"] == {"label products"}
    assert stages["native_batch_norm"] == stages["leaky_relu"] == {"modulation"}
    assert stages["scatter_"] == {"label map"}
    assert stages["dot"] == {"rest"}  # spectral norm


def test_stages_of_the_fast_form(folder: Path) -> None:
    maps = maps_at(folder, 64)
    # Instance norm cannot become part of the tables.
    generator = build_generator("spade_instance", maps.layout.num_labels, (64, 64), 1 / 8).eval()
    set_form(generator, "fast")
    stages: dict[str, set[str]] = {}
    for stage, name in names_and_stages(generator, maps):
        stages.setdefault(name, set()).add(stage)
    for name in ("unique_consecutive", "_unique2", "index_put_", "constant_pad_nd"):
        assert "label map" in stages[name], name
    assert stages["mm"] == {"label products", "convolutions"}  # there Winograd's kernels
    assert stages["bmm"] == {"convolutions"}
    assert stages["_embedding_bag_forward_only"] == {"label products"}
    assert stages["addcmul"] == stages["index_select"] == {"modulation"}
    assert stages["native_batch_norm"] == {"modulation"}
    assert stages["clone"] == {"label products", "modulation"}  # of weights, of x
    assert stages["convolution"] == {"convolutions"}
    assert stages["upsample_nearest2d"] == {"label map", "rest"}
    assert stages["tanh"] == {"rest"}
    assert stages["add_"] == {"rest", "convolutions"}  # shortcuts, Winograd's biases


@pytest.mark.parametrize(
    ("model", "form"),
    [
        ("spade", "dense"),
        ("spade", "fast"),
        ("spade_instance", "fast"),
        ("spade_random", "dense"),
        ("concat", "dense"),
        ("pix2pixhdpp_concat", "fast"),
    ],
)
def test_stages_add_up_to_the_whole(
    folder: Path, model: str, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = maps_at(folder, 64)
    generator = build_generator(model, maps.layout.num_labels, (64, 64), 1 / 16)
    staged = count_stages(generator, maps, 2, form=form, repeats=1, device=CPU)
    monkeypatch.setattr(bench_count, "generator_stage", lambda name: "rest")
    whole = count_stages(generator, maps, 2, form=form, repeats=1, device=CPU)
    assert [name for name, work in whole.items() if work.operations] == [
        "rest", "segmenter", "features",
    ]  # fmt: skip
    assert staged.keys() == set(bench_count.STAGES)
    assert staged["rest"].operations < whole["rest"].operations
    assert total(staged).operations == total(whole).operations
    assert total(staged).bytes == total(whole).bytes
    assert staged["segmenter"].operations == whole["segmenter"].operations > 0


@torch.no_grad()
def test_winograd_is_counted_as_it_is_computed() -> None:
    conv, x = Conv2d(64, 64, 3, padding=1), torch.zeros(1, 64, 32, 32)
    conv.form = "fast"
    with OperationCounter(generator_stage, CPU) as counter:
        conv(x)
    assert set(counter.work) == {"convolutions"}
    products = 2 * 36 * (32 // 4) ** 2 * 64 * 64
    assert products < counter.work["convolutions"].operations < 2 * 9 * 32**2 * 64 * 64


def test_fast_form_saves_operations(folder: Path) -> None:
    maps = maps_at(folder, 64)
    generator = build_generator("spade", maps.layout.num_labels, (64, 64), 1 / 8)
    started = time.perf_counter()
    dense = count_stages(generator, maps, 1, form="dense", repeats=2, device=CPU)
    fast = count_stages(generator, maps, 1, form="fast", repeats=2, device=CPU)
    assert fast["label products"].operations < dense["label products"].operations
    assert total(fast).operations < total(dense).operations
    assert fast["convolutions"].operations > 0
    # Spectral norms are folded in the pass before.
    assert fast["rest"].bytes < dense["rest"].bytes
    for work in (dense, fast):
        assert all(stage.seconds > 0 for stage in work.values())
    assert total(dense).seconds + total(fast).seconds < time.perf_counter() - started


def test_the_pass_of_median_time_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([9.0, 3.0, 1.0, 2.0])
    monkeypatch.setattr(bench_count, "_one_pass", lambda *_: {"rest": Work(seconds=next(times))})
    maps = maps_at(folder, 32)
    found = count_stages(nn.Identity(), maps, 1, form="dense", repeats=3, device=CPU)
    assert found["rest"].seconds == 2.0


def test_ceilings() -> None:
    found = measure_ceilings(CPU, side=64, copied_mib=1, repeats=2)
    # A megahertz and a kilobyte a second are less than any machine has; 1e16 is more.
    assert 1e6 < found.operations_per_second < 1e16
    assert 1e3 < found.bytes_per_second < 1e16
    ceilings = Ceilings(operations_per_second=100.0, bytes_per_second=10.0)
    assert ceilings.bound_seconds(1000, 10) == 10.0
    assert ceilings.bound_seconds(10, 1000) == 100.0
    assert ceilings.binding(1000, 10) == "operations"
    assert ceilings.binding(10, 1000) == "bytes"


def test_ceilings_are_the_best_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    # Start and end of two products and two copies; the first of each does not count.
    clock = iter([0.0, 0.1, 1.0, 3.0, 4.0, 5.0, 10.0, 10.1, 11.0, 15.0, 16.0, 18.0])
    monkeypatch.setattr("spade_eval.bench.ceilings.time.perf_counter", lambda: next(clock))
    found = measure_ceilings(CPU, side=10, copied_mib=1, repeats=2)
    assert found == Ceilings(2 * 10**3 / 1.0, 2 * 2**20 / 2.0)


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    return int(ended.value.code or 0), said.out, said.err


@pytest.fixture
def quick_ceilings(monkeypatch: pytest.MonkeyPatch) -> Ceilings:
    ceilings = Ceilings(operations_per_second=2e9, bytes_per_second=1e9)
    monkeypatch.setattr("spade_eval.bench.ceilings.measure_ceilings", lambda device: ceilings)
    return ceilings


def test_command_prints_tables_and_lines_of_json(
    folder: Path,
    tmp_path: Path,
    quick_ceilings: Ceilings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    saved = tmp_path / "lines.jsonl"
    flags = ["--maps", str(folder), "--save", str(saved), *TINY]
    code, out, _ = run(["bench", "--count", *flags], capsys)
    assert code == 0
    assert "matrix product 2.0 G operations/s, copy 1.0 GB/s" in out
    for form in ("dense", "fast"):
        title = f"spade 32 x 32, batch 1, 16 labels, {form} form\n"
        header, *rows = out.split(title)[1].splitlines()
        assert header.split()[:4] == ["stage", "operations", "(G)", "MB"]
        assert [row[:15].strip() for row in rows[:8]] == [*bench_count.STAGES, "total"]
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert [(line["form"], line["stage"]) for line in lines] == [
        (form, stage) for form in ("dense", "fast") for stage in bench_count.STAGES
    ]
    for line in lines:
        bound = max(line["operations"] / 2e9, line["bytes"] / 1e9)
        assert line["bound_seconds"] == bound
        assert line["share"] == pytest.approx(bound / line["seconds"])
        assert (line["bench"], line["model"], line["device"]) == ("count", "spade", "cpu")
        assert (line["height"], line["width"], line["batch"]) == (32, 32, 1)
        assert line["num_labels"] == 16
        assert line["operations_per_second"] == quick_ceilings.operations_per_second
        assert {"base_channels", "threads", "torch", "repeats"} <= line.keys()
    assert [json.loads(line) for line in saved.read_text().splitlines()] == lines


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_of_the_page_run(
    line: str, folder: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    arguments = [str(folder) if word == "DIR" else word for word in shlex.split(line)[1:]]
    if "DIR" in line:  # the paper's size takes a minute
        request.getfixturevalue("quick_ceilings")
        arguments += TINY
    code, out, err = run(arguments, capsys)
    assert code == 0, err
    assert len([text for text in out.splitlines() if text.startswith("{")]) == 14


def test_the_page_has_commands_and_every_stage() -> None:
    assert len(COMMANDS) == 2
    for stage in bench_count.STAGES:
        assert f"| {stage} |" in PAGE


def test_bench_alone_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(["bench"], capsys)
    assert code == 2
    assert "--count" in out
    for command in ("data", "train", "generator", "distance"):
        assert f"\n  {command} " in out


def test_commands_run_as_before(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--dim", "16", "--n", "30", "--repeats", "1"]
    code, out, _ = run(["bench", "distance", *flags], capsys)
    assert code == 0
    assert "SciPy" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count", "distance"], "flags before a command"),
        (["--data-root", "x", "distance"], "bench --data-root distance"),
        (["--count", "--size", "big"], "expected N or HEIGHTxWIDTH"),
        (["--count", "--model", "spad"], "did you mean spade"),
        (["--count", "--device", "quantum"], "cannot be used here"),
        (["--count", "--size", "33", "--classes", "14", "--width", "0.05"], "multiple"),
        (["--count", "--dataset", "scene"], "scenes"),
        (["--count", "--maps", "nowhere"], "no PNG files"),
        (["--count", "--batch", "0"], "batch"),
    ],
)
def test_errors_of_users(
    arguments: list[str],
    message: str,
    quick_ceilings: Ceilings,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = run(["bench", *arguments], capsys)
    assert code == 2
    assert message in err


def test_a_stage_without_work_has_no_share(folder: Path) -> None:
    from spade_eval.cli.bench.count import _line, _rows

    ceilings = Ceilings(1e9, 1e9)
    (row,) = _rows({"rest": Work()}, ceilings)
    assert row["share"] is None
    assert _line("rest", Work(), 0.0, "-").split()[-1] == "-"


def test_sizes_of_expanded_tensors() -> None:
    x: Tensor = torch.ones(3, 1)
    assert bench_count._size(x.expand(3, 100)) == 12
    assert bench_count._size(torch.empty(0, 4)) == 0
