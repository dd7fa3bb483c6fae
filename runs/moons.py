"""Moons: how the factor in calls depends on the draft's grade. Writes docs/figures/moons.svg.

A draft is a fresh point of the data plus N(0, s^2 I), on unit variance, s = 0.15 (good), 0.35, 0.7 (poor). Five seeds a
grade, equal training. About twenty minutes on two cores.

python runs/moons.py [OUT] [SEEDS]
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from warmflow import compare

GRADES = (0.15, 0.35, 0.7)


def main(out: str = "out-moons", seeds: str = "5") -> None:
    found = {}
    for s in GRADES:
        folder = Path(out) / f"spread-{s}"
        compare(
            "toy.moons", spread=s, seeds=range(int(seeds)), steps=(1, 2, 3, 4, 8), out=folder, jobs=os.cpu_count() or 1
        )
        v = json.loads((folder / "verdict.json").read_text())
        found[s] = v
        print(f"s = {s}: {v['claim']}  (calls {v['factor_calls']}, seconds {v['factor_seconds']})")
    draw(found)


def draw(found: dict[float, dict]) -> None:
    """Bars of the factor in calls; where nothing holds, the claim says why and the bar is left out."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2, 3.0), layout="constrained")
    axes = figure.add_subplot()
    for i, v in enumerate(found.values()):
        factor = v["factor_calls"]
        axes.bar(i, factor or 0, color="#d9541e", width=0.6)
        axes.annotate(f"{factor:.1f}x" if factor else "no factor holds", (i, factor or 0), ha="center", va="bottom")
    axes.set_xticks(range(len(found)), [f"s = {s}" for s in found])
    axes.set_xlabel("standard deviation of the draft's noise (data: 1)")
    axes.set_ylabel("times fewer calls than cold")
    axes.margins(y=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    target = Path(__file__).parent.parent / "docs" / "figures"
    target.mkdir(parents=True, exist_ok=True)
    figure.savefig(target / "moons.svg")


if __name__ == "__main__":
    main(*sys.argv[1:])
