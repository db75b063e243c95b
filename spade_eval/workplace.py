# SPDX-License-Identifier: Apache-2.0
"""Where a run happens: its folders, its device, its processes."""

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from spade_eval.config import RunConfig
from spade_eval.errors import UserError
from spade_eval.files import is_writable, locked, replaced
from spade_eval.json_fields import parsed_json
from spade_eval.models.training.distributed import ALONE, World
from spade_eval.records import sha256_of_json

FEW_IMAGES = 16
"""Of every row, kept unless asked otherwise: those of the picture grid and some more."""


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """Where a run happens; none of it changes a number."""

    run_folder: Path
    data_root: Path
    weights_dir: Path
    reference: Path | None = None  # stored statistics of the split's photos: saves computing them
    device: torch.device
    save_images: int | None = FEW_IMAGES  # of every row, the first so many; None: all
    trackers: tuple[str, ...] = ("tensorboard",)  # who is told of trainings, rows of TRACKERS
    world: World = ALONE  # the processes that share the work; the folders are common to them


def claim_folder(folder: Path, config: RunConfig) -> None:
    """Write the configuration into a new run folder; refuse one of another configuration."""
    path = folder / "config.json"
    if path.is_file():
        if _stated_sha256(path) != config.sha256:
            raise UserError(
                f"{folder} holds a run with another configuration (see {path.name} there); "
                "choose another folder with --out"
            )
        return
    with replaced(path) as temporary:
        temporary.write_text(json.dumps(config.as_json(), indent=2), encoding="utf-8")


@contextmanager
def at_work(run_folder: Path, names: Iterable[str], world: World) -> Iterator[None]:
    """Hold what one command makes at a time: rows or models of a run folder, by their names.

    Jobs of a table make different rows of one folder at once. `UserError` in all processes, which
    says who, where another command makes one of them; the first process alone holds the locks.
    """
    with ExitStack() as held:

        def hold() -> None:
            if not is_writable(run_folder):  # where nothing is written, nobody is in the way
                return
            for name in names:
                held.enter_context(locked(run_folder / "locks" / f"{name}.lock", wait=False))

        world.on_first(hold)
        yield


def _stated_sha256(path: Path) -> object:
    """Return the hash in a run's config.json, which is that of all else in it."""
    try:
        stated = dict(parsed_json(path.read_text(encoding="utf-8")))
        sha256 = stated.pop("sha256", None)
        if sha256 != sha256_of_json(stated):
            raise ValueError("its values do not have the hash in it")
        return sha256
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"{path} is not the configuration of a run ({error}); restore it, or choose another "
            "folder with --out"
        ) from error
