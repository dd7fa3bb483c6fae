"""Drafts from outside the library: a Python callable ``draft(n, seed) -> tensor``, or an array of existing drafts.

A callable controls its own randomness. It receives a seed derived from the noise stream of the first sample, so the same call
gives the same drafts, but another batch size gives other drafts. Rows of an array are drawn with replacement, or selected by
``condition["index"]`` if it is given.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise
from warmflow.user_code import evaluating, naming

Draft = Callable[[int, int], object]


def called(draft: Draft, n: int, seed: int) -> object:
    """``draft(n, seed)`` in evaluation mode.

    Raises:
        ValueError: the draft raised an error.
    """
    with evaluating(draft), naming(f"the draft failed when it was called as draft({n}, {seed})"):
        return draft(n, seed)


def _as_drafts(x: object, shape: tuple[int, ...] | None, n: int | None, vocabulary: int | None = None) -> Tensor:
    try:
        tensor = torch.as_tensor(x)
    except (TypeError, ValueError, RuntimeError):
        what = f"{type(x).__name__} of {x.dtype}" if hasattr(x, "dtype") else type(x).__name__
        raise ValueError(
            f"the drafts are a {what}; give a tensor or an array of numbers of shape (n, *shape)"
        ) from None
    shape = tuple(tensor.shape[1:]) if shape is None else shape
    if tuple(tensor.shape[1:]) != shape or (n is not None and len(tensor) != n):
        want = f"({'N' if n is None else n}, {', '.join(map(str, shape))})"
        raise ValueError(f"drafts have shape {tuple(tensor.shape)}, the data needs {want}: resize or re-draw them")
    if vocabulary is not None:
        if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
            raise ValueError(
                f"drafts are {tensor.dtype}; the data are tokens: give whole numbers in 0 .. {vocabulary - 1}"
            )
        if len(tensor) and (int(tensor.min()) < 0 or int(tensor.max()) >= vocabulary):
            bad = int(tensor.max()) if int(tensor.max()) >= vocabulary else int(tensor.min())
            raise ValueError(
                f"drafts contain token {bad}; the data's tokens are 0 .. {vocabulary - 1}: use one alphabet"
            )
        return tensor.detach().long().cpu()
    if not tensor.is_floating_point():
        raise ValueError(f"drafts are {tensor.dtype}; give floats in the data's range (images: [-1, 1])")
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError("drafts contain NaN or infinite values: mend the draft model")
    return tensor.detach().float().cpu()


def _check_range(x: Tensor, bounds: tuple[float, float] | None) -> None:
    """Raises ValueError if drafts are on another scale than the data; a small excess, as in raw model output, is accepted."""
    if bounds is None or not len(x):
        return
    few = x.flatten()[:: max(1, x.numel() // 1_000_000)]  # quantiles, because raw model output may have a few outliers
    (low, high), (least, most) = bounds, few.quantile(few.new_tensor([0.001, 0.999])).tolist()
    if least < low - (high - low) / 2 or most > high + (high - low) / 2:
        raise ValueError(
            f"drafts range from {least:.4g} to {most:.4g}, the data lie in [{low:g}, {high:g}]: scale them alike, or clip them"
        )


@dataclass(frozen=True, eq=False)
class External(Source):
    """Draws from ``draft``: a callable (n, seed) -> (n, *shape), or a tensor (N, *shape) of existing drafts. Drafts are floats,
    or tokens below ``vocabulary``.
    """

    draft: Draft | Tensor
    shape: tuple[int, ...]
    vocabulary: int | None = None

    @staticmethod
    def of(
        draft: object,
        shape: tuple[int, ...] | None = None,
        bounds: tuple[float, float] | None = None,
        vocabulary: int | None = None,
    ) -> External:
        """Checks an array, or the first two drafts of a callable, against the shape and range of the data; ``shape`` is that of
        the drafts if None.

        Raises:
            ValueError: a wrong shape or dtype, NaN, values far outside the data's ``bounds``, an empty array, a callable that
                does not accept (n, seed), or an object that is neither callable nor an array.
        """
        if callable(draft):
            try:
                inspect.signature(draft).bind(2, 0)
            except TypeError as error:
                raise ValueError(
                    f"the draft cannot be called as draft(n, seed): {error}; let it take both arguments"
                ) from None
            except ValueError:
                pass  # a builtin without a signature: checked by the call below
            few = _as_drafts(called(draft, 2, 0), shape, 2, vocabulary)
            _check_range(few, bounds)
            return External(draft, tuple(few.shape[1:]), vocabulary)
        if not hasattr(draft, "__array__") and not isinstance(draft, list | tuple):
            kind = type(draft).__name__
            raise ValueError(
                f"the draft is a {kind}, {draft!r:.60}; give a callable draft(n, seed) or an array of drafts"
            )
        ready = _as_drafts(draft, shape, None, vocabulary)
        if not len(ready):
            raise ValueError(
                f"the array of drafts is empty, {tuple(ready.shape)}; give at least one draft, preferably many"
            )
        _check_range(ready, bounds)
        return External(ready, tuple(ready.shape[1:]), vocabulary)

    @property
    def array(self) -> Tensor | None:
        """The drafts (N, *shape); None where a callable draws them."""
        return None if callable(self.draft) else self.draft

    @property
    def takes(self) -> frozenset[str]:
        return frozenset() if self.array is None else frozenset({"index"})

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        given = dict(condition or {})
        if callable(self.draft):
            seed = int(noise.fold("external").key[0]) & 0x7FFFFFFF if n else 0
            return Start(_as_drafts(called(self.draft, n, seed), self.shape, n, self.vocabulary), given)
        rows = given.pop("index", None)
        if rows is None:
            rows = noise.integers("row", high=len(self.draft))
        elif len(rows) and (int(rows.min()) < 0 or int(rows.max()) >= len(self.draft)):
            raise ValueError(
                f"the data ask for draft {int(rows.max())}, but there are only {len(self.draft)}: aligned drafts must be "
                "as many as the data, and in the same order"
            )
        return Start(self.draft[rows], given)
