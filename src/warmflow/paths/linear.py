"""The straight path on [t0, 1].

    x_t = ((1 - t) x0 + (t - t0) x1) / (1 - t0),        u = (x1 - x0) / (1 - t0) = (x1 - x_t) / (1 - t)

At t0 the network sees the start itself, at 1 the data point. In the rescaled time (t - t0) / (1 - t0) this is ordinary flow
matching from a better start: changing t0 alone gains nothing, a good pairing does. The Euler step x + h (x1hat - x) / (1 - t)
does not depend on t0.

The two coefficients are computed in float64 and then rounded, so that x_t is exactly x0 at t0 and exactly x1 at 1. The form
with one product, x0 + c (x1 - x0), misses x1 in the last bit of many float32 entries.

References:
    Warm-Start Flow Matching for Guaranteed Fast Text/Image Generation, Minyoung Kim, 2026, arXiv 2603.19360 (the start)
    Flow Matching for Generative Modeling, Lipman et al., 2022, arXiv 2210.02747 (t0 = 0)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import FlowPath, Pair, Point, Start
from warmflow.devices import doubled, place_of_float64
from warmflow.noise import Noise


def spread(values: Tensor, like: Tensor) -> Tensor:
    """Reshapes values (B,) to (B, 1, ..., 1) for multiplication with ``like`` (B, *S), in its dtype and on its device."""
    return values.to(like.dtype).to(like.device).reshape(-1, *[1] * (like.ndim - 1))


@dataclass(frozen=True, eq=False)
class LinearPath(FlowPath):
    """x_t = ((1 - t) x0 + (t - t0) x1) / (1 - t0).

    Args:
        t0: initial time in [0, 1), used unless a start has its own time.

    Raises:
        ValueError: t0 outside [0, 1).
    """

    t0: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.t0 < 1.0:
            raise ValueError(f"t0 is {self.t0}; it must lie in [0, 1): 0 is a cold start, 1 would leave no path")

    def begin(self, start: Start) -> Tensor:
        if start.t is not None:
            return doubled(start.t)
        return torch.full((len(start.x0),), self.t0, dtype=torch.float64, device=place_of_float64(start.x0.device))

    def coefficients(self, t: Tensor, start: Start) -> tuple[Tensor, Tensor]:
        """The weights (B,) float64 of x0 and of x1 at times t."""
        t, t0 = doubled(t), self.begin(start)
        return (1 - t) / (1 - t0), (t - t0) / (1 - t0)

    def sample(self, pair: Pair, t: Tensor, *, noise: Noise) -> Point:
        x0, x1 = pair.start.x0, pair.x1
        a, b = self.coefficients(t, pair.start)
        x_t = spread(a, x1) * x0 + spread(b, x1) * x1
        velocity = (x1 - x0) / spread(1 - self.begin(pair.start), x1)
        return Point(pair, t, x_t, velocity)

    def velocity(self, x1: Tensor, x_t: Tensor, t: Tensor, start: Start) -> Tensor:
        return (x1 - x_t) / spread(1 - doubled(t), x_t)

    def x1(self, velocity: Tensor, x_t: Tensor, t: Tensor, start: Start) -> Tensor:
        return x_t + spread(1 - doubled(t), x_t) * velocity
