"""Labels of lines: beside their ends, pushed apart where they would overlap; a legend where lines end anywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from warmflow.report.drawing import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LETTERS = 8.5
"""Points: the size of labels."""
GAP = 1.2
"""Heights of a line of text from one label to the next."""
LONGEST = 30
"""Letters of a label that are shown where no other number is given; the tables have the whole name."""


@dataclass(frozen=True)
class Label:
    """The text of a line that ends at (x, y) in data units; x is NaN for a line across the whole width. Of lines that end at one
    height, the one with the larger mean ``height`` is labelled above."""

    text: str
    colour: str
    x: float
    y: float
    height: float = 0.0
    bold: bool = True


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Moves places as little as needed, so that they are at least ``gap`` apart within [low, high], in the same order.

    Neighbours that are too near are merged into a block centred on the mean of what they want (pool adjacent violators,
    which minimises the sum of squared moves). Where the whole does not fit, the gaps shrink alike.
    """
    if not places:
        return []
    n = len(places)
    gap = min(gap, (high - low) / max(n - 1, 1))
    order = sorted(range(n), key=lambda i: places[i])
    blocks: list[tuple[float, int]] = []  # the sum of what the first would want, and how many they are
    for rank, i in enumerate(order):
        blocks.append((places[i] - rank * gap, 1))
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, count = blocks.pop()
            blocks[-1] = (blocks[-1][0] + total, blocks[-1][1] + count)
    wanted = [total / count for total, count in blocks for _ in range(count)]
    found = [0.0] * n
    for rank, i in enumerate(order):
        found[i] = min(max(wanted[rank], low), high - (n - 1) * gap) + rank * gap
    return found


def beside(ax: Axes, given: Sequence[Label], longest: int = LONGEST) -> None:
    """Writes each label to the right of the axes at the height where its line ends, with a thin line to it where it moved."""
    if not given:
        return
    given = sorted(given, key=lambda label: label.height)
    height = ax.get_window_extent().height
    gap = GAP * LETTERS * ax.figure.dpi / 72 / height
    ends = [float(ax.transAxes.inverted().transform(ax.transData.transform((1.0, label.y)))[1]) for label in given]
    ends = [min(max(y, 0.0), 1.0) if math.isfinite(y) else 0.0 for y in ends]
    for label, end, place in zip(given, ends, spread(ends, gap, 0.0, 1.0), strict=True):
        x = 1.0
        if math.isfinite(label.x):
            x = float(ax.transAxes.inverted().transform(ax.transData.transform((label.x, label.y)))[0])
        ax.plot([x, 1.025], [end, place], transform=ax.transAxes, color=label.colour, lw=0.7, alpha=0.7, clip_on=False,
                label="_leader")  # fmt: skip
        text = label.text if len(label.text) <= longest else label.text[: longest - 1] + "…"
        ax.annotate(text, (1.03, place), xycoords="axes fraction", color=label.colour, fontsize=LETTERS, va="center",
                    ha="left", fontweight="bold" if label.bold else "normal")  # fmt: skip


def legend(figure: Figure, ax: Axes) -> None:
    """A legend below the axes; one column where two would be cut off at the edges."""
    handles, texts = ax.get_legend_handles_labels()
    if handles:
        columns = 2 if max(map(len, texts)) <= LONGEST else 1
        figure.legend(
            handles, texts, loc="outside lower center", ncols=columns, fontsize=7.5, frameon=False, labelcolor=INK
        )
