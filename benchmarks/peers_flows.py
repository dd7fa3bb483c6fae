"""Flows of other libraries on our network: how each makes a training example, one plain training loop, and its own ODE solver.

A peer's *match* turns images x1 (B, *S) into (t (B,), x_t (B, *S), target (B, *S)); the rest of an update is the same for all:

    rows of the data in the order of ``warmflow.training.train``;  loss = mean |network(x_t, t) - target|^2
    AdamW, gradient norm clipped, the rate and the averaging of ``warmflow.training``

so a peer differs from ours by its matching, by what it predicts and by whose loop it runs in. torchcfm and flow_matching predict
the velocity, as is their practice; "torchcfm_x1" predicts the image instead, and integrates (x1 - x) / (1 - t).

The loop is as bare as a user would write it: no log, no checks, no records. torchcfm's flows are integrated by torchdiffeq's
odeint, one of the two packages that its examples use; the other, torchdyn, is not used, installed or not. flow_matching's are
integrated by its ODESolver.

facebookresearch/flow_matching is under a non-commercial licence: it is imported and measured, nothing here comes from it.

References:
    Improving and generalizing flow-based generative models with minibatch optimal transport, Tong et al., 2023, arXiv 2302.00482
    Flow Matching Guide and Code, Lipman et al., 2024, arXiv 2412.06264
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import get_ema_multi_avg_fn

from warmflow.noise import permutation
from warmflow.setup import Training
from warmflow.training import rate

Match = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
Velocity = Callable[[Tensor, Tensor], Tensor]
"""(x (B, *S), a time without axes) -> velocity (B, *S)."""
TOLERANCE = 1e-4
"""dopri5's, absolute and relative."""
CLIP = 1.0
BETAS = (0.9, 0.99)


@dataclass(frozen=True)
class Peer:
    """A flow of another library.

    Args:
        needs: the packages that must be there.
        match: makes the peer's own matching; imports its package.
        solvers: its own solvers, by name with the calls of a step (0: adaptive).
    """

    name: str
    needs: tuple[str, ...]
    match: Callable[[], Match]
    predicts: str = "velocity"
    solvers: Mapping[str, int] | None = None

    @property
    def missing(self) -> str:
        """Why the peer is skipped; nothing if it is not."""
        gone = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return f"{', '.join(gone)} is not installed (pip install 'warmflow[peers]')" if gone else ""


def _torchcfm(kind: str, predicts: str = "velocity") -> Match:
    import torchcfm

    flow = getattr(torchcfm, kind)(sigma=0.0)

    def match(x1: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        t, x_t, velocity = flow.sample_location_and_conditional_flow(torch.randn_like(x1), x1)
        return t, x_t, x1 if predicts == "x1" else velocity

    return match


def _flow_matching() -> Match:
    from flow_matching.path import CondOTProbPath

    path = CondOTProbPath()

    def match(x1: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        point = path.sample(x_0=torch.randn_like(x1), x_1=x1, t=torch.rand(len(x1)))
        return point.t, point.x_t, point.dx_t

    return match


CFM, OT = "ConditionalFlowMatcher", "ExactOptimalTransportConditionalFlowMatcher"
WITH_TORCHCFM = ("torchcfm", "ot", "torchdiffeq")
PEERS = {
    peer.name: peer
    for peer in (
        Peer("torchcfm", WITH_TORCHCFM, lambda: _torchcfm(CFM), solvers={"euler": 1, "dopri5": 0}),
        Peer("torchcfm_ot", WITH_TORCHCFM, lambda: _torchcfm(OT), solvers={"euler": 1, "dopri5": 0}),
        Peer("flow_matching", ("flow_matching",), _flow_matching, solvers={"euler": 1, "midpoint": 2}),
        Peer("torchcfm_x1", WITH_TORCHCFM, lambda: _torchcfm(CFM, "x1"), "x1", {"euler": 1}),
    )
}


# ---------------------------------------------------------------- training


@contextlib.contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """torch's and numpy's global generators seeded for the duration: peers draw from these, torchcfm's plans from numpy's."""
    before = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            np.random.set_state(before)


def rows_of(n: int, batch: int, seed: int) -> Iterator[Tensor]:
    """The rows of each step, as ``warmflow.training.train`` takes them: epochs one after the other, each a permutation."""
    ready, epoch = torch.empty(0, dtype=torch.int64), 0
    while True:
        while len(ready) < batch:
            ready, epoch = torch.cat([ready, permutation(seed, n, f"epoch {epoch}")]), epoch + 1
        yield ready[:batch]
        ready = ready[batch:]


class Loop:
    """A peer's training: ``run(n)`` makes the next n of ``updates`` updates; ``average`` has the averaged weights."""

    def __init__(
        self, match: Match, network: nn.Module, x1: Tensor, settings: Training, updates: int, seed: int
    ) -> None:
        self.match, self.network, self.x1, self.settings, self.updates = match, network.train(), x1, settings, updates
        self.average = copy.deepcopy(network).eval()
        self.weights, self.averaged = list(network.parameters()), list(self.average.parameters())
        self.optimiser = torch.optim.AdamW(self.weights, settings.learning_rate, BETAS, weight_decay=0.0, fused=True)
        self.rows, self.step = rows_of(len(x1), min(settings.batch, len(x1)), seed), 0
        self.warmup = min(200, max(1, updates // 10))
        self.loss = float("nan")

    def run(self, updates: int) -> None:
        for _ in range(updates):
            share = rate(self.step, self.updates, self.warmup)
            for group in self.optimiser.param_groups:
                group["lr"] = self.settings.learning_rate * share
            t, x_t, target = self.match(self.x1[next(self.rows)])
            self.optimiser.zero_grad()
            loss = F.mse_loss(self.network(x_t, t), target)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.weights, CLIP)
            self.optimiser.step()
            decay = min(self.settings.ema, (1 + self.step) / (10 + self.step)) if self.step else 0.0
            get_ema_multi_avg_fn(decay)(self.averaged, self.weights, None)  # type: ignore[arg-type]
            self.loss, self.step = float(loss.detach()), self.step + 1


# ---------------------------------------------------------------- sampling


def velocity_of(network: nn.Module, predicts: str) -> Velocity:
    """The network as a velocity; where it predicts x1, (x1 - x) / (1 - t), which no solver here asks for at t = 1."""

    def velocity(x: Tensor, t: Tensor) -> Tensor:
        out = network(x, t.to(x.dtype).expand(len(x)))
        return (out - x) / (1 - t) if predicts == "x1" else out

    return velocity


def integrated(peer: Peer, network: nn.Module, x0: Tensor, solver: str, steps: int) -> Tensor:
    """The peer's own solver from x0 at 0 to 1, in ``steps`` equal steps (0: adaptive)."""
    velocity = velocity_of(network, peer.predicts)
    if "flow_matching" in peer.needs:
        from flow_matching.solver import ODESolver

        size = 1 / steps if steps else None
        x = ODESolver(velocity).sample(x_init=x0, step_size=size, method=solver, atol=TOLERANCE, rtol=TOLERANCE)
    else:
        from torchdiffeq import odeint

        times = torch.linspace(0, 1, (steps or 1) + 1)
        x = odeint(lambda t, x_t: velocity(x_t, t), x0, times, method=solver, atol=TOLERANCE, rtol=TOLERANCE)[-1]
    return torch.as_tensor(x)


@torch.no_grad()
def drawn(
    peer: Peer, network: nn.Module, x0: Tensor, solver: str, steps: int, batch: int
) -> tuple[Tensor, float, float]:
    """Samples from the starts x0 (n, *S), ``batch`` at a time: (n, *S), calls a sample as counted on the network, and
    seconds in all."""
    calls = [0]
    handle = network.register_forward_pre_hook(lambda _, given: calls.__setitem__(0, calls[0] + len(given[0])))
    began = time.perf_counter()
    try:
        x = torch.cat([integrated(peer, network, part, solver, steps) for part in x0.split(batch)])
    finally:
        handle.remove()
    return x, calls[0] / len(x0), time.perf_counter() - began
