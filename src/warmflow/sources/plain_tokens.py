"""The cold starts of token flows: uniform tokens, or the mask token at every position.

UniformTokens    x0^i uniform on 0 .. V - 1
MaskTokens       x0^i = mask, the token V, which the data cannot contain
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class UniformTokens(Source):
    """Uniform and independent tokens; ``shape`` is (L,). Conditions do not affect it and are passed on."""

    shape: tuple[int, ...]
    vocabulary: int
    takes: frozenset[str] = frozenset()
    is_noise: ClassVar[bool] = True

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        return Start(noise.integers("token", *self.shape, high=self.vocabulary), dict(condition or {}))


@dataclass(frozen=True, eq=False)
class MaskTokens(Source):
    """The token ``mask`` at every position; ``shape`` is (L,). Conditions do not affect it and are passed on."""

    shape: tuple[int, ...]
    mask: int
    takes: frozenset[str] = frozenset()
    is_noise: ClassVar[bool] = True

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        x0 = torch.full((n, *self.shape), self.mask, dtype=torch.int64, device=noise.root.device)
        return Start(x0, dict(condition or {}))
