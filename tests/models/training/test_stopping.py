# SPDX-License-Identifier: Apache-2.0
"""Signals, full disks and damaged files: what a run leaves behind, and how it goes on."""

import errno
import io
import os
import signal
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from spade_eval.models.checkpoints.files import load_state, previous_state, save_network, save_state
from spade_eval.models.training.loop import Loop, LoopSettings, Periodic
from spade_eval.models.training.stopping import TrainingStopped, stop_request

STEPS = 10


class Counter:
    """Adds the numbers of its steps up; may do something in one of them."""

    def __init__(self, at: int = -1, action: Callable[[], None] = lambda: None) -> None:
        self.total, self.at, self.action = 0, at, action

    def step(self, batch: int, step: int) -> dict[str, torch.Tensor]:
        if step == self.at:
            self.action()
        self.total = 3 * self.total + batch
        return {"loss": torch.ones(())}

    def state_dict(self) -> dict[str, int]:
        return {"total": self.total}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.total = state["total"]


def loop_of(counter: Counter, folder: Path, periodic: tuple[Periodic, ...] = ()) -> Loop[int]:
    settings = LoopSettings(steps=STEPS, batch_size=1, save_every=3, prefetch=0)
    return Loop(counter, lambda step: step, settings, folder / "state.pt", "sha", periodic=periodic)


def total_of(folder: Path) -> int:
    counter = Counter()
    loop_of(counter, folder).run()
    return counter.total


@pytest.fixture
def undisturbed(tmp_path: Path) -> int:
    return total_of(tmp_path / "undisturbed")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("at", [0, 4, 8])
def test_a_signal_saves_the_running_step(
    tmp_path: Path, undisturbed: int, number: signal.Signals, at: int
) -> None:
    before = signal.getsignal(number)
    stopped = Counter(at, lambda: os.kill(os.getpid(), number))
    with pytest.raises(TrainingStopped, match=rf"stopped after step {at + 1} of 10, saved in"):
        loop_of(stopped, tmp_path / "run").run()
    assert load_state(tmp_path / "run" / "state.pt")["step"] == at + 1
    assert signal.getsignal(number) is before
    assert total_of(tmp_path / "run") == undisturbed


def test_a_second_signal_acts_at_once(tmp_path: Path) -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        loop_of(Counter(4, twice), tmp_path).run()


def test_outside_of_the_main_thread_no_handler_is_set() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with stop_request() as request:
            seen.append((request.requested, signal.getsignal(signal.SIGTERM) is before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, True)]


def test_what_looks_at_the_networks_is_called_in_time_and_at_the_end(tmp_path: Path) -> None:
    seen: list[int] = []
    loop_of(Counter(), tmp_path, (Periodic(4, seen.append),)).run()
    assert seen == [4, 8, 10]


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def empty(data: bytes) -> bytes:
    return b""


def flipped(data: bytes) -> bytes:
    """One bit of the pickled numbers, which torch.load reads without a word."""
    place = data.index(b"config_sha256")
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def bomb(_: bytes) -> bytes:
    """A file of 1 kB whose lists, gone through one by one, would take for ever."""
    node: list[object] = [1]
    for _ in range(60):
        node = [node, node]
    return saved({"step": 6, "config_sha256": "a", "trainable": node})


def not_finite(_: bytes) -> bytes:
    return saved({"step": 6, "config_sha256": "a", "trainable": {"total": torch.tensor(torch.nan)}})


def foreign(_: bytes) -> bytes:
    return saved({"step": 6, "epoch": 3})


def negative(_: bytes) -> bytes:
    return saved({"step": -1, "config_sha256": "a", "trainable": {}})


def saved(state: object) -> bytes:
    torch.save(state, file := io.BytesIO())
    return file.getvalue()


@pytest.mark.parametrize("damage", [cut, empty, flipped, bomb, not_finite, foreign, negative])
def test_a_damaged_state_gives_way_to_the_one_before(
    tmp_path: Path,
    undisturbed: int,
    damage: Callable[[bytes], bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    with pytest.raises(ZeroDivisionError):
        loop_of(Counter(7, lambda: 1 // 0), run).run()  # type: ignore[arg-type,return-value]
    file = run / "state.pt"
    assert load_state(file)["step"] == 6
    assert load_state(previous_state(file))["step"] == 3
    file.write_bytes(damage(file.read_bytes()))
    assert total_of(run) == undisturbed
    told = capsys.readouterr().err
    assert "state.pt is damaged (now state.damaged); continuing from the state" in told
    assert "of step 3" in told
    assert load_state(file)["step"] == STEPS


def test_a_flipped_bit_of_a_weight_is_found(tmp_path: Path) -> None:
    file = tmp_path / "state.pt"
    save_state(file, {"weight": torch.full((1000,), 1.5)})
    with zipfile.ZipFile(file) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("data/0")]
        start = archive.getinfo(name).header_offset
    data = bytearray(file.read_bytes())
    place = data.index(b"\x00\x00\xc0\x3f", start) + 400
    data[place] ^= 1
    file.write_bytes(bytes(data))
    assert not torch.equal(torch.load(file)["weight"], torch.full((1000,), 1.5))
    with pytest.raises(ValueError, match="does not have its checksum"):
        load_state(file)


def test_a_kill_between_two_renamings_is_survived(tmp_path: Path, undisturbed: int) -> None:
    run = tmp_path / "run"
    with pytest.raises(ZeroDivisionError):
        loop_of(Counter(7, lambda: 1 // 0), run).run()  # type: ignore[arg-type,return-value]
    os.replace(run / "state.pt", previous_state(run / "state.pt"))
    assert total_of(run) == undisturbed


class SmallDisk:
    """`open` of files whose writes fail once so many bytes are on the disk."""

    def __init__(self, room: int) -> None:
        self.room = room

    def open(self, path: Path, mode: str) -> object:
        disk, file = self, open(path, mode, buffering=0)  # noqa: SIM115
        write = file.write

        class Full(type(file)):  # type: ignore[misc]
            def write(self, data: bytes) -> int:
                disk.room -= len(data)
                if disk.room < 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return write(data)

        return Full(path, "wb")


@pytest.mark.parametrize("room", [0, 100, 2000])
def test_on_a_full_disk_both_old_states_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    file = tmp_path / "state.pt"
    for step in (1, 2):
        save_state(file, {"step": step, "weight": torch.zeros(1000)})
    disk = SmallDisk(room)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda path, mode: disk.open(path, mode))
        with pytest.raises(OSError, match="No space left on device") as full:
            save_state(file, {"step": 3, "weight": torch.zeros(1000)})
        assert full.value.filename == str(file)
        with pytest.raises(OSError, match="No space left on device"):
            save_network(tmp_path / "network.safetensors", {"weight": torch.zeros(1000)}, {})
    assert load_state(file)["step"] == 2
    assert load_state(previous_state(file))["step"] == 1
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"state.pt", "state.previous.pt"}, "what could not be written is gone"
