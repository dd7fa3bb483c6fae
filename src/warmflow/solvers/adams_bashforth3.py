"""The three-step Adams-Bashforth method: third order with one call per step, by reusing the last two slopes.

    x(s) = x + h u + h^2 / 2 [u, u'] + (h^3 / 3 + h^2 h' / 2) [u, u', u'']

with u at t, u' at t' = t - h' and u'' at t'' = t' - h'' of the two steps before, h = s - t, and Newton's divided differences

    [u, u'] = (u - u') / h'        [u, u', u''] = ([u, u'] - [u', u'']) / (h' + h'')

This is the integral over [t, s] of the parabola through the three slopes, u + [u, u'] r + [u, u', u''] r (r + h') at t + r.
With steps of equal length it is h (23 u - 16 u' + 5 u'') / 12.

The first step has no previous slope and is an Euler step of local error h^2; the second has one and is a two-step step of local
error h^3. On the time grid t0 + (1 - t0) (i / n)^2 the first step has length n^-2, so that its error n^-4 is smaller than the
global n^-3. With equal steps it is not, and the whole is of second order.

``State.memory`` holds u', t', [u', u''] and t''; t' = t and t'' = t' where there is none yet.

References:
    Solving Ordinary Differential Equations I, Hairer, Norsett, Wanner, sections III.1 and III.5 (steps of variable length)
    Fast Sampling of Diffusion Models with Exponential Integrator, Zhang, Chen, 2022, arXiv 2204.13902 (Adams-Bashforth
        extrapolation of a network's outputs in sampling)
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
class AdamsBashforth3(Solver):
    """Three-step Adams-Bashforth: x + h u + h^2/2 [u, u'] + (h^3/3 + h^2 h'/2) [u, u', u'']. Third order, one call per step.

    Args:
        spacing: exponent p of the time grid t0 + (1 - t0) (i / n)^p; below 1.5 the order is 2 p, that of the first step.
    """

    name: ClassVar[str] = "adams-bashforth-3"
    title: ClassVar[str] = "Adams-Bashforth 3"
    spacing: float = 2.0
    order: ClassVar[int] = 3
    calls_per_step: ClassVar[int] = 1
    calls_last_step: ClassVar[int] = 1

    def begin(self, start: Start, t: Tensor, *, noise: Noise) -> State:
        state = begin(start, t, noise=noise)
        none = torch.zeros_like(state.x)
        return replace(state, memory={"slope": none, "t": state.t, "difference": none, "before": state.t})

    def step(self, field: Field, state: State, s: Tensor, *, noise: Noise) -> State:
        live = s > state.t
        if bool(live.all()):
            return _step(field, state, s.double())
        x, calls, t = state.x.clone(), state.calls.clone(), state.t.clone()
        memory = {key: value.clone() for key, value in state.memory.items()}
        if bool(live.any()):
            part = _step(field, state[live], s[live].double())
            x[live], calls[live], t[live] = part.x, part.calls, part.t
            for key, value in part.memory.items():
                memory[key][live] = value
        return replace(state, x=x, t=t, calls=calls, memory=memory)


def _step(field: Field, state: State, s: Tensor) -> State:
    estimate = field(state.x, state.t, state.start)
    u, m = estimate.velocity, state.memory
    assert u is not None, "a flow solver needs a field with a velocity"
    h, h1, h2 = s - state.t, state.t - m["t"], m["t"] - m["before"]
    first = spread(_over(h1), state.x) * (u - m["slope"])
    second = spread(_over(h1 + h2) * (h2 > 0), state.x) * (first - m["difference"])
    x = (
        state.x
        + spread(h, state.x) * u
        + spread(h**2 / 2, state.x) * first
        + spread(h**3 / 3 + h**2 * h1 / 2, state.x) * second
    )
    if state.start.fixed is not None:
        x = torch.where(state.start.fixed, state.x, x)
    memory = {"slope": u, "t": state.t, "difference": first, "before": m["t"]}
    return replace(state, x=x, t=s, calls=state.calls + estimate.calls, memory=memory)


def _over(h: Tensor) -> Tensor:
    """1 / h, and 0 where h is 0: a difference that is not there yet."""
    return torch.where(h > 0, 1 / torch.where(h > 0, h, 1), 0)
