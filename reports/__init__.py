# SPDX-License-Identifier: Apache-2.0
"""Tables and figures, made from recorded measurements alone; nothing here imports torch."""
