# SPDX-License-Identifier: Apache-2.0
"""Makes `plain_oasis` of this folder and `small_training` of the one beside it importable."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "training")]
