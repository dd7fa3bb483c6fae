"""A multistep solver in the data-prediction form: second order with one call per step, by reusing the last estimate of x1.

On the linear path x' = (X(t) - x) / (1 - t), where X is the field's estimate of x1, for any t0. Dividing by 1 - t gives

    d/dt [x / (1 - t)] = X / (1 - t)^2,    hence exactly    x(s) = r x(t) + (1 - s) int_t^s X(tau) / (1 - tau)^2 dtau,

with r = (1 - s) / (1 - t). Only X is approximated, by the line in tau through the estimates X at t and X' at t', the time of
the step before. With D = (X - X') / (t - t') the integral has the closed form

    x(s) = r x + (1 - r) X + D [(s - t) + (1 - s) log r]

At s = 1 the bracket is 1 - t, so the last step ends at X + (1 - t) D, the estimate extrapolated to t = 1. Neither end is
singular: t < 1 wherever a field is evaluated, and (1 - s) log r tends to 0. The first step has no previous estimate and takes X
as constant, which is the Euler step (the DDIM step of a flow). For short steps the bracket is (s - t)^2 / (2 (1 - t)).

``State.memory`` holds X' and t'; before the first step t' is the state's own time.

References:
    DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models, Lu et al., 2022, arXiv 2211.01095,
        algorithm 2 (the same on diffusion paths, linear in the log signal-to-noise ratio)
    Denoising Diffusion Implicit Models, Song, Meng, Ermon, 2020, arXiv 2010.02502 (the first step)
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
class MultistepX1(Solver):
    """Multistep in the data-prediction form: x(s) = r x + (1 - r) X + D [(s - t) + (1 - s) log r], r = (1 - s) / (1 - t).

    Second order, one call per step; for fields on the linear path.

    Args:
        spacing: exponent p of the time grid t0 + (1 - t0) (i / n)^p; 1 is uniform.
    """

    spacing: float = 1.0
    name: ClassVar[str] = "multistep-x1"
    title: ClassVar[str] = "multistep x1"
    order: ClassVar[int] = 2
    calls_per_step: ClassVar[int] = 1
    calls_last_step: ClassVar[int] = 1

    def begin(self, start: Start, t: Tensor, *, noise: Noise) -> State:
        state = begin(start, t, noise=noise)
        return replace(state, memory={"x1": torch.zeros_like(state.x), "t": state.t})

    def step(self, field: Field, state: State, s: Tensor, *, noise: Noise) -> State:
        live = s > state.t
        if bool(live.all()):
            return _step(field, state, s.double())
        x, calls, x1 = state.x.clone(), state.calls.clone(), state.memory["x1"].clone()
        t, past = state.t.clone(), state.memory["t"].clone()
        if bool(live.any()):
            part = _step(field, state[live], s[live].double())
            x[live], calls[live], t[live] = part.x, part.calls, part.t
            x1[live], past[live] = part.memory["x1"], part.memory["t"]
        return replace(state, x=x, t=t, calls=calls, memory={"x1": x1, "t": past})


def _step(field: Field, state: State, s: Tensor) -> State:
    estimate = field(state.x, state.t, state.start)
    x1 = estimate.x1
    assert x1 is not None, "this solver needs a field that estimates x1"
    h, before = s - state.t, state.t - state.memory["t"]
    r = (1 - s) / (1 - state.t)
    bracket = h + torch.special.xlogy(1 - s, r)  # 0 log 0 = 0 at s = 1
    per_time = torch.where(before > 0, bracket / torch.where(before > 0, before, 1), 0)
    x = (
        spread(r, state.x) * state.x
        + spread(1 - r, state.x) * x1
        + spread(per_time, state.x) * (x1 - state.memory["x1"])
    )
    if state.start.fixed is not None:
        x = torch.where(state.start.fixed, state.x, x)
    return replace(state, x=x, t=s, calls=state.calls + estimate.calls, memory={"x1": x1, "t": state.t})
