"""Checks of numbers among a user's arguments. True and False are not numbers."""

from __future__ import annotations

import math
import sys
from typing import TypeGuard


def is_whole(value: object, least: float = 1, most: float = math.inf) -> TypeGuard[int]:
    """Whether this is a whole number between these two, both included."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_number(value: object, most: float = sys.float_info.max) -> bool:
    """Whether this is a number above 0 and at most ``most``."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= most
