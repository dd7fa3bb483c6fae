"""Methods compared on a problem, from data to report: prepare, train, measure, judge, report. Resumable at each step.

FOLDER/config.json            what was asked, and all that is fixed before anything is sampled
FOLDER/seeds/SEED/            drafts, priors and pairs of a training seed (``methods.parts``)
FOLDER/seeds/SEED/METHOD/     one run folder a method (``run``)
FOLDER/study.*                every measured row (until all are there, in measured/)
FOLDER/verdict.json, pictures.safetensors, report.html
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmflow.checkpoints import open_run, read_json, write_json
from warmflow.contracts import Solver
from warmflow.evaluation.evaluate import Evaluation
from warmflow.evaluation.record import read_study, verdict_json
from warmflow.evaluation.rows import GRID, Choice, Entry
from warmflow.evaluation.study import Role
from warmflow.evaluation.study import Training as TrainingHeld
from warmflow.experiments.measure import Trained, alone, solvers_of
from warmflow.experiments.pipeline import Comparison, conclude, described, say
from warmflow.experiments.processes import each
from warmflow.experiments.run import data_print, run_method
from warmflow.methods.base import Member, Method, settled
from warmflow.methods.parts import Parts
from warmflow.methods.warm_start import WarmStart
from warmflow.options import plain
from warmflow.problems import problem_of
from warmflow.problems.base import Problem
from warmflow.problems.measures import real_data
from warmflow.report import Report
from warmflow.sampler import Sampler
from warmflow.setup import Setup, Training
from warmflow.solvers import Euler


def members_of(setup: Setup, methods: Sequence[Method]) -> list[Member]:
    """The methods of a comparison under names of their own, with the companions that a fair one needs: baselines of the same
    effort, and the control of each candidate.

    Raises:
        ValueError: a method that does not fit the problem, or no candidate.
    """
    found: list[Member] = []

    def add(method: Method, role: Role, of: str = "") -> str:
        same = next((m for m in found if m.method == method and (m.role, m.of) == (role, of)), None)
        if same is not None:
            return same.name
        base = f"{of}-from-noise" if role is Role.CONTROL else method.label
        taken = {m.name for m in found}
        name = next(n for n in (base, *(f"{base}-{i}" for i in range(2, 99))) if n not in taken)
        found.append(Member(name, method, role, of))
        return name

    asked = [settled(method, setup) for method in methods]
    for method in asked:
        name = add(method, method.role)
        for other, role in method.companions(setup) if method.role is Role.CANDIDATE else ():
            add(settled(other, setup), role, name if role is Role.CONTROL else "")
        needed = method.needs()
        if needed is not None:
            add(settled(needed, setup), needed.role)
    if not any(m.role is Role.CANDIDATE for m in found):
        raise ValueError(
            f"the methods are {', '.join(m.name for m in found)}; a comparison needs a candidate: add warm-start"
        )
    return found


def seed_folder(root: Path, seed: int) -> Path:
    """Where a comparison keeps what belongs to one training seed."""
    return root / "seeds" / str(seed)


@dataclass(frozen=True)
class Work:
    """What a process needs to make everything of a comparison: the problem, how it is trained, the members, the folder."""

    problem: Problem
    training: Training
    members: tuple[Member, ...]
    root: Path
    device: str = "cpu"

    def setup(self) -> Setup:
        """The problem made ready, once in a process."""
        return _setup(self.problem, self.training)

    def parts(self, seed: int, progress: bool = False) -> Parts:
        """The parts of a seed; a method that needs another one gets that one's run."""
        parts = Parts(self.setup(), seed, seed_folder(self.root, seed), progress)

        def other(method: Any) -> Sampler:
            member = next(m for m in self.members if m.method == settled(method, parts.setup))
            return self.run(member.name, seed, parts=parts)

        parts.run = other
        return parts

    def member(self, name: str) -> Member:
        return next(m for m in self.members if m.name == name)

    def run(self, name: str, seed: int, *, parts: Parts | None = None, progress: str | None = None) -> Sampler:
        """The trained sampler of a member under a seed."""
        parts = self.parts(seed) if parts is None else parts
        folder = seed_folder(self.root, seed) / name
        return run_method(self.member(name).method, parts, folder, device=self.device, progress=progress)


_LAST: dict[str, Setup] = {}


def _setup(problem: Problem, training: Training) -> Setup:
    key = f"{problem!r} {training!r}"
    if key not in _LAST:
        _LAST.clear()
        _LAST[key] = problem.setup(training)
    return _LAST[key]


def _train(work: Work, name: str, seed: int) -> None:
    work.run(name, seed)


def train_all(work: Work, seeds: Sequence[int], *, jobs: int = 1, progress: bool = False) -> None:
    """Trains every member under every seed, those first that others start from."""
    first = [m for m in work.members if m.method.needs() is None]
    later = [m for m in work.members if m.method.needs() is not None]
    for group in (first, later):
        each(_train, [(work, m.name, seed) for seed in seeds for m in group], jobs=jobs, what="training")


def bills(work: Work, seeds: Sequence[int]) -> Mapping[str, float]:
    """Mean seconds of a seed for what its methods share."""
    told = [Parts(work.setup(), seed, seed_folder(work.root, seed)).seconds() for seed in seeds]
    return {name: sum(one.get(name, 0.0) for one in told) / len(told) for name in {k for one in told for k in one}}


def trained_flows(work: Work, seeds: Sequence[int]) -> list[Trained]:
    """Every trained flow of a comparison."""
    found = []
    for member in work.members:
        for seed in seeds:
            sampler, folder = work.run(member.name, seed), seed_folder(work.root, seed) / member.name
            seconds = float(read_json(folder / "config.json")["training"]["seconds"])
            grid = tuple(member.method.grid() or ())
            found.append(
                Trained(member.name, member.role, seed, sampler, seconds, member.of, member.method.title, grid=grid)
            )
    return found


def starts_of(work: Work, seeds: Sequence[int]) -> list[Entry]:
    """What each candidate starts from, measured alone."""
    found: list[Entry] = []
    for member in work.members:
        if member.role is not Role.CANDIDATE:
            continue
        begun = {seed: member.method.starts_from(work.parts(seed)) for seed in seeds}
        sources = {seed: one for seed, one in begun.items() if one is not None}
        if len(sources) == len(seeds):
            title = next(iter(sources.values()))[1]
            name = f"{member.name}-start"
            bounds = work.setup().data.bounds
            found.append(alone(bounds, name, {s: source for s, (source, _) in sources.items()}, member.name, title))
    return found


@dataclass(frozen=True)
class Solvers:
    """The solvers that are tried for each sampler: a method's own, else those of its space."""

    one_call: tuple[Solver, ...] = (Euler(),)

    def __call__(self, sampler: Sampler) -> Sequence[Solver]:
        return self.one_call if sampler.steps == 1 else solvers_of(sampler)


def compare(
    problem: Any,
    methods: Sequence[Method] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    calls: Sequence[int] = GRID,
    samples: int | None = None,
    device: str = "cpu",
    jobs: int = 1,
    progress: bool = True,
    **training: Any,
) -> Report:
    """Trains methods on a problem at equal budget, measures them alike and judges them.

    Args:
        problem: a ``Problem``, the name of one ("digits"), "folder:PATH", "hf:NAME", the path of a file of arrays, an array.
        methods: the methods; by default a warm start. Baselines of the same effort and the control are added.
        out: the folder of the comparison, which the same call continues; None for a temporary one.
        calls: the numbers of network calls at which every method is measured.
        samples: of each method and training seed; by default the problem's.
        jobs: processes, one thread each.
        training: options of ``Training``.

    Raises:
        ValueError: bad input, named with its remedy, before anything is trained.
    """
    asked = problem_of(problem)
    setup = asked.setup(**training)
    members = tuple(members_of(setup, methods or [WarmStart()]))
    root = Path(out) if out is not None else Path(tempfile.mkdtemp(prefix="warmflow-"))
    n = samples or asked.samples
    config = open_run(root, {
        "kind": "compare", "problem": dict(setup.asked), "training": plain(setup.training), "data": data_print(setup),
        "methods": {m.name: m.method.asked() for m in members}, "calls": list(calls), "seeds": list(seeds), "samples": n,
        "device": device,
    })  # fmt: skip
    work = Work(asked, setup.training, members, root, device)
    _LAST[f"{asked!r} {setup.training!r}"] = setup
    say("making the real data ready", progress)
    real, facts = real_data(setup.data, n)
    if config["state"] == "complete" and config.get("measured") == json.loads(json.dumps(real.fixed)):
        return judged_again(root)
    config |= described(setup.data, real, facts, seeds, device, recipe=setup.name, settings=plain(setup.training))
    write_json(root / "config.json", {**config, "state": "started"})
    say(f"training {len(members)} methods under {len(seeds)} seeds", progress)
    train_all(work, seeds, jobs=jobs, progress=progress)
    spent = bills(work, seeds)
    counted = tuple(dict.fromkeys(part for m in members if m.role is Role.CANDIDATE for part in m.method.counted))
    comparison = Comparison(
        setup.data, n, tuple(m.name for m in members if m.role is Role.CANDIDATE), trained_flows(work, seeds),
        starts_of(work, seeds), tuple(calls), training=_held_equal(members), counted=counted,
        bills={m.name: {k: spent[k] for k in m.method.counted if k in spent} for m in members}, jobs=jobs,
        solvers=Solvers(),
    )  # fmt: skip
    return conclude(comparison, root, config, real, progress=progress)


def _held_equal(members: Sequence[Member]) -> TrainingHeld:
    """What is held equal, by the candidate that holds least."""
    held = [m.method.trained for m in members if m.role is Role.CANDIDATE]
    order = (TrainingHeld.DISTILLED, TrainingHeld.EQUAL_FLOWS, TrainingHeld.EQUAL)
    return next(h for h in order if h in held)


def judged_again(root: Path) -> Report:
    """A finished comparison judged again from its study: nothing is sampled."""
    kept, study = read_json(root / "verdict.json"), read_study(root)
    choices = tuple(Choice(c["method"], c["chosen"], c["distances"]) for c in kept["choices"])
    write_json(root / "verdict.json", {**kept, **verdict_json(Evaluation.of(study, choices))})
    report = Report.read(root)
    report.save(root)
    return report
