"""A quick estimate, without training, of whether a warm start will help.

    the audit     of each pairing of drafts with data: data that are never chosen, class proportions, variance explained by x0
    the draft     its distance from the data, in margins: within one margin, the draft alone is as good as the data
    the factor    the ratio of calls that the *exact* velocity fields of this finite data set need, cold over warm. Cold is the
                  better of two fields: N(0, I) paired independently with the training set, and noise assigned to the
                  training set, blurred. Warm is the field of the assigned drafts, blurred in the same way. Neither field is
                  conditioned on the draft.

Drafts and noise are assigned in the same way, so that the factor shows the effect of the draft and not of the assignment.

The exact fields have discretisation errors only: a network conditioned on the draft may need fewer steps, and a network trained
on little data has errors of its own. The result is a forecast, not a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from warmflow.brief import Brief
from warmflow.contracts import Field, Metric, Solver, Source
from warmflow.couplings import Assignment, prepare
from warmflow.drafts import draft_of
from warmflow.experiments.pair_audits import audits
from warmflow.failures import explained
from warmflow.fields import finite_data
from warmflow.methods.base import Drafted, settled
from warmflow.methods.parts import Parts
from warmflow.methods.warm_start import WarmStart
from warmflow.metrics.mmd import mmd_for
from warmflow.noise import Noise, permutation
from warmflow.options import changed, fields_of
from warmflow.problems import problem_of
from warmflow.sampler import Hook, Sampler
from warmflow.setup import Setup
from warmflow.solvers import AdamsBashforth, Euler, Heun, label
from warmflow.sources import Blurred, StandardNormal

ROWS = 1000
SIGMA = 0.1
SOLVERS_AND_STEPS: list[tuple[Solver, int]] = [
    *((Euler(), n) for n in (1, 2, 4, 8, 20, 50)), *((Heun(), n) for n in (2, 3, 5, 8, 10, 16)),
    *((AdamsBashforth(), n) for n in (1, 2, 3, 4, 6, 8, 15, 20, 30)),
]  # fmt: skip
"""Solvers and numbers of steps with which every exact field is integrated."""


@dataclass(frozen=True)
class Prospect(Brief):
    """The result: ``sentence`` is a summary, ``pairings`` has the audit of each pairing.

    Args:
        margin: the 95 % quantile of the distance (MMD^2) between two real sets.
        draft_distance: the distance of the draft to the training data.
        cold_calls, warm_calls: the fewest calls of the exact fields; None if more than tried.
        factor: cold_calls / warm_calls.
    """

    sentence: str
    pairing: str
    pairings: Mapping[str, Mapping[str, object]]
    margin: float
    draft_distance: float
    cold_calls: int | None
    warm_calls: int | None
    factor: float | None
    data: str
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {
            "sentence": self.sentence, "data": self.data, "pairing": self.pairing, "margin": self.margin,
            "draft_distance": self.draft_distance, "cold_calls": self.cold_calls, "warm_calls": self.warm_calls,
            "factor": self.factor, "warnings": list(self.warnings), "audit": {k: dict(v) for k, v in self.pairings.items()},
        }  # fmt: skip

    def text(self) -> str:
        """A table for the terminal, followed by the sentence."""
        heads = {
            "never_chosen": "never chosen", "effective_sample_size": "effective use", "variation": "class variation",
            "mean_cost": "mean cost", "explained": "velocity expl.", "explained_data": "data expl.",
            "draft_shift": "draft shift",
        }  # fmt: skip
        lines = [*(f"warning: {line}" for line in self.warnings), f"{self.data}: the pairings of drafts with data", ""]
        lines.append(f"{'pairing':22s}" + "".join(f"{h:>16s}" for h in heads.values()))
        for name, found in self.pairings.items():
            mark = "*" if name == self.pairing else " "
            lines.append(f"{mark}{name:21s}" + "".join(f"{found[c]:16.3g}" for c in heads))
        for name, found in self.pairings.items():
            lines += [f"  {name}: {flag}" for flag in cast("list[str]", found["flags"])]
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


def _calls(field: Field, source: Source, settings: list[tuple[Solver, int]], hooks: tuple[Hook, ...], n: int,
           far: Callable[[Tensor], float]) -> dict[str, list[tuple[int, float]]]:  # fmt: skip
    """(calls, distance) of each solver and number of steps, by solver, from many steps to few."""
    found: dict[str, list[tuple[int, float]]] = {}
    for solver, steps in sorted(settings, key=lambda s: -s[1]):
        drawn = Sampler(source, field, solver, steps, hooks)(n, seed=0)
        found.setdefault(label(solver), []).append((int(drawn.calls[0]), far(drawn.x)))
    return found


def _fewest(found: Mapping[str, list[tuple[int, float]]], reference: float, margin: float) -> int | None:
    """The fewest calls with a distance within one margin of the reference, scanned from many calls to the first failure."""
    best: int | None = None
    for series in found.values():
        for calls, distance in series:
            if distance - reference >= margin:
                break
            best = calls if best is None else min(best, calls)
    return best


def _margin(x: Tensor, metric: Metric, n: int, seed: int) -> float:
    """The 95 % quantile of D between two disjoint real sets of n rows each."""
    features = metric.features(x)
    values = []
    for k in range(100):
        order = permutation(seed, len(x), f"prospect {k}")
        values.append(metric.distance(features[order[:n]], features[order[n : 2 * n]]))
    return float(torch.tensor(values).quantile(0.95))


@explained("auditing", "the number of training rows")
def audit(
    problem: object, draft: object = None, *, method: WarmStart | None = None, progress: bool = False, **given: object
) -> Prospect:  # fmt: skip
    """Audits every pairing and integrates the exact finite-data fields; nothing is trained.

    Args:
        problem: as in ``warmflow.compare``.
        draft: the draft of the warm start; by default the problem's.
        method: the warm start, with its pairing and sigma, instead of ``draft``.
        progress: whether drafts, pairs and audits show bars.
        given: options of ``WarmStart`` (pairing="given", sigma=0.3) or of ``Training``.

    Raises:
        ValueError: a problem of tokens or with inputs, ``conditional``, or invalid options.
    """
    options = {name: given.pop(name) for name in [f.name for f in fields_of(WarmStart)] if name in given}
    setup = problem_of(problem).setup(**given)
    if setup.space == "tokens":
        raise ValueError(
            f"{setup.name} has tokens, for which there is no exact field here: warmflow compare {setup.name} audits its pairing"
        )
    if setup.inputs is not None:
        raise ValueError(
            f"every sample of {setup.name} has an input and a draft of its own, so there are no pairings to audit: "
            f"use warmflow compare {setup.name} instead"
        )
    if setup.training.conditional:
        raise ValueError("conditional applies to training, and this audit trains nothing: leave it out")
    start = WarmStart(draft=None if draft is None else draft_of(draft)) if method is None else method
    warm = settled(changed(start, options), setup)
    once = changed(warm, {"rounds": 1})
    parts = Parts(setup, 0, progress=progress)
    drafted = once.drafted(parts)
    assert drafted is not None
    found = audits(setup, drafted, progress=progress)
    distance, margin, cold, warm_calls, best = _exact(setup, drafted, warm.sigma or 0.0)
    factor = cold / warm_calls if cold and warm_calls else None
    pairing = warm.pairing or "whole-set"
    sentence = _sentence(
        distance - best < margin, factor, cold, warm_calls, cast("list[str]", found[pairing]["flags"]), pairing
    )
    return Prospect(
        sentence, pairing, found, margin, distance, cold, warm_calls, factor, setup.data.name, setup.data.warnings
    )  # fmt: skip


def _exact(setup: Setup, drafted: Drafted, own_noise: float) -> tuple[float, float, int | None, int | None, float]:
    """The draft's distance, the margin, the fewest calls of the exact cold and warm fields, and the lowest cold distance."""
    train, source, block = setup.data.train, drafted.draft, drafted.pairing.block or 512
    data_seed = setup.data_seed
    few = train[permutation(data_seed, len(train), "prospect")[:ROWS]]
    n, metric, pool = len(few), mmd_for(train.x1, None, "MMD"), setup.data.everything
    half = min(n, len(pool) // 2)
    margin = _margin(pool[permutation(data_seed, len(pool), "pool")[: 2 * half]], metric, half, data_seed)
    real = metric.features(few.x1)

    def far(x: Tensor) -> float:
        return metric.distance(metric.features(setup.clip(x)), real)

    def assigned(start: Source) -> Field:
        """The exact field of these starts, blurred, after assignment to the training set."""
        paired = prepare(Assignment(), few, start, block=block, seed=data_seed)
        assert paired.start is not None
        return finite_data(paired.x1, paired.start.x0, sigma)

    sigma, noise = max(own_noise, SIGMA), StandardNormal(setup.shape)
    cold = _calls(finite_data(few.x1), noise, SOLVERS_AND_STEPS, setup.hooks, n, far)
    whole = _calls(assigned(noise), Blurred(noise, sigma), SOLVERS_AND_STEPS, setup.hooks, n, far)
    cold |= {f"{name}, assigned": series for name, series in whole.items()}
    warm = _calls(assigned(source), Blurred(source, sigma), SOLVERS_AND_STEPS, setup.hooks, n, far)
    best = min(d for series in cold.values() for _, d in series)
    distance = far(source.draw(n, noise=Noise.of(0, n)).x0)
    return distance, margin, _fewest(cold, best, margin), _fewest(warm, best, margin), best


def _sentence(
    draft_enough: bool, factor: float | None, cold: int | None, warm: int | None, flags: list[str], pairing: str
) -> str:
    if draft_enough:
        return "The distance of the draft alone to the data is within the margin: it may need no refinement."
    warning = f" But the pairing {pairing} is flagged: {flags[0]}" if flags else ""
    if factor is None:
        return (
            "A warm start is unlikely to help: even exact velocities do not transport these drafts to the data distribution; "
            "check the draft shift, or use a better draft." + warning
        )
    if factor <= 1:
        return (
            f"A warm start is unlikely to help: exact velocities need {warm} calls warm and {cold} cold; use a better draft."
            + warning
        )
    return (
        f"A warm start may help: with exact velocities it needs {warm} calls and the best cold flow {cold}, "
        f"{factor:.3g} times as many; train both to verify." + warning
    )
