# SPDX-License-Identifier: Apache-2.0
"""The table of trackers: who is told of a training while it runs, by --tracker.

One is a file here with a function that opens a `Tracker`, and a row of `TRACKERS`. Rows name their
function by module: no tracker's library is imported before it is asked for.
"""

import importlib
import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from spade_eval.errors import UserError, lookup
from spade_eval.progress import tell
from spade_eval.training.trackers.base import Tracked, Tracker, Trackers

DEFAULT = ("tensorboard",)


@dataclass(frozen=True)
class _Row:
    opens: str  # a function of a training, by module
    package: str  # without which there is none
    extra: str  # of the suite, that installs it


TRACKERS = {
    "tensorboard": _Row(f"{__name__}.tensorboard:open_tensorboard", "tensorboard", ""),
    "wandb": _Row(f"{__name__}.weights_and_biases:open_wandb", "wandb", "wandb"),
    "mlflow": _Row(f"{__name__}.mlflow_store:open_mlflow", "mlflow", "mlflow"),
}


def require_trackers(names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the trackers that are asked for, each once; `DEFAULT` for None.

    `UserError` for one that is unknown or not installed, before anything is trained.
    """
    if names is None:
        return DEFAULT
    for name in names:
        row = lookup(TRACKERS, name, "tracker")
        if importlib.util.find_spec(row.package) is None:
            what = f"spade-eval[{row.extra}]" if row.extra else row.package
            raise UserError(
                f"--tracker {name} needs the package {row.package}, which is not installed; "
                f"pip install '{what}', or leave the flag out"
            )
    return tuple(dict.fromkeys(names))


@contextmanager
def tracking(names: Sequence[str], training: Tracked) -> Iterator[Trackers]:
    """Open these trackers and close them whatever happens.

    One that cannot be opened is named in a line, and the training goes on without it.
    """
    opened: dict[str, Tracker] = {}
    for name in names:
        module, _, function = TRACKERS[name].opens.partition(":")
        try:
            opened[name] = getattr(importlib.import_module(module), function)(training)
        except Exception as error:  # of a foreign library, or of the server that it was told of
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            tell(f"tracker {name} cannot be opened ({reason}); losses.jsonl holds every loss")
    trackers = Trackers(opened)
    try:
        yield trackers
    finally:
        trackers.close()
