# SPDX-License-Identifier: Apache-2.0
"""Building blocks: SPADE, the other normalisations, residual blocks, spectral norm."""
