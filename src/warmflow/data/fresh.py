"""A toy as a source of fresh points: what drafts of known grade are made from."""

from __future__ import annotations

from dataclasses import dataclass

from warmflow.contracts import Condition, Source, Start
from warmflow.data.toy import draw
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class FreshToy(Source):
    """Points of a toy's own law, (n, 2), of zero mean and unit variance; never those it was trained on."""

    name: str
    shape: tuple[int, ...] = (2,)
    takes: frozenset[str] = frozenset()

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        return Start(draw(self.name, n, noise.fold("fresh")), dict(condition or {}))
