"""Computes how many updates fit into a given number of minutes, the time of sampling included."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from warmflow.experiments.measure import steps_on_grid
from warmflow.experiments.work import Work
from warmflow.sampler import Sampler
from warmflow.training import train

TRIAL = 40
"""Updates of each method that are timed."""
ROWS = 64
"""Samples that a call is timed on."""
FEWEST, MOST = 100, 30_000


def updates_for(
    work: Work, minutes: float, seeds: Sequence[int], jobs: int, grid: Sequence[int], samples: int
) -> tuple[int, str]:
    """Updates of each flow that fit the minutes, and a warning where they do not ("" where they do).

    A few updates and a call of each method are timed first, on as many threads as each of ``jobs`` processes will have. Methods
    that start from another one's flow have a number of updates of their own and are not timed.
    """
    update = sampling = 0.0
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if jobs > 1 else threads)
    try:
        for member in work.trained:
            if member.method.needs() is not None or not member.method.trains:
                continue
            parts = work.parts(seeds[0])
            stage = member.method.stages(parts)[-1]
            objective, data = stage.make({})
            trial = train(objective, data, steps=TRIAL, batch=min(work.training.batch, len(data)), seed=0)
            update += trial.facts["seconds"] / TRIAL
            sampler = member.method.sampler(parts, trial.networks)
            steps = steps_on_grid(sampler.solver, grid) if sampler.solver.jumps else grid
            call, start = _seconds_of_call(sampler)
            alike = sum(m.method == member.method for m in work.members)
            sampling += alike * samples * (sum(steps) * call + len(steps) * start)
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
    """Updates of each flow that fit ``seconds`` of computing beside the sampling, where a tenth stays for all else, and the
    sampling's seconds where it leaves the training less than two fifths of them (0 otherwise): the training then has these all
    the same.

    Args:
        update, sampling: seconds for one update of every flow, and for all samples of every flow, under one seed.
    """
    left = 0.9 * seconds - seeds * sampling
    short = left < 0.4 * seconds
    updates = int(max(left, 0.4 * seconds) / (seeds * update))
    return max(FEWEST, min(updates, MOST)), seeds * sampling if short else 0.0


def _seconds_of_call(sampler: Sampler) -> tuple[float, float]:
    """Seconds of a call and of a start, a sample."""
    sampler(ROWS, seed=0, steps=1)
    drawn = sampler(ROWS, seed=0, steps=1)
    return (drawn.seconds - drawn.source_seconds) / ROWS, drawn.source_seconds / ROWS
