# SPDX-License-Identifier: Apache-2.0
"""Generators: label map in, image out. One family a file; `systems/presets.py` names them."""
