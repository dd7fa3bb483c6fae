"""What a comparison takes, every stage of it, and how many updates fit into a given number of minutes.

A small part of every stage is done and timed (``estimates``): the drafts and pairs of one seed, some updates of every method, a
call of every flow and the distances of one set of samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from warmflow.data.paired import INPUT
from warmflow.estimates import clock, trying
from warmflow.evaluation.real import VALIDATION_SHARE, RealData
from warmflow.evaluation.rows import CHOSEN_AT, ROUNDS, TIMED
from warmflow.evaluation.study import Role
from warmflow.experiments.measure import at_once, calls_of, solvers_of, steps_on_grid
from warmflow.experiments.pair_audits import DELAY, audits
from warmflow.experiments.pictures import BASELINE_STEPS
from warmflow.experiments.pipeline import PICTURES, POINTS
from warmflow.experiments.work import Work
from warmflow.failures import Unsuited
from warmflow.methods.base import Member, Method, settled
from warmflow.methods.parts import Parts
from warmflow.printing import bar
from warmflow.sampler import Sampler, placed
from warmflow.setup import Setup
from warmflow.training import train

FEWEST, MOST = 100, 30_000
"""Updates of each flow that minutes allow for at least and at most."""
RESERVED = 0.9
"""Share of the minutes that is given away; the rest is for what the estimate does not see."""
LEAST_SAMPLES = 200
SPARE = 1.5
"""How many times as long every stage may take the next time, until minutes that were advised are refused: on a busy machine two
estimates of one comparison differed by a quarter and more."""
ENDING, ENDING_METHOD = 5.0, 3.0
"""Seconds for the verdict and the report, and more for each method. Measured on two busy cores: the verdict of 6 methods, 5 seeds
and 14 calls took 8.6 s, of 12 methods 19.6 s; the report of 5 methods 5.4 s, of 4 methods 4.1 s, of 2 methods 1.5 s."""


@dataclass(frozen=True)
class Cost:
    """Seconds of the stages of a comparison; those of training, drafts, pairs and rows are for one seed.

    Args:
        before: reading the data and timing, once.
        parts: drafts, pairs and priors.
        fixed: trainings whose number of updates is their own (of students).
        update: one update of every flow.
        row: samples and distances of all rows, with the number of samples that is asked.
        choice: of every method's solver.
        timing: of all methods in turns, once.
        doubled: share of the flows that is trained again, twice as long.
        audit: of the pairs of the first candidate, once.
        ending: verdict, pictures and report.
    """

    before: float = 0.0
    parts: float = 0.0
    fixed: float = 0.0
    update: float = 0.0
    row: float = 0.0
    choice: float = 0.0
    timing: float = 0.0
    doubled: float = 0.0
    audit: float = 0.0
    ending: float = 0.0

    def stages(self, updates: int, seeds: int, jobs: int = 1, share: float = 1.0) -> dict[str, float]:
        """Seconds by stage.

        Args:
            share: of the samples that are asked.
        """
        more, beside = 1 + 2 * self.doubled, min(jobs, seeds)
        return {
            "reading and timing": self.before,
            "drafts and pairs": seeds * self.parts / beside,
            "training": seeds * (self.fixed + updates * self.update * more) / jobs,
            "measuring": seeds * share * (1 + self.doubled) * (self.row / jobs + self.choice) + self.timing,
            "audit of pairs": self.audit,
            "verdict and report": self.ending,
        }

    def slower(self, times: float) -> Cost:
        """The same where everything takes so many times as long."""
        return replace(self, **{f.name: times * getattr(self, f.name) for f in fields(self) if f.name != "doubled"})

    def updates_in(self, seconds: float, seeds: int, jobs: int = 1, share: float = 1.0) -> int:
        """The updates of each flow that fit; less than ``FEWEST`` where the other stages leave no time for them."""
        left = RESERVED * seconds - sum(self.stages(0, seeds, jobs, share).values())
        each = seeds * self.update * (1 + 2 * self.doubled) / jobs
        return min(MOST, int(left / each)) if each > 0 else MOST if left > 0 else 0


@dataclass(frozen=True)
class Fitted:
    """What fits into the minutes: updates of each flow, and samples of each method and seed."""

    updates: int
    samples: int


def fitted(cost: Cost, minutes: float, seeds: int, samples: int, jobs: int = 1) -> Fitted:
    """What fits into the minutes. If fewer than ``FEWEST`` updates do, the samples are halved until they fit.

    Raises:
        Unsuited: not even then; the message tells minutes, and seeds, that are enough, even if all takes ``SPARE`` times as
            long the next time.
    """
    tried = samples
    while True:
        updates = cost.updates_in(60 * minutes, seeds, jobs, tried / samples)
        if updates >= FEWEST:
            return Fitted(updates, tried)
        if tried // 2 < LEAST_SAMPLES:
            break
        tried //= 2
    share, slower = tried / samples, cost.slower(SPARE)
    least = cost.stages(FEWEST, seeds, jobs, share)
    enough = math.ceil(sum(slower.stages(FEWEST, seeds, jobs, share).values()) / 60 / RESERVED)
    while slower.updates_in(60 * enough, seeds, jobs, share) < FEWEST:  # by a rounding
        enough += 1
    fits = (n for n in range(seeds - 1, 0, -1) if slower.updates_in(60 * minutes, n, jobs, share) >= FEWEST)
    fewer = next(fits, None)
    advice = "" if fewer is None else f", or --seeds {fewer}"
    raise Unsuited(
        f"minutes is {minutes:g}, which is too short: with {FEWEST} updates of each flow and {tried} samples it takes "
        f"{in_words(least)}; give --minutes {enough}{advice}",
        {"--minutes": enough},
    )


def in_words(stages: dict[str, float]) -> str:
    """Seconds by stage as a line."""
    told = ", ".join(f"{name} {_minutes(seconds)}" for name, seconds in stages.items() if seconds >= 6)
    return f"about {_minutes(sum(stages.values()))} minutes" + (f" ({told})" if told else "")


def in_rows(stages: Mapping[str, float]) -> str:
    """Minutes by stage as a table."""
    rows = {**stages, "all": sum(stages.values())}
    return "\n".join(
        f"{name:24s}{told:>8s}" for name, told in [("stage", "minutes"), *((k, _minutes(s)) for k, s in rows.items())]
    )


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f}" if seconds < 600 else f"{seconds / 60:,.0f}"


# ---------------------------------------------------------------- timing a part of it


@dataclass(frozen=True, eq=False)
class Tried:
    """A method of which a small part was done.

    Args:
        fixed: seconds of trainings whose number of updates is their own.
        update: seconds of an update of its flow.
    """

    sampler: Sampler
    fixed: float
    update: float


def tried(method: Method, parts: Parts, device: str = "cpu") -> Tried:
    """Does a small part of a method's trainings; its drafts and pairs too, unless ``parts`` has them."""
    networks: dict[str, nn.Module] = {}
    fixed = update = 0.0
    t = parts.setup.training
    with trying():
        for stage in method.stages(parts):
            objective, data = stage.make(networks)
            steps, batch = stage.updates or t.updates, min(stage.batch or t.batch, len(data))
            found = train(objective, data, steps=steps, batch=batch, seed=parts.seed, device=device)
            networks |= found.networks
            seconds = float(found.facts["seconds"])
            fixed, update = (fixed + seconds, update) if stage.updates else (fixed, update + seconds / steps)
        return Tried(placed(method.sampler(parts, networks), device), fixed, update)


def trial_parts(setup: Setup, seed: int) -> Parts:
    """Parts that are kept nowhere; a teacher is one that was trained a little."""
    teachers: dict[str, Sampler] = {}

    def teacher(method: Method) -> Sampler:
        chosen = settled(method, setup)
        key = repr(chosen.asked())
        if key not in teachers:
            teachers[key] = tried(chosen, parts).sampler
        return teachers[key]

    parts = Parts(setup, seed, None, False, None, teacher)
    return parts


def cost_of(
    work: Work, real: RealData, seed: int, grid: Sequence[int], samples: int, jobs: int, convergence: bool,
    progress: bool = False,
) -> Cost:  # fmt: skip
    """The seconds of a comparison, on as many threads as each of ``jobs`` processes will have."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if jobs > 1 else threads)
    try:
        parts, trained = trial_parts(work.setup(), seed), work.trained
        made = {
            m.name: tried(m.method, parts, work.device)
            for m in bar(trained, what="timing", unit="method", shown=progress, delay=DELAY)
        }
        flows = [one for m in trained if m.method.trains and (one := made[m.name])]
        cost = Cost(0.0, sum(parts.seconds().values()), sum(f.fixed for f in flows), sum(f.update for f in flows))
        cost = replace(cost, doubled=1 / len(flows) if convergence and flows else 0.0)
        shown = PICTURES if parts.setup.data.kind == "images" else POINTS
        for member in work.members:
            first = next(m.name for m in trained if m.method == member.method)
            cost = _measuring(cost, member, made[first].sampler, real, grid, samples, shown)
        return replace(cost, audit=_seconds_of_audit(work, parts), ending=cost.ending + ENDING)
    finally:
        torch.set_num_threads(threads)


def _seconds_of_audit(work: Work, parts: Parts) -> float:
    """Seconds of the audit of pairs, of which a small part is made."""
    began = clock()
    with trying():
        for member in work.members:
            drafted = member.method.drafted(parts) if member.role is Role.CANDIDATE else None
            if drafted is not None:
                began = clock()
                audits(parts.setup, drafted)
                return clock() - began
    return 0.0


def _measuring(
    cost: Cost, member: Member, sampler: Sampler, real: RealData, grid: Sequence[int], samples: int, shown: int
) -> Cost:  # fmt: skip
    """The cost with that of measuring a member, and of its pictures; of a start that is measured alone too."""
    call, start, x = _seconds_of_call(sampler, real, samples)
    solvers = tuple(member.method.solvers() or solvers_of(sampler))
    steps = steps_on_grid(solvers[0], tuple(member.method.grid() or grid))
    began = clock()
    x = x[torch.arange(samples) % len(x)]
    real.measure(x, member.name)
    measure = clock() - began
    calls = sum(steps) * call + len(steps) * start
    row = samples * calls + (len(steps) + 1) * measure
    choice = 0.0
    if len(solvers) > 1:
        tries = [calls_of(s, max(steps_on_grid(s, (k,)), default=1)) for s in solvers for k in CHOSEN_AT]
        choice = samples / VALIDATION_SHARE * (sum(tries) * call + len(tries) * start) + len(tries) * measure / 2
    timing = (ROUNDS + 1) * TIMED * calls
    ending = ENDING_METHOD + shown * sum(BASELINE_STEPS) * call
    return replace(
        cost, row=cost.row + row, choice=cost.choice + choice, timing=cost.timing + timing, ending=cost.ending + ending
    )


@torch.inference_mode()
def _seconds_of_call(sampler: Sampler, real: RealData, samples: int) -> tuple[float, float, Tensor]:
    """Seconds of a call and of a start, a sample; and samples."""
    n = min(samples, at_once(sampler), 512)
    asked = None if real.paired is None else real.paired.asked(n, 0)
    given = None if asked is None else {INPUT: asked}
    n = n if asked is None else len(asked)
    sampler(n, seed=0, steps=1, condition=given)
    drawn = sampler(n, seed=0, steps=1, condition=given)
    x = drawn.x.cpu()
    if real.paired is not None and asked is not None:
        x = real.paired.halves.joined(asked, x)
    return (drawn.seconds - drawn.source_seconds) / n, drawn.source_seconds / n, x
