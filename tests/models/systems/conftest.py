# SPDX-License-Identifier: Apache-2.0
"""Makes the helper module `small_training` of the folder beside this one importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
