# SPDX-License-Identifier: Apache-2.0
"""What surrounds a command: the home folder in its words."""

import os
import re

from spade_eval.errors import UserError

# At the start of a word, of a value (--out=~/x) and of a path with a name (mine=~/x, hf:~/x).
_HOME = re.compile(r"(?:^|(?<=[=:]))~(?=/|$)")


def with_home(word: str) -> str:
    """Expand each `~` as a shell does that sees it alone; `UserError` where no home is known."""
    if not _HOME.search(word):
        return word
    home = os.path.expanduser("~")
    if home.startswith("~"):
        raise UserError(f"{word}: no home folder is known; set HOME, or write the folder out")
    return _HOME.sub(lambda _: home, word)
