# SPDX-License-Identifier: Apache-2.0
"""Files of networks: opened without running code, recognised, described, loaded strictly, saved."""
