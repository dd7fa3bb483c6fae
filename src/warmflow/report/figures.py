"""All figures of a run by name, as ``matplotlib.figure.Figure`` objects."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from warmflow.report import differences, frontier, losses, pictures
from warmflow.report.drawing import literal
from warmflow.report.folder import Run
from warmflow.report.quality import WIDE, quality

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def build(run: Run) -> dict[str, Figure]:
    """The figures that the run has data for: "calls", "seconds", "samples", "trajectories", "frontier", "loss" and, for each
    candidate, "gain" and "start effect" (with its name where there are several)."""
    makers: dict[str, Callable[[], Figure | None]] = {
        "calls": lambda: quality(run, "calls", size=WIDE),
        "seconds": lambda: quality(run, "seconds", size=WIDE),
        "samples": lambda: pictures.samples(run),
        "trajectories": lambda: pictures.trajectories(run),
        "frontier": lambda: frontier.frontier(run),
        "loss": lambda: losses.loss(run),
    }
    several = len(run.verdict.candidates) > 1
    for name, candidate in run.verdict.candidates.items():
        tail = f" of {name}" if several else ""
        makers[f"gain{tail}"] = partial(differences.gain, run, candidate)
        makers[f"start effect{tail}"] = partial(differences.start_effect, run, candidate)
    return {name: literal(figure) for name, make in makers.items() if (figure := make()) is not None}
