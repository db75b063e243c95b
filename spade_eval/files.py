# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole or not at all, so that a killed report leaves no half table behind."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from spade_eval.errors import UserError


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder that becomes `path` when the block succeeds."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); "
            "make the folder writable or free space, then repeat"
        ) from error
    finally:
        with suppress(OSError):  # the one above says what is wrong
            temporary.unlink(missing_ok=True)
