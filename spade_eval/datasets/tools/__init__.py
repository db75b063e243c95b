# SPDX-License-Identifier: Apache-2.0
"""Tools for one's own data: checks, proposals, conversions and derived label maps."""
