"""How many updates fit into the minutes that were given, the sampling counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from warmflow.contracts import Batch, Source
from warmflow.experiments.measure import steps_on_grid
from warmflow.recipes.plan import Plan
from warmflow.sampler import Sampler
from warmflow.solvers import Jump
from warmflow.training import train

TRIAL = 40
"""Updates of each arm that are timed."""
ROWS = 64
"""Samples that a call is timed on."""
FEWEST, MOST = 100, 30_000


def updates_for(
    plan: Plan, minutes: float, seeds: Sequence[int], prepared: Callable[[int, str], tuple[Source | None, Batch | None]],
    jobs: int, grid: Sequence[int],
) -> tuple[int, str]:  # fmt: skip
    """Updates of each flow that fit the minutes, and a warning where they do not ("" where they do). A few updates and a call of
    each arm are timed first, on as many threads as each of ``jobs`` processes will have. ``prepared`` gives the source and the
    pairs of a flow of a training seed."""
    update = sampling = 0.0
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if jobs > 1 else threads)
    try:
        for name in plan.flow.arms:
            here = plan.flow.arm(plan, name, seeds[0], *prepared(seeds[0], name))
            trial = train(
                here.objective, here.data, steps=TRIAL, batch=min(plan.settings.batch, len(here.data)), seed=0
            )
            update += trial.facts["seconds"] / TRIAL
            steps = steps_on_grid(here.sampler.solver, grid) if isinstance(here.sampler.solver, Jump) else grid
            call, start = _seconds_of_call(here.sampler)
            sampling += plan.settings.samples * (sum(steps) * call + len(steps) * start)
    finally:
        torch.set_num_threads(threads)
    updates, short = updates_within(60 * minutes * jobs, len(seeds), update, sampling)
    if not short:
        return updates, ""
    return updates, (
        f"sampling alone takes about {short / 60 / jobs:.0f} minutes, more than half of the {minutes:g} that were given: the "
        f"flows are trained for {updates} updates, and all of it takes longer; ask for fewer samples or seeds"
    )


def updates_within(seconds: float, seeds: int, update: float, sampling: float) -> tuple[int, float]:
    """Updates of each arm that fit ``seconds`` of computing beside the sampling, where a tenth stays for all else, and the
    sampling's seconds where it leaves the training less than two fifths of them (0 otherwise): these the training then has all
    the same.

    Args:
        update, sampling: seconds for one update of every arm, and for all samples of every arm, under one seed.
    """
    left = 0.9 * seconds - seeds * sampling
    short = left < 0.4 * seconds
    updates = int(max(left, 0.4 * seconds) / (seeds * update))
    return max(FEWEST, min(updates, MOST)), seeds * sampling if short else 0.0


def _seconds_of_call(sampler: Sampler) -> tuple[float, float]:
    """What a call and what a start take, a sample."""
    sampler(ROWS, seed=0, steps=1)
    drawn = sampler(ROWS, seed=0, steps=1)
    return (drawn.seconds - drawn.source_seconds) / ROWS, drawn.source_seconds / ROWS
