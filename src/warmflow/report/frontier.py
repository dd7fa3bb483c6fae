"""Texts by two numbers: how likely a language model finds them, and how much they vary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warmflow.report import labels, words
from warmflow.report.drawing import INK, blank
from warmflow.report.folder import Run
from warmflow.report.quality import NARROW
from warmflow.report.roles import REAL, looks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NATS, ENTROPY = "nats a token less real", "entropy of pairs less real"
"""How unlikely a language model finds the texts, and how much they vary. Either is easily improved at the cost of the other."""


def frontier(run: Run) -> Figure | None:
    """Each row's nats a token against its entropy, both minus those of real text: real text is at (0, 0), repetition to the lower
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
    ax.axhline(0, color=REAL, lw=0.8)
    ax.axvline(0, color=REAL, lw=0.8)
    ax.plot([0], [0], marker="+", markersize=12, color=REAL, linestyle="none", label="real data")
    known = looks(run.verdict)
    for name, points in found.items():
        across, up, steps = (list(column) for column in zip(*points, strict=True))
        look = known[name]
        style = "--" if look.dashed else "-"
        ax.plot(
            across,
            up,
            style,
            color=look.colour,
            marker=look.marker,
            markersize=4,
            lw=1.2,
            label=run.verdict.title(name),
        )
        for place in {0, len(points) - 1} if steps[0] > 0 else ():
            at = (across[place], up[place])
            ax.annotate(words.number(steps[place]), at, (4, 4), textcoords="offset points", fontsize=7.5, color=INK)
    ax.set_xlabel("entropy of pairs, less real text's (nats)", color=INK, fontsize=9)
    ax.set_ylabel("nats a token, less real text's", color=INK, fontsize=9)
    labels.legend(figure, ax)
    return figure
