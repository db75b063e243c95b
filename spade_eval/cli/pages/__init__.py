# SPDX-License-Identifier: Apache-2.0
"""Commands whose result is a page that waits for a person."""
