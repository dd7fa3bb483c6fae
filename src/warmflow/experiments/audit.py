"""Will a warm start help? The answer of a minute, before anything is trained.

    the audit     each pairing of drafts with data: what is never chosen, what is copied, what x0 explains
    the draft     its distance from the data, in margins: within one margin, the draft alone does as well
    the factor    how many calls the *exact* velocities of this finite data set need, cold and warm. Cold is the better of two
                  fields: N(0, I) and the training set paired independently, and noise assigned over the training set,
                  blurred. Warm is the field of the assigned drafts, blurred alike; both are blind to what was paired. What
                  the exact field cannot do in few calls no network will; what it can, a network may.

Drafts and noise are assigned alike, so that the factor shows what the draft gains and not what the assignment does.

The exact field shows the discretisation alone: a network that sees the draft may need fewer steps, one trained on little
data has errors of its own. It is a prospect, not a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from warmflow.contracts import Field, Solver, Source
from warmflow.couplings import Assignment, prepare
from warmflow.drafts import draft_of
from warmflow.experiments.pair_audits import audits
from warmflow.fields import finite_data
from warmflow.methods.base import Drafted, settled
from warmflow.methods.parts import Parts
from warmflow.methods.warm_start import WarmStart
from warmflow.metrics.mmd import mmd_for
from warmflow.noise import Noise, permutation
from warmflow.options import changed
from warmflow.problems import problem_of
from warmflow.sampler import Sampler
from warmflow.setup import Setup
from warmflow.solvers import AdamsBashforth, Euler, Heun, label
from warmflow.sources import Blurred, StandardNormal

ROWS = 1000
SIGMA = 0.1
WALKS: list[tuple[Solver, int]] = [
    *((Euler(), n) for n in (1, 2, 4, 8, 20, 50)), *((Heun(), n) for n in (2, 3, 5, 8, 10, 16)),
    *((AdamsBashforth(), n) for n in (1, 2, 3, 4, 6, 8, 15, 20, 30)),
]  # fmt: skip
"""Solvers and numbers of steps of every exact field, cold and warm alike."""


@dataclass(frozen=True)
class Prospect:
    """What the audit found: ``sentence`` sums it up, ``pairings`` holds the audit of each pairing."""

    sentence: str
    pairing: str
    pairings: Mapping[str, Mapping[str, Any]]
    margin: float
    draft_distance: float
    cold_calls: int | None
    warm_calls: int | None
    factor: float | None
    data: str
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "sentence": self.sentence, "data": self.data, "pairing": self.pairing, "margin": self.margin,
            "draft_distance": self.draft_distance, "cold_calls": self.cold_calls, "warm_calls": self.warm_calls,
            "factor": self.factor, "warnings": list(self.warnings), "audit": {k: dict(v) for k, v in self.pairings.items()},
        }  # fmt: skip

    def text(self) -> str:
        """A table for the terminal, ending in the sentence."""
        heads = {
            "never_chosen": "never chosen", "effective_sample_size": "effective use", "variation": "class variation",
            "mean_cost": "mean cost", "explained": "velocity expl.", "explained_data": "datum expl.",
            "draft_shift": "draft shift",
        }  # fmt: skip
        lines = [*(f"warning: {line}" for line in self.warnings), f"{self.data}: the pairings of drafts with data", ""]
        lines.append(f"{'pairing':22s}" + "".join(f"{h:>16s}" for h in heads.values()))
        for name, found in self.pairings.items():
            mark = "*" if name == self.pairing else " "
            lines.append(f"{mark}{name:21s}" + "".join(f"{found[c]:16.3g}" for c in heads))
        for name, found in self.pairings.items():
            lines += [f"  {name}: {flag}" for flag in found["flags"]]
        lines += [
            "",
            f"draft alone: D = {self.draft_distance:.3g}, margin {self.margin:.3g} (MMD^2 to the training data)",
        ]
        cold = "more than tried" if self.cold_calls is None else str(self.cold_calls)
        warm = "more than tried" if self.warm_calls is None else str(self.warm_calls)
        lines += [
            f"exact velocities of the finite data: cold {cold} calls (by its best solver and pairing), warm {warm}",
            "",
            self.sentence,
        ]
        return "\n".join(lines)


def _calls(field: Field, source: Source, walks: list[tuple[Solver, int]], hooks: Any, n: int,
           far: Callable[[Tensor], float]) -> dict[str, list[tuple[int, float]]]:  # fmt: skip
    """(calls, distance) of each walk, by solver, from many steps to few."""
    found: dict[str, list[tuple[int, float]]] = {}
    for solver, steps in sorted(walks, key=lambda w: -w[1]):
        drawn = Sampler(source, field, solver, steps, hooks)(n, seed=0)
        found.setdefault(label(solver), []).append((int(drawn.calls[0]), far(drawn.x)))
    return found


def _fewest(found: Mapping[str, list[tuple[int, float]]], reference: float, margin: float) -> int | None:
    """The fewest calls that stay within a margin of the reference, scanned from many to few, stopping at a failure."""
    best: int | None = None
    for series in found.values():
        for calls, distance in series:
            if distance - reference >= margin:
                break
            best = calls if best is None else min(best, calls)
    return best


def _margin(x: Tensor, metric: Any, n: int, seed: int, splits: int = 100) -> float:
    """The 95 % quantile of D between two disjoint real sets of n rows each."""
    features = metric.features(x)
    values = []
    for k in range(splits):
        order = permutation(seed, len(x), f"prospect {k}")
        values.append(metric.distance(features[order[:n]], features[order[n : 2 * n]]))
    return float(torch.tensor(values).quantile(0.95))


def audit(problem: Any, draft: Any = None, *, method: WarmStart | None = None, **training: Any) -> Prospect:
    """Audits every pairing and integrates the exact finite-data fields; nothing is trained.

    Args:
        problem, training: as in ``warmflow.compare``.
        draft: the draft of the warm start; by default the problem's.
        method: the warm start, with its pairing and sigma, in place of ``draft``.

    Raises:
        ValueError: bad input, named with its remedy.
    """
    setup = problem_of(problem).setup(**training)
    if setup.space == "tokens":
        raise ValueError(
            f"{setup.name} is of tokens, which this audit does not integrate: warmflow compare {setup.name} audits its pairing"
        )
    if setup.inputs is not None:
        raise ValueError(
            f"every sample of {setup.name} has an input and a draft of its own, so there are no pairings to audit: "
            f"warmflow compare {setup.name} tells what a warm start is worth"
        )
    if setup.training.conditional:
        raise ValueError("conditional is about flows that are trained, and this audit trains none: leave it out")
    warm = settled(WarmStart(draft=None if draft is None else draft_of(draft)) if method is None else method, setup)
    once = changed(warm, {"rounds": 1})
    parts = Parts(setup, 0)
    drafted = once.drafted(parts)
    assert drafted is not None
    found = audits(setup, drafted)
    distance, margin, cold, warm_calls, best = _exact(setup, drafted, warm.sigma or 0.0)
    factor = cold / warm_calls if cold and warm_calls else None
    pairing = warm.pairing or "whole-set"
    sentence = _sentence(distance - best < margin, factor, cold, warm_calls, found[pairing]["flags"], pairing)
    return Prospect(
        sentence, pairing, found, margin, distance, cold, warm_calls, factor, setup.data.name, setup.data.warnings
    )  # fmt: skip


def _exact(setup: Setup, drafted: Drafted, own_noise: float) -> tuple[float, float, int | None, int | None, float]:
    """The draft's distance, the margin, the fewest calls of the exact cold and warm fields, and the best cold distance."""
    train, source, block = setup.data.train, drafted.draft, drafted.pairing.block or 512
    data_seed = int(setup.asked.get("data_seed", 0))
    few = train[permutation(data_seed, len(train), "prospect")[:ROWS]]
    n, metric, pool = len(few), mmd_for(train.x1, None, "MMD"), setup.data.everything
    half = min(n, len(pool) // 2)
    margin = _margin(pool[permutation(data_seed, len(pool), "pool")[: 2 * half]], metric, half, data_seed)
    real = metric.features(few.x1)

    def far(x: Tensor) -> float:
        return metric.distance(metric.features(setup.clip(x)), real)

    def assigned(start: Source) -> Field:
        """The exact field of these starts assigned over the training set, blurred."""
        paired = prepare(Assignment(), few, start, block=block, seed=data_seed)
        assert paired.start is not None
        return finite_data(paired.x1, paired.start.x0, sigma)

    sigma, noise = max(own_noise, SIGMA), StandardNormal(setup.shape)
    cold = _calls(finite_data(few.x1), noise, WALKS, setup.hooks, n, far)
    whole = _calls(assigned(noise), Blurred(noise, sigma), WALKS, setup.hooks, n, far)
    cold |= {f"{name}, assigned": series for name, series in whole.items()}
    warm = _calls(assigned(source), Blurred(source, sigma), WALKS, setup.hooks, n, far)
    best = min(d for series in cold.values() for _, d in series)
    distance = far(source.draw(n, noise=Noise.of(0, n)).x0)
    return distance, margin, _fewest(cold, best, margin), _fewest(warm, best, margin), best


def _sentence(
    draft_does: bool, factor: float | None, cold: int | None, warm: int | None, flags: list[str], pairing: str
) -> str:
    if draft_does:
        return "The draft alone is as near to the data as the margin can tell: refine it only if a closer look says otherwise."
    warning = f" But the pairing {pairing} is flagged: {flags[0]}" if flags else ""
    if factor is None:
        return (
            "A warm start is unlikely to help as it stands: even exact velocities do not bring these drafts to the data's "
            "law; look at the draft shift, or take a better draft." + warning
        )
    if factor <= 1:
        return (
            f"A warm start is unlikely to help: exact velocities need {warm} calls warm and {cold} cold; take a better draft."
            + warning
        )
    return (
        f"A warm start may help: with exact velocities {warm} calls do what takes the best cold flow {cold}, "
        f"{factor:.3g} times fewer; train to know." + warning
    )
