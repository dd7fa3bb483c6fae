"""What an option is: its default, its help, its choices, and what is said of values that it cannot have."""

from __future__ import annotations

import difflib
import numbers
from dataclasses import field
from typing import Any


def option(default: Any, text: str, choices: tuple[str, ...] = (), runtime: bool = False, later: bool = False) -> Any:
    """A setting with its help. ``runtime``: it says how fast something is computed, and is no part of what a run is.
    ``later``: there are runs from before it was one, which are as if it had its default."""
    return field(default=default, metadata={"help": text, "choices": choices, "runtime": runtime, "later": later})


def flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def suggest(value: Any, known: tuple[str, ...] | list[str]) -> str:
    """``did you mean X? known: ...``"""
    near = difflib.get_close_matches(str(value), known, n=1, cutoff=0.5)
    return (f"did you mean {near[0]!r}? " if near else "") + f"known: {', '.join(known)}"


def whole_numbers(settings: Any, names: tuple[str, ...], least: int = 1) -> None:
    """ValueError where one of these settings is no whole number of at least ``least``."""
    for name in names:
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{flag(name)} is {value!r}; it is a whole number of at least {least}")


KINDS = {int: "a whole number", float: "a number", str: "text", bool: "True or False"}


def typed(recipe: str, name: str, value: Any, default: Any) -> Any:
    """The value as the type of the default (whole numbers pass for numbers, numpy's for Python's)."""
    wanted = type(default)
    if isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)):
        return value
    number: Any = {int: numbers.Integral, float: numbers.Real}.get(wanted)
    if number is not None and isinstance(value, number) and not isinstance(value, bool) and -1e300 < value < 1e300:
        return wanted(value)
    if wanted is str and hasattr(value, "__fspath__"):
        return str(value)
    raise ValueError(f"{recipe}: {name} is {value!r}; it must be {KINDS[wanted]}, like {default!r}")


def alone(settings: Any, what: str) -> None:
    """ValueError where a recipe whose flows are given something else is asked for labels."""
    if settings.conditional:
        raise ValueError(f"--conditional is for flows that are given labels, and {what}: leave it out")


def divides(factor: int, side: int) -> None:
    """ValueError where low frequencies of this factor do not fit the image."""
    if factor < 2 or side % factor:
        raise ValueError(f"--factor is {factor}; it is at least 2 and divides the side of {side} pixels")
