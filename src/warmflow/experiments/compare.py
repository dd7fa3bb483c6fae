"""Warm against cold, from data to report: train every flow at equal budget, measure all alike, and judge.

    folder/config.json            what was asked, and all that is fixed before anything is sampled
    folder/seeds/SEED/            the draft, the prior and the pairs of a training seed (``prepared``)
    folder/seeds/SEED/FLOW/       one run folder a flow
    folder/study.*                every measured row (until all are there, in measured/)
    folder/verdict.json, pictures.safetensors, report.html

Run again, the same command takes up where it was cut off: finished runs are read, unfinished ones continue.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from warmflow.checkpoints import device_of, load, open_run, read_json, write_json
from warmflow.data import enough
from warmflow.evaluation.evaluate import Evaluation
from warmflow.evaluation.real import RealData
from warmflow.evaluation.record import plain, read_study, verdict_json
from warmflow.evaluation.rows import GRID, Choice, Entry
from warmflow.evaluation.study import Role, Training
from warmflow.experiments.budget import updates_for
from warmflow.experiments.measure import Trained, alone
from warmflow.experiments.pair_audits import audits
from warmflow.experiments.pipeline import Comparison, conclude, described, evaluated, say
from warmflow.experiments.prepare import NOISE_BILL, PRIOR_BILL, Prepared, seed_folder
from warmflow.experiments.train_flows import data_print, fingerprint, prepare_all, train_all
from warmflow.fields import WrappedField
from warmflow.problems.measures import real_data
from warmflow.recipes.build import plan_for
from warmflow.recipes.labels import conditional
from warmflow.recipes.plan import Plan
from warmflow.recipes.settings import is_ours
from warmflow.report import Report
from warmflow.sampler import Sampler, placed
from warmflow.solvers import Euler
from warmflow.sources import StandardNormal

SETTLED = 0.1
"""A training has converged if twice as much of it improves the best distance by a smaller share."""
SEEDS = (0, 1, 2, 3, 4)


def _named(plan: Plan) -> str:
    """What config.json says of the user's own drafts: ready ones by their fingerprint."""
    ready = getattr(plan.draft(), "draft", None)
    return f"own {fingerprint(ready)}" if isinstance(ready, Tensor) else "own"


def whole(calls: Sequence[int]) -> tuple[int, ...]:
    """Numbers of calls, checked, rising."""
    if isinstance(calls, int | float | str):
        raise ValueError(f"calls is {calls!r}; give whole numbers in a list, like [1, 2, 4, 8]")
    if not calls:
        raise ValueError("calls is empty; give the numbers of calls to measure every method at, like 1, 2, 4, 8")
    for k in calls:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"calls holds {k!r}; each is a whole number of at least 1")
    return tuple(sorted(set(calls)))


def _seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    if isinstance(seeds, int | float | str):
        raise ValueError(f"seeds is {seeds!r}; give whole numbers in a list, or range({seeds})")
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ValueError(f"seeds holds {seed!r}; each is a whole number")
    if not seeds:
        raise ValueError("seeds is empty; give at least one training seed")
    return tuple(dict.fromkeys(seeds))


def compare(
    data: Any,
    draft: Any = None,
    *,
    calls: Sequence[int] = GRID,
    minutes: float | None = None,
    seeds: Sequence[int] = SEEDS,
    out: str | os.PathLike[str] | None = None,
    cold: WrappedField | None = None,
    convergence: bool = False,
    device: str = "cpu",
    jobs: int = 1,
    progress: bool = True,
    **settings: Any,
) -> Report:
    """Trains cold and warm flows at equal budget and judges them.

    Args:
        data: a recipe's name ("digits", "toy.moons"), or all else that ``data.load`` takes: "folder:PATH", "hf:NAME", a file
            of arrays, a tensor or an array, a DataSet.
        draft: "mixture" or "gaussian" for one of ours, a callable ``draft(n, seed) -> tensor``, or an array of drafts.
        calls: the numbers of network calls at which *every* method is measured.
        minutes: the time for all of it; the number of updates follows from it. None: the recipe's own number.
        seeds: training seeds; fewer than two make no claim.
        out: the folder of the comparison (resumable); None for a temporary one.
        cold: your own trained cold model (``wrap``) in place of the cold flows: no other cold flow is trained.
        convergence: train the best cold flow twice as long as well, to learn whether the claim holds at convergence.
        jobs: flows trained at once, one thread each (only for recipes with a name).
        settings: what ``recipes.settings`` lists: updates, batch, sigma, pairing, ...

    Returns:
        The report: ``.verdict.answer``, ``.figures``, ``.save(folder)``.

    Raises:
        ValueError: bad input, named with its remedy.
    """
    grid, seeds = whole(calls), _seeds(seeds)
    if minutes is not None and (isinstance(minutes, str) or not 0 < minutes < float("inf")):
        raise ValueError(f"minutes is {minutes!r}; give a positive time for the whole comparison")
    if isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1:
        raise ValueError(f"jobs is {jobs!r}; it is a whole number of at least 1")
    if cold is not None and not isinstance(cold, WrappedField):
        raise ValueError(f"cold is a {type(cold).__name__}; wrap your model first: warmflow.wrap(model, predicts=...)")
    plan = plan_for(data, draft, **settings)
    if cold is not None and conditional(plan.settings):
        raise ValueError(
            "--conditional gives every flow the label, which a wrapped cold model does not take: leave it out"
        )
    enough(plan.data.total, plan.data.name)
    device_of(device)
    for warning in plan.data.warnings:
        say(f"warning: {warning}", True)
    root = Path(out) if out is not None else Path(tempfile.mkdtemp(prefix="warmflow-"))
    own = draft is not None and not is_ours(draft)
    return run(
        plan, root, grid=grid, minutes=minutes, seeds=seeds, cold=cold, convergence=convergence, device=device,
        jobs=jobs, progress=progress, own_draft=own,
    )  # fmt: skip


def run(
    plan: Plan, root: Path, *, grid: tuple[int, ...], seeds: tuple[int, ...], minutes: float | None = None,
    cold: WrappedField | None = None, convergence: bool = False, device: str = "cpu", jobs: int = 1,
    progress: bool = True, own_draft: bool = False,
) -> Report:  # fmt: skip
    """The comparison of a plan in a folder; see ``compare``."""
    asked = {
        "kind": "compare", "recipe": plan.name, "settings": plan.settings.asked, "calls": list(grid),
        "seeds": list(seeds), "minutes": minutes, "convergence": convergence, "data": data_print(plan),
        "cold": "wrapped" if cold else "trained", "draft": _named(plan) if own_draft else plan.settings.draft, "device": device,
    }  # fmt: skip
    found = open_run(root, asked)
    say("making the real data ready", progress)
    real, facts = real_data(plan.data, plan.settings.samples)
    if found["state"] == "complete" and found.get("measured") == json.loads(json.dumps(real.fixed)):
        return _again(root)
    alike = plan.name != "custom" and not own_draft and device == "cpu"  # what another process can make again
    names = plan.flow.arms if cold is None else tuple(k for k in ("warm", "noise") if k in plan.flow.arms)
    jobs = min(jobs, len(names) * len(seeds)) if alike else 1
    say("making the draft and the pairs of each training seed", progress)
    prepared = Prepared(plan, root, own_draft, progress)
    prepare_all(prepared, seeds, names, jobs=jobs)
    if plan.prior is not None:
        facts |= {"prior": prepared.about(seeds[0])}
        for warning in {prepared.about(seed).get("warning", "") for seed in seeds} - {""}:
            say(f"warning: {warning}", True)
    if minutes is not None:
        u, warning = found.get("updates"), ""
        if u is None:
            u, warning = updates_for(plan, minutes, seeds, prepared.of, jobs, grid)
        if warning:
            say(f"warning: {warning}", True)
        plan = replace(plan, settings=replace(plan.settings, updates=u))
    found |= described(plan.data, real, facts, seeds, device, **named(plan)) | {"updates": plan.settings.updates}
    write_json(root / "config.json", {**found, "state": "started"})
    flows = _Flows(plan, prepared, seeds, device, jobs, progress)
    trained = flows.trained([(name, plan.settings.updates) for name in names])
    trained += [] if cold is None else _wrapped(plan, cold, seeds, device)
    first = prepared.source(min(seeds), "draft")
    comparison = Comparison(
        plan.data, plan.settings.samples, plan.flow.candidates, trained, _starts(plan, prepared, seeds), grid, training=plan.flow.training,
        counted=plan.flow.counted, given=("draft",) if own_draft else (), bills=_bills(plan, prepared, seeds), draft=first,
        audit=audits(plan, first, prepared.of(min(seeds), "warm")[1]) if plan.flow.audited else {},
        jobs=jobs if alike and cold is None else 1,
    )  # fmt: skip
    doubled = None
    if convergence and cold is None:

        def doubled(evaluation: Evaluation) -> tuple[Training, dict[str, Any]]:
            return _doubled(comparison, flows, evaluation, root, real)

    return conclude(comparison, root, found, real, progress=progress, doubled=doubled)


def named(plan: Plan) -> dict[str, Any]:
    """The plan as config.json names it."""
    return {"recipe": plan.name, "settings": dataclasses.asdict(plan.settings)}


def _again(root: Path) -> Report:
    """A finished comparison judged again from its study: nothing is sampled."""
    kept = read_json(root / "verdict.json")
    study = read_study(root)
    choices = tuple(Choice(c["method"], c["chosen"], c["distances"]) for c in kept["choices"])
    found = verdict_json(Evaluation.of(study, choices))
    write_json(root / "verdict.json", {**kept, **found})
    report = Report.read(root)
    report.save(root)
    return report


@dataclass(frozen=True, eq=False)
class _Flows:
    """Trains what is missing of the flows of a comparison and loads them."""

    plan: Plan
    prepared: Prepared
    seeds: tuple[int, ...]
    device: str
    jobs: int
    progress: bool

    def trained(self, flows: Sequence[tuple[str, int]]) -> list[Trained]:
        """The flows (name, updates) of every seed."""
        tasks = [(name, seed, updates) for seed in self.seeds for name, updates in flows]
        prepared, flow = self.prepared, self.plan.flow
        train_all(self.plan, prepared.root, tasks, prepared, jobs=self.jobs, device=self.device, progress=self.progress)
        found = []
        for name, seed, _ in tasks:
            folder = seed_folder(prepared.root, seed) / name
            theirs = getattr(prepared.source(seed, "draft"), "draft", None)
            callables = {"draft": theirs} if prepared.own and callable(theirs) else {}
            sampler = placed(load(folder, **callables), self.device)
            seconds = float(read_json(folder / "config.json")["training"]["seconds"])
            role = flow.role(name.removesuffix("_doubled"))
            found.append(Trained(name, role, seed, sampler, seconds, flow.of(name), flow.title(name)))
        return found


def _starts(plan: Plan, prepared: Prepared, seeds: Sequence[int]) -> list[Entry]:
    """What each candidate starts from, measured alone."""
    found = []
    for name in plan.flow.candidates:
        source = plan.flow.needs(name)
        if source in ("draft", "prior"):
            title = {"draft": "the draft alone", "prior": "the learned prior alone"}[source]
            sources = {seed: prepared.source(seed, source) for seed in seeds}
            found.append(alone(plan.data.bounds, source, sources, name, title))
    return found


def _bills(plan: Plan, prepared: Prepared, seeds: Sequence[int]) -> dict[str, dict[str, float]]:
    """One-off seconds by method."""
    spent = prepared.bill(seeds)
    found = {}
    for name in plan.flow.arms:
        source, paired = plan.flow.needs(name), plan.flow.paired(plan, name)
        keys = {"prior": tuple(PRIOR_BILL), "draft": ("draft",)}.get(source, ())
        keys += () if paired is None else (("pairing",) if paired[0] == "draft" else (NOISE_BILL,))
        found[name] = {key: spent[key] for key in keys if key in spent}
    return found


def _wrapped(plan: Plan, cold: WrappedField, seeds: Sequence[int], device: str) -> list[Trained]:
    """The user's own cold model as the cold flow of every seed."""
    sampler = Sampler(StandardNormal(plan.data.shape), cold, Euler(), 20, plan.hooks, device)
    return [Trained("cold", Role.BASELINE, seed, sampler, 0.0, title="your cold model") for seed in seeds]


def _doubled(
    comparison: Comparison, flows: _Flows, evaluation: Evaluation, root: Path, real: RealData
) -> tuple[Training, dict[str, Any]]:
    """Trains the best baseline twice as long. It has converged if that improves its best distance by less than a tenth, on
    every metric; the verdict with the longer one among the baselines is told beside."""
    study = evaluation.study
    metric = study.primary.name
    best = min(study.named(Role.BASELINE), key=lambda m: float(study.curve(m.name).validation[metric].min())).name
    say(f"training {best} twice as long", flows.progress)
    longer = flows.trained([(f"{best}_doubled", 2 * flows.plan.settings.updates)])
    against = evaluated(comparison, root, real, progress=flows.progress, extra=longer)
    settled = {}
    for m in study.metrics:
        once = float(study.curve(best).mean(m.name).min())
        twice = float(against.study.curve(f"{best}_doubled").mean(m.name).min())
        slack = SETTLED * once if once > 0 else 0.0
        noise = (m.scatter or 0.0) / study.real.test
        settled[m.name] = {"once": once, "twice": twice, "settled": once - twice < max(slack, noise)}
    training = Training.CONVERGENCE if all(v["settled"] for v in settled.values()) else comparison.training
    told = {name: {"outcome": v.outcome, "rate": v.rate} for name, v in against.verdicts.items()}
    words = {name: a.text for name, a in against.answers.items()}
    return training, {"doubled": plain({"baseline": best, "settled": settled, "verdicts": told, "words": words})}
