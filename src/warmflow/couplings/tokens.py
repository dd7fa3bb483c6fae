"""What couplings of tokens share: data that are tokens and not yet paired, starts of tokens, drawn or written, and the
models that write them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from warmflow.contracts import Batch, Condition, Source, Start
from warmflow.noise import Noise


@runtime_checkable
class Writer(Protocol):
    """A model that writes from left to right, as every ``sources.Autoregressive`` does."""

    @property
    def vocabulary(self) -> int: ...

    @property
    def calls_per_token(self) -> int: ...

    def first(self, n: int, device: torch.device | str) -> Any:
        """The state of n empty texts."""

    def chances(self, state: Any) -> Tensor:
        """(n, V) float64 chances of the next token, rows summing to 1."""

    def after(self, state: Any, token: Tensor) -> Any:
        """The state after the tokens (n,)."""


def tokens_of(batch: Batch) -> Tensor:
    """The batch's data x1 (B, L), refused where they are paired already or are no tokens.

    Raises:
        ValueError: data that carry starts, or that are not int64 of shape (B, L).
    """
    if batch.start is not None:
        raise ValueError("this data is already paired: train it with the coupling Given, or drop its starts")
    return checked("the data", batch.x1)


def tokens_at(start: Start) -> Tensor:
    """(B, L) int64: what a start is paired by, its draft where it has one, else x0."""
    return checked("the source's draws", start.condition.get("draft", start.x0))


def start_at(x0: Tensor, condition: Condition, source: Source, *, noise: Noise, fixed: Tensor | None = None) -> Start:
    """The start of drafts x0 (B, L) that the coupling itself wrote: a source that takes a draft is given it, and adds what
    a start of its own has."""
    if "draft" not in source.takes:
        return Start(x0, dict(condition), fixed)
    taken = {k: v for k, v in condition.items() if k in source.takes}
    start = source.draw(len(x0), {**taken, "draft": x0}, noise=noise)
    return replace(start, condition={**condition, **start.condition}, fixed=fixed)


def checked(name: str, x: Tensor) -> Tensor:
    """x, if it is (B, L) of whole numbers."""
    if x.ndim != 2 or x.is_floating_point():
        raise ValueError(f"{name} are {x.dtype} of shape {tuple(x.shape)}; this coupling pairs tokens, int64 (B, L)")
    return x


def within(name: str, x: Tensor, vocabulary: int) -> Tensor:
    """x, if all its tokens lie in 0 .. vocabulary - 1."""
    if x.numel() and (int(x.min()) < 0 or int(x.max()) >= vocabulary):
        bad = int(x.min()) if int(x.min()) < 0 else int(x.max())
        raise ValueError(
            f"{name} hold token {bad}, the model knows 0 .. {vocabulary - 1}: give a model of the same vocabulary"
        )
    return x
