# SPDX-License-Identifier: Apache-2.0
"""Where images to score come from: photos, folders, checkpoints and the floors."""
