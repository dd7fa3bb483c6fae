"""Flows of ours and of other libraries as methods of one ``warmflow.evaluate``: trained once, all baselines of one candidate.

    OUT/seeds/SEED/              drafts and pairs of a training seed
    OUT/seeds/SEED/NAME/         ours: a run folder;  a peer's: weights.safetensors, its averaged weights, facts in the header
    OUT/study.*, verdict.json    every row, the verdict (``warmflow.evaluation.record``)

The candidate is a warm flow. Every other flow is a baseline, those of other libraries too: it has to be faster than the best of
all of them. Flows start from noise of the same seed, are clipped to the images' range, and have the same number of samples; the
solver of each is chosen on validation images among the solvers that it has. A peer is sampled by its library's own solvers.

Every solver here is asked in *calls*: a solver of c calls a step makes the most steps that fit (Euler's one step where none
does).

``between`` judges any two flows of the study against each other: the same rows, with the roles changed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peers_flows import PEERS, Loop, Peer, drawn, own_randomness
from torch import Tensor, nn

from warmflow.contracts import Samples, Start
from warmflow.evaluation.study import Role, Study
from warmflow.evaluation.verdict import Verdict, judge
from warmflow.experiments.measure import Drawn
from warmflow.experiments.run import run_method
from warmflow.experiments.work import seed_folder
from warmflow.files import fingerprint, make_folder, read_tensors, write_tensors
from warmflow.methods import Method, Parts, settled
from warmflow.methods.cold import Cold
from warmflow.methods.warm_start import WarmStart
from warmflow.noise import Noise
from warmflow.options import changed, plain
from warmflow.sampler import Sampler
from warmflow.setup import Setup
from warmflow.solvers import AdamsBashforth, Euler, MultistepX1
from warmflow.sources import StandardNormal

WARM = "warm-start"
OURS: dict[str, tuple[Method, dict[str, Any]]] = {
    "cold": (Cold(), {}), "cold-minibatch": (Cold(pairing="minibatch"), {}),
    "cold-velocity": (Cold(), {"predicts": "velocity"}), WARM: (WarmStart(), {}),
}  # fmt: skip
"""Our flows: the method, and the options of training that differ."""
OUR_SOLVERS = {"euler": Euler(), "adams-bashforth": AdamsBashforth(), "multistep-x1": MultistepX1()}
"""All of one call a step."""
PAIRS = (
    ("cold", "torchcfm"), ("cold", "flow_matching"), ("cold", "torchcfm_x1"), ("cold-velocity", "torchcfm"),
    ("cold-velocity", "flow_matching"), ("cold-minibatch", "torchcfm_ot"), (WARM, "torchcfm_ot"),
)  # fmt: skip
"""Flows that are judged against each other, in both directions."""


# ---------------------------------------------------------------- training


def trained_ours(setup: Setup, name: str, seed: int, out: Path) -> Sampler:
    """The sampler of one of our flows, trained into its run folder or read from it."""
    method, changes = OURS[name]
    here = replace(setup, training=changed(setup.training, changes))
    folder = seed_folder(out, seed)
    return run_method(settled(method, here), Parts(here, seed, folder), folder / name, progress=f"{name}, seed {seed}")


def trained_peer(setup: Setup, peer: Peer, seed: int, folder: Path) -> nn.Module:
    """A peer's averaged network, trained into the folder or read from it.

    Raises:
        ValueError: the training diverged; the folder holds a flow of other data or options.
    """
    t, x1 = setup.training, setup.data.train.x1
    asked = {"peer": peer.name, "seed": seed, "data": fingerprint(x1), **plain(t)}
    asked = {k: str(v) for k, v in asked.items()}
    network, path = setup.build(setup.shape, {}, seed), make_folder(folder) / "weights.safetensors"
    if path.exists():
        tensors, facts = read_tensors(path)
        other = [k for k, v in asked.items() if facts.get(k) != v]
        if other:
            raise ValueError(
                f"{path} has {other[0]} {facts.get(other[0])}, asked is {asked[other[0]]}: choose another --out"
            )
        network.load_state_dict(tensors)
        return network.eval()
    with own_randomness(seed):
        loop = Loop(peer.match(), network, x1, t, t.updates, seed)
        loop.run(t.updates)
    if not math.isfinite(loop.loss):
        raise ValueError(f"{peer.name}, seed {seed}: training diverged, its last loss is {loop.loss}")
    write_tensors(path, loop.average.state_dict(), {**asked, "loss": str(loop.loss)})
    return loop.average


def peers_named(names: Sequence[str]) -> tuple[list[Peer], dict[str, str]]:
    """The peers of these names that can be run, and why the others are skipped."""
    asked = [PEERS[name] for name in names if name in PEERS]
    return [p for p in asked if not p.missing], {p.name: p.missing for p in asked if p.missing}


# ---------------------------------------------------------------- generators


@dataclass(frozen=True, eq=False)
class PeerFlow:
    """A peer's flow with one of its library's solvers, as a generator whose ``steps`` are calls."""

    peer: Peer
    network: nn.Module
    setup: Setup
    solver: str

    def __call__(self, n: int, *, steps: int, seed: int) -> Samples:
        per_step = (self.peer.solvers or {})[self.solver]
        solver, made = (self.solver, steps // per_step) if steps >= per_step else ("euler", steps)
        x0 = starts(self.setup, n, seed)
        batch = max(64, 2**18 // math.prod(self.setup.shape))
        x, calls, seconds = drawn(self.peer, self.network, x0, solver, made, batch)
        return Samples(self.setup.clip(x), Start(x0, {}), made, torch.full((n,), calls), seconds, 0.0)


def starts(setup: Setup, samples: int, seed: int) -> Tensor:
    """The noise that our cold sampler starts from under this seed."""
    return StandardNormal(setup.shape).draw(samples, noise=Noise.of(seed, samples).fold("source")).x0


def of_ours(samplers: Mapping[int, Sampler], solvers: Sequence[str]) -> dict[str, dict[int, Drawn]]:
    """One of our flows by solver and training seed, as ``evaluate`` takes it."""
    return {
        name: {seed: Drawn(sampler, solver) for seed, sampler in samplers.items()}
        for name, solver in OUR_SOLVERS.items()
        if name in solvers
    }


def of_peer(
    peer: Peer, networks: Mapping[int, nn.Module], setup: Setup, solvers: Sequence[str]
) -> dict[str, dict[int, PeerFlow]]:
    """A peer's flow by solver and training seed; adaptive solvers have no number of steps to ask for and are left out."""
    return {
        name: {seed: PeerFlow(peer, network, setup, name) for seed, network in networks.items()}
        for name, per_step in (peer.solvers or {}).items()
        if per_step and name in solvers
    }


# ---------------------------------------------------------------- pairs of flows


def between(study: Study, candidate: str, baseline: str) -> Verdict:
    """The verdict on one flow of a study with one other as its only baseline."""
    roles = {candidate: Role.CANDIDATE, baseline: Role.BASELINE}
    methods = tuple(replace(m, role=roles.get(m.name, Role.SHOWN), of="") for m in study.methods)
    return judge(replace(study, methods=methods))[candidate]


def pairs_told(study: Study) -> str:
    """A Markdown table of every pair of ``PAIRS`` whose flows were measured, in both directions."""
    names = {m.name for m in study.methods}
    lines = ["| candidate | baseline | outcome | rate | at calls |", "|---|---|---|---|---|"]
    for pair in PAIRS:
        if not set(pair) <= names:
            continue
        for candidate, baseline in (pair, pair[::-1]):
            v = between(study, candidate, baseline)
            rate, calls = (
                ("", "") if v.rate is None or v.exchange is None else (f"{v.rate:.3g}", f"{v.exchange.calls:g}")
            )
            lines.append(f"| {candidate} | {baseline} | {v.outcome} | {rate} | {calls} |")
    return "\n".join(lines) + "\n"
