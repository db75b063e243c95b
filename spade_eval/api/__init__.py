# SPDX-License-Identifier: Apache-2.0
"""What `import spade_eval` offers: a thin layer over `Benchmark`, sources and reports."""
