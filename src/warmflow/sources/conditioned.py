"""A condition for a source whose law, or whose field, depends on one: rows of a table where none is given.

    c = the caller's, or a row of the table drawn uniformly;     x0 ~ the inner source, given c where it takes it

This is how a conditional flow is sampled where nobody says given what: on inputs that were not trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class Conditioned(Source):
    """The inner source's starts with ``condition[name]``.

    Args:
        table: (N, *S'), what is drawn from where the condition is not given.

    Raises:
        ValueError: an empty table; a given condition of another shape than the table's rows.
    """

    source: Source
    name: str
    table: Tensor

    def __post_init__(self) -> None:
        if not len(self.table):
            raise ValueError(f"the table of {self.name!r} is empty, {tuple(self.table.shape)}: give at least one row")

    @property
    def takes(self) -> frozenset[str]:  # type: ignore[override]
        return self.source.takes | {self.name}

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.source.shape

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        given = dict(condition or {})
        if self.name not in given:
            given[self.name] = self.table[noise.integers(f"{self.name}.row", high=len(self.table))]
        elif tuple(given[self.name].shape) != (n, *self.table.shape[1:]):
            raise ValueError(
                f"{self.name} is {tuple(given[self.name].shape)}; {n} starts take {(n, *self.table.shape[1:])}"
            )
        known = {k: v for k, v in given.items() if k != self.name or self.name in self.source.takes}
        start = self.source.draw(n, known, noise=noise)
        return Start(start.x0, {**given, **start.condition}, start.fixed, start.t, start.calls)
