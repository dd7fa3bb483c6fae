"""Runs that were trained apart, judged together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from warmflow.arms import read_asked
from warmflow.checkpoints import device_of, load, make_folder, read_json, write_json, write_tensors
from warmflow.comparison import described, whole
from warmflow.contracts import Source
from warmflow.measuring import Alone, Entry, audits, measured, pictures, save_rows
from warmflow.prepared import PRIOR_BILL, trained_seconds
from warmflow.recipes.build import plan_of
from warmflow.recipes.measures import ruler_for
from warmflow.recipes.plan import pairs
from warmflow.recipes.settings import settings_of
from warmflow.report import Report
from warmflow.sampler import placed
from warmflow.sources import Blurred, Shown
from warmflow.verdict import judge

TRAINING = ("updates", "batch", "learning_rate", "ema", "dropout", "dtype", "network", "preset", "width",
            "depth", "conditional", "guidance", "guidance_interval")  # fmt: skip  # what cold and warm must share
JUDGED = ("lediflow", "warm")
"""Arms that finished runs are judged by: the first of them that is there."""


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


def compare_runs(runs: Sequence[Path], out: Path, *, steps: tuple[int, ...], device: str, progress: bool) -> Report:
    """``warmflow compare RUN...``: judges finished runs of one recipe and data set; arms and seeds are read from them.

    Raises:
        ValueError: runs of different data or training, a seed that lacks an arm, no warm or no cold run.
    """
    steps = whole(steps)
    device_of(device)
    asked = [(run, read_asked(run)) for run in runs]
    _alike(asked)
    seeds: dict[str, set[int]] = {}
    for _, a in asked:
        seeds.setdefault(a["arm"], set()).add(a["seed"])
    if not any(k in seeds for k in JUDGED) or not any(k.startswith("cold") for k in seeds):
        raise ValueError(
            f"the runs hold the arms {sorted(seeds)}; a comparison needs warm and cold ones, train the other"
        )
    if len({frozenset(s) for s in seeds.values()}) > 1:
        have = ", ".join(f"{k} has {sorted(s)}" for k, s in sorted(seeds.items()))
        raise ValueError(f"the arms have different seeds: {have}; train the missing ones")
    recipe = asked[0][1]["recipe"]
    if recipe == "custom":
        raise ValueError("runs on your own arrays are compared from Python: warmflow.compare(data=..., out=...)")
    judged = next(k for k in JUDGED if k in seeds)
    warm = next(a for _, a in asked if a["arm"] == judged)
    plan = plan_of(recipe, settings_of(recipe, **warm["settings"]))
    flow = plan.flow
    entries = []
    for run, a in asked:
        sampler = placed(load(run), device)
        seconds = float(read_json(run / "config.json")["training"]["seconds"])
        kind = "warm" if a["arm"] == judged else "cold" if a["arm"].startswith("cold") else "beside"
        entries.append(Entry(a["arm"], kind, a["seed"], sampler, seconds))
    make_folder(out)
    ruler, about = ruler_for(plan.data, plan.settings.samples)
    ours = sorted((e for e in entries if e.arm == judged), key=lambda e: e.seed)
    sources: list[Source] = [e.sampler.source for e in ours]
    drafts = [s.source if isinstance(s, Blurred | Shown) else s for s in sources]  # each seed has its own
    alone = [Alone("draft" if judged == "warm" else "prior", "draft", draft) for draft in drafts]
    found = {"warmflow": read_json(runs[0] / "config.json")["warmflow"], "kind": "compare", "state": "complete",
             "asked": {"runs": [str(r) for r in runs], "steps": list(steps)}}  # fmt: skip
    found |= described(plan, ruler, about, sorted(seeds[judged]), device)
    write_json(out / "config.json", found)
    rows = list(measured(plan, ruler, entries, (), steps, progress))
    for e, one in zip(ours, alone, strict=True):
        rows += measured(plan, ruler, [e], [one], steps, False, walks=lambda entry: ())
    save_rows(out, rows)
    seed = ours[0].seed
    drafted = drafts[0] if judged == "warm" else plan.draft(out / "draft", progress, seed)
    found_audits = audits(plan, drafted, pairs(plan, drafted, None, seed=seed)) if flow.audited else {}
    names = flow.names if judged == flow.judged else ("warm", "cold")
    trained, bill = "equal training", {}
    drafting = [trained_seconds(run / "draft") for run, a in asked if a["arm"] == "warm"]
    if any(drafting):
        bill["draft"] = float(np.mean(drafting))
    if judged == flow.judged and flow.needs(judged) == "prior":
        trained = flow.training
        priors = [
            (read_json(run / "config.json").get("facts") or {}).get("prior") or {}
            for run, a in asked
            if a["arm"] == judged
        ]
        for name, key in PRIOR_BILL.items():
            bill[name] = float(np.mean([p.get(key, 0.0) for p in priors]))
    verdict = judge(ruler, rows, audit=found_audits, trained=trained, bill=bill, names=names, ratios=plan.flow.ratios)
    facts = verdict.to_json()
    facts["bill"] = bill | {k: float(np.mean([e.seconds for e in entries if e.arm == k])) for k in seeds}
    write_tensors(out / "pictures.safetensors", pictures(plan, entries, drafted, steps, 64))
    write_json(out / "verdict.json", facts)
    report = Report.read(out)
    report.save(out)
    return report
