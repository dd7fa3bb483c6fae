"""The mixture path of tokens: every position stays at its start until it jumps to its data token, once, at a random time.

    k(t) = ((t - t0) / (1 - t0))^n,        x_t^i = x1^i with probability k(t), else x0^i, independently for each position

    probability to have jumped by s, given not by t:    (k(s) - k(t)) / (1 - k(t))        exact for any t < s; 1 at s = 1
    jump rate at t:                                     k'(t) / (1 - k(t))

For n = 1 neither depends on t0: they are (s - t) / (1 - t) and 1 / (1 - t). Sampling a warm flow is then the same as sampling a
cold flow from another start at another time. For n != 1 this is false, and a warm flow must be trained and sampled on its own
path.

A start with its own time t must look like the path's points at that time: a sequence whose known share is a, with the rest at its
start (for example masked), belongs at the t with k(t) = a, which ``when`` computes.

References:
    Discrete Flow Matching, Gat et al., 2024, arXiv 2407.15595 (mixture paths, schedules)
    Warm-Start Flow Matching for Guaranteed Fast Text/Image Generation, Minyoung Kim, 2026, arXiv 2603.19360 (the start)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import JumpPath, Pair, Point, Start
from warmflow.devices import doubled, place_of_float64
from warmflow.noise import Noise

STEEPEST = 1e3
"""The largest rate used as a weight. The true rate exceeds it only in the last thousandth of the time, when nearly every
position has jumped.
"""


@dataclass(frozen=True, eq=False)
class MixturePath(JumpPath):
    """Each position is at its data token with probability k(t) = ((t - t0) / (1 - t0))^power, else at its start.

    Args:
        t0: initial time in [0, 1), used unless a start has its own time.
        power: the exponent n > 0; 1 is linear.
        mask: the token that stands for "unknown", if every start consists of it. A position with another token has then jumped
            and cannot jump again. None if starts are ordinary tokens.

    Raises:
        ValueError: t0 outside [0, 1), or a power that is not positive and finite.
    """

    t0: float = 0.0
    power: float = 1.0
    mask: int | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.t0 < 1.0:
            raise ValueError(f"t0 is {self.t0}; it must lie in [0, 1): 0 is a cold start, 1 would leave no path")
        if not (math.isfinite(self.power) and self.power > 0):
            raise ValueError(f"power is {self.power}; the schedule k(t) = t^power needs a positive one, 1 is linear")

    def begin(self, start: Start) -> Tensor:
        if start.t is not None:
            return doubled(start.t)
        return torch.full((len(start.x0),), self.t0, dtype=torch.float64, device=place_of_float64(start.x0.device))

    def kappa(self, t: Tensor) -> Tensor:
        """The probability k(t) of a position to be at its data token at t (B,), float64."""
        return ((t.double() - self.t0) / (1 - self.t0)).clamp(0, 1) ** self.power

    def when(self, share: Tensor) -> Tensor:
        """The time (B,) at which the expected share of positions at their data token is ``share`` (B,): the inverse of k."""
        return self.t0 + (1 - self.t0) * share.double().clamp(0, 1) ** (1 / self.power)

    def fires(self, t: Tensor, s: Tensor) -> Tensor:
        t, s = t.double(), s.double()
        if self.power == 1:
            chance = (s - t) / (1 - t)
        else:
            before = self.kappa(t)
            chance = (self.kappa(s) - before) / (1 - before)
        chance = torch.where(s >= 1, torch.ones_like(chance), chance.clamp(0, 1))
        return torch.where(s > t, chance, torch.zeros_like(chance))

    def rate(self, t: Tensor) -> Tensor:
        t = t.double()
        if self.power == 1:
            return 1 / (1 - t).clamp(min=1 / STEEPEST)
        u = ((t - self.t0) / (1 - self.t0)).clamp(1e-9, 1)
        slope = self.power * u ** (self.power - 1) / (1 - self.t0)
        return (slope / (1 - u**self.power).clamp(min=1e-12)).clamp(max=STEEPEST)

    def settled(self, x_t: Tensor, start: Start) -> Tensor:
        done = torch.zeros_like(x_t, dtype=torch.bool) if self.mask is None else x_t != self.mask
        return done if start.fixed is None else done | start.fixed

    def sample(self, pair: Pair, t: Tensor, *, noise: Noise) -> Point:
        x0, x1 = pair.start.x0, pair.x1
        chance = self.fires(self.begin(pair.start), t)
        uniform = noise.uniform("jump", *x0.shape[1:]).to(chance.device)
        jumped = (uniform < chance.reshape(-1, *[1] * (x0.ndim - 1))).to(x0.device)
        if pair.start.fixed is not None:
            jumped = jumped & ~pair.start.fixed
        return Point(pair, t, torch.where(jumped, x1, x0))
