"""The midpoint method: x + h u(x + h/2 u(x, t), t + h/2). Second order, two calls per step, none of them at t + h."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from warmflow.contracts import Field, Solver, Start, State
from warmflow.noise import Noise
from warmflow.solvers.runge_kutta import Tableau, advance, begin

MIDPOINT = Tableau(((), (0.5,)), (0.0, 1.0), (0.0, 0.5))


@dataclass(frozen=True)
class Midpoint(Solver):
    """The midpoint method: x + h u(x + h/2 u(x, t), t + h/2). Second order, two calls per step, none of them at t + h."""

    name: ClassVar[str] = "midpoint"
    title: ClassVar[str] = "midpoint"
    order: ClassVar[int] = 2
    calls_per_step: ClassVar[int] = 2
    calls_last_step: ClassVar[int] = 2

    def begin(self, start: Start, t: Tensor, *, noise: Noise) -> State:
        return begin(start, t, noise=noise)

    def step(self, field: Field, state: State, s: Tensor, *, noise: Noise) -> State:
        return advance(field, state, s, inner=MIDPOINT, last=MIDPOINT)
