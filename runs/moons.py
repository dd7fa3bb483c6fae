"""Moons: how the certified exchange rate depends on the draft's quality.

A draft is a fresh sample of the data plus N(0, s^2 I), on unit variance, s = 0.15 (good), 0.35, 0.7 (poor): one comparison
each, at equal training. Two rates, by what the cold flow is allowed: any pairing (the verdict), and independent pairs alone (what
papers compare with; the same study judged with the other baselines shown only).

python runs/moons.py [OUT] [SEEDS] [UPDATES] [CALLS]    writes OUT/grades.md and OUT/grades.svg; a run that was cut off goes on
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from warmflow import compare
from warmflow.drafts.jittered import Jittered
from warmflow.evaluation.evaluate import Evaluation
from warmflow.evaluation.record import read_study
from warmflow.evaluation.rows import GRID
from warmflow.evaluation.sentences import rounded
from warmflow.evaluation.study import Role, Study
from warmflow.evaluation.verdict import Outcome, Verdict, judge
from warmflow.methods.warm_start import WarmStart

GRADES = (0.15, 0.35, 0.7)
ALLOWED = {"any pairing": "#d9541e", "independent pairs": "#8a8f98"}
WARM, DRAFT = "warm-start", "warm-start-start"
INDEPENDENT = ("cold", "cold-mask")


def independent(study: Study) -> Study:
    """The study with cold flows of independent pairs as its only baselines."""
    methods = (
        replace(m, role=Role.SHOWN) if m.role is Role.BASELINE and m.name not in INDEPENDENT else m
        for m in study.methods
    )
    return replace(study, methods=tuple(methods))


def graded(problem: str, out: Path, seeds: int, updates: int | None, calls: tuple[int, ...]) -> dict[float, Study]:
    """A finished comparison for each quality of the draft."""
    found, training = {}, {} if updates is None else {"updates": updates}
    for s in GRADES:
        folder, method = out / f"spread-{s}", WarmStart(draft=Jittered(spread=s))
        compare(problem, [method], out=folder, seeds=range(seeds), calls=calls, jobs=os.cpu_count() or 1, **training)
        found[s] = read_study(folder)
    return found


def said(v: Verdict) -> str:
    """A verdict in one cell of a table."""
    if v.outcome is not Outcome.FASTER or v.exchange is None:
        return str(v.outcome)
    e = v.exchange
    rate = f"no baseline within {e.horizon:g}" if math.isinf(e.rate) else f"{e.rate:.3g}"
    return f"{rate} ({e.calls:g} calls)"


def summary(found: Mapping[float, Study]) -> str:
    """The answers, and the table of certified rates."""
    lines = ["| s | any pairing | independent pairs | n_eq of the draft alone |", "|---|---|---|---|"]
    for s, study in found.items():
        both = [judge(one)[WARM] for one in (study, independent(study))]
        scatter, d = study.primary.scatter, float(study.curve(DRAFT).mean(study.primary.name)[0])
        alone = "" if scatter is None else rounded(scatter / d) if d > 0 else "inf"
        lines.append(f"| {s} | {said(both[0])} | {said(both[1])} | {alone} |")
    answers = [f"s = {s}: {Evaluation.of(study)}" for s, study in found.items()]
    return "\n".join([*answers, "", *lines]) + "\n"


def draw(found: Mapping[float, Study], target: Path) -> None:
    """Bars of the certified rates; where nothing is certified the bar says so, and infinite ones end at the horizon."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for j, (name, colour) in enumerate(ALLOWED.items()):
        for i, study in enumerate(found.values()):
            v, at = judge(independent(study) if j else study)[WARM], i + (j - 0.5) * 0.4
            rate = v.rate or 0.0
            height = rate if math.isfinite(rate) or v.exchange is None else v.exchange.horizon / v.exchange.calls
            text = "none" if not rate else f"> {height:.3g}" if math.isinf(rate) else f"{rate:.3g}"
            axes.bar(at, height, color=colour, width=0.36, label=name if i == 0 else None)
            axes.annotate(text, (at, height), ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(found)), [f"s = {s}" for s in found])
    axes.set_xlabel("standard deviation of the draft's noise (data: 1)")
    axes.set_ylabel("certified exchange rate")
    axes.margins(y=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8, title="cold is allowed")
    figure.savefig(target)


def main(out: str = "out-moons", seeds: str = "5", updates: str = "", calls: str = "") -> None:
    grid = tuple(int(k) for k in calls.split(",")) if calls else GRID
    found = graded("moons", Path(out), int(seeds), int(updates) if updates else None, grid)
    text = summary(found)
    (Path(out) / "grades.md").write_text(text, encoding="utf-8")
    print(text)
    draw(found, Path(out) / "grades.svg")


if __name__ == "__main__":
    main(*sys.argv[1:])
