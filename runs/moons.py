"""Moons: how the factor in calls depends on the draft's grade. Writes docs/figures/moons.svg.

A draft is a fresh point of the data plus N(0, s^2 I), on unit variance, s = 0.15 (good), 0.35, 0.7 (poor). Five seeds a
grade, equal training. Three factors, by what the cold flow is allowed: its own best pairing and the fewest calls (the
verdict); the calls of its own best row; independent pairs only, the fewest calls (what papers compare with).
About twenty minutes on two cores.

python runs/moons.py [OUT] [SEEDS]
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from warmflow import compare
from warmflow.measuring import read_rows
from warmflow.recipes.build import plan_of
from warmflow.recipes.measures import ruler_for
from warmflow.recipes.settings import settings_of
from warmflow.verdict import judge

GRADES = (0.15, 0.35, 0.7)
FACTORS = {
    "factor_calls": ("any cold pairing, fewest calls", "#d9541e"),
    "factor_calls_best": ("calls of cold's best row", "#e9a27f"),
    "factor_calls_independent": ("independent pairs, fewest calls", "#8a8f98"),
}


def main(out: str = "out-moons", seeds: str = "5") -> None:
    found = {}
    for s in GRADES:
        folder = Path(out) / f"spread-{s}"
        compare(
            "toy.moons", spread=s, seeds=range(int(seeds)), steps=(1, 2, 3, 4, 8), out=folder, jobs=os.cpu_count() or 1
        )
        v = json.loads((folder / "verdict.json").read_text())
        plan = plan_of("toy.moons", settings_of("toy.moons", spread=s))
        ruler, _ = ruler_for(plan.data, plan.settings.samples)
        alone = judge(ruler, [r for r in read_rows(folder) if r.arm != "cold_assigned"])
        v["factor_calls_independent"] = alone.factor_calls
        v["draft_suffices"] = alone.claim.startswith("the draft alone")
        found[s] = v
        print(f"s = {s}: {v['claim']}  (seconds {v['factor_seconds']})")
        print("  " + ", ".join(f"{name}: {v[key]}" for key, (name, _) in FACTORS.items()))
        print(f"  against independent pairs: {alone.claim}")
    draw(found)


def draw(found: dict[float, dict]) -> None:
    """Bars of the factors in calls; where nothing holds the bar says so."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.2, 3.4), layout="constrained")
    axes = figure.add_subplot()
    width = 0.27
    for j, (key, (name, colour)) in enumerate(FACTORS.items()):
        for i, v in enumerate(found.values()):
            factor, at = v[key], i + (j - 1) * width
            axes.bar(at, factor or 0, color=colour, width=0.9 * width, label=name if i == 0 else None)
            axes.annotate(
                f"{factor:.1f}" if factor else "none", (at, factor or 0), ha="center", va="bottom", fontsize=8
            )
    axes.set_xticks(range(len(found)), [f"s = {s}" for s in found])
    axes.set_xlabel("standard deviation of the draft's noise (data: 1)")
    axes.set_ylabel("times fewer calls than cold")
    axes.margins(y=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=8, title="cold is allowed")
    target = Path(__file__).parent.parent / "docs" / "figures"
    target.mkdir(parents=True, exist_ok=True)
    figure.savefig(target / "moons.svg")


if __name__ == "__main__":
    main(*sys.argv[1:])
