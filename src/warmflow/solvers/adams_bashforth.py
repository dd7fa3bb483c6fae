"""The two-step Adams-Bashforth method: second order with one call per step, by reusing the last slope.

    x(s) = x + h (u + (h / (2 h')) (u - u'))      u at t, u' at t' of the previous step; h = s - t, h' = t - t'

This integrates the line through both slopes. The first step has no previous slope and is an Euler step, so it is the shortest:
the time grid is t0 + (1 - t0) (i / n)^2. ``State.memory`` holds u' and t'; before the first step t' is the initial time.

References:
    Solving Ordinary Differential Equations I, Hairer, Norsett, Wanner, sections III.1 and III.5 (steps of variable length)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from warmflow.contracts import Field, Solver, Start, State
from warmflow.noise import Noise
from warmflow.paths.linear import spread
from warmflow.solvers.runge_kutta import begin


@dataclass(frozen=True)
class AdamsBashforth(Solver):
    """Two-step Adams-Bashforth: x + h (u + (h / (2 h')) (u - u')), where h and u are the length and velocity of this step, h' and
    u' those of the previous one. Second order, one call per step.

    Args:
        spacing: exponent p of the time grid t0 + (1 - t0) (i / n)^p; 1 is uniform.
    """

    spacing: float = 2.0
    name: ClassVar[str] = "adams-bashforth"
    title: ClassVar[str] = "Adams-Bashforth"
    order: ClassVar[int] = 2
    calls_per_step: ClassVar[int] = 1
    calls_last_step: ClassVar[int] = 1

    def begin(self, start: Start, t: Tensor, *, noise: Noise) -> State:
        state = begin(start, t, noise=noise)
        return replace(state, memory={"slope": torch.zeros_like(state.x), "t": state.t})

    def step(self, field: Field, state: State, s: Tensor, *, noise: Noise) -> State:
        live = s > state.t
        if bool(live.all()):
            return _step(field, state, s.double())
        x, calls, slope = state.x.clone(), state.calls.clone(), state.memory["slope"].clone()
        t, past = state.t.clone(), state.memory["t"].clone()
        if bool(live.any()):
            part = _step(field, state[live], s[live].double())
            x[live], calls[live], t[live] = part.x, part.calls, part.t
            slope[live], past[live] = part.memory["slope"], part.memory["t"]
        return replace(state, x=x, t=t, calls=calls, memory={"slope": slope, "t": past})


def _step(field: Field, state: State, s: Tensor) -> State:
    estimate = field(state.x, state.t, state.start)
    u = estimate.velocity
    assert u is not None, "a flow solver needs a field with a velocity"
    h, before = s - state.t, state.t - state.memory["t"]
    bend = torch.where(before > 0, h * h / (2 * torch.where(before > 0, before, 1)), 0)
    x = state.x + spread(h, state.x) * u + spread(bend, state.x) * (u - state.memory["slope"])
    if state.start.fixed is not None:
        x = torch.where(state.start.fixed, state.x, x)
    return replace(state, x=x, t=s, calls=state.calls + estimate.calls, memory={"slope": u, "t": state.t})
