"""Samples to look at: sheets of images, scatter panels of points, and trajectories of points. Which there are is in
``picture_names``."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import numpy as np

from warmflow.report import picture_names
from warmflow.report.drawing import INK, blank
from warmflow.report.folder import MOST_IMAGES, Run
from warmflow.report.picture_names import caption, look
from warmflow.report.roles import REAL, looks, place

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


Limits = tuple[tuple[float, float], tuple[float, float]]
PANELS = 4
"""Panels in a row."""
POINTS, PATHS = 1500, 100
"""Points and trajectories that a panel shows at most."""
BINS = 32
"""Bins of a histogram, of points with one coordinate."""


def grid(images: np.ndarray, most: int = MOST_IMAGES) -> np.ndarray:
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


def _limits(points: np.ndarray) -> Limits:
    points = points[np.isfinite(points).all(axis=1)]
    points = np.pad(points, ((0, 0), (0, max(0, 2 - points.shape[1]))))
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


def _scatter(ax: Axes, points: np.ndarray, tint: str, limits: Limits) -> None:
    if points.shape[1] == 1:
        ax.hist(points[np.isfinite(points)], bins=BINS, range=limits[0], color=tint, alpha=0.75)
        ax.set_xlim(*limits[0])
        return _bare(ax)
    points = points[:POINTS]
    size = float(np.clip(POINTS / max(len(points), 1), 1.5, 10))
    ax.scatter(points[:, 0], points[:, 1], s=size, color=tint, alpha=0.75, lw=0, rasterized=True)
    ax.set_xlim(*limits[0])
    ax.set_ylim(*limits[1])
    ax.set_aspect("equal")
    _bare(ax)


def _frame(run: Run) -> Limits:
    """The window that all scatter panels share: around the real data, else around all samples."""
    shown = picture_names.names(run)
    base = run.pictures["real"] if "real" in shown else np.concatenate([run.pictures[n] for n in shown])
    return _limits(base)


def panel(run: Run, name: str) -> Figure:
    """One scatter panel of the points called ``name``, in the window that all panels share."""
    figure, (ax,) = blank((2.4, 2.4))
    _scatter(ax, run.pictures[name], look(run, name).colour, _frame(run))
    return figure


def samples(run: Run) -> Figure | None:
    """All pictures side by side: grids of images, or scatter panels of points. None where there are none."""
    names = picture_names.names(run)
    if not names:
        return None
    columns = min(len(names), PANELS)
    rows = -(-len(names) // columns)
    figure, axes = blank((2.1 * columns, 2.3 * rows), rows, columns)
    for ax in axes:
        _bare(ax)
    for ax, name in zip(axes, names, strict=False):
        ax.set_title(caption(run, name), fontsize=8, color=INK)
        if run.points:
            _scatter(ax, run.pictures[name], look(run, name).colour, _frame(run))
        else:
            ax.imshow(grid(run.pictures[name]), interpolation="nearest")
    return figure


def trajectories(run: Run, columns: int = PANELS) -> Figure | None:
    """Trajectories of points from start (rings) to end (dots), a panel for each method. None where there are none."""
    paths = {n: x for n, x in run.pictures.items() if n.startswith("trajectory.") and x.ndim == 3 and x.shape[2] == 2}
    if not paths:
        return None
    from matplotlib.collections import LineCollection

    verdict, known = run.verdict, looks(run.verdict, sorted(n.split(".", 1)[1] for n in paths))
    names = sorted(paths, key=lambda n: place(verdict, n.split(".", 1)[1]))
    columns = min(len(names), columns)
    rows = -(-len(names) // columns)
    figure, axes = blank((2.3 * max(columns, 2), 2.6 * rows), rows, columns)
    every = np.concatenate([x[:, :PATHS].reshape(-1, 2) for x in paths.values()])
    limits, real = _limits(every), run.pictures.get("real")
    for ax in axes:
        _bare(ax)
    for ax, name in zip(axes, names, strict=False):
        method, path = name.split(".", 1)[1], np.asarray(paths[name], dtype=np.float64)[:, :PATHS]
        tint = known[method].colour
        if real is not None and real.ndim == 2:
            ax.scatter(real[:600, 0], real[:600, 1], s=3, color=REAL, alpha=0.5, lw=0, rasterized=True)
        ax.add_collection(LineCollection(list(path.transpose(1, 0, 2)), colors=tint, lw=0.6, alpha=0.35))
        ax.scatter(path[0, :, 0], path[0, :, 1], s=7, facecolor="none", edgecolor=tint, lw=0.6, alpha=0.8)
        ax.scatter(path[-1, :, 0], path[-1, :, 1], s=5, color=tint, lw=0)
        ax.set_xlim(*limits[0])
        ax.set_ylim(*limits[1])
        ax.set_aspect("equal")
        steps = len(path) - 1
        said = textwrap.fill(f"{verdict.title(method)}, {steps} step{'' if steps == 1 else 's'}", 28)
        ax.set_title(said, fontsize=8.5, color=INK)
    return figure
