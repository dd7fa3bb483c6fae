"""Warm against cold, from data to report: train both at equal budget, sample both, and say whether warm is as good.

    folder/config.json            what was asked, the ruler (margins, floors), fixed before anything is sampled
    folder/seeds/SEED/            the draft, the prior and the pairs of a training seed (``prepared``)
    folder/seeds/SEED/ARM/        one run folder an arm
    folder/rows.*                 every measured row, seed by seed (until all are there, in measured/)
    folder/verdict.json, pictures.safetensors, report.html

Run again, the same command takes up where it was cut off: finished runs are read, unfinished ones continue.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from warmflow import __version__
from warmflow.arms import data_print, fingerprint, prepare_all, train_all
from warmflow.budget import updates_for
from warmflow.checkpoints import (
    device_of,
    load,
    open_run,
    read_json,
    write_json,
    write_tensors,
)  # fmt: skip
from warmflow.crew import Crew
from warmflow.data import enough
from warmflow.data.grid import Grid
from warmflow.data.text import Alphabet
from warmflow.fields import WrappedField
from warmflow.measuring import Entry, audits, forget, measured, pictures, recall, save_rows, sources_alone
from warmflow.prepared import NOISE_BILL, PRIOR_BILL, Prepared, seed_folder
from warmflow.recipes.build import plan_for
from warmflow.recipes.labels import conditional
from warmflow.recipes.measures import ruler_for
from warmflow.recipes.plan import Plan
from warmflow.recipes.settings import is_ours
from warmflow.report import Report
from warmflow.sampler import Sampler, placed
from warmflow.solvers import Euler
from warmflow.sources import StandardNormal
from warmflow.verdict import Row, Ruler, at_convergence, judge

SEEDS = (0, 1, 2, 3, 4)


def _named(plan: Plan) -> str:
    """What config.json says of the user's own drafts: ready ones by their fingerprint."""
    ready = getattr(plan.draft(), "draft", None)
    return f"own {fingerprint(ready)}" if isinstance(ready, Tensor) else "own"


def versions() -> dict[str, str]:
    """The versions a result was made with."""
    from importlib.metadata import version

    names = ("torch", "numpy", "scikit-learn", "scipy", "accelerate")
    return {"warmflow": __version__, "python": platform.python_version()} | {n: version(n) for n in names}


# ---------------------------------------------------------------- the whole comparison


def _say(text: str, progress: bool) -> None:
    if progress:
        print(text, file=sys.stderr, flush=True)


def whole(steps: Sequence[int]) -> tuple[int, ...]:
    if isinstance(steps, int | float | str):
        raise ValueError(f"steps is {steps!r}; give whole numbers in a list, like [1, 2, 4, 8]")
    if not steps:
        raise ValueError("steps is empty; give the numbers of warm steps to try, like 1, 2, 4, 8")
    for k in steps:
        if isinstance(k, bool) or not isinstance(k, int) or k < 1:
            raise ValueError(f"steps holds {k!r}; each is a whole number of at least 1")
    return tuple(sorted(set(steps)))


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
    steps: Sequence[int] = (1, 2, 4, 8),
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
        steps: the warm steps to try.
        minutes: the time for all of it; the number of updates follows from it. None: the recipe's own number.
        seeds: training seeds; fewer than two make no claim.
        out: the folder of the comparison (resumable); None for a temporary one.
        cold: your own trained cold model (``wrap``) in place of the cold arms: no other cold flow is trained.
        convergence: train the best cold arm twice as long as well, to learn whether the claim holds at convergence.
        jobs: arms trained at once, one thread each (only for recipes with a name).
        settings: what ``recipes.settings`` lists: updates, batch, sigma, pairing, ...

    Returns:
        The report: ``.verdict.claim``, ``.figures``, ``.save(folder)``.

    Raises:
        ValueError: bad input, named with its remedy.
    """
    steps, seeds = whole(steps), _seeds(seeds)
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
        _say(f"warning: {warning}", True)
    root = Path(out) if out is not None else Path(tempfile.mkdtemp(prefix="warmflow-"))
    own = draft is not None and not is_ours(draft)
    return run(
        plan, root, steps=steps, minutes=minutes, seeds=seeds, cold=cold, convergence=convergence, device=device,
        jobs=jobs, progress=progress, own_draft=own,
    )  # fmt: skip


def run(
    plan: Plan, root: Path, *, steps: tuple[int, ...], seeds: tuple[int, ...], minutes: float | None = None,
    cold: WrappedField | None = None, convergence: bool = False, device: str = "cpu", jobs: int = 1,
    progress: bool = True, own_draft: bool = False,
) -> Report:  # fmt: skip
    """The comparison of a plan in a folder; see ``compare``."""
    asked = {
        "kind": "compare", "recipe": plan.name, "settings": plan.settings.asked, "steps": list(steps),
        "seeds": list(seeds), "minutes": minutes, "convergence": convergence, "data": data_print(plan),
        "cold": "wrapped" if cold else "trained", "draft": _named(plan) if own_draft else plan.settings.draft, "device": device,
    }  # fmt: skip
    found = open_run(root, asked)
    _say("measuring the margin on real data", progress)
    ruler, facts = ruler_for(plan.data, plan.settings.samples)
    again = found["state"] == "complete" and cold is None and not own_draft and recall(root, ruler)
    made = {k: found[k] for k in ("threads", "versions", "started") if again and k in found}
    alike = plan.name != "custom" and not own_draft and device == "cpu"  # what another process can make again
    names = plan.flow.arms if cold is None else tuple(k for k in ("warm", "noise") if k in plan.flow.arms)
    jobs = min(jobs, len(names) * len(seeds)) if alike else 1
    _say("making the draft and the pairs of each training seed", progress)
    prepared = Prepared(plan, root, own_draft, progress)
    prepare_all(prepared, seeds, names, jobs=jobs)
    bill = prepared.bill(seeds)
    if plan.prior is not None:
        facts |= {"prior": prepared.about(seeds[0])}
        for warning in {prepared.about(seed).get("warning", "") for seed in seeds} - {""}:
            _say(f"warning: {warning}", True)
    if minutes is not None:
        u, warning = found.get("updates"), ""
        if u is None:
            u, warning = updates_for(plan, minutes, seeds, prepared.of, jobs, steps, ruler.samples)
        if warning:
            _say(f"warning: {warning}", True)
        plan = replace(plan, settings=replace(plan.settings, updates=u))
    found |= described(plan, ruler, facts, seeds, device) | {"bill": bill, "updates": plan.settings.updates} | made
    found["state"] = "complete" if again else "started"
    write_json(root / "config.json", found)
    u = plan.settings.updates
    arms = [(name, u) for name in names]

    def entries_of(arms: Sequence[tuple[str, int]]) -> list[Entry]:
        tasks = [(name, seed, updates) for seed in seeds for name, updates in arms]
        return _entries(plan, prepared, tasks, device, jobs, progress)

    entries = entries_of(arms) + ([] if cold is None else _wrapped(plan, cold, seeds, device))
    ours = [(e.arm, e.seed) for e in entries]
    crew = Crew(plan, root, ruler, ours, steps, jobs if cold is None else 1)
    try:
        rows = list(measured(plan, ruler, entries, (), steps, progress, folder=root, estimated=crew.start))
    finally:
        crew.close()
    rows += [row for seed in seeds for row in _alone(plan, ruler, prepared, entries, seed)]
    if crew.running:
        found["threads"] = 1  # of each process that rows were timed in
    save_rows(root, rows)
    trained, doubled = plan.flow.training, {}
    if convergence and cold is None:
        best = _best_cold(rows, ruler.primary)
        _say(f"training {best} twice as long", progress)
        more = list(measured(plan, ruler, entries_of([(f"{best}_doubled", 2 * u)]), (), steps, progress, folder=root))
        settled = _converged(ruler, [r for r in rows if r.arm == best], more)
        trained = "convergence" if all(v["settled"] for v in settled.values()) else trained
        save_rows(root, rows + more)
        doubled = {
            "settled": settled,
            **_against(ruler, [r for r in rows if r.kind != "cold"] + more, plan.flow.ratios),
        }
    draft = prepared.source(min(seeds), "draft")
    found_audits = audits(plan, draft, prepared.of(min(seeds), "warm")[1]) if plan.flow.audited else {}
    verdict = judge(
        ruler,
        rows,
        audit=found_audits,
        trained=trained,
        bill=_spent(plan, bill),
        names=plan.flow.names,
        ratios=plan.flow.ratios,
    )
    facts = verdict.to_json() | ({"doubled": doubled} if doubled else {})
    facts["bill"] = _bill(bill, entries, facts.get("paid_after"))
    shown = pictures(plan, entries, draft, steps, 64 if plan.data.kind == "images" else 1000)
    write_tensors(root / "pictures.safetensors", shown)
    write_json(root / "verdict.json", facts)
    write_json(root / "config.json", {**found, "state": "complete"})
    report = Report.read(root)
    report.save(root)
    forget(root)
    return report


def described(plan: Plan, ruler: Ruler, facts: Mapping[str, Any], seeds: Sequence[int], device: str) -> dict[str, Any]:
    """What config.json says beside what was asked."""
    d = plan.data
    shown: dict[str, Any] = {"shown": "points"} if isinstance(d.codec, Grid) else {}
    if isinstance(d.codec, Alphabet):
        shown = {"symbols": list(d.codec.symbols)}
    validation = 0 if d.validation is None else len(d.validation)
    return {
        "recipe": plan.name, "settings": dataclasses.asdict(plan.settings), "versions": versions(), "device": device,
        "threads": torch.get_num_threads(), "seeds": list(seeds), "margins": ruler.to_json(), "facts": dict(facts),
        "data": {"name": d.name, "kind": d.kind, "shape": list(d.shape), "train": len(d.train), "validation": validation,
                 "heldout": len(d.heldout), "classes": list(d.classes), "notes": dict(d.notes), **shown},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip


def _alone(plan: Plan, ruler: Ruler, prepared: Prepared, entries: Sequence[Entry], seed: int) -> list[Row]:
    """The rows of a seed's own sources: its draft, its prior."""
    names = ("draft",) if plan.prior is None else ("draft", "prior")
    alone = sources_alone(plan, {name: prepared.source(seed, name) for name in names})
    one = next(e for e in entries if e.seed == seed)
    return list(measured(plan, ruler, [one], alone, (), False, walks=lambda entry: ()))


def _entries(
    plan: Plan, prepared: Prepared, tasks: Sequence[tuple[str, int, int]], device: str, jobs: int, progress: bool
) -> list[Entry]:
    """Trains what is missing of these (arm, seed, updates) and loads them."""
    train_all(plan, prepared.root, tasks, prepared, jobs=jobs, device=device, progress=progress)
    entries = []
    for name, seed, _ in tasks:
        folder = seed_folder(prepared.root, seed) / name
        theirs = getattr(prepared.source(seed, "draft"), "draft", None)
        callables = {"draft": theirs} if prepared.own and callable(theirs) else {}
        sampler = placed(load(folder, **callables), device)
        seconds = float(read_json(folder / "config.json")["training"]["seconds"])
        entries.append(Entry(name, plan.flow.role(name), seed, sampler, seconds))
    return entries


def _spent(plan: Plan, bill: Mapping[str, float]) -> dict[str, float]:
    """Of the one-off seconds those that the judged flow needs."""
    wanted = plan.flow.needs(plan.flow.judged)
    return {k: v for k, v in bill.items() if (k in PRIOR_BILL) == (wanted == "prior") and k != NOISE_BILL}


def _wrapped(plan: Plan, cold: WrappedField, seeds: Sequence[int], device: str) -> list[Entry]:
    """The user's own cold model as the cold arm of every seed."""
    sampler = Sampler(StandardNormal(plan.data.shape), cold, Euler(), 20, plan.hooks, device)
    return [Entry("cold", "cold", seed, sampler, 0.0) for seed in seeds]


def _best_cold(rows: Sequence[Row], name: str) -> str:
    """The cold arm that reaches the lowest mean distance."""
    means = _mean_distance([r for r in rows if r.kind == "cold"], name)
    return min(means, key=lambda k: means[k])[0]


def _mean_distance(rows: Sequence[Row], name: str) -> dict[tuple[str, str, int], float]:
    """The mean primary distance over seeds of each (arm, solver, steps)."""
    found: dict[tuple[str, str, int], list[float]] = {}
    for r in rows:
        found.setdefault((r.arm, r.solver, r.steps), []).append(r.measure.distance[name])
    return {k: sum(v) / len(v) for k, v in found.items()}


def _converged(ruler: Ruler, rows: Sequence[Row], doubled: Sequence[Row]) -> dict[str, Any]:
    """Whether doubling the best cold arm's training improves its best distance by less than a tenth, on every metric."""
    found: dict[str, Any] = {}
    for metric in ruler.metrics:
        once = min(_mean_distance([r for r in rows if r.kind == "cold"], metric.name).values())
        twice = min(_mean_distance(doubled, metric.name).values())
        settled = at_convergence(once, twice, ruler.margin(metric.name))
        found[metric.name] = {"cold": once, "cold_doubled": twice, "settled": settled}
    return found


def _against(ruler: Ruler, rows: Sequence[Row], ratios: Mapping[str, float]) -> dict[str, Any]:
    """The verdict on warm against the cold flow that was trained twice as long: more than equal training asks."""
    found = judge(ruler, rows, ratios=ratios).to_json()
    claim = found["claim"].replace("at equal training", "with the cold flow trained twice as long")
    return {"claim": claim} | {k: found[k] for k in ("holds", "factor_calls", "factor_calls_best", "reference", "warm")}


def _bill(bill: Mapping[str, float], entries: Sequence[Entry], paid: int | None) -> dict[str, Any]:
    """Seconds of the draft, of pairing and of one training of each arm; ``break_even_samples``: after how many samples
    the time saved has paid for draft and pairing (both flows are trained alike)."""
    seconds: dict[str, list[float]] = {}
    for e in entries:
        seconds.setdefault(e.arm, []).append(e.seconds)
    return {**bill, **{k: sum(v) / len(v) for k, v in seconds.items()}, "break_even_samples": paid}
