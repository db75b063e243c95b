# SPDX-License-Identifier: Apache-2.0
"""Pages that need an answer: what a person does in a browser, and the small server behind it."""
