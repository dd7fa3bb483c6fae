"""Shared by the couplings of tokens: checks of the data, starts of drawn or written tokens, and the models that write them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from warmflow.contracts import Batch, Condition, Source, Start
from warmflow.noise import Noise


@runtime_checkable
class Writer(Protocol):
    """A model that writes tokens from left to right, such as every ``sources.Autoregressive``."""

    @property
    def vocabulary(self) -> int: ...

    @property
    def calls_per_token(self) -> int: ...

    def first(self, n: int, device: torch.device | str) -> Any:
        """The state of n empty texts."""

    def chances(self, state: Any) -> Tensor:
        """The probabilities (n, V) float64 of the next token; each row sums to 1."""

    def after(self, state: Any, token: Tensor) -> Any:
        """The state after appending the tokens (n,)."""


def tokens_of(batch: Batch) -> Tensor:
    """The batch's data x1 (B, L), checked to be tokens that are not yet paired.

    Raises:
        ValueError: data with starts, or data that are not int64 of shape (B, L).
    """
    if batch.start is not None:
        raise ValueError("this data is already paired: train on it with the coupling Given, or drop its starts")
    return checked("the data", batch.x1)


def tokens_at(start: Start) -> Tensor:
    """The tokens (B, L) int64 by which starts are paired: the draft of a start if there is one, else x0."""
    return checked("the source's draws", start.condition.get("draft", start.x0))


def start_at(x0: Tensor, condition: Condition, source: Source, *, noise: Noise, fixed: Tensor | None = None) -> Start:
    """Makes starts from drafts x0 (B, L) that the coupling itself generated. If the source accepts a draft, it receives x0 and
    adds the other parts of the starts.
    """
    if "draft" not in source.takes:
        return Start(x0, dict(condition), fixed)
    taken = {k: v for k, v in condition.items() if k in source.takes}
    start = source.draw(len(x0), {**taken, "draft": x0}, noise=noise)
    return replace(start, condition={**condition, **start.condition}, fixed=fixed)


def checked(name: str, x: Tensor) -> Tensor:
    """Returns x if it is integers of shape (B, L), and raises ValueError otherwise."""
    if x.ndim != 2 or x.is_floating_point():
        raise ValueError(f"{name} are {x.dtype} of shape {tuple(x.shape)}; this coupling pairs tokens, int64 (B, L)")
    return x


def within(name: str, x: Tensor, vocabulary: int) -> Tensor:
    """Returns x if all its tokens lie in 0 .. vocabulary - 1, and raises ValueError otherwise."""
    if x.numel() and (int(x.min()) < 0 or int(x.max()) >= vocabulary):
        bad = int(x.min()) if int(x.min()) < 0 else int(x.max())
        raise ValueError(
            f"{name} hold token {bad}, the model's tokens are 0 .. {vocabulary - 1}: give a model with the same vocabulary"
        )
    return x
