# SPDX-License-Identifier: Apache-2.0
"""The report as a web page: one folder that works from disk, offline, in any current browser."""

from spade_eval.reports.html.report import write_html

__all__ = ["write_html"]
