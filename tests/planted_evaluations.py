"""Evaluations of planted methods for tests of what shows them: ready samples whose distance to the data is set by hand.

A method is a function from calls to a shift of its samples' mean; every training seed adds a little of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from warmflow.evaluation.evaluate import Evaluation, Extras, evaluate
from warmflow.evaluation.study import Training
from warmflow.evaluation.verdict import judge
from warmflow.metrics.mmd import mmd_for

GRID = (1, 2, 4, 8, 16)
Shift = Callable[[int], float]


def normal(n: int, shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


def method(
    shift: Shift, place: int, shape: tuple[int, ...], seeds: int, n: int, grid: tuple[int, ...] = GRID
) -> list[Mapping[int, Tensor]]:
    """Samples by calls, a mapping a training seed."""
    found: list[Mapping[int, Tensor]] = []
    for seed in range(seeds):
        own = 0.01 * float(normal(1, (), 7 * seed + place))
        found.append({c: normal(n, shape, 10_000 * place + 100 * seed + c) + shift(c) + own for c in grid})
    return found


def slow(size: float = 1.0) -> Shift:
    return lambda calls: size / max(calls, 1)


OUTCOMES: Mapping[str, Mapping[str, Shift]] = {
    "faster": {"cold": slow(1.0), "warm": slow(0.25)},
    "nearer": {"cold": lambda c: 0.5, "warm": lambda c: 0.05 if c == GRID[-1] else 1.5},
    "draft enough": {"cold": slow(0.0), "warm": slow(0.0), "start": slow(0.0)},
    "no faster": {"cold": slow(0.02), "warm": lambda c: 0.9},
    "cannot tell": {"cold": slow(1.0), "warm": slow(0.5)},
}  # fmt: skip


def evaluation(
    outcome: str, *, name: str = "warm-start", baseline: str = "cold", shape: tuple[int, ...] = (2,), n: int = 400
) -> Evaluation:
    """An evaluation that ends in this outcome."""
    shifts, seeds = OUTCOMES[outcome], 1 if outcome == "cannot tell" else 4
    starts = {name: method(shifts["start"], 3, shape, seeds, n, (0,))} if "start" in shifts else {}
    return evaluate(
        normal(1200, shape, 1),
        baseline={baseline: method(shifts["cold"], 1, shape, seeds, n)},
        candidates={name: method(shifts["warm"], 2, shape, seeds, n)},
        train=normal(600, shape, 2),
        extras=Extras(starts=starts, trained=Training.EQUAL, counted=("draft",), items="points"),
    )


@dataclass(frozen=True)
class Means:
    """Features of images: the mean of each row."""

    def features(self, x: Tensor) -> Tensor:
        return x.flatten(1, -2).mean(1)


def in_its_own_unit(found: Evaluation) -> Evaluation:
    """The same judged on metrics that have no n_eq."""
    metrics = tuple(replace(m, scatter=None, unit="squared units") for m in found.study.metrics)
    study = replace(found.study, metrics=metrics)
    return replace(found, study=study, verdicts=judge(study))


def several(shape: tuple[int, ...] = (1, 8, 8), n: int = 300) -> Evaluation:
    """Two candidates and two baselines, a control and a start, on two metrics."""
    train = normal(500, shape, 2)
    sizes = {"cold": 0.8, "cold-minibatch": 0.5, "warm-start": 0.2, "distilled-cold-minibatch": 0.3, "control": 0.25}
    made = {name: method(slow(size), place, shape, 3, n) for place, (name, size) in enumerate(sizes.items(), start=1)}
    return evaluate(
        normal(900, shape, 1),
        baseline={k: made[k] for k in ("cold", "cold-minibatch")},
        candidates={k: made[k] for k in ("warm-start", "distilled-cold-minibatch")},
        train=train,
        metrics=[mmd_for(train, None, "pixels"), mmd_for(train, Means(), "means")],
        extras=Extras(
            starts={"warm-start": method(slow(0.6), 9, shape, 3, n, (0,))},
            controls={"warm-start": made["control"]},
            bill={"warm-start": {"draft": 0.4, "pairing": 3.2}, "cold": {"training": 65.0}},
            items="images",
        ),
    )
