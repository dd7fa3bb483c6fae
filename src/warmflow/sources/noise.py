"""Standard normal noise, N(0, I): the cold start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class StandardNormal(Source):
    """x0 ~ N(0, I) of the given shape; conditions do not affect it and are passed on."""

    shape: tuple[int, ...]
    takes: frozenset[str] = frozenset()
    is_noise: ClassVar[bool] = True

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        return Start(noise.normal("noise", *self.shape), dict(condition or {}))
