# SPDX-License-Identifier: Apache-2.0
"""What a tracker is to a training, and several of them as one that never stops it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from spade_eval.progress import tell


@dataclass(frozen=True, kw_only=True)
class Tracked:
    """The training that a tracker is told of."""

    name: str  # of the model
    folder: Path  # of its checkpoint; what a tracker writes lies below
    sha256: str  # of its configuration
    settings: Mapping[str, Any]  # the configuration as plain values


class Tracker(Protocol):
    """Somebody who is told of a training. It must not change it."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Note numbers by name after so many steps."""
        ...

    def image(self, step: int, name: str, pixels: NDArray[np.uint8]) -> None:
        """Note an (H, W, 3) picture after so many steps."""
        ...

    def close(self) -> None:
        """Write what is left; called once."""
        ...


class Trackers:
    """Trackers as one. The first failure of one is told in a line, and it is told no more."""

    def __init__(self, trackers: Mapping[str, Tracker]) -> None:
        self._trackers = dict(trackers)

    def __bool__(self) -> bool:
        return bool(self._trackers)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Tell all of them numbers by name."""
        self._tell_all(lambda tracker: tracker.scalars(step, values))

    def image(self, step: int, name: str, pixels: NDArray[np.uint8]) -> None:
        """Tell all of them a picture."""
        self._tell_all(lambda tracker: tracker.image(step, name, pixels))

    def close(self) -> None:
        """Close all of them."""
        self._tell_all(lambda tracker: tracker.close())
        self._trackers.clear()

    def _tell_all(self, action: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                action(tracker)
            except Exception as error:  # a lost connection, a full disk: the training matters more
                reason = " ".join(str(error).split())[:200] or type(error).__name__
                tell(f"tracker {name} failed ({reason}) and is told no more; losses.jsonl goes on")
                del self._trackers[name]
