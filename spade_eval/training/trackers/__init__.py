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

    @property
    def install(self) -> str:
        """Return the command that installs the package, or nothing where it is there."""
        if importlib.util.find_spec(self.package) is not None:
            return ""
        what = f"spade-eval[{self.extra}]" if self.extra else self.package
        return f"pip install '{what}'"


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
        if row.install:
            raise UserError(
                f"--tracker {name} needs the package {row.package}, which is not installed; "
                f"{row.install}, or leave the flag out"
            )
    return tuple(dict.fromkeys(names))


@contextmanager
def tracking(names: Sequence[str], training: Tracked) -> Iterator[Trackers]:
    """Open these trackers and close them whatever happens.

    One that cannot be opened is named in a line, and the training goes on without it.
    """
    opened: dict[str, Tracker] = {}
    for name in names:
        row = TRACKERS[name]
        module, _, function = row.opens.partition(":")
        try:
            opened[name] = getattr(importlib.import_module(module), function)(training)
        except Exception as error:  # of a foreign library, or of the server that it was told of
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            hint = f"{row.install} installs it" if row.install else "losses.jsonl holds every loss"
            tell(f"tracker {name} cannot be opened ({reason}); {hint}")
    trackers = Trackers(opened)
    try:
        yield trackers
    finally:
        trackers.close()
