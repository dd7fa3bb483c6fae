"""Short ``repr`` of records and results: what they are, not all that they hold.

    DataSet(name='digits', kind='images', train=Batch(x1=float32 (997, 1, 8, 8), ...), ...)

Tensors and arrays are told by their type and shape, networks by their class, long texts and collections by their beginning.
No torch is imported here.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Mapping

MOST = 1_500
"""The largest number of characters."""
LEVELS = 3
"""How deep records within records are told."""


class _Brief(reprlib.Repr):
    """Writes dataclasses by their fields."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = levels, 100, 100
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = 4

    def repr_instance(self, x: object, level: int) -> str:
        kind = type(x).__name__
        if hasattr(x, "shape") and hasattr(x, "dtype") and not dataclasses.is_dataclass(x):
            shape = tuple(x.shape)
            return f"{str(x.dtype).removeprefix('torch.')} {shape}" if shape else super().repr_instance(x, level)
        if hasattr(x, "state_dict"):
            return f"<{kind}>"
        if isinstance(x, Mapping):
            return self.repr_dict(dict(x), level)
        own = type(x).__repr__ is not shown and not hasattr(
            type(x).__repr__, "__wrapped__"
        )  # dataclass wraps those it writes
        if not dataclasses.is_dataclass(x) or own:
            return super().repr_instance(x, level)
        if level <= 0:
            return f"{kind}(...)"
        told = (f"{f.name}={self.repr1(getattr(x, f.name), level - 1)}" for f in dataclasses.fields(x) if f.repr)
        return f"{kind}({', '.join(told)})"


def shown(self: object) -> str:
    """What a dataclass holds, in at most ``MOST`` characters."""
    for levels in range(LEVELS, 0, -1):
        said = _Brief(levels).repr_instance(self, levels)
        if len(said) <= MOST:
            return said
    return said[: MOST - 4] + "...)"


class Brief:
    """A base of dataclasses with a short ``repr``."""

    def __init_subclass__(cls, **more: object) -> None:
        super().__init_subclass__(**more)
        if "__repr__" not in vars(cls):
            type.__setattr__(cls, "__repr__", shown)
