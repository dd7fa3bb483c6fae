"""Moons on a 128 x 128 grid: the certified rate against the draft's quality, and what a call is worth in passes.

A draft is a fresh sample plus N(0, s^2 I), on the grid, s = 0.15, 0.35, 0.7. Every flow skips the steps at which no token
changes, so steps and calls differ: two tokens from the mask never need a third call. Calls are counted a sample; the
passes of the network are also counted for one sample alone and for 64 sampled together, where a step costs a pass if any of them
changes.

python runs/grid.py [OUT] [SEEDS] [UPDATES]    writes OUT/grades.md and OUT/grades.svg; resumable
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from moons import WARM, draw, graded, summary

from warmflow import load
from warmflow.evaluation.rows import GRID
from warmflow.evaluation.study import Study
from warmflow.evaluation.verdict import judge


def passes(run: Path, steps: int, batch: int, times: int = 32) -> float:
    """Passes of the network for ``batch`` samples, the mean over ``times`` seeds."""
    sampler = load(run)
    network: Any = sampler.field.network  # type: ignore[attr-defined]
    made = [0]
    hook = network.register_forward_pre_hook(lambda *_: made.__setitem__(0, made[0] + 1))
    for seed in range(times):
        replace(sampler, steps=steps)(batch, seed=seed)
    hook.remove()
    return made[0] / times


def told(study: Study, folder: Path) -> str:
    """Steps, calls and passes of the quoted row and of the row it is exchanged for."""
    e = judge(study)[WARM].exchange
    if e is None:
        return "no row passes"
    rows = ((WARM, e.steps, e.calls), (e.baseline, e.baseline_steps, e.row_calls))
    return "; ".join(
        f"{name}: {steps} steps, {calls:.2f} calls a sample, passes {passes(folder / name, steps, 1):.2f} at batch 1, "
        f"{passes(folder / name, steps, 64):.2f} at batch 64"
        for name, steps, calls in rows
    )


def main(out: str = "out-grid", seeds: str = "5", updates: str = "1500") -> None:
    found = graded("grid", Path(out), int(seeds), int(updates), GRID)
    lines = [f"s = {s}: {told(study, Path(out) / f'spread-{s}' / 'seeds' / '0')}" for s, study in found.items()]
    text = summary(found) + "\n" + "\n".join(lines) + "\n"
    (Path(out) / "grades.md").write_text(text, encoding="utf-8")
    print(text)
    draw(found, Path(out) / "grades.svg")


if __name__ == "__main__":
    main(*sys.argv[1:])
