"""Samples to look at: sheets of images, scatter panels of points, and the trajectories of points."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from warmflow.report import words
from warmflow.report.drawing import COLOURS, INK, blank, colour
from warmflow.report.folder import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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
    number, method = int(tail), run.verdict.method(head)
    points = method.points if method else ()
    calls_only = any(p.calls == number for p in points) and not any(p.steps == number for p in points)
    unit = "call" if calls_only else "step"
    return f"{text}, {number} {unit}{'' if number == 1 else 's'}"


def _nearest(run: Run, method: str, calls: float) -> str | None:
    """The picture of a method whose calls are nearest to these, on a log scale."""
    found, known = [], run.verdict.method(method)
    for name in picture_names(run):
        head, _, tail = name.rpartition(".")
        if head == method and tail.isdigit() and int(tail) > 0:
            at = [p.calls for p in known.points if p.steps == int(tail)] if known else []
            spent = at[0] if at and at[0] > 0 else float(tail)
            found.append((abs(math.log(spent / calls)), name))
    return min(found)[1] if found else None


def opening(run: Run) -> list[str]:
    """The pictures that a page opens with: real, draft, each candidate at its quoted calls, the best baseline at the same."""
    have, verdict = set(picture_names(run)), run.verdict
    found: list[str] = [n for n in ("real", "draft", "prior") if n in have]
    for candidate in verdict.candidates.values():
        calls = candidate.exchange.calls if candidate.exchange else 4.0
        found += [n for n in (_nearest(run, candidate.name, calls),) if n]
        metric = verdict.primary.name if verdict.primary else ""
        rows = [(p.metrics[metric].distance.estimate, m.name) for m in verdict.named("baseline")
                if (p := m.at(calls)) and metric in p.metrics]  # fmt: skip
        ranked = [name for _, name in sorted(rows)] or [m.name for m in verdict.named("baseline")]
        shown = [n for name in ranked if (n := _nearest(run, name, calls))]
        found += shown[:1]
    return list(dict.fromkeys(found))


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
    figure, (ax,) = blank((2.4, 2.4))
    _scatter(ax, run.pictures[name], colour(name), _frame(run))
    return figure


def samples(run: Run) -> Figure | None:
    """All pictures side by side: grids of images, or scatter panels of points. None where there are none."""
    names = picture_names(run)
    if not names:
        return None
    columns = min(len(names), 4)
    rows = -(-len(names) // columns)
    figure, axes = blank((2.1 * columns, 2.3 * rows), rows, columns)
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
    """The trajectories of points, from start (rings) to end (dots), a panel for each method. None where there are none."""
    paths = {n: x for n, x in run.pictures.items() if n.startswith("trajectory.") and x.ndim == 3 and x.shape[2] == 2}
    if not paths:
        return None
    from matplotlib.collections import LineCollection

    names = sorted(paths, key=lambda n: words.order(n.split(".", 1)[1]))
    figure, axes = blank((2.3 * max(len(names), 2), 2.6), 1, len(names))
    every = np.concatenate([x[:, :most].reshape(-1, 2) for x in paths.values()])
    limits = _limits(every)
    for ax, name in zip(axes, names, strict=True):
        arm, path = name.split(".", 1)[1], np.asarray(paths[name], dtype=np.float64)[:, :most]
        real = run.pictures.get("real")
        if real is not None and real.ndim == 2:
            ax.scatter(real[:600, 0], real[:600, 1], s=3, color=COLOURS["real"], alpha=0.5, lw=0, rasterized=True)
        ax.add_collection(LineCollection(list(path.transpose(1, 0, 2)), colors=colour(arm), lw=0.6, alpha=0.35))
        ax.scatter(path[0, :, 0], path[0, :, 1], s=7, facecolor="none", edgecolor=colour(arm), lw=0.6, alpha=0.8)
        ax.scatter(path[-1, :, 0], path[-1, :, 1], s=5, color=colour(arm), lw=0)
        ax.set_xlim(*limits[0])
        ax.set_ylim(*limits[1])
        ax.set_aspect("equal")
        _bare(ax)
        steps = len(path) - 1
        ax.set_title(f"{words.arm(arm)}, {steps} step{'' if steps == 1 else 's'}", fontsize=8.5, color=INK)
    return figure
