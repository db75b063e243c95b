# SPDX-License-Identifier: Apache-2.0
"""Benchmark suite for semantic image synthesis: label maps -> photos -> scores -> tables.

    import spade_eval as se
    result = se.evaluate(my_generator, dataset="scenes", value_range="[-1,1]")

What is listed in `__all__` is the Python interface; it is imported when it is first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spade_eval.api.comparing import Comparison, compare
    from spade_eval.api.during_training import DuringTraining
    from spade_eval.api.evaluating import evaluate, evaluate_images
    from spade_eval.api.result import Result
    from spade_eval.errors import UserError
    from spade_eval.sources.map_batch import MapBatch

__all__ = [
    "Comparison", "DuringTraining", "MapBatch", "Result", "UserError",
    "compare", "evaluate", "evaluate_images",
]  # fmt: skip

_PLACES = {
    "Comparison": "api.comparing",
    "DuringTraining": "api.during_training",
    "MapBatch": "sources.map_batch",
    "Result": "api.result",
    "UserError": "errors",
    "compare": "api.comparing",
    "evaluate": "api.evaluating",
    "evaluate_images": "api.evaluating",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
