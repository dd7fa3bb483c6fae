"""Heun's method (explicit trapezoidal rule): the mean of the slopes at both ends. Second order; the last step is an Euler step.

    k1 = u(x, t),  k2 = u(x + h k1, t + h),  x + h (k1 + k2) / 2

n steps cost 2n - 1 calls.

References:
    Elucidating the Design Space of Diffusion-Based Generative Models, Karras et al., 2022, arXiv 2206.00364, alg. 1
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from warmflow.contracts import Field, Solver, Start, State
from warmflow.noise import Noise
from warmflow.solvers.runge_kutta import EULER, Tableau, advance, begin

HEUN = Tableau(((), (1.0,)), (0.5, 0.5), (0.0, 1.0))


@dataclass(frozen=True)
class Heun(Solver):
    """Heun's method: x + h (k1 + k2) / 2 with the slopes k1, k2 at both ends. Second order; the last step is an Euler step."""

    name: ClassVar[str] = "heun"
    order: ClassVar[int] = 2
    calls_per_step: ClassVar[int] = 2
    calls_last_step: ClassVar[int] = 1

    def begin(self, start: Start, t: Tensor, *, noise: Noise) -> State:
        return begin(start, t, noise=noise)

    def step(self, field: Field, state: State, s: Tensor, *, noise: Noise) -> State:
        return advance(field, state, s, inner=HEUN, last=EULER)
