"""The solver for token paths: from t to s each free position jumps with probability (k(s) - k(t)) / (1 - k(t)), to a token
sampled from the field's p(x1 | x_t).

The jump probability is exact for any step size: it is the probability that a position still at its start at t has jumped by s.
The last step uses the same formula, which is 1 at s = 1. The only approximation is that all positions that jump in the same
step are sampled at once, each from its own marginal. With a single token there is no error at any number of steps.

Which positions jump is drawn first. A row in which none jumps needs no network evaluation and costs no call; otherwise logits are
requested for the jumping positions only. Sampling inverts the distribution function in float64: in float32 the tails of a large
vocabulary are lost, which acts like a lower temperature.

    expected calls for a sample of L free positions in N steps, k linear:    sum over m = 1 .. N of 1 - (1 - 1/m)^L

The corrector (``renoise`` = c > 0) changes the sampled distribution. Every step but the last has two parts: more positions
jump, until only a share (1 - c) (1 - k(s)) has not jumped; then positions are reset to their start, until the share that has
jumped is k(s) again. A token that was sampled with probability q is reset in proportion to 1 - q. This costs no call; positions
that were reset are sampled again later, when more of their neighbours are known.

References:
    Discrete Flow Matching, Gat et al., 2024, arXiv 2407.15595
    Generative Flows on Discrete State-Spaces, Campbell et al., 2024, arXiv 2402.04997
    Remasking Discrete Diffusion Models with Inference-Time Scaling, Wang et al., 2025, arXiv 2503.00307 (resetting tokens of
        low confidence)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from warmflow.contracts import Field, JumpPath, Solver, Start, State
from warmflow.devices import doubled, place_of_float64
from warmflow.noise import Noise

UNDRAWN = 2.0
"""Placeholder for the probability of a token that was not sampled."""


def categorical(logits: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """Samples tokens by the inverse distribution function, in float64.

    Args:
        logits: (M, V); minus infinity for impossible tokens.
        uniform: (M,) in (0, 1).

    Returns:
        The tokens (M,) and their probabilities (M,).
    """
    levels = torch.softmax(doubled(logits), 1)
    chance = levels
    levels = levels.cumsum(1)
    top = levels[:, -1:]
    value = torch.minimum(uniform.double().to(top.device)[:, None] * top, torch.nextafter(top, torch.zeros_like(top)))
    token = torch.searchsorted(levels, value, right=True)  # the first level above: never a token of probability 0
    return token[:, 0], chance.gather(1, token)[:, 0]


@dataclass(frozen=True)
class Jump(Solver):
    """Draws which positions jump, then samples their tokens.

    ``calls_per_step`` is the maximum: steps in which no position jumps cost nothing.

    Args:
        renoise: strength of the corrector in [0, 1); 0 is off.

    Raises:
        ValueError: a strength outside [0, 1), or starts that are not tokens.
    """

    renoise: float = 0.0
    title: ClassVar[str] = "jump"
    order: ClassVar[int] = 1
    jumps: ClassVar[bool] = True
    calls_per_step: ClassVar[int] = 1
    calls_last_step: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not 0 <= self.renoise < 1:
            raise ValueError(f"renoise is {self.renoise}; the corrector's strength must lie in [0, 1), 0 is off")

    def begin(self, start: Start, t: Tensor, *, noise: Noise) -> State:
        x = start.x0
        if x.is_floating_point():
            raise ValueError(f"the starts are {x.dtype}; the jump solver needs tokens, int64")
        calls = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        sure = (
            torch.full(x.shape, UNDRAWN, dtype=torch.float64, device=place_of_float64(x.device))
            if self.renoise
            else None
        )
        return State(start, x, t.double(), calls, sure)

    def step(self, field: Field, state: State, s: Tensor, *, noise: Noise) -> State:
        path = field.path
        assert isinstance(path, JumpPath), "a jump solver needs a field on a jump path"
        x, s, sure = state.x, s.double(), state.memory
        chance = path.fires(state.t, s)
        inner = ((s < 1) & (s > state.t)) if self.renoise else None
        if inner is not None:
            chance = torch.where(inner, chance + self.renoise * (1 - chance), chance)
        fires = noise.uniform("fires", x.shape[1]) < chance[:, None]
        fires &= ~path.settled(x, state.start).to(fires.device)
        rows = fires.any(1)
        calls = state.calls
        if bool(rows.any()):
            if bool(rows.all()):
                estimate = field(x, state.t, state.start, at=fires.to(x.device))
                spent = estimate.calls
            else:
                estimate = field(x[rows], state.t[rows], state.start[rows], at=fires[rows].to(x.device))
                spent = torch.zeros_like(calls).masked_scatter(rows.to(x.device), estimate.calls)
            assert estimate.logits is not None, "a jump solver needs a field that gives logits"
            token, confidence = categorical(estimate.logits, noise.uniform("token", x.shape[1])[fires])
            x, calls = x.masked_scatter(fires.to(x.device), token.to(x.device)), calls + spent
            if sure is not None:
                sure = sure.masked_scatter(fires, confidence)
        if sure is not None and inner is not None:
            share = path.fires(path.begin(state.start), s)
            reached = share + self.renoise * (1 - share)
            doubt = torch.where(sure <= 1, 1.001 - sure, 0.0)  # 0 where no token was sampled yet
            evened = doubt / doubt.mean(1, keepdim=True).clamp(min=1e-9) * (doubt > 0).double().mean(1, keepdim=True)
            back = noise.uniform("renoise", x.shape[1]) < ((reached - share) / reached)[:, None] * evened
            back &= inner[:, None]
            x, sure = torch.where(back.to(x.device), state.start.x0, x), torch.where(back, UNDRAWN, sure)
        return replace(state, x=x, t=torch.where(s > state.t, s, state.t), calls=calls, memory=sure)
