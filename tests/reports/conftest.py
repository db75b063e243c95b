# SPDX-License-Identifier: Apache-2.0
"""Makes `synthetic.py` importable: test folders are no packages."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
