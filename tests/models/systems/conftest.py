# SPDX-License-Identifier: Apache-2.0
"""Makes the helper modules of this folder, and `small_training` beside it, importable."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "training")]
