# SPDX-License-Identifier: Apache-2.0
"""What was measured: which measurements may stand together, and what they were made with."""
