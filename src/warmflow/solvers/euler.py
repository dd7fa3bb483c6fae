"""Euler's method: x + h u(x, t). First order, one call per step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from warmflow.contracts import Field, Solver, Start, State
from warmflow.noise import Noise
from warmflow.solvers.runge_kutta import EULER, advance, begin


@dataclass(frozen=True)
class Euler(Solver):
    """Euler's method: x + h u(x, t). First order, one call per step."""

    name: ClassVar[str] = "euler"
    order: ClassVar[int] = 1
    calls_per_step: ClassVar[int] = 1
    calls_last_step: ClassVar[int] = 1

    def begin(self, start: Start, t: Tensor, *, noise: Noise) -> State:
        return begin(start, t, noise=noise)

    def step(self, field: Field, state: State, s: Tensor, *, noise: Noise) -> State:
        return advance(field, state, s, inner=EULER, last=EULER)
