"""The curves of a report, as ``matplotlib.figure.Figure`` objects: quality against cost, gains, texts, the loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from warmflow.report import labels, pictures, words
from warmflow.report.drawing import COLOURS, INK, blank, colour, literal
from warmflow.report.folder import Row, Run
from warmflow.report.verdict import Candidate, Gain, Interval, Method, Metric, Point, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE, NARROW, SMALL = (8.6, 4.3), (3.9, 4.0), (4.2, 3.1)
"""Inches: of a page's main figure, of the same for a phone's width, of the others."""
MOST = 4.0
"""Numbers of test samples beyond which an n_eq is known too poorly to be drawn at its own height."""
BASELINES = ("#3b82d0", "#8b5cf6", "#0c8599", "#5c7cfa", "#a61e4d")
CANDIDATES = ("#e8590c", "#c2255c", "#e8a20c", "#846358")
DRAWN = ("shown", "baseline", "control", "start", "candidate")
"""Roles in the order in which their lines are drawn, the candidate's on top."""
TICKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


# ---------------------------------------------------------------- quality against cost


def tints(verdict: Verdict) -> dict[str, str]:
    """A colour for each method: blues for baselines, oranges for candidates; a control has its candidate's."""
    found: dict[str, str] = {}
    for role, palette in (("baseline", BASELINES), ("candidate", CANDIDATES)):
        for i, method in enumerate(verdict.named(role)):
            found[method.name] = palette[i % len(palette)]
    for method in verdict.methods:
        own = COLOURS["draft"] if method.role == "start" else colour(method.name)
        found.setdefault(method.name, found.get(method.of, own) if method.role == "control" else own)
    return found


@dataclass(frozen=True)
class View:
    """What one drawing shows: a metric on a log axis of n_eq, or of its distance where it has no n_eq; ``cap`` is the value
    at the top edge, where all beyond it is drawn."""

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
    test = words.real(verdict.json.get("test"))
    values = [view.values(p)[0].estimate for m in methods for p in m.points if view.metric.name in p.metrics]
    finite = [v for v in values if math.isfinite(v) and v > 0] or [1.0]
    most = MOST * test if test and test > 0 else math.inf
    beyond = any(v == math.inf or v > most for v in values)
    top = max([v for v in finite if v <= most] or [min(finite)])
    return max(min(top * (3.0 if beyond else 1.6), max(most, top * 1.2)), 10.0)


def _draw_curve(ax: Axes, method: Method, view: View, tint: str, banded: bool) -> tuple[float, float, float] | None:
    """The curve, with its band where that is shown; where its last row stands, and its mean height."""
    points = _points(method, view)
    if not points:
        return None
    x = np.array([view.cost_of(p) for p in points])
    pairs = [view.values(p) for p in points]
    y = np.array([min(v.estimate, view.cap) for v, _ in pairs])
    low = np.array([min(b.low, view.cap) for _, b in pairs])
    high = np.array([min(b.high, view.cap) for _, b in pairs])
    dashed, main = method.role == "control", method.role == "candidate"
    known = np.isfinite(low) & np.isfinite(high)
    if banded and known.sum() > 1:
        ax.fill_between(x, low, high, where=known.tolist(), color=tint, alpha=0.12, lw=0, zorder=1)
        for edge in (low, high):
            ax.plot(x, np.where(known, edge, np.nan), color=tint, lw=0.6, alpha=0.6, zorder=2)
    beyond = np.array([v.estimate > view.cap for v, _ in pairs])
    style, width = (0, (4, 2)) if dashed else "-", 2.4 if main else 1.3 if dashed else 1.8
    ax.plot(x, y, color=tint, lw=width, linestyle=style, zorder=5 if main else 4, label=method.name)
    ax.plot(
        x[~beyond],
        y[~beyond],
        color=tint,
        lw=0,
        marker="o",
        markersize=2.5 if dashed else 4.5 if main else 3.8,
        zorder=6,
    )
    ax.plot(x[beyond], y[beyond], color=tint, lw=0, marker="^", markersize=7, clip_on=False, zorder=7)
    return float(x[-1]), float(y[-1]), float(np.mean(y))


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
    """A ring around the quoted row, and an arrow to the calls that the baseline needs for it."""
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
    place = ax.transAxes.inverted().transform(ax.transData.transform((e.calls, y)))[1]
    up = place < 0.9  # below the arrow where it stands at the top edge
    ax.annotate(said, (math.sqrt(far * e.calls), y), (0, 4 if up else -4), textcoords="offset points", ha="center",
                va="bottom" if up else "top", fontsize=8, color=INK, zorder=9,
                bbox={"boxstyle": "square,pad=0.15", "color": "white", "alpha": 0.85})  # fmt: skip


def _steps_125(low: float, high: float, most: int = 7) -> list[float]:
    """1, 2, 5 times powers of ten in [low, high]; 1 and 3, or 1 alone, where those would be many."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [m * 10.0**e for e in exponents for m in digits if low <= m * 10.0**e <= high]
        if len(found) <= most:
            break
    return found


def _scale_x(ax: Axes, costs: Sequence[float], cost: str) -> None:
    low, high = min(costs), max(costs)
    ax.set_xscale("log")
    ax.set_xlim(low / 1.12, high * 1.12)
    ticks = _steps_125(low / 1.1, high * 1.1, 5)
    if cost == "calls":
        ticks = [float(t) for t in TICKS if low / 1.1 <= t <= high * 1.1]
        if not ticks or high > 1.3 * ticks[-1]:
            ticks.append(high)  # the last calls that were measured
    elif len(ticks) < 2:
        ticks = [low, high] if high > 1.3 * low else [math.sqrt(low * high)]
    write = words.number if cost == "calls" else words.duration
    ax.set_xticks(ticks, labels=[write(t) for t in ticks])
    ax.set_xticks([], minor=True)


def _scale_y(ax: Axes, view: View, values: Sequence[float], lows: Sequence[float]) -> None:
    """Logarithmic from half the least estimate to the cap; a metric in its own unit is linear, or logarithmic where it can be."""
    known = [v for v in values if math.isfinite(v)]
    low, high = min(known), max(known)
    if view.metric.scatter is None:
        if low > 0 and high > 5 * low:
            ax.set_yscale("log")
            ax.set_ylim(low / 1.4, high * 1.4)
            ticks = _steps_125(low / 1.4, high * 1.4, 6)
            ax.set_yticks(ticks, labels=[words.number(t) for t in ticks])
            ax.set_yticks([], minor=True)
        else:
            _scale_difference(ax, np.array(known))
        return
    positive = [v for v in known if v > 0] or [1.0]
    under = [v for v in lows if math.isfinite(v) and v > 0]
    bottom = min(positive) / 1.3
    bottom = max(min([bottom, *under]), bottom / 2, view.cap / 1e6)
    ax.set_yscale("log")
    ax.set_ylim(bottom, view.cap)
    ticks = _steps_125(bottom, view.cap)
    ax.set_yticks(ticks, labels=[words.number(t) for t in ticks])
    ax.set_yticks([], minor=True)


def _short(title: str) -> str:
    """A title for a narrow figure: "cold with whole-set pairs" as "cold, whole-set"."""
    return title.replace(" with ", ", ").removesuffix(" pairs").removeprefix("the ")


def _draw_methods(ax: Axes, verdict: Verdict, view: View, methods: Sequence[Method], narrow: bool) -> None:
    """Every method with the label of its line, in the order in which lines may cover one another."""
    colours, ends, starts = tints(verdict), [], []
    for method in sorted(methods, key=lambda m: DRAWN.index(m.role)):
        tint, title = colours[method.name], _short(method.title) if narrow else method.title
        if method.role == "start":
            level = _draw_level(ax, method, view, tint)
            if level is not None:
                starts.append(labels.Label(title, tint, math.nan, level, level))
            continue
        end = _draw_curve(ax, method, view, tint, method in verdict.compared)
        if end is not None:
            ends.append(labels.Label(title, tint, *end, method.role != "control"))
    ax.set_ylim(*ax.get_ylim())  # limits that are still automatic are fixed before labels are placed by them
    labels.beside(ax, [*ends, *starts])


def quality(
    run: Run, cost: str = "calls", only: str = "", metric: Metric | None = None, size: tuple[float, float] = NARROW
) -> Figure | None:
    """n_eq of every method against ``cost`` ("calls" or "seconds", per sample) with simultaneous bands; ``only`` one
    candidate. A metric without n_eq is drawn as its distance. None where there is nothing to draw."""
    verdict = run.verdict
    metric = metric or verdict.primary
    if metric is None:
        return None
    methods = [
        m for m in verdict.named(*DRAWN) if not only or only in (m.name, m.of) or m.role in ("baseline", "shown")
    ]
    view = View(metric, cost)
    view = View(metric, cost, _cap(verdict, view, methods))
    measured = [(p, view) for m in methods if m.role != "start" for p in _points(m, view)]
    if not measured:
        return None
    figure, (ax,) = blank(size)
    every = [view.values(p) for m in methods for p in m.points if metric.name in p.metrics]
    _scale_x(ax, [view.cost_of(p) for p, _ in measured], cost)
    _scale_y(ax, view, [min(v.estimate, view.cap) for v, _ in every], [b.low for _, b in every])
    ax.grid(color=INK, alpha=0.09, lw=0.6)
    ax.set_xlabel(
        "network calls per sample" if cost == "calls" else "time per sample, everything counted", color=INK, fontsize=9
    )
    up = (
        f"as good as … real {verdict.items} (n_eq)"
        if metric.scatter is not None
        else f"{metric.title}, lower is better"
    )
    ax.set_ylabel(up, color=INK, fontsize=9)
    literal(figure).draw_without_rendering()  # fixes the layout, which the labels are placed in
    _draw_methods(ax, verdict, view, methods, size == NARROW)
    for candidate in verdict.candidates.values():
        if cost == "calls" and only in ("", candidate.name):
            _mark(ax, verdict, candidate, view, tints(verdict).get(candidate.name, INK))
    if any(v.estimate > view.cap for v, _ in every):
        said = f"▲ off the scale, or not distinguishable from real {verdict.items}"
        ax.set_title(said, fontsize=8, color=INK, loc="left", pad=9)
    return figure


# ---------------------------------------------------------------- differences at equal calls


def differences(gains: Mapping[str, Sequence[Gain]], verdict: Verdict, tint: str, label: str) -> Figure | None:
    """A difference of distances against calls with its simultaneous band, one panel a metric; above 0 favours the candidate."""
    known = {
        m: [g for g in gains[m.name] if g.calls > 0 and math.isfinite(g.value.estimate)]
        for m in verdict.metrics
        if m.name in gains
    }
    known = {m: found for m, found in known.items() if found}
    if not known:
        return None
    figure, axes = blank((SMALL[0], SMALL[1] * (0.35 + 0.65 * len(known))), len(known))
    for ax, (metric, found) in zip(axes, known.items(), strict=True):
        x = np.array([g.calls for g in found])
        y, low, high = (
            np.array([getattr(g.value, k) for g in found]) * metric.scale for k in ("estimate", "low", "high")
        )
        ax.axhline(0, color=INK, lw=1.0, alpha=0.8)
        ax.vlines(x, low, high, color=tint, lw=3.2, alpha=0.3)
        ax.plot(x, y, color=tint, lw=1.2, marker="o", markersize=4)
        _scale_x(ax, list(x), "calls")
        _scale_difference(ax, np.concatenate([y, low, high]))
        ax.grid(color=INK, alpha=0.09, lw=0.6)
        ax.set_title(metric.title, fontsize=8.5, color=INK, loc="left")
    axes[-1].set_xlabel("network calls per sample", color=INK, fontsize=9)
    figure.supylabel(label, fontsize=9, color=INK)
    return figure


def _scale_difference(ax: Axes, values: np.ndarray) -> None:
    """Linear; where a few differences dwarf the others, logarithmic on both sides of a linear middle."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    if not len(sizes) or sizes.max() <= 15 * np.median(sizes):
        return
    bend = 10.0 ** math.ceil(math.log10(np.median(sizes)))
    ax.set_yscale("symlog", linthresh=bend, linscale=1.0)
    decades = [bend * 10.0**e for e in range(math.ceil(math.log10(sizes.max() / bend)) + 1)]
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    bottom, top = min(1.3 * low, -0.3 * bend), max(1.3 * high, 0.3 * bend)
    ax.set_ylim(bottom, top)
    ticks = [t for t in (*(-d for d in reversed(decades)), 0.0, *decades) if bottom <= t <= top]
    ax.set_yticks(ticks, labels=[words.number(t) for t in ticks])
    ax.set_yticks([], minor=True)


def gain(run: Run, candidate: Candidate) -> Figure | None:
    """The best baseline's distance less the candidate's, at equal calls."""
    tint = tints(run.verdict).get(candidate.name, INK)
    return differences(candidate.gains, run.verdict, tint, f"D(baseline) − D({words.name(candidate.name)})")


def start_effect(run: Run, candidate: Candidate) -> Figure | None:
    """The same recipe from noise less from the draft, at equal calls."""
    return differences(candidate.start_effect, run.verdict, COLOURS["draft"], "D(from noise) − D(from the draft)")


# ---------------------------------------------------------------- texts


NATS, ENTROPY = "nats a token less real", "entropy of pairs less real"
"""Of texts: how unlikely the judge finds them, and how much they vary. One is had for the price of the other."""


def frontier(run: Run) -> Figure | None:
    """Each row's nats a token against its entropy, both less real text's: real text is at (0, 0), repetition to the lower
    left, noise to the upper right. None where no row has both."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for method in run.verdict.methods:
        for point in method.points:
            x, y = (words.real(point.beside.get(k)) for k in (ENTROPY, NATS))
            if x is not None and y is not None:
                found.setdefault(method.name, []).append((x, y, point.steps))
    if not found:
        return None
    figure, (ax,) = blank(NARROW)
    ax.axhline(0, color=COLOURS["real"], lw=0.8)
    ax.axvline(0, color=COLOURS["real"], lw=0.8)
    ax.plot([0], [0], marker="+", markersize=12, color=COLOURS["real"], linestyle="none", label="real data")
    colours = tints(run.verdict)
    for name, points in found.items():
        across, up, steps = (list(column) for column in zip(*points, strict=True))
        ax.plot(across, up, color=colours[name], marker="o", markersize=4, lw=1.2, label=words.name(name))
        for place in {0, len(points) - 1} if steps[0] > 0 else ():
            at = (across[place], up[place])
            ax.annotate(words.number(steps[place]), at, (4, 4), textcoords="offset points", fontsize=7.5, color=INK)
    ax.set_xlabel("entropy of pairs, less real text's (nats)", color=INK, fontsize=9)
    ax.set_ylabel("nats a token, less real text's", color=INK, fontsize=9)
    labels.legend(figure, ax)
    return figure


# ---------------------------------------------------------------- training


def _means(lines: Iterable[Row], most: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Steps and losses, averaged over at most ``most`` equal bins of lines."""
    pairs = [(words.real(r.get("step")), words.real(r.get("loss"))) for r in lines]
    known = np.array([(s, v) for s, v in pairs if s is not None and v is not None]).reshape(-1, 2)
    if not len(known):
        return known[:, 0], known[:, 1]
    bins = np.array_split(known, min(most, len(known)))
    return np.array([b[:, 0].mean() for b in bins]), np.array([b[:, 1].mean() for b in bins])


def loss(run: Run) -> Figure | None:
    """Training loss against updates, a line for each seed. None where nothing was logged."""
    curves = {key: _means(lines) for key, lines in run.logs.items()}
    curves = {key: xy for key, xy in curves.items() if len(xy[0])}
    if not curves:
        return None
    figure, (ax,) = blank(SMALL)
    named: set[str] = set()
    for (_, arm), (x, y) in sorted(curves.items(), key=lambda item: (words.order(item[0][1]), item[0][0])):
        label = words.arm(arm) if arm not in named else None
        tint = "#e8590c" if arm == "training" else colour(arm)
        ax.plot(x, y, color=tint, lw=1.3, alpha=0.75, label=label)
        named.add(arm)
    everything = np.concatenate([y for _, y in curves.values()])
    low, high = float(everything.min()), float(everything.max())
    if low > 0 and high > 4 * low:
        ax.set_yscale("log")
        ticks = _steps_125(low / 1.1, high * 1.1)
        ax.set_yticks(ticks, labels=[words.number(t) for t in ticks])
        ax.set_yticks([], minor=True)
    ax.grid(color=INK, alpha=0.1, lw=0.6)
    ax.set_xlabel("updates", color=INK, fontsize=9)
    ax.set_ylabel("training loss", color=INK, fontsize=9)
    if named != {"training"}:
        labels.legend(figure, ax)
    return figure


def build(run: Run) -> dict[str, Figure]:
    """The figures there is something to draw for: "calls", "seconds", "samples", "trajectories", "frontier", "loss" and, of
    each candidate, "gain" and "start effect" (with its name where there are several)."""
    makers: dict[str, Callable[[], Figure | None]] = {
        "calls": lambda: quality(run, "calls", size=WIDE),
        "seconds": lambda: quality(run, "seconds", size=WIDE),
        "samples": lambda: pictures.samples(run),
        "trajectories": lambda: pictures.trajectories(run),
        "frontier": lambda: frontier(run),
        "loss": lambda: loss(run),
    }
    several = len(run.verdict.candidates) > 1
    for name, candidate in run.verdict.candidates.items():
        tail = f" of {name}" if several else ""
        makers[f"gain{tail}"] = lambda c=candidate: gain(run, c)  # type: ignore[misc]
        makers[f"start effect{tail}"] = lambda c=candidate: start_effect(run, c)  # type: ignore[misc]
    return {name: literal(figure) for name, make in makers.items() if (figure := make()) is not None}
