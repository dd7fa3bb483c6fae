"""Adds a condition to a source; rows of a table are drawn when none is given.

    c = the given condition, or a uniformly drawn row of the table;     x0 ~ the inner source, given c if it takes c

Use it to sample a conditional flow without specifying conditions, for example on inputs that were not used in training.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from warmflow.contracts import Condition, Source, Start, Wrapper
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class Conditioned(Wrapper):
    """The inner source's starts with ``condition[name]``.

    Args:
        table: (N, *S'), from which conditions are drawn when none are given.

    Raises:
        ValueError: the table is empty, or a given condition does not have the shape of the table's rows.
    """

    source: Source
    name: str
    table: Tensor

    def __post_init__(self) -> None:
        if not len(self.table):
            raise ValueError(f"the table of {self.name!r} is empty, {tuple(self.table.shape)}: give at least one row")

    @property
    def takes(self) -> frozenset[str]:
        return self.source.takes | {self.name}

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        given = dict(condition or {})
        if self.name not in given:
            given[self.name] = self.table[noise.integers(f"{self.name}.row", high=len(self.table))]
        elif tuple(given[self.name].shape) != (n, *self.table.shape[1:]):
            raise ValueError(
                f"{self.name} is {tuple(given[self.name].shape)}; for {n} starts it must be {(n, *self.table.shape[1:])}"
            )
        known = {k: v for k, v in given.items() if k != self.name or self.name in self.source.takes}
        start = self.source.draw(n, known, noise=noise)
        return Start(start.x0, {**given, **start.condition}, start.fixed, start.t, start.calls)
