"""A toy distribution as a source of fresh points, for drafts of known quality."""

from __future__ import annotations

from dataclasses import dataclass

from warmflow.contracts import Condition, Source, Start
from warmflow.data.toy import draw
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class FreshToy(Source):
    """Fresh points (n, 2) of a toy distribution, with zero mean and unit variance; independent of the training points."""

    name: str
    shape: tuple[int, ...] = (2,)
    takes: frozenset[str] = frozenset()

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        return Start(draw(self.name, n, noise.fold("fresh")), dict(condition or {}))
