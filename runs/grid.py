"""Moons on a 128 x 128 grid: the factor against the draft's grade, in steps and in calls. Writes docs/figures/grid.svg.

A draft is a fresh point plus N(0, s^2 I), on the grid, s = 0.15, 0.35, 0.7; five seeds a grade. With skipping on in both arms
a step at which nothing fires costs nothing, so steps and calls part: two tokens from the mask never need a third call.
Passes of the network are counted for one sample alone and for 64 walked together, where a step costs a pass if any of
them fires. About half an hour on two cores.

python runs/grid.py [OUT] [SEEDS] [UPDATES]
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from warmflow import compare, load

GRADES = (0.15, 0.35, 0.7)


def passes(folder: Path, row: dict[str, Any], batch: int, times: int = 32) -> float:
    """Passes of the network in one walk of ``batch`` samples, the mean over ``times`` walks."""
    sampler = load(folder / "seeds" / "0" / row["arm"])
    network: Any = sampler.field.network  # type: ignore[attr-defined]
    made = [0]
    hook = network.register_forward_pre_hook(lambda *_: made.__setitem__(0, made[0] + 1))
    for seed in range(times):
        replace(sampler, steps=row["steps"])(batch, seed=seed)
    hook.remove()
    return made[0] / times


def main(out: str = "out-grid", seeds: str = "5", updates: str = "1500") -> None:
    found = {}
    for s in GRADES:
        folder = Path(out) / f"spread-{s}"
        compare("toy.grid", spread=s, seeds=range(int(seeds)), steps=(1, 2, 4, 8, 16), out=folder, updates=int(updates),
                jobs=os.cpu_count() or 1)  # fmt: skip
        v = json.loads((folder / "verdict.json").read_text())
        found[s] = v
        print(f"s = {s}: {v['claim']}")
        named = {"warm": v["warm"], "cold, fewest": v["cold"], "cold, best": v["reference"]}
        for name, row in named.items():
            if row:
                alone, together = passes(folder, row, 1), passes(folder, row, 64)
                print(f"  {name:13s} {row['arm']:12s} {row['steps']:4d} steps, {row['calls']:6.2f} calls a sample, passes of the "
                      f"network: {alone:.2f} at batch 1, {together:.2f} at batch 64")  # fmt: skip
    draw(found)


def draw(found: dict[float, dict[str, Any]]) -> None:
    """Bars of the factors in steps and in calls, strict; where nothing holds there is none."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.2), layout="constrained")
    axes = figure.add_subplot()
    for j, (name, key, colour) in enumerate((("steps", "steps", "#d9541e"), ("calls", "calls", "#3b82d0"))):
        for i, v in enumerate(found.values()):
            factor = v["cold"][key] / v["warm"][key] if v["holds"] and v["warm"] else None
            at = i + (j - 0.5) * 0.36
            axes.bar(at, factor or 0, color=colour, width=0.32, label=f"times fewer {name}" if i == 0 else None)
            axes.annotate(
                f"{factor:.1f}" if factor else "none", (at, factor or 0), ha="center", va="bottom", fontsize=8
            )
    axes.set_xticks(range(len(found)), [f"s = {s}" for s in found])
    axes.set_xlabel("standard deviation of the draft's noise (data: 1)")
    axes.margins(y=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8)
    figure.savefig(Path(__file__).parent.parent / "docs" / "figures" / "grid.svg")


if __name__ == "__main__":
    main(*sys.argv[1:])
