"""The figures of a report, as ``matplotlib.figure.Figure`` objects and as strings for a page.

Figures are built without pyplot, so no global state is touched. On a page they are inline SVG whose ink is
``currentColor``: light and dark pages share one drawing. Images are PNGs at a whole multiple of their own pixels, so
that they stay crisp at any size.
"""

from __future__ import annotations

import base64
import io
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from warmflow.report import words
from warmflow.report.folder import Row, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#010203"
"""The colour of text and axes; ``svg`` turns it into the page's own text colour."""
COLOURS = {
    "real": "#868e96", "draft": "#2f9e44", "cold": "#3b82d0", "cold_assigned": "#8b5cf6", "cold_masked": "#8b5cf6",
    "warm": "#e8590c", "prior": "#2f9e44", "lediflow": "#c2255c", "lediflow_mean": "#868e96", "teacher": "#3b82d0",
    "reflow": "#8b5cf6", "student": "#e8590c",
}  # fmt: skip
_MARKERS = {"euler": "o", "heun": "s", "midpoint": "^", "rk4": "D"}
_DASHES = {"euler": "-", "heun": "--", "midpoint": "-.", "rk4": ":"}
_SIZE = (4.6, 3.7)
"""Inches: drawn for a phone's width, so that its letters can be read there."""


def colour(name: str) -> str:
    """The colour of an arm, or of a picture named after one."""
    return COLOURS.get(name.split(".")[0], "#e64980")


def _blank(size: tuple[float, float], rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    axes = list(np.asarray(figure.subplots(rows, columns, squeeze=False)).ravel())
    for ax in axes:
        ax.tick_params(colors=INK, labelsize=8)
        for name, spine in ax.spines.items():
            spine.set_edgecolor(INK)
            spine.set_alpha(0.4)
            spine.set_visible(name in ("left", "bottom"))
    return figure, axes


def _legend(figure: Figure, ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=7.5, frameon=False, labelcolor=INK)


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
    figure, (ax,) = _blank(_SIZE)
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
    figure, (ax,) = _blank(_SIZE)
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


# ---------------------------------------------------------------- pictures


def picture_names(run: Run) -> list[str]:
    """The pictures that are samples: real, draft, start, warm by rising steps, cold by rising steps, others."""
    first = ("real", "draft", "start", "warm", "prior", "lediflow", "lediflow_mean", "student", "reflow", "teacher", "cold",
             "cold_assigned")  # fmt: skip

    def key(name: str) -> tuple[int, float, str]:
        head, _, tail = name.partition(".")
        return (first.index(head) if head in first else len(first), float(tail) if tail.isdigit() else 0.0, name)

    wanted = 2 if run.points else 4
    return sorted((n for n, x in run.pictures.items() if x.ndim == wanted and len(x)), key=key)


def picture_caption(run: Run, name: str) -> str:
    """The caption the file gives, else the name in words: "warm.4" as "warm, 4 steps"."""
    if name in run.captions:
        return run.captions[name]
    head, _, tail = name.partition(".")
    text = {"real": "real data", "draft": "the draft alone", "start": "where warm starts"}.get(head, words.arm(head))
    if not tail:
        return text
    if not tail.isdigit():
        return f"{text}, {words.phrase(tail)}"
    number, rows = int(tail), [r for r in run.verdict.rows if r.get("arm") == head]
    calls_only = any(r.get("calls") == number for r in rows) and not any(r.get("steps") == number for r in rows)
    unit = "call" if calls_only else "step"
    return f"{text}, {number} {unit}{'' if number == 1 else 's'}"


def grid(images: np.ndarray, most: int = 64) -> np.ndarray:
    """One RGBA uint8 (H, W, 4) sheet of up to ``most`` images (n, C, H, W) in [-1, 1], gaps transparent."""
    n, channels, height, width = images.shape
    columns = max(2, min(8, 1024 // max(width, 1)))
    n = min(n, most, columns * columns)
    columns = min(columns, n)
    rows, gap = -(-n // columns), 1 if width < 32 else 2
    pixels = np.nan_to_num(np.asarray(images[:n], dtype=np.float64), nan=-1.0)
    pixels = np.clip((pixels + 1) * 127.5 + 0.5, 0, 255).astype(np.uint8)
    pixels = pixels[:, :3] if channels >= 3 else np.repeat(pixels[:, :1], 3, axis=1)
    sheet = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 4), dtype=np.uint8)
    for i in range(n):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width, :3] = pixels[i].transpose(1, 2, 0)
        sheet[top : top + height, left : left + width, 3] = 255
    return sheet


def _limits(points: np.ndarray) -> tuple[tuple[float, float], tuple[float, float]]:
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return (-1.0, 1.0), (-1.0, 1.0)
    low, high = np.quantile(points, 0.005, axis=0), np.quantile(points, 0.995, axis=0)
    middle, half = (low + high) / 2, 0.62 * max(float((high - low).max()), 1e-6)
    return (middle[0] - half, middle[0] + half), (middle[1] - half, middle[1] + half)


def _bare(ax: Axes) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)


def _scatter(ax: Axes, points: np.ndarray, tint: str, limits: tuple[Any, Any], most: int = 1500) -> None:
    points = points[:most]
    size = float(np.clip(1500 / max(len(points), 1), 1.5, 10))
    ax.scatter(points[:, 0], points[:, 1], s=size, color=tint, alpha=0.75, lw=0, rasterized=True)
    ax.set_xlim(*limits[0])
    ax.set_ylim(*limits[1])
    ax.set_aspect("equal")
    _bare(ax)


def _frame(run: Run) -> tuple[Any, Any]:
    """The window all scatter panels share: the real data's, else that of everything."""
    shown = picture_names(run)
    base = run.pictures["real"] if "real" in shown else np.concatenate([run.pictures[n] for n in shown])
    return _limits(base)


def panel(run: Run, name: str) -> Figure:
    """One scatter panel of the points called ``name``, in the window all panels share."""
    figure, (ax,) = _blank((2.4, 2.4))
    _scatter(ax, run.pictures[name], colour(name), _frame(run))
    return figure


def samples(run: Run) -> Figure | None:
    """All pictures side by side: grids of images, or scatter panels of points. None where there are none."""
    names = picture_names(run)
    if not names:
        return None
    columns = min(len(names), 4)
    rows = -(-len(names) // columns)
    figure, axes = _blank((2.1 * columns, 2.3 * rows), rows, columns)
    for ax in axes:
        _bare(ax)
    for ax, name in zip(axes, names, strict=False):
        ax.set_title(picture_caption(run, name), fontsize=8, color=INK)
        if run.points:
            _scatter(ax, run.pictures[name], colour(name), _frame(run))
        else:
            ax.imshow(grid(run.pictures[name]), interpolation="nearest")
    return figure


def trajectories(run: Run, most: int = 100) -> Figure | None:
    """The walks of a toy, from start (pale dots) to end, one panel an arm. None where there are none."""
    walks = {n: x for n, x in run.pictures.items() if n.startswith("trajectory.") and x.ndim == 3 and x.shape[2] == 2}
    if not walks:
        return None
    from matplotlib.collections import LineCollection

    names = sorted(walks, key=lambda n: words.order(n.split(".", 1)[1]))
    figure, axes = _blank((2.3 * max(len(names), 2), 2.6), 1, len(names))
    every = np.concatenate([x[:, :most].reshape(-1, 2) for x in walks.values()])
    limits = _limits(every)
    for ax, name in zip(axes, names, strict=True):
        arm, walk = name.split(".", 1)[1], np.asarray(walks[name], dtype=np.float64)[:, :most]
        real = run.pictures.get("real")
        if real is not None and real.ndim == 2:
            ax.scatter(real[:600, 0], real[:600, 1], s=3, color=COLOURS["real"], alpha=0.5, lw=0, rasterized=True)
        ax.add_collection(LineCollection(list(walk.transpose(1, 0, 2)), colors=colour(arm), lw=0.6, alpha=0.35))
        ax.scatter(walk[0, :, 0], walk[0, :, 1], s=7, facecolor="none", edgecolor=colour(arm), lw=0.6, alpha=0.8)
        ax.scatter(walk[-1, :, 0], walk[-1, :, 1], s=5, color=colour(arm), lw=0)
        ax.set_xlim(*limits[0])
        ax.set_ylim(*limits[1])
        ax.set_aspect("equal")
        _bare(ax)
        steps = len(walk) - 1
        ax.set_title(f"{words.arm(arm)}, {steps} step{'' if steps == 1 else 's'}", fontsize=8.5, color=INK)
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
    figure, (ax,) = _blank((_SIZE[0], 3.0))
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
        "samples": lambda: samples(run),
        "trajectories": lambda: trajectories(run),
        "loss": lambda: loss(run),
    }
    return {name: figure for name, make in makers.items() if (figure := make()) is not None}


# ---------------------------------------------------------------- on a page


def svg(figure: Figure, prefix: str, label: str) -> str:
    """The figure as inline SVG without ids that clash (all begin with ``prefix``), links or a background."""
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "warmflow", "svg.fonttype": "path"}):
        figure.savefig(out, format="svg", transparent=True, dpi=160)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = text.replace(INK, "currentColor").replace(' xmlns="http://www.w3.org/2000/svg"', "")
    text = re.sub(r'\bid="', f'id="{prefix}-', text)
    seen: dict[str, int] = {}

    def once(m: re.Match[str]) -> str:  # matplotlib names an image by its content, so equal images share an id
        seen[m[1]] = seen.get(m[1], 0) + 1
        return m[0] if seen[m[1]] == 1 else f'id="{m[1]}-{seen[m[1]]}"'

    text = re.sub(r'\bid="([^"]+)"', once, text)
    text = re.sub(r'xlink:href="#', f'href="#{prefix}-', text).replace("url(#", f"url(#{prefix}-")
    text = text.replace('xlink:href="data:', 'href="data:').replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    head = re.compile(r'<svg ([^>]*?)width="[^"]*pt"([^>]*)>', re.DOTALL)
    text = head.sub(lambda m: f'<svg role="img" aria-label="{words.escape(label)}" {m[1]}{m[2]}>', text, count=1)
    return re.sub(r'(<svg [^>]*?) height="[^"]*pt"', r"\1", text, count=1)


def png(figure_or_sheet: Figure | np.ndarray, least: int = 480) -> str:
    """A ``data:`` URL of a figure, or of a sheet (H, W, 4) enlarged by whole pixels to at least ``least`` wide."""
    out = io.BytesIO()
    if isinstance(figure_or_sheet, np.ndarray):
        import matplotlib.image

        factor = -(-least // figure_or_sheet.shape[1])
        sheet = figure_or_sheet.repeat(factor, axis=0).repeat(factor, axis=1)
        matplotlib.image.imsave(out, sheet, format="png")
    else:
        figure_or_sheet.savefig(out, format="png", transparent=True, dpi=200)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii")
