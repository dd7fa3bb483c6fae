"""The classical Runge-Kutta method. Fourth order, four calls per step.

The last step is Ralston's third-order method, whose nodes (0, 1/2, 3/4) lie before the end of the step. n steps cost 4n - 1
calls.

References:
    Runge-Kutta Methods with Minimum Error Bounds, Anthony Ralston, 1962 (the third-order method)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from warmflow.contracts import Field, Solver, Start, State
from warmflow.noise import Noise
from warmflow.solvers.runge_kutta import Tableau, advance, begin

CLASSICAL = Tableau(((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6), (0.0, 0.5, 0.5, 1.0))
RALSTON = Tableau(((), (0.5,), (0.0, 0.75)), (2 / 9, 1 / 3, 4 / 9), (0.0, 0.5, 0.75))


@dataclass(frozen=True)
class RK4(Solver):
    """The classical Runge-Kutta method; the last step is Ralston's third-order method."""

    name: ClassVar[str] = "rk4"
    order: ClassVar[int] = 4
    calls_per_step: ClassVar[int] = 4
    calls_last_step: ClassVar[int] = 3

    def begin(self, start: Start, t: Tensor, *, noise: Noise) -> State:
        return begin(start, t, noise=noise)

    def step(self, field: Field, state: State, s: Tensor, *, noise: Noise) -> State:
        return advance(field, state, s, inner=CLASSICAL, last=RALSTON)
