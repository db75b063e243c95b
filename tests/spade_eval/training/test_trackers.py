# SPDX-License-Identifier: Apache-2.0
"""Trackers: what each one keeps, offline; none of them changes or stops a training."""

import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spade_eval.engine import Benchmark
from spade_eval.errors import UserError
from spade_eval.models.checkpoints.files import load_weights
from spade_eval.training import trackers
from spade_eval.training.trackers import DEFAULT, TRACKERS, require_trackers, tensorboard, tracking
from spade_eval.training.trackers.base import Tracked, Trackers

Make = Callable[..., Benchmark]
PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


@pytest.fixture
def tracked(tmp_path: Path) -> Tracked:
    return Tracked(
        name="spade", folder=tmp_path, sha256="f" * 64, settings={"steps": 4, "model": "spade"}
    )


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Addresses that this process wanted outside of the machine; no environment names a server."""
    wanted: list[Any] = []
    connect = socket.socket.connect

    def noted(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            wanted.append(address)
            raise OSError("no network in this test")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noted)
    for name in list(os.environ):
        if name.startswith(("WANDB_", "MLFLOW_")):
            monkeypatch.delenv(name)
    before = dict(os.environ)
    yield wanted
    for name in set(os.environ) - set(before):  # what libraries set
        if name.startswith(("WANDB_", "MLFLOW_")):
            del os.environ[name]


def tell_all(names: list[str], tracked: Tracked) -> None:
    with tracking(names, tracked) as told:
        assert told
        told.scalars(2, {"G/gan": 0.5, "gradient norm/G": 3.0})
        told.scalars(2, {"score/miou": 0.25})
        told.image(2, "samples", PIXELS)


def test_tensorboard_keeps_scalars_and_pictures(tracked: Tracked) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tell_all(["tensorboard"], tracked)
    events = EventAccumulator(str(tracked.folder / "tensorboard"))
    events.Reload()
    scalars = {name: events.Scalars(name)[0] for name in events.Tags()["scalars"]}
    assert {name: (item.step, item.value) for name, item in scalars.items()} == {
        "G/gan": (2, 0.5), "gradient norm/G": (2, 3.0), "score/miou": (2, 0.25)
    }  # fmt: skip
    (picture,) = events.Images("samples")
    assert (picture.step, picture.height, picture.width) == (2, 2, 3)


def test_mlflow_keeps_them_in_files_and_goes_on_with_its_run(
    tracked: Tracked, no_network: list[Any]
) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the extra `mlflow` is not installed")
    tell_all(["mlflow"], tracked)
    with tracking(["mlflow"], tracked) as told:  # started again
        told.scalars(4, {"G/gan": 0.25})
    client = mlflow.MlflowClient(tracking_uri=(tracked.folder / "mlflow").as_uri())
    (experiment,) = (item for item in client.search_experiments() if item.name == "spade-eval")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.data.params == {"steps": "4", "model": "spade"}
    assert run.data.metrics == {"G/gan": 0.25, "gradient norm/G": 3.0, "score/miou": 0.25}
    history = client.get_metric_history(run.info.run_id, "G/gan")
    assert [(item.step, item.value) for item in history] == [(2, 0.5), (4, 0.25)]
    (picture,) = client.list_artifacts(run.info.run_id, "samples")
    assert picture.path == "samples/step_0000002.png"
    assert run.info.status == "FINISHED"
    assert mlflow.active_run() is None
    assert no_network == []


def test_wandb_writes_an_offline_run(tracked: Tracked, no_network: list[Any]) -> None:
    pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
    tell_all(["wandb"], tracked)
    (folder,) = (tracked.folder / "wandb").glob("offline-run-*")
    file = next(folder.glob("*.wandb"))
    ends = time.monotonic() + 30  # a process of the library's own writes it, and not at once
    while not (found := logged(file)) and time.monotonic() < ends:
        time.sleep(0.1)
    assert {name: value["step"] for name, value in found.items()} == {
        "G/gan": "2", "gradient norm/G": "2", "score/miou": "2", "samples": "2"
    }  # fmt: skip
    assert found["score/miou"]["value"] == "0.25"
    assert len(list(folder.glob("files/media/images/samples_2_*.png"))) == 1
    assert no_network == []


def logged(path: Path) -> dict[str, dict[str, str]]:
    """Value and step by name, of the library's own log of a run."""
    from wandb.proto import wandb_internal_pb2

    found = {}
    for data in records_of(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(data)
        items = {
            item.nested_key[0] if item.nested_key else item.key: item.value_json
            for item in record.history.item
        }
        step = items.get("_step", str(record.history.step.num))
        for name, value in items.items():
            if not name.startswith("_"):
                found[name] = {"value": value, "step": step}
    return found


def records_of(log: bytes) -> Iterator[bytes]:
    """The records of a LevelDB log behind its 7 bytes of a head: blocks of 32 KiB, parts joined."""
    place, whole = 7, b""
    while place < len(log):
        rest = 32_768 - place % 32_768
        if rest < 7:
            place += rest
            continue
        _, length, kind = struct.unpack("<IHB", log[place : place + 7])
        place += 7
        whole += log[place : place + length]
        place += length
        if kind in (1, 4):  # whole, or the last part
            yield whole
            whole = b""


def test_what_is_not_there_is_refused_before_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    assert require_trackers(None) == DEFAULT
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda _: None)
    assert require_trackers(None) == DEFAULT  # the default is left out where it is absent
    for name in TRACKERS:
        with pytest.raises(UserError, match=rf"^--tracker {name} needs [^\n]*pip install '[^\n]*$"):
            require_trackers([name])
    monkeypatch.undo()
    with pytest.raises(UserError, match="no tracker is called 'wandbb'; did you mean wandb"):
        require_trackers(["wandbb"])


def test_a_tracker_that_fails_is_told_no_more_and_stops_nothing(
    tracked: Tracked, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def scalars(self, step: int, values: Any) -> None:
            raise ConnectionError("the server\nis gone")

        image = close = scalars

    seen: list[int] = []

    class Whole:
        def scalars(self, step: int, values: Any) -> None:
            seen.append(step)

        def image(self, *_: Any) -> None: ...
        def close(self) -> None: ...

    told = Trackers({"broken": Broken(), "whole": Whole()})
    told.scalars(1, {})
    told.scalars(2, {})
    told.close()
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "tracker broken failed (the server is gone) and is told no more" in error
    assert seen == [1, 2]
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with tracking(["tensorboard"], tracked) as nobody:
        assert not nobody
    error = capsys.readouterr().err
    assert "tracker tensorboard cannot be opened" in error
    assert error.endswith("; losses.jsonl holds every loss\n"), "TensorBoard is there"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with tracking(["tensorboard"], tracked) as nobody:
        assert not nobody
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert error.endswith("; pip install 'tensorboard' installs it\n")


def test_a_tracked_training_has_the_bits_of_an_untracked_one(
    benchmark_in: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int, tuple[str, ...]]] = []

    class Remembering:
        def __init__(self, _: Tracked) -> None: ...

        def scalars(self, step: int, values: Any) -> None:
            told.append(("scalars", step, tuple(values)))

        def image(self, step: int, name: str, pixels: Any) -> None:
            told.append(("image", step, (name, *map(str, pixels.shape))))

        def close(self) -> None:
            told.append(("close", 0, ()))

    monkeypatch.setattr(tensorboard, "open_tensorboard", Remembering)
    found = []
    for name, names in (("told", ("tensorboard",)), ("alone", ())):
        benchmark = benchmark_in(name)
        benchmark.place = replace(benchmark.place, trackers=names)
        found.append(load_weights(benchmark.train("concat", score_every=1, score_images=2)))
    tracked, untracked = found
    assert all(torch.equal(tracked[key], untracked[key]) for key in untracked)
    of_losses = [item for item in told if "gradient norm/G" in item[2]]
    assert [step for _, step, _ in of_losses] == [1, 2]
    assert {"G/gan", "D/real", "gradient norm/D"} <= set(of_losses[0][2])
    assert ("scalars", 1) in [item[:2] for item in told if "score/miou" in item[2]]
    assert [item[2][0] for item in told if item[0] == "image"] == ["samples"]
    assert told[-1] == ("close", 0, ())
