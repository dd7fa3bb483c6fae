"""How numbers of real samples are written: in sentences, tables and reports alike."""

from __future__ import annotations

import math


def rounded(n: float) -> str:
    """A number of real samples in two significant digits: 604 is "600", 37.2 is "37", 3.14 is "3.1"."""
    if math.isinf(n):
        return "∞"
    if n < 10:
        return f"{n:.1f}".removesuffix(".0")
    return f"{round(n, 1 - math.floor(math.log10(n))):,.0f}"
