"""What couplings share: drawing the starts of a batch, and the view of a start that costs are measured on."""

from __future__ import annotations

from torch import Tensor

from warmflow.contracts import Batch, Source, Start
from warmflow.noise import Noise


def starts(batch: Batch, source: Source, *, noise: Noise) -> Start:
    """A start for every row, drawn given those of the row's conditions that the source's law depends on.

    The row's other conditions travel along, so that the field may see them.
    """
    if batch.start is not None:
        raise ValueError("this data is already paired: train it with the coupling Given, or drop its starts")
    start = source.draw(len(batch), {k: v for k, v in batch.condition.items() if k in source.takes}, noise=noise)
    return Start(start.x0, {**batch.condition, **start.condition}, start.fixed, start.t, start.calls)


def place(start: Start) -> Tensor:
    """(B, d) float32: where a start stands for the purpose of pairing: its draft where it has one (a blurred start is
    paired by its draft, so that the blur stays independent of the pairing), else x0."""
    return start.condition.get("draft", start.x0).flatten(1).float()


def permuted(start: Start, rows: Tensor, batch: Batch) -> Start:
    """The starts in the order ``rows``, each with the conditions of the datum it now belongs to; what is the start's
    own (its draft, and whatever the source drew) moves with it."""
    moved = start[rows.to(start.x0.device)]
    datum = {k: v for k, v in batch.condition.items() if k != "draft"}
    return Start(moved.x0, {**moved.condition, **datum}, moved.fixed, moved.t, moved.calls)
