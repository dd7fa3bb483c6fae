"""Runs that were trained apart, judged together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from warmflow.checkpoints import device_of, load, make_folder, read_json, write_json
from warmflow.contracts import Source
from warmflow.evaluation.rows import Entry
from warmflow.evaluation.study import Role
from warmflow.experiments.compare import named, whole
from warmflow.experiments.measure import Trained, alone
from warmflow.experiments.pair_audits import audits
from warmflow.experiments.pipeline import Comparison, conclude, described
from warmflow.experiments.prepare import PRIOR_BILL, trained_seconds
from warmflow.experiments.train_flows import read_asked, weights_of
from warmflow.problems.measures import real_data
from warmflow.recipes.build import plan_of
from warmflow.recipes.plan import Flow, Plan, pairs
from warmflow.recipes.settings import settings_of
from warmflow.report import Report
from warmflow.sampler import placed
from warmflow.sources import Blurred, Shown

TRAINING = ("updates", "batch", "learning_rate", "ema", "dropout", "dtype", "network", "preset", "width",
            "depth", "conditional", "guidance", "guidance_interval")  # fmt: skip
"""Settings that cold and warm must share."""


def _alike(asked: Sequence[tuple[Path, Mapping[str, Any]]]) -> None:
    """ValueError unless the runs share data and training, and those of one arm all settings."""
    first, a = asked[0]
    seen: dict[tuple[Any, Any], Path] = {}
    arms: dict[Any, tuple[Path, Mapping[str, Any]]] = {}
    for path, b in asked:
        labels = [c.get("settings", {}).get("conditional") for c in (a, b)]
        for key in (
            ("recipe", "data") if labels[0] == labels[1] else ("recipe",)
        ):  # which data depends on what flows see
            if a.get(key) != b.get(key):
                what = f"are of different {key}: {a.get(key)!r} and {b.get(key)!r}"
                raise ValueError(f"{first} and {path} {what}; compare runs of one data set")
        again = seen.setdefault((b.get("arm"), b.get("seed")), path)
        if again is not path:
            raise ValueError(
                f"{again} and {path} are both {b.get('arm')}, seed {b.get('seed')}; name each arm and seed once"
            )
        for other, c, keys in ((first, a, TRAINING), (*arms.setdefault(b.get("arm"), (path, b)), None)):
            for key in keys or sorted(b["settings"]):
                if b["settings"].get(key) != c["settings"].get(key):
                    what = f"{key} is {c['settings'].get(key)!r} and {b['settings'].get(key)!r}"
                    raise ValueError(
                        f"{other} and {path} are trained unequally: {what}; compare runs of equal training"
                    )
        if b.get("updates") != a.get("updates"):
            what = f"{a.get('updates')} and {b.get('updates')} updates"
            raise ValueError(f"{first} and {path} are trained unequally: {what}; compare runs of equal training")


def compare_runs(runs: Sequence[Path], out: Path, *, grid: tuple[int, ...], device: str, progress: bool) -> Report:
    """``warmflow compare RUN...``: judges finished runs of one recipe and data set; flows and seeds are read from them.

    Raises:
        ValueError: runs of different data or training, a seed that lacks a flow, no candidate or no cold run.
    """
    grid = whole(grid)
    device_of(device)
    asked = [(run, read_asked(run)) for run in runs]
    _alike(asked)
    seeds: dict[str, set[int]] = {}
    for _, a in asked:
        seeds.setdefault(a["arm"], set()).add(a["seed"])
    recipe = asked[0][1]["recipe"]
    if recipe == "custom":
        raise ValueError("runs on your own arrays are compared from Python: warmflow.compare(data=..., out=...)")
    settings = next((a["settings"] for _, a in asked if not a["arm"].startswith("cold")), asked[0][1]["settings"])
    plan = plan_of(recipe, settings_of(recipe, **settings))
    flow = plan.flow
    if not any(k in seeds for k in flow.candidates) or not any(flow.role(k) is Role.BASELINE for k in seeds):
        raise ValueError(
            f"the runs hold the arms {sorted(seeds)}; a comparison needs warm and cold ones, train the other"
        )
    if len({frozenset(s) for s in seeds.values()}) > 1:
        have = ", ".join(f"{k} has {sorted(s)}" for k, s in sorted(seeds.items()))
        raise ValueError(f"the arms have different seeds: {have}; train the missing ones")
    trained = [_trained(run, a["arm"], a["seed"], flow, device) for run, a in asked]
    make_folder(out)
    real, about = real_data(plan.data, plan.settings.samples)
    first = sorted(seeds[next(iter(seeds))])
    found = {"warmflow": read_json(runs[0] / "config.json")["warmflow"], "kind": "compare", "state": "started",
             "asked": {"runs": [str(r) for r in runs], "calls": list(grid)}}  # fmt: skip
    found |= described(plan.data, real, about, first, device, **named(plan))
    write_json(out / "config.json", found)
    draft = _drafts(trained, "warm").get(first[0])
    drafted = plan.draft(out / "draft", progress, first[0]) if draft is None else draft
    comparison = Comparison(
        plan.data, plan.settings.samples, flow.candidates, trained, _starts(plan, trained), grid, training=flow.training, counted=flow.counted, bills=_bills(asked),
        draft=drafted, weights=weights_of(runs),
        audit=audits(plan, drafted, pairs(plan, drafted, None, seed=first[0])) if flow.audited else {},
    )  # fmt: skip
    return conclude(comparison, out, found, real, progress=progress)


def _trained(run: Path, arm: str, seed: int, flow: Flow, device: str) -> Trained:
    seconds = float(read_json(run / "config.json")["training"]["seconds"])
    return Trained(arm, flow.role(arm), seed, placed(load(run), device), seconds, flow.of(arm), flow.title(arm))


def _drafts(trained: Sequence[Trained], name: str) -> dict[int, Source]:
    """What a candidate's runs start from, by training seed, before it is blurred."""
    found: dict[int, Source] = {}
    for t in trained:
        if t.name == name:
            source = t.sampler.source
            found[t.seed] = source.source if isinstance(source, Blurred | Shown) else source
    return found


def _starts(plan: Plan, trained: Sequence[Trained]) -> list[Entry]:
    """What each candidate starts from, measured alone."""
    found = []
    for name in plan.flow.candidates:
        kind, sources = plan.flow.needs(name), _drafts(trained, name)
        if sources and kind in ("draft", "prior"):
            title = {"draft": "the draft alone", "prior": "the learned prior alone"}[kind]
            found.append(alone(plan.data.bounds, kind, sources, name, title))
    return found


def _bills(asked: Sequence[tuple[Path, Mapping[str, Any]]]) -> dict[str, dict[str, float]]:
    """One-off seconds by flow, as its runs tell them: the training of a draft, the parts of a prior."""
    found: dict[str, dict[str, list[float]]] = {}
    for run, a in asked:
        spent = {"draft": trained_seconds(run / "draft")} if a["arm"] == "warm" else {}
        prior = (read_json(run / "config.json").get("facts") or {}).get("prior") or {}
        spent |= {name: float(prior[key]) for name, key in PRIOR_BILL.items() if key in prior}
        for name, seconds in spent.items():
            found.setdefault(a["arm"], {}).setdefault(name, []).append(seconds)
    return {arm: {k: sum(v) / len(v) for k, v in spent.items() if any(v)} for arm, spent in found.items()}
