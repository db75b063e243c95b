# SPDX-License-Identifier: Apache-2.0
"""Training: one optimisation step, and a loop that can be killed anywhere and continue bitwise."""
