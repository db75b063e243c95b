# SPDX-License-Identifier: Apache-2.0
"""Figures 1, 3 and 9 of Park et al., CVPR 2019: numbers first, and a picture of them."""
