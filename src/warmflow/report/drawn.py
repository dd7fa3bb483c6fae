"""Figures and pictures as a page shows them: drawn, with a caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from warmflow.report import differences, drawing, frontier, losses, picture_names, pictures, quality, texts
from warmflow.report.folder import Run
from warmflow.report.verdict import Candidate, Metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawn:
    """A figure on a page; ``narrow`` is the same drawn for a phone."""

    svg: Markup
    caption: str
    narrow: Markup | None = None


@dataclass(frozen=True)
class Picture:
    address: str
    caption: str
    pixels: bool


def _drawn(figure: Figure | None, prefix: str, caption: str, narrow: Figure | None = None) -> Drawn | None:
    if figure is None:
        return None
    small = None if narrow is None else drawing.svg(narrow, f"{prefix}-n", caption)
    return Drawn(drawing.svg(figure, prefix, caption), caption, small)


def main_figure(run: Run, prefix: str, only: str = "", cost: str = "calls") -> Drawn | None:
    """Quality against cost by the primary metric, wide and for a phone; of one candidate (``only``) or of all."""
    metric = run.verdict.primary
    if metric is None:
        return None
    wide, narrow = (quality.quality(run, cost, only, metric, size) for size in (quality.WIDE, quality.NARROW))
    return _drawn(wide, f"{prefix}-{cost}", _explained(run, metric, only, cost), narrow)


def _explained(run: Run, metric: Metric, only: str, cost: str) -> str:
    """The caption of a main figure: which direction is better, and what shades and line styles mean."""
    better = "Higher is better" if metric.scatter is not None else "Lower is better"
    scaled = "; both axes are logarithmic" if metric.scatter is not None else ""
    said = [f"{better}{scaled}." if cost == "calls" else f"The same against time. {better}."]
    shaded = [m.title for m in quality.banded(run.verdict, only)]
    if shaded:
        said.append(f"Shaded: simultaneous 95 % confidence bands of {' and '.join(shaded)}.")
    roles = {m.role for m in run.verdict.methods if not only or only in (m.name, m.of)}
    if "control" in roles:
        said.append("Dashed: the same recipe from noise.")
    if "start" in roles:
        said.append("Dotted: the start alone, which takes no call of the network.")
    return " ".join(said)


def other_metrics(run: Run, prefix: str) -> list[Drawn]:
    """The same figure by each further metric, smaller."""
    found = []
    for i, metric in enumerate(run.verdict.metrics[1:], start=2):
        figure = quality.quality(run, "calls", "", metric, quality.NARROW)
        drawn = _drawn(figure, f"{prefix}-m{i}", f"The same by {metric.short}.")
        found += [drawn] if drawn else []
    return found


def _pictures(run: Run, names: Sequence[str]) -> list[Picture]:
    found = []
    for name in names:
        url = (
            drawing.png(pictures.panel(run, name))
            if run.points
            else drawing.sheet_png(pictures.grid(run.pictures[name]))
        )
        found.append(Picture(url, picture_names.caption(run, name), not run.points))
    return found


def samples(run: Run) -> dict[str, object] | None:
    """Samples to look at: the few that a page opens with, and the rest. None where there are none."""
    if run.symbols:
        blocks = texts.side_by_side(run)
        return {"texts": blocks, "first": [], "rest": []} if blocks else None
    every = picture_names.names(run)
    first = picture_names.opening(run) if run.verdict.candidates else []
    first = first if len(first) > 1 else every
    rest = [n for n in every if n not in first]
    return {"texts": [], "first": _pictures(run, first), "rest": _pictures(run, rest)} if every else None


def trajectories(run: Run, prefix: str) -> Drawn | None:
    """The trajectories of points."""
    caption = "Each line is the path of one sample, from a ring to a dot. Real data are grey."
    return _drawn(pictures.trajectories(run), f"{prefix}-trajectories", caption, pictures.trajectories(run, 2))


def texts_by_two_numbers(run: Run, prefix: str) -> Drawn | None:
    """A figure of texts: likelihood plotted against variety."""
    caption = (
        "How likely a language model finds the texts, against how much they vary; numbers are steps. Real text is the cross. "
        "Lower alone is not better: a language model finds repetition likely."
    )
    return _drawn(frontier.frontier(run), f"{prefix}-frontier", caption)


def loss(run: Run, prefix: str) -> Drawn | None:
    """The training loss."""
    caption = "Training loss."
    if run.kind == "compare":
        caption = (
            "One line for each seed. Methods regress on different targets, so only lines of one colour can be compared."
        )
    return _drawn(losses.loss(run), f"{prefix}-loss", caption)


def gain(run: Run, candidate: Candidate, prefix: str) -> Drawn | None:
    """The gain of a candidate over the best baseline at equal calls."""
    caption = f"Above 0, {run.verdict.title(candidate.name)} is nearer to the data than the best baseline."
    return _drawn(differences.gain(run, candidate), f"{prefix}-gain", caption)


def start_effect(run: Run, candidate: Candidate, prefix: str) -> Drawn | None:
    """What the draft of a candidate adds to its recipe."""
    caption = "Above 0, samples from the draft are nearer to the data than samples of the same recipe from noise."
    return _drawn(differences.start_effect(run, candidate), f"{prefix}-start", caption)
