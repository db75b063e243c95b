# SPDX-License-Identifier: Apache-2.0
"""Equal but faster forms of the layers, entered by `spade_eval.models.fast.accelerate` alone."""
