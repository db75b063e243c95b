# SPDX-License-Identifier: Apache-2.0
"""Networks of Hugging Face transformers: from this machine alone, no code of theirs, no pickles."""

import importlib
import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


def library(name: str, parts: Sequence[str]) -> tuple[Any, list[Any]]:
    """Return transformers and these classes of it; `ValueError` where it cannot be imported.

    `name` is of the model that needs it, for the error.
    """
    try:
        transformers = importlib.import_module("transformers")
        # Parts are imported when they are asked for, and torchvision with them where it is there.
        return transformers, [getattr(transformers, part) for part in parts]
    except Exception as error:  # binary packages that do not fit each other raise anything
        raise ValueError(
            f"hf:{name} needs Hugging Face transformers ({one_line(error)}); install the extra "
            "`hf`: pip install 'spade-eval[hf]', and a torchvision that fits torch, or none"
        ) from error


def loaded(loader: Any, name: str, **options: Any) -> tuple[Any, list[str]]:
    """Load a network by one class of transformers; return the names of what its files lack, too.

    transformers draws that at random, such as the head of a bare backbone. `OSError`, `ValueError`,
    `RuntimeError` or `ImportError` where there is no such network in safetensors on this machine.
    """
    with _quiet():
        network, report = loader.from_pretrained(
            name,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            **options,
        )
    network.float()  # files of half precision, too: what is computed of them is float32
    return network, [*map(str, report["missing_keys"]), *map(str, report["mismatched_keys"])]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's bars and its list of unused weights off the terminal.

    What it says of lacking ones is in what it returns.
    """
    logger = logging.getLogger("transformers")
    level, bars = logger.level, sys.modules.get("transformers.utils.logging")
    shown = bars is not None and bars.is_progress_bar_enabled()
    logger.setLevel(logging.CRITICAL)
    if bars is not None and shown:
        bars.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)
        if bars is not None and shown:
            bars.enable_progress_bar()


def one_line(error: BaseException) -> str:
    """Return what an error says, on one line of at most 150 letters."""
    return " ".join(str(error).split())[:150] or type(error).__name__
