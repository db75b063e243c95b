# SPDX-License-Identifier: Apache-2.0
"""The preference study: people choose which of two images fits a label map better.

As in section 4 of "Semantic Image Synthesis with Spatially-Adaptive Normalization" (Table 2).
"""
