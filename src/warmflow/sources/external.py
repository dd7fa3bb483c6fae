"""Drafts from outside: a Python callable ``draft(n, seed) -> tensor``, or an array of drafts made beforehand.

A callable's randomness is its own: it is given a seed derived from the first sample's stream, so the same call gives
the same drafts, but another batch size is another sequence. An array is drawn from by index, with replacement, or row
for row where the condition names ``index``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise

Draft = Callable[[int, int], Any]


def _checked(x: Any, shape: tuple[int, ...], n: int | None, vocabulary: int | None = None) -> Tensor:
    try:
        tensor = torch.as_tensor(x)
    except (TypeError, ValueError, RuntimeError):
        what = f"{type(x).__name__} of {x.dtype}" if hasattr(x, "dtype") else type(x).__name__
        raise ValueError(f"the drafts are a {what}; give a tensor or an array of numbers, (n, *shape)") from None
    if tuple(tensor.shape[1:]) != shape or (n is not None and len(tensor) != n):
        want = f"({'N' if n is None else n}, {', '.join(map(str, shape))})"
        raise ValueError(f"drafts have shape {tuple(tensor.shape)}, the data asks for {want}: resize or re-draw them")
    if vocabulary is not None:
        if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(
                f"drafts are {tensor.dtype}; the data are tokens: give whole numbers in 0 .. {vocabulary - 1}"
            )
        if len(tensor) and (int(tensor.min()) < 0 or int(tensor.max()) >= vocabulary):
            bad = int(tensor.max()) if int(tensor.max()) >= vocabulary else int(tensor.min())
            raise ValueError(
                f"drafts hold token {bad}; the data's tokens lie in 0 .. {vocabulary - 1}: use one alphabet"
            )
        return tensor.detach().long().cpu()
    if not tensor.is_floating_point():
        raise ValueError(f"drafts are {tensor.dtype}; give floats in the data's range (images: [-1, 1])")
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError("drafts hold NaN or infinite values: mend the draft model")
    return tensor.detach().float().cpu()


def _ranged(x: Tensor, bounds: tuple[float, float] | None) -> None:
    """Drafts may leave the data's range a little, as a model's raw output does; another scale is an error."""
    if bounds is None or not len(x):
        return
    few = x.flatten()[:: max(1, x.numel() // 1_000_000)]  # a model's raw output has a few extreme numbers
    (low, high), (least, most) = bounds, few.quantile(few.new_tensor([0.001, 0.999])).tolist()
    if least < low - (high - low) / 2 or most > high + (high - low) / 2:
        raise ValueError(
            f"drafts reach from {least:.4g} to {most:.4g}, the data lie in [{low:g}, {high:g}]: scale them alike, or clip them"
        )


@dataclass(frozen=True, eq=False)
class External(Source):
    """``draft`` is a callable (n, seed) -> (n, *shape), or a tensor (N, *shape) of ready drafts; of floats, or of tokens
    below ``vocabulary``."""

    draft: Draft | Tensor
    shape: tuple[int, ...]
    vocabulary: int | None = None

    @staticmethod
    def of(
        draft: Any, shape: tuple[int, ...], bounds: tuple[float, float] | None = None, vocabulary: int | None = None
    ) -> External:
        """Checks an array, or the first two drafts of a callable, against the data's shape and range.

        Raises:
            ValueError: another shape or type, NaN, values far from the data's ``bounds``, an empty array, a callable
                that does not take (n, seed), or something that is neither callable nor array.
        """
        if callable(draft) and not isinstance(draft, Tensor):
            try:
                inspect.signature(draft).bind(2, 0)
            except TypeError as error:
                raise ValueError(f"the draft cannot be called as draft(n, seed): {error}; let it take both") from None
            except ValueError:
                pass  # a builtin without a signature: the call below tells
            _ranged(_checked(draft(2, 0), shape, 2, vocabulary), bounds)
            return External(draft, shape, vocabulary)
        if not isinstance(draft, Tensor) and not hasattr(draft, "__array__") and not isinstance(draft, list | tuple):
            kind = type(draft).__name__
            raise ValueError(
                f"the draft is a {kind}, {draft!r:.60}; give a callable draft(n, seed) or an array of drafts"
            )
        ready = _checked(draft, shape, None, vocabulary)
        if not len(ready):
            raise ValueError(
                f"the array of drafts is empty, {tuple(ready.shape)}; give at least one draft, better many"
            )
        _ranged(ready, bounds)
        return External(ready, shape, vocabulary)

    @property
    def takes(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"index"}) if isinstance(self.draft, Tensor) else frozenset()

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        given = dict(condition or {})
        if isinstance(self.draft, Tensor):
            rows = given.pop("index", None)
            if rows is None:
                rows = noise.integers("row", high=len(self.draft))
            elif len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= len(self.draft)):
                raise ValueError(
                    f"the data ask for draft {int(rows.max())}, but there are {len(self.draft)}: aligned drafts are as many "
                    "as the data, in their order"
                )
            return Start(self.draft[rows], given)
        seed = int(noise.fold("external").key[0]) & 0x7FFFFFFF if n else 0
        return Start(_checked(self.draft(n, seed), self.shape, n, self.vocabulary), given)
