"""Figures of the differences between two methods' distances to the data, at equal numbers of calls, with confidence bands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from warmflow.report import axes
from warmflow.report.drawing import INK, blank
from warmflow.report.folder import Run
from warmflow.report.roles import NEUTRAL, START, looks, start_of
from warmflow.report.verdict import Candidate, Gain, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SMALL = (4.2, 3.1)


def differences(gains: Mapping[str, Sequence[Gain]], verdict: Verdict, tint: str, label: str) -> Figure | None:
    """Differences of distances against calls with simultaneous bands, a panel for each metric. Above 0 favours the candidate."""
    known = {
        m: [g for g in gains[m.name] if g.calls > 0 and math.isfinite(g.estimate)]
        for m in verdict.metrics
        if m.name in gains
    }
    known = {m: found for m, found in known.items() if found}
    if not known:
        return None
    figure, panels = blank((SMALL[0], SMALL[1] * (0.35 + 0.65 * len(known))), len(known))
    for ax, (metric, found) in zip(panels, known.items(), strict=True):
        x = np.array([g.calls for g in found])
        y, low, high = (np.array([getattr(g, k) for g in found]) * metric.scale for k in ("estimate", "low", "high"))
        ax.axhline(0, color=INK, lw=1.0, alpha=0.8)
        ax.vlines(x, low, high, color=tint, lw=3.2, alpha=0.3)
        ax.plot(x, y, color=tint, lw=1.2, marker="o", markersize=4)
        axes.cost(ax, list(x), "calls")
        axes.difference(ax, np.concatenate([y, low, high]))
        ax.grid(color=INK, alpha=0.09, lw=0.6)
        ax.set_title(metric.title, fontsize=8.5, color=INK, loc="left")
    panels[-1].set_xlabel("network calls per sample", color=INK, fontsize=9)
    figure.supylabel(label, fontsize=9, color=INK)
    return figure


def gain(run: Run, candidate: Candidate) -> Figure | None:
    """The best baseline's distance minus the candidate's, at equal calls."""
    tint = looks(run.verdict).get(candidate.name, NEUTRAL).colour
    return differences(candidate.gains, run.verdict, tint, f"D(baseline) − D({run.verdict.title(candidate.name)})")


def start_effect(run: Run, candidate: Candidate) -> Figure | None:
    """The distance of the same recipe from noise minus the candidate's, at equal calls."""
    start = start_of(run.verdict, candidate.name)
    tint = looks(run.verdict)[start.name].colour if start else START
    return differences(candidate.start_effect, run.verdict, tint, "D(from noise) − D(from the draft)")
