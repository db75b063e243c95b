# SPDX-License-Identifier: Apache-2.0
"""Tables as people read them: printed, Markdown, LaTeX and CSV."""
