"""The training loss of every run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from warmflow.report import axes, labels, words
from warmflow.report.differences import SMALL
from warmflow.report.drawing import INK, blank
from warmflow.report.folder import Row, Run
from warmflow.report.roles import HUES, Look, looks, place

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _means(lines: Iterable[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Steps and losses, averaged over at most 100 equal bins of lines."""
    pairs = [(words.real(r.get("step")), words.real(r.get("loss"))) for r in lines]
    known = np.array([(s, v) for s, v in pairs if s is not None and v is not None]).reshape(-1, 2)
    if not len(known):
        return known[:, 0], known[:, 1]
    bins = np.array_split(known, min(100, len(known)))
    return np.array([b[:, 0].mean() for b in bins]), np.array([b[:, 1].mean() for b in bins])


def loss(run: Run) -> Figure | None:
    """Training loss against updates, a line for each seed. None where nothing was logged."""
    curves = {key: _means(lines) for key, lines in run.logs.items()}
    curves = {key: xy for key, xy in curves.items() if len(xy[0])}
    if not curves:
        return None
    figure, (ax,) = blank(SMALL)
    alone, named = len({method for _, method in curves}) == 1, set[str]()
    known = looks(run.verdict, sorted({method for _, method in curves}))
    for (_, method), (x, y) in sorted(curves.items(), key=lambda item: (place(run.verdict, item[0][1]), item[0][0])):
        title = None if method in named else run.verdict.title(method)
        look = Look(HUES["candidate"].at(0)) if alone else known[method]
        ax.plot(x, y, "--" if look.dashed else "-", color=look.colour, lw=1.3, alpha=0.75, label=title)
        named.add(method)
    axes.loss(ax, np.concatenate([y for _, y in curves.values()]))
    ax.grid(color=INK, alpha=0.1, lw=0.6)
    ax.set_xlabel("updates", color=INK, fontsize=9)
    ax.set_ylabel("training loss", color=INK, fontsize=9)
    if not alone:
        labels.legend(figure, ax)
    return figure
