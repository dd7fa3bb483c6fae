"""Methods compared on a problem, from data to report: prepare, train, measure, judge, report. Resumable at each step.

FOLDER/config.json            what was asked, and all that is fixed before anything is sampled
FOLDER/seeds/SEED/            what was made and trained under a training seed (``work``)
FOLDER/study.*                every measured row (until all are there, in measured/)
FOLDER/verdict.json, pictures.safetensors, report.html
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from warmflow.checkpoints import device_of, open_run
from warmflow.data.labels import numbered
from warmflow.evaluation.evaluate import Evaluation
from warmflow.evaluation.record import read_study, verdict_json
from warmflow.evaluation.rows import GRID, Choice
from warmflow.experiments.budget import updates_for
from warmflow.experiments.convergence import doubled
from warmflow.experiments.measure import forget
from warmflow.experiments.members import in_memory, members_of, named
from warmflow.experiments.pipeline import conclude, described
from warmflow.experiments.run import data_print
from warmflow.experiments.trained_runs import comparison_of
from warmflow.experiments.work import Work, method_titles, prepare_all, train_all, warnings_of
from warmflow.failures import explained
from warmflow.files import Damaged, read_json, write_json
from warmflow.locks import locked
from warmflow.methods.base import Method, settled
from warmflow.methods.warm_start import WarmStart
from warmflow.number_checks import is_number, is_whole
from warmflow.options import changed, plain
from warmflow.printing import say
from warmflow.problems import problem_of
from warmflow.problems.measures import real_data
from warmflow.report import Report

SEEDS = (0, 1, 2, 3, 4)
LEAST_SAMPLES = 200
"""Fewer samples tell no distribution from another."""


@dataclass(frozen=True)
class Asked:
    """How a comparison is made: training seeds, the grid of calls, what is measured and where it runs."""

    seeds: tuple[int, ...]
    calls: tuple[int, ...]
    samples: int
    minutes: float | None = None
    convergence: bool = False
    device: str = "cpu"
    jobs: int = 1
    progress: bool = True
    named: tuple[str, ...] = ()
    """The members that the user named; the others were added."""


@explained("comparing", "--width", "--batch", "--samples", "--jobs")
def compare(
    problem: object,
    methods: Sequence[Method] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    seeds: Sequence[int] = SEEDS,
    calls: Sequence[int] = GRID,
    samples: int | None = None,
    minutes: float | None = None,
    convergence: bool = False,
    device: str = "cpu",
    jobs: int = 1,
    progress: bool = True,
    **training: object,
) -> Report:
    """Trains methods on a problem at equal budget, measures them alike and judges them.

    Args:
        problem: a ``Problem``, the name of one ("digits"), "folder:PATH", "hf:NAME", the path of a file of arrays, or an array.
        methods: the methods; by default a warm start. Baselines of the same effort and the control are added.
        out: the folder of the comparison; the same call continues it. None for a temporary folder.
        seeds: training seeds; with fewer than two, nothing is claimed.
        calls: the numbers of network calls at which every method is measured.
        samples: number of samples of each method and training seed; by default the problem's.
        minutes: the time for the whole comparison, from which the number of updates is computed; None takes the problem's number.
        convergence: also train the best baseline twice as long, to find out whether the claim holds at convergence.
        jobs: processes, one thread each.
        training: options of ``Training``: updates, batch, width, ...

    Returns:
        The report: ``.verdict.answer``, ``.figures``, ``.save(folder)``.

    Raises:
        ValueError: bad input, before anything is trained; the message names the argument and the remedy.
    """
    asked = problem_of(problem)
    how = Asked(
        _seeds(seeds), whole(calls), _samples(asked.samples if samples is None else samples), _minutes(minutes), convergence,
        device, _positive("jobs", jobs) if device == "cpu" else 1, progress,
    )  # fmt: skip
    device_of(device)
    setup = asked.setup(**training)
    wanted = list(methods or [WarmStart()])
    members = tuple(members_of(setup, wanted))
    how = replace(how, named=named(members, [settled(method, setup) for method in wanted]))
    for warning in in_memory(setup, members).data.warnings:
        say(f"warning: {warning}", True)
    if setup.training.conditional:
        say(f"labels: {numbered(setup.data.classes)}", how.progress)
    root = Path(out) if out is not None else Path(tempfile.mkdtemp(prefix="warmflow-"))
    work = Work(asked, setup.training, members, root, device)
    work.keep(setup)
    return run(work, how)


def run(work: Work, how: Asked) -> Report:
    """The comparison in its folder, from where it was cut off; see ``compare``."""
    with locked(work.root):
        return _run(work, how)


def _run(work: Work, how: Asked) -> Report:
    setup, root, members = work.setup(), work.root, work.members
    config = open_run(root, _asked(work, how))
    say("making the real data ready", how.progress)
    real, facts = real_data(setup.data, how.samples)
    if config["state"] == "complete" and config.get("measured") == json.loads(json.dumps(real.fixed)):
        try:
            return judged_again(root)
        except Damaged as error:
            say(f"warning: {str(error).partition(': delete')[0]}: everything is measured again", True)
    say("making the drafts and pairs of each training seed", how.progress)
    prepare_all(work, how.seeds, jobs=how.jobs, progress=how.progress)
    about, warnings = warnings_of(work, min(how.seeds))
    if how.minutes is not None:
        updates, warning = config.get("updates"), ""
        if updates is None:
            updates, warning = updates_for(work, how.minutes, how.seeds, how.jobs, how.calls, how.samples)
        warnings += [warning] if warning else []
        work = replace(work, training=changed(work.training, {"updates": updates}))
    for warning in dict.fromkeys(warnings):
        say(f"warning: {warning}", True)
    config |= described(
        setup.data, real, {**facts, "parts": about}, how.seeds, work.device, recipe=setup.name, settings=plain(work.training),
        methods_described=method_titles(members), methods_given=list(how.named),
        updates=work.training.updates,
    )  # fmt: skip
    write_json(root / "config.json", {**config, "state": "started"})
    say(f"training {len(members)} methods under {len(how.seeds)} seeds", how.progress)
    train_all(work, how.seeds, jobs=how.jobs, progress=how.progress)
    comparison = comparison_of(work.setup(), work.runs(how.seeds), how.samples, how.calls, jobs=how.jobs)
    longer = partial(doubled, work, comparison, real=real, seeds=how.seeds, jobs=how.jobs, progress=how.progress)
    doubling = longer if how.convergence else None
    return conclude(comparison, root, config, real, progress=how.progress, doubled=doubling)


def _asked(work: Work, how: Asked) -> dict[str, object]:
    """What config.json says was asked."""
    setup = work.setup()
    files = {f"{m.name}'s {what}": digest for m in work.members for what, digest in m.method.files(setup).items()}
    return {
        "kind": "compare", "problem": dict(setup.asked), "training": plain(work.training), "data": data_print(setup),
        "methods": {m.name: m.method.asked() for m in work.members}, "calls": list(how.calls), "seeds": list(how.seeds),
        "samples": how.samples, "minutes": how.minutes, "convergence": how.convergence, "device": work.device,
        **files,
    }  # fmt: skip


def judged_again(root: Path) -> Report:
    """A finished comparison judged again from its study: nothing is sampled."""
    kept, study = read_json(root / "verdict.json"), read_study(root)
    choices = tuple(Choice(c["method"], c["chosen"], c["distances"]) for c in kept["choices"])
    write_json(root / "verdict.json", {**kept, **verdict_json(Evaluation.of(study, choices))})
    report = Report.read(root)
    report.save(root)
    forget(root)  # where the process was killed just before that
    return report


# ---------------------------------------------------------------- arguments


def whole(calls: Sequence[int]) -> tuple[int, ...]:
    """Numbers of calls, checked, rising."""
    _listed("calls", calls, "like [1, 2, 4, 8]")
    if not calls:
        raise ValueError("calls is empty; give the numbers of calls to measure every method at, like 1, 2, 4, 8")
    for k in calls:
        if not is_whole(k):
            raise ValueError(f"calls holds {k!r}; each is a whole number of at least 1")
    return tuple(sorted(set(calls)))


def _listed(name: str, given: Sequence[int], like: str) -> None:
    if np.isscalar(given):
        raise ValueError(f"{name} is {given!r}; give whole numbers in a list, {like}")


def _samples(samples: int) -> int:
    if _positive("samples", samples) < LEAST_SAMPLES:
        raise ValueError(f"samples is {samples}; it must be at least {LEAST_SAMPLES}")
    return samples


def _seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    _listed("seeds", seeds, f"or range({seeds})")
    for seed in seeds:
        if not is_whole(seed, -math.inf):
            raise ValueError(f"seeds holds {seed!r}; each is a whole number")
    if not seeds:
        raise ValueError("seeds is empty; give at least one training seed")
    return tuple(dict.fromkeys(seeds))


def _positive(name: str, value: int) -> int:
    if not is_whole(value):
        raise ValueError(f"{name} is {value!r}; it is a whole number of at least 1")
    return value


def _minutes(minutes: float | None) -> float | None:
    if minutes is not None and not is_number(minutes):
        raise ValueError(f"minutes is {minutes!r}; give a positive time for the whole comparison")
    return minutes
