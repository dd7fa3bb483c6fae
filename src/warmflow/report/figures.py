"""The curves of a report, as ``matplotlib.figure.Figure`` objects: quality against cost, the frontier of texts, the loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from warmflow.report import pictures, words
from warmflow.report.drawing import COLOURS, INK, blank, colour
from warmflow.report.folder import Row, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = {"euler": "o", "heun": "s", "midpoint": "^", "rk4": "D", "adamsbashforth": "D"}
WIDEST_LABEL = 32
"""Letters of a label, beyond which a legend has one column."""
ROW = 0.16
"""Inches that a line of a legend takes."""
_DASHES = {"euler": "-", "heun": "--", "midpoint": "-.", "rk4": ":", "adamsbashforth": (0, (4, 1.5, 1, 1.5))}
_SIZE = (4.6, 3.7)
"""Inches: drawn for a phone's width, so that its letters can be read there."""


def _legend(figure: Figure, ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        columns = 2 if max(map(len, labels)) <= WIDEST_LABEL else 1  # two wide columns are cut off at the edges
        if columns == 1:
            figure.set_figheight(_SIZE[1] + ROW * len(labels) / 2)  # as much as the lines that one column has more
        figure.legend(
            handles, labels, loc="outside lower center", ncols=columns, fontsize=7.5, frameon=False, labelcolor=INK
        )


# ---------------------------------------------------------------- quality against cost


def _series(rows: Iterable[Row], cost: str) -> dict[tuple[str, str], list[Row]]:
    """Rows that can be drawn, by arm and solver, in the order of their cost."""
    series: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        x, y = words.real(row.get(cost)), words.real(row.get("distance"))
        if y is None or (row.get("arm") not in words.LEVELS and not (x and x > 0)):
            continue
        series.setdefault((str(row.get("arm", "?")), str(row.get("solver") or "")), []).append(row)
    for found in series.values():
        found.sort(key=lambda r: words.real(r.get(cost)) or 0.0)
    return dict(sorted(series.items(), key=lambda item: (words.order(item[0][0]), item[0][1])))


def _numbers(rows: Iterable[Row], key: str, scale: float = 1.0) -> np.ndarray:
    return np.array([math.nan if (v := words.real(r.get(key))) is None else v * scale for r in rows])


def _draw_series(ax: Axes, arm: str, solver: str, rows: list[Row], cost: str, scale: float) -> None:
    y, low, high = (_numbers(rows, key, scale) for key in ("distance", "low", "high"))
    tint, label = colour(arm), words.row_name({"arm": arm, "solver": solver})
    if arm in words.LEVELS:  # no steps to vary: a level, not a curve
        ax.axhline(y[0], color=tint, linestyle=(0, (1, 1.5)) if arm == "real" else (0, (5, 2)), lw=1.4, label=label)
        return
    x = _numbers(rows, cost)
    first = arm in words.JUDGED
    ax.plot(
        x,
        y,
        color=tint,
        linestyle=_DASHES.get(solver.lower(), "-"),
        marker=_MARKERS.get(solver.lower(), "o"),
        markersize=5 if first else 3.5,
        lw=2.2 if first else 1.4,
        label=label,
        zorder=4 if first else 3,
    )
    banded = np.isfinite(low) & np.isfinite(high)
    if banded.sum() > 1:
        ax.fill_between(x, low, high, where=banded.tolist(), color=tint, alpha=0.16, lw=0)
    elif banded.any():
        ax.vlines(x[banded], low[banded], high[banded], color=tint, lw=1.2, alpha=0.7)


def _steps_125(low: float, high: float, thin: bool = True) -> list[float]:
    """1, 2, 5 times powers of ten in [low, high]; 1 and 3 where those would be many."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    many = thin and math.log10(high / low) > 1.7
    return [m * 10.0**e for e in exponents for m in ((1, 3) if many else (1, 2, 5)) if low <= m * 10.0**e <= high]


def _scale_y(ax: Axes, rows: list[Row], scale: float, margin: float | None) -> None:
    """Linear up to the margin and logarithmic beyond, where distances span more than one view can show."""
    values = np.concatenate([_numbers(rows, key, scale) for key in ("distance", "low", "high")])
    values = values[np.isfinite(values)]
    top, bottom = float(values.max(initial=0.0)), float(values.min(initial=0.0))
    bend = margin * scale if margin and margin > 0 else top / 30
    if bend <= 0 or top <= 12 * bend:
        ax.margins(y=0.08)
        return
    ax.set_yscale("symlog", linthresh=bend, linscale=0.6)
    ax.set_ylim(min(0.0, max(bottom, -3 * bend)) - 0.1 * bend, top * 1.25)
    ticks = [0.0, *_steps_125(bend, top * 1.25)]
    ax.set_yticks(ticks, labels=[words.number(t) for t in ticks])
    ax.set_yticks([], minor=True)


def _scale_x(ax: Axes, costs: np.ndarray, cost: str) -> None:
    low, high = float(costs.min()), float(costs.max())
    ax.set_xscale("log")
    ax.set_xlim(low / 1.25, high * 1.25)
    ticks = _steps_125(low / 1.25, high * 1.25)
    if cost == "calls":
        ticks = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
        ticks = [t for t in ticks if low / 1.25 <= t <= high * 1.25]
    write = words.number if cost == "calls" else words.duration
    ax.set_xticks(ticks, labels=[write(t) for t in ticks])
    ax.set_xticks([], minor=True)


def quality(run: Run, cost: str) -> Figure | None:
    """Distance against ``cost`` ("calls" or "seconds", per sample) with 95 % bands, the draft and real against real
    as levels, and the band from the best cold to a margin above it. None where no row can be drawn."""
    verdict = run.verdict
    scale = words.metric_scale(verdict.metric)
    series = _series(verdict.rows, cost)
    walked = [r for (arm, _), rows in series.items() if arm not in words.LEVELS for r in rows]
    if not walked:
        return None
    figure, (ax,) = blank(_SIZE)
    cold = verdict.best_cold
    level = words.real(cold.get("distance")) if cold else None
    if level is not None and verdict.margin is not None:
        low, high = level * scale, (level + verdict.margin) * scale
        ax.axhspan(low, high, color=COLOURS["cold"], alpha=0.22, lw=0, label=f"best {verdict.bare[1]} + margin")
        ax.axhline(high, color=COLOURS["cold"], lw=0.9, alpha=0.9)
    for (arm, solver), rows in series.items():
        _draw_series(ax, arm, solver, rows, cost, scale)
    _scale_y(ax, [r for rows in series.values() for r in rows], scale, verdict.margin)
    _scale_x(ax, _numbers(walked, cost), cost)
    ax.grid(color=INK, alpha=0.1, lw=0.6)
    ax.set_ylabel(words.metric_name(verdict.metric), color=INK, fontsize=8.5)
    ax.set_xlabel(
        "network calls per sample" if cost == "calls" else "time per sample, draft included", color=INK, fontsize=8.5
    )
    _legend(figure, ax)
    return figure


NATS, ENTROPY = "nats a token less real", "entropy of pairs less real"
"""Of texts: how unlikely the judge finds them, and how much they vary. One is had for the price of the other."""


def frontier(run: Run) -> Figure | None:
    """Each row's nats a token against its entropy, both less real text's: real text is at (0, 0), repetition to the lower
    left, noise to the upper right. None where no row has both."""
    found: dict[str, list[tuple[float, float, int]]] = {}
    for row in run.verdict.rows:
        beside = row.get("beside")
        x, y = (words.real(beside.get(k)) if isinstance(beside, Mapping) else None for k in (ENTROPY, NATS))
        if x is not None and y is not None and row.get("arm") != "real":
            found.setdefault(str(row.get("arm", "?")), []).append((x, y, int(words.real(row.get("steps")) or 0)))
    if not found:
        return None
    figure, (ax,) = blank(_SIZE)
    ax.axhline(0, color=COLOURS["real"], lw=0.8)
    ax.axvline(0, color=COLOURS["real"], lw=0.8)
    ax.plot([0], [0], marker="+", markersize=12, color=COLOURS["real"], linestyle="none", label=words.arm("real"))
    for arm, points in sorted(found.items(), key=lambda item: words.order(item[0])):
        points.sort(key=lambda p: p[2])
        ax.plot(
            [p[0] for p in points],
            [p[1] for p in points],
            color=colour(arm),
            marker="o",
            markersize=4,
            lw=1.2,
            label=words.arm(arm),
        )
        for place in {0, len(points) - 1} if points[0][2] else ():
            across, up, steps = points[place]
            ax.annotate(str(steps), (across, up), (4, 4), textcoords="offset points", fontsize=7.5, color=INK)
    ax.set_xlabel("entropy of pairs, less real text's (nats)", color=INK, fontsize=8.5)
    ax.set_ylabel("nats a token, less real text's", color=INK, fontsize=8.5)
    _legend(figure, ax)
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
    figure, (ax,) = blank((_SIZE[0], 3.0))
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
    ax.set_xlabel("updates", color=INK, fontsize=8.5)
    ax.set_ylabel("training loss", color=INK, fontsize=8.5)
    if named != {"training"}:
        _legend(figure, ax)
    return figure


def build(run: Run) -> dict[str, Figure]:
    """The figures there is something to draw for, of "calls", "seconds", "samples", "trajectories" and "loss"."""
    makers: Mapping[str, Callable[[], Figure | None]] = {
        "calls": lambda: quality(run, "calls"),
        "seconds": lambda: quality(run, "seconds"),
        "samples": lambda: pictures.samples(run),
        "trajectories": lambda: pictures.trajectories(run),
        "loss": lambda: loss(run),
    }
    return {name: figure for name, make in makers.items() if (figure := make()) is not None}
