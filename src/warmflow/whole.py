"""Whole numbers among a user's arguments."""

from __future__ import annotations

import math


def is_whole(value: object, least: float = 1, most: float = math.inf) -> bool:
    """Whether this is a whole number between these two, both included. True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
