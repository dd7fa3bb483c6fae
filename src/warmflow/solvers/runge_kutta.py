"""Explicit Runge-Kutta steps, and the rule for the step that ends at t = 1.

    k_j = u(x + h sum_i a_ji k_i, t + c_j h),        x(t + h) = x + h sum_j b_j k_j

No field is evaluated at t = 1, where a velocity computed from x1 is 0 / 0. A scheme with a node at c = 1 therefore uses another
scheme for the last step, of one order less, whose nodes all lie before the end. A single step of local error h^p does not
change the global order p.

Rows are independent: some may be unchanged (t == s), and some may end at 1 while others do not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from warmflow.contracts import Field, Start, State
from warmflow.noise import Noise
from warmflow.paths.linear import spread


@dataclass(frozen=True)
class Tableau:
    """Butcher's tableau: rows of ``a`` below the diagonal, weights ``b``, nodes ``c``."""

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]


EULER = Tableau(((),), (1.0,), (0.0,))


def begin(start: Start, t: Tensor, *, noise: Noise) -> State:
    """The initial state; x is kept in float32 or better."""
    x = start.x0 if start.x0.dtype in (torch.float32, torch.float64) else start.x0.float()
    return State(start, x, t.double(), torch.zeros(len(x), dtype=torch.int64, device=x.device))


def _step(tableau: Tableau, field: Field, state: State, s: Tensor) -> State:
    h = s.double() - state.t
    step, calls = spread(h, state.x), state.calls
    slopes: list[Tensor] = []
    for row, node in zip(tableau.a, tableau.c, strict=True):
        x = state.x
        for weight, slope in zip(row, slopes, strict=True):
            if weight:
                x = x + (weight * step) * slope
        estimate = field(x, state.t + node * h, state.start)
        assert estimate.velocity is not None, "a flow solver needs a field with a velocity"
        slopes.append(estimate.velocity)
        calls = calls + estimate.calls
    x = state.x
    for weight, slope in zip(tableau.b, slopes, strict=True):
        if weight:
            x = x + (weight * step) * slope
    if state.start.fixed is not None:
        x = torch.where(state.start.fixed, state.x, x)
    return replace(state, x=x, t=s.double(), calls=calls)


def advance(field: Field, state: State, s: Tensor, inner: Tableau, last: Tableau) -> State:
    """One step to s (B,): ``inner`` for rows that stop before 1, ``last`` for rows that end at 1."""
    live, ends = s > state.t, s >= 1
    if bool(live.all()):
        if bool(ends.all()):
            return _step(last, field, state, s)
        if not bool(ends.any()):
            return _step(inner, field, state, s)
    x, calls = state.x.clone(), state.calls.clone()
    for rows, tableau in ((live & ~ends, inner), (live & ends, last)):
        if bool(rows.any()):
            part = _step(tableau, field, state[rows], s[rows])
            x[rows], calls[rows] = part.x, part.calls
    return replace(state, x=x, t=torch.where(live, s.double(), state.t), calls=calls)
