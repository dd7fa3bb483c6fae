"""Quality against cost: a curve for each method, bands, and what the quoted row is exchanged for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from warmflow.report import axes, labels, words
from warmflow.report.drawing import INK, blank, literal
from warmflow.report.folder import Run
from warmflow.report.roles import Look, looks
from warmflow.report.verdict import Candidate, Interval, Method, Metric, Point, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, NARROW = (8.6, 4.3), (3.9, 4.0)
"""Inches: a page's main figure, and the same for the width of a phone."""
MOST = 4.0
"""Numbers of test samples beyond which an n_eq is known too poorly to be drawn at its own height."""
LONGER, SHORTER = 40, 24
"""Letters of a label in a wide and in a narrow figure."""
MOST_BANDS = 3
"""Bands in one figure; more of them hide each other."""
DRAWN = ("shown", "baseline", "control", "start", "candidate")
"""Roles in the order in which their lines are drawn, candidates on top."""


@dataclass(frozen=True)
class View:
    """What one drawing shows: the n_eq of a metric, or its distance where it has no n_eq.

    Args:
        cost: "calls" or "seconds".
        cap: the value at the top edge; larger values are drawn there.
    """

    metric: Metric
    cost: str
    cap: float = math.inf

    def values(self, point: Point) -> tuple[Interval, Interval]:
        """The estimate with its interval, and with its band."""
        numbers = point.metrics[self.metric.name]
        if self.metric.scatter is not None:
            return numbers.n_eq, numbers.n_eq_band
        s = self.metric.scale
        d, b = numbers.distance, numbers.band
        return Interval(d.estimate * s, d.low * s, d.high * s), Interval(b.estimate * s, b.low * s, b.high * s)

    def cost_of(self, point: Point) -> float:
        found = point.calls if self.cost == "calls" else point.seconds
        return math.nan if found is None else found


def _points(method: Method, view: View) -> list[Point]:
    """The rows that can be drawn; those without calls (a start) have no place on a log axis."""
    return [
        p
        for p in method.points
        if view.metric.name in p.metrics and p.calls > 0 and view.cost_of(p) > 0
        and not math.isnan(view.values(p)[0].estimate)
    ]  # fmt: skip


def _cap(verdict: Verdict, view: View, methods: Sequence[Method]) -> float:
    """The top of the axis: above every finite estimate, but at most ``MOST`` times the test set."""
    if view.metric.scatter is None:
        return math.inf
    test = verdict.test
    values = [view.values(p)[0].estimate for m in methods for p in m.points if view.metric.name in p.metrics]
    finite = [v for v in values if math.isfinite(v) and v > 0] or [1.0]
    most = MOST * test if test and test > 0 else math.inf
    beyond = any(v == math.inf or v > most for v in values)
    top = max([v for v in finite if v <= most] or [min(finite)])
    return max(min(top * (3.0 if beyond else 1.6), max(most, top * 1.2)), 10.0)


def _draw_curve(ax: Axes, method: Method, view: View, look: Look, banded: bool) -> tuple[float, float, float] | None:
    """The curve, with its band where that is shown. Returns where its last row stands, and its mean height."""
    points = _points(method, view)
    if not points:
        return None
    x = np.array([view.cost_of(p) for p in points])
    pairs = [view.values(p) for p in points]
    y = np.array([min(v.estimate, view.cap) for v, _ in pairs])
    if banded:
        _draw_band(ax, x, [b for _, b in pairs], view.cap, look.colour)
    main, tint = method.role == "candidate", look.colour
    beyond = np.array([v.estimate > view.cap for v, _ in pairs])
    style, width = (0, (4, 2)) if look.dashed else "-", 2.4 if main else 1.3 if look.dashed else 1.8
    size = 2.5 if look.dashed else 4.5 if main else 3.8
    ax.plot(x, y, color=tint, lw=width, linestyle=style, zorder=5 if main else 4, label=method.name)
    ax.plot(x[~beyond], y[~beyond], color=tint, lw=0, marker=look.marker, markersize=size, zorder=6)
    ax.plot(x[beyond], y[beyond], color=tint, lw=0, marker="^", markersize=7, clip_on=False, zorder=7)
    return float(x[-1]), float(y[-1]), float(np.mean(y))


def _draw_band(ax: Axes, x: np.ndarray, bands: Sequence[Interval], cap: float, tint: str) -> None:
    low, high = (np.array([min(getattr(b, end), cap) for b in bands]) for end in ("low", "high"))
    known = np.isfinite(low) & np.isfinite(high)
    if known.sum() > 1:
        ax.fill_between(x, low, high, where=known.tolist(), color=tint, alpha=0.12, lw=0, zorder=1)
        for edge in (low, high):
            ax.plot(x, np.where(known, edge, np.nan), color=tint, lw=0.6, alpha=0.6, zorder=2)


def _draw_level(ax: Axes, method: Method, view: View, tint: str) -> float | None:
    """A start: a horizontal line, at its own distance."""
    known = [p for p in method.points if view.metric.name in p.metrics]
    if not known or math.isnan(view.values(known[0])[0].estimate):
        return None
    value = min(view.values(known[0])[0].estimate, view.cap)
    ax.axhline(value, color=tint, lw=1.3, linestyle=(0, (1, 1.6)), zorder=3, label=method.name)
    if view.values(known[0])[0].estimate > view.cap:
        ax.plot(
            [1.0], [1.0], transform=ax.transAxes, color=tint, lw=0, marker="^", markersize=7, clip_on=False, zorder=7
        )
    return value


def _mark(ax: Axes, verdict: Verdict, candidate: Candidate, view: View, tint: str) -> None:
    """A ring around the quoted row, and an arrow to the number of calls that the baseline needs."""
    e, ours = candidate.exchange, verdict.method(candidate.name)
    row = ours.at(e.calls) if e and ours else None
    if e is None or row is None or view.metric.name not in row.metrics or candidate.outcome not in ("faster", "nearer"):
        return
    y = min(view.values(row)[0].estimate, view.cap)
    bottom, top = ax.get_ylim()
    if not bottom <= y <= top:
        return
    ax.plot([e.calls], [y], marker="o", markersize=11, mfc="none", mec=tint, mew=1.6, lw=0, zorder=8, clip_on=False)
    far = e.baseline_calls if math.isfinite(e.baseline_calls) else e.horizon
    if not math.isfinite(far) or far <= e.calls:
        return
    ax.annotate("", (far, y), (e.calls, y), zorder=7, annotation_clip=False,
                arrowprops={"arrowstyle": "-|>", "color": INK, "lw": 1.0, "shrinkA": 7, "shrinkB": 1})  # fmt: skip
    other = verdict.method(e.baseline)
    theirs = other.at(e.row_calls) if other and math.isfinite(e.baseline_calls) else None
    if theirs is not None and view.metric.name in theirs.metrics:
        at = min(view.values(theirs)[0].estimate, view.cap)
        ax.plot([far, e.row_calls], [y, at], color=INK, lw=0.7, linestyle=(0, (2, 2)), zorder=3)
        ax.plot(
            [e.row_calls], [at], marker="o", markersize=11, mfc="none", mec=INK, mew=1.0, lw=0, zorder=8, clip_on=False
        )
    said = f"{words.number(e.rate)} ×" if math.isfinite(e.rate) else f"more than {words.number(far)} calls"
    _write_over(ax, said, math.sqrt(far * e.calls), y, (e.calls, y))


def _write_over(ax: Axes, said: str, x: float, y: float, at: tuple[float, float]) -> None:
    """A text above the middle of an arrow, below it where the arrow stands at the top edge."""
    place = ax.transAxes.inverted().transform(ax.transData.transform(at))[1]
    up = place < 0.9
    box = {"boxstyle": "square,pad=0.15", "color": "white", "alpha": 0.85}
    ax.annotate(said, (x, y), (0, 4 if up else -4), textcoords="offset points", ha="center", va="bottom" if up else "top",
                fontsize=8, color=INK, zorder=9, bbox=box)  # fmt: skip


def _short(method: Method) -> str:
    """A title for a narrow figure: "cold with whole-set pairs" as "cold, whole-set". Of methods with equal titles the label."""
    if method.title.endswith(f"({method.of or method.name})"):
        return method.name
    return method.title.replace(" with ", ", ").removesuffix(" pairs").removeprefix("the ")


def banded(verdict: Verdict, only: str = "") -> list[Method]:
    """The methods that are drawn with their bands: the candidates (or one of them) and the baselines of their quoted rows, where
    that is no more than ``MOST_BANDS``."""
    chosen = {n: c for n, c in verdict.candidates.items() if only in ("", n)}
    named = {*chosen, *(c.exchange.baseline for c in chosen.values() if c.exchange is not None)}
    found = [m for m in verdict.methods if m.name in named]
    return found if len(found) <= MOST_BANDS else []


def _draw_methods(ax: Axes, verdict: Verdict, view: View, methods: Sequence[Method], only: str, narrow: bool) -> None:
    """Every method with the label of its line. Lines drawn later cover earlier ones."""
    known, ends, starts = looks(verdict), [], []
    shaded = banded(verdict, only)
    for method in sorted(methods, key=lambda m: DRAWN.index(m.role)):
        look, title = known[method.name], _short(method) if narrow else method.title
        if method.role == "start":
            level = _draw_level(ax, method, view, look.colour)
            if level is not None:
                starts.append(labels.Label(title, look.colour, math.nan, level, level))
            continue
        end = _draw_curve(ax, method, view, look, method in shaded)
        if end is not None:
            ends.append(labels.Label(title, look.colour, *end, method.role != "control"))
    ax.set_ylim(*ax.get_ylim())  # fixes automatic limits before labels are placed by them
    labels.beside(ax, [*ends, *starts], SHORTER if narrow else LONGER)


def _methods(verdict: Verdict, only: str) -> list[Method]:
    """The methods of a figure: all, or one candidate with its control and start beside the baselines."""
    found = verdict.named(*DRAWN)
    return [m for m in found if not only or only in (m.name, m.of) or m.role in ("baseline", "shown")]


def quality(
    run: Run, cost: str = "calls", only: str = "", metric: Metric | None = None, size: tuple[float, float] = NARROW
) -> Figure | None:
    """n_eq of every method against its cost, with simultaneous bands. None where there is nothing to draw.

    Args:
        cost: "calls" or "seconds", per sample.
        only: one candidate; all of them by default.
        metric: the primary one by default; one without n_eq is drawn as its distance.
    """
    verdict = run.verdict
    metric = metric or verdict.primary
    if metric is None:
        return None
    methods = _methods(verdict, only)
    view = View(metric, cost)
    view = View(metric, cost, _cap(verdict, view, methods))
    costs = [view.cost_of(p) for m in methods if m.role != "start" for p in _points(m, view)]
    if not costs:
        return None
    figure, (ax,) = blank(size)
    every = [view.values(p) for m in methods for p in m.points if metric.name in p.metrics]
    estimates = [min(v.estimate, view.cap) for v, _ in every]
    axes.cost(ax, costs, cost)
    if metric.scatter is None:
        axes.distance(ax, estimates)
    else:
        axes.quality(ax, estimates, [b.low for _, b in every], view.cap)
    ax.grid(color=INK, alpha=0.09, lw=0.6)
    across = "network calls per sample" if cost == "calls" else "time per sample, everything counted"
    up = (
        f"as good as … real {verdict.items} (n_eq)"
        if metric.scatter is not None
        else f"{metric.title}, lower is better"
    )
    ax.set_xlabel(across, color=INK, fontsize=9)
    ax.set_ylabel(up, color=INK, fontsize=9)
    literal(figure).draw_without_rendering()  # fixes the layout, by which labels are placed
    _draw_methods(ax, verdict, view, methods, only, size == NARROW)
    for candidate in verdict.candidates.values():
        look = looks(verdict).get(candidate.name)
        if cost == "calls" and only in ("", candidate.name) and look is not None:
            _mark(ax, verdict, candidate, view, look.colour)
    if any(v.estimate > view.cap for v, _ in every):
        said = f"▲ off the scale, or not distinguishable from real {verdict.items}"
        ax.set_title(said, fontsize=8, color=INK, loc="left", pad=9)
    return figure
