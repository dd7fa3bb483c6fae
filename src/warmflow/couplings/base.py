"""Shared by all couplings: drawing the starts of a batch, and the representation in which costs are measured."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from warmflow.contracts import Batch, Source, Start
from warmflow.noise import Noise

Space = Callable[[Tensor], Tensor]
"""The space in which costs are measured: maps samples (n, *S) to rows of numbers (n, ...), each row a function of its own
sample.
"""

LATER = {"later": True}
"""Metadata of a field that was added to a coupling after pairs had been prepared with it: ``prepare`` includes it in the name
of the coupling only if it is set, so that existing pairs are still found.
"""


def starts(batch: Batch, source: Source, *, noise: Noise) -> Start:
    """Draws a start for every row, given those of the row's conditions that the source takes.

    The row's other conditions are kept in the start, so that the field may see them.

    Raises:
        ValueError: the data is already paired.
    """
    if batch.start is not None:
        raise ValueError("this data is already paired: train on it with the coupling Given, or drop its starts")
    start = source.draw(len(batch), {k: v for k, v in batch.condition.items() if k in source.takes}, noise=noise)
    return Start(start.x0, {**batch.condition, **start.condition}, start.fixed, start.t, start.calls)


def place(start: Start, space: Space | None = None) -> Tensor:
    """The representation (B, d) float32 by which a start is paired: its draft if it has one, else x0; ``space`` as in
    :func:`seen`.

    A blurred start is paired by its draft, so that the noise is independent of the pairing.
    """
    return seen(start.condition.get("draft", start.x0), space).float()


@torch.no_grad()
def seen(x: Tensor, space: Space | None = None) -> Tensor:
    """Samples x (n, *S) as rows (n, d) on which costs are measured: flattened, or transformed by ``space``.

    Raises:
        ValueError: a space that does not return one row per row.
    """
    if space is None:
        return x.flatten(1)
    found = space(x)
    if not isinstance(found, Tensor) or found.ndim < 2 or len(found) != len(x):
        what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"space returns {what} for {tuple(x.shape)}: let it return a tensor with one row for each row")
    return found.flatten(1)


def check_labels(batch: Batch, source: Source, remedy: str) -> None:
    """Raises ValueError if a coupling across the whole batch would pair starts of one label with data of another: the source
    takes labels and the data have them.
    """
    if "label" in source.takes and "label" in batch.condition:
        raise ValueError(
            f"the {type(source).__name__} source takes 'label' and the data have labels: pairing across the whole batch would "
            f"pair starts of one label with data of another; {remedy}"
        )


def permuted(start: Start, rows: Tensor, batch: Batch) -> Start:
    """The starts in the order ``rows``, each with the conditions of the data point it is now paired with. Conditions that
    belong to the start (its draft, and whatever else the source drew) move with it.
    """
    moved = start[rows.to(start.x0.device)]
    datum = {k: v for k, v in batch.condition.items() if k != "draft"}
    return Start(moved.x0, {**moved.condition, **datum}, moved.fixed, moved.t, moved.calls)
