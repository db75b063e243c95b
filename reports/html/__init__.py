# SPDX-License-Identifier: Apache-2.0
"""The report as a web page: one folder that works from disk, offline, in any current browser."""
