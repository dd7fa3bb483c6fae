"""What couplings share: drawing the starts of a batch, and the view of starts and data that costs are measured on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from warmflow.contracts import Batch, Source, Start
from warmflow.noise import Noise

Space = Callable[[Tensor], Tensor]
"""Where costs are measured: makes rows of numbers (n, ...) of samples (n, *S), each row from its own sample."""

LATER = {"later": True}
"""Of a field that a coupling got after pairs had been prepared with it: ``prepare`` names it only where it is set, so that
those pairs are found again."""


def starts(batch: Batch, source: Source, *, noise: Noise) -> Start:
    """A start for every row, drawn given those of the row's conditions that the source's law depends on.

    The row's other conditions travel along, so that the field may see them.
    """
    if batch.start is not None:
        raise ValueError("this data is already paired: train it with the coupling Given, or drop its starts")
    start = source.draw(len(batch), {k: v for k, v in batch.condition.items() if k in source.takes}, noise=noise)
    return Start(start.x0, {**batch.condition, **start.condition}, start.fixed, start.t, start.calls)


def place(start: Start, space: Space | None = None) -> Tensor:
    """(B, d) float32: where a start stands for the purpose of pairing: its draft where it has one (a blurred start is
    paired by its draft, so that the blur stays independent of the pairing), else x0; ``space`` as in :func:`seen`."""
    return seen(start.condition.get("draft", start.x0), space).float()


@torch.no_grad()
def seen(x: Tensor, space: Space | None = None) -> Tensor:
    """(n, d): samples x (n, *S) as costs see them, flat, or as ``space`` makes them.

    Raises:
        ValueError: a space that does not make one row of a row.
    """
    if space is None:
        return x.flatten(1)
    found = space(x)
    if not isinstance(found, Tensor) or found.ndim < 2 or len(found) != len(x):
        what = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"space makes {what} of {tuple(x.shape)}: let it return a tensor with one row for each row")
    return found.flatten(1)


def unmixed(batch: Batch, source: Source, remedy: str) -> None:
    """ValueError where a coupling across the whole batch would give a start that was drawn for one label to a datum of
    another: the source takes labels and the data carry them."""
    if "label" in source.takes and "label" in batch.condition:
        raise ValueError(
            f"the {type(source).__name__} source takes 'label' and the data carry it: pairing across the whole batch would "
            f"give starts of one label to data of another; {remedy}"
        )


def permuted(start: Start, rows: Tensor, batch: Batch) -> Start:
    """The starts in the order ``rows``, each with the conditions of the datum it now belongs to; what is the start's
    own (its draft, and whatever the source drew) moves with it."""
    moved = start[rows.to(start.x0.device)]
    datum = {k: v for k, v in batch.condition.items() if k != "draft"}
    return Start(moved.x0, {**moved.condition, **datum}, moved.fixed, moved.t, moved.calls)
