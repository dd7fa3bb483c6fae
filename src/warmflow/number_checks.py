"""Checks of numbers among a user's arguments, in one place for every function and option.

A number may be of Python, of numpy, or an array or tensor without dimensions; ``plain_number`` makes a Python number of it. True
and False are not numbers, texts are not, and 2.0 is not a whole number. Lists may be anything that can be walked through once.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ParamSpec, TypeGuard, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")

LARGEST = 2**63 - 1
"""The largest whole number; arrays and files hold 64 bits."""
LONGEST = 10_000
"""Most numbers in a list."""
SAID = {"int": "a whole number", "float": "a number"}
MEANT = {"most": "a whole number, 0 for all", "memory": "a positive number of GB", "minutes": "a positive number"}
"""What is said of arguments of these names instead; they mean the same wherever they stand."""


def plain_number(value: object) -> object:
    """A number of numpy's or torch's as Python's; every other value unchanged."""
    item = getattr(value, "item", None)
    return item() if item is not None and getattr(value, "ndim", None) == 0 else value


def is_whole(value: object, least: float = 1, most: float = LARGEST) -> TypeGuard[int]:
    """Whether this is a whole number between these two, both included."""
    value = plain_number(value)
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_number(value: object, most: float = sys.float_info.max) -> bool:
    """Whether this is a number above 0 and at most ``most``."""
    value = plain_number(value)
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= most


def is_seed(value: object) -> TypeGuard[int]:
    """Whether this is a whole number from 0 to 2^63 - 1."""
    return is_whole(value, 0)


def numbers_checked(function: Callable[P, T]) -> Callable[P, T]:
    """The function with its numbers checked and made Python's: arguments annotated ``int`` and ``float``, and lists of these
    (``Sequence[int]``, ``tuple[int, ...]``), which become tuples, as other sequences do that can be walked through only once.
    Arguments called seed or seeds are at least 0.

    The call raises a ValueError that names the argument; None is left to the function.
    """
    signature = inspect.signature(function)
    hints = {name: str(p.annotation).removesuffix(" | None") for name, p in signature.parameters.items()}
    known = {name: kind for name, hint in hints.items() if (kind := _kind(hint))}
    pairs = [name for name, hint in hints.items() if hint in ("tuple[int, int]", "tuple[float, float]")]

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            given = signature.bind(*args, **kwargs)
        except TypeError:
            return function(*args, **kwargs)  # raises one that names the function
        for name, kind in known.items():
            if given.arguments.get(name) is not None:
                given.arguments[name] = value = _checked(name, given.arguments[name], *kind)
                if name in pairs and len(cast("tuple[float, ...]", value)) != 2:
                    raise ValueError(f"{name} is {value!r}; give two numbers")
        return function(*given.args, **given.kwargs)

    cast("Any", checked).numbers = tuple(known)
    return checked


def _kind(annotation: str) -> tuple[str, bool] | None:
    """("int", "float" or "" for other values, whether in a list) of an annotation; None for other annotations."""
    for kind in SAID:
        if annotation == kind:
            return kind, False
        if annotation in (f"Sequence[{kind}]", f"tuple[{kind}, ...]", f"tuple[{kind}, {kind}]"):
            return kind, True
    return ("", True) if re.fullmatch(r"(Sequence|Iterable)\[\w+\]", annotation) else None


def _checked(name: str, value: object, kind: str, several: bool) -> object:
    if not kind:
        if not _is_list(value):
            raise ValueError(f"{name} is of type {type(value).__name__}; give a list")
        return tuple(value) if isinstance(value, Iterator) else value
    value = plain_number(value)
    if not several:
        _check(name, "is", value, kind)
        return value
    if not _is_list(value):
        like = f"range({value})" if name == "seeds" else f"like [{value}]"
        raise ValueError(f"{name} is {value!r}; give {SAID[kind][2:]}s in a list, {like}")
    found = tuple(plain_number(one) for one in itertools.islice(value, LONGEST + 1))
    if len(found) > LONGEST:
        raise ValueError(f"{name} holds more than {LONGEST:,} numbers; give fewer")
    for one in found:
        _check(name, "holds", one, kind)
    return found


def _is_list(value: object) -> TypeGuard[Iterable[object]]:
    return isinstance(value, Iterable) and not isinstance(value, str | Mapping)


def _check(name: str, verb: str, value: object, kind: str) -> None:
    """Raises ValueError unless the value is a number of this kind, and a seed one from 0 to 2^63 - 1."""
    if name in ("seed", "seeds") and not is_seed(value):
        raise ValueError(f"{name} {verb} {value!r}; a seed is a whole number from 0 to 2^63 - 1")
    if type(value) not in (int, float) or (kind == "int" and not is_whole(value, -math.inf)):
        raise ValueError(f"{name} {verb} {value!r}; it must be {MEANT.get(name, SAID[kind])}")
