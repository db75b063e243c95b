# SPDX-License-Identifier: Apache-2.0
"""From a configuration to trained weights: setup, callbacks, scores on the way."""
