"""Drafts from outside: a Python callable ``draft(n, seed) -> tensor``, or an array of drafts made beforehand.

A callable's randomness is its own: it is given a seed derived from the first sample's stream, so the same call gives
the same drafts, but another batch size is another sequence. An array is drawn from by index, with replacement, or row
for row where the condition names ``index``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise

Draft = Callable[[int, int], Any]


def _checked(x: Any, shape: tuple[int, ...], n: int | None) -> Tensor:
    tensor = torch.as_tensor(x)
    if tuple(tensor.shape[1:]) != shape or (n is not None and len(tensor) != n):
        want = f"({'N' if n is None else n}, {', '.join(map(str, shape))})"
        raise ValueError(f"drafts have shape {tuple(tensor.shape)}, the data asks for {want}: resize or re-draw them")
    if not tensor.is_floating_point():
        raise ValueError(f"drafts are {tensor.dtype}; give floats in the data's range (images: [-1, 1])")
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError("drafts hold NaN or infinite values: mend the draft model")
    return tensor.detach().float().cpu()


@dataclass(frozen=True, eq=False)
class External(Source):
    """``draft`` is a callable (n, seed) -> (n, *shape), or a tensor (N, *shape) of ready drafts."""

    draft: Draft | Tensor
    shape: tuple[int, ...]

    @staticmethod
    def of(draft: Any, shape: tuple[int, ...]) -> External:
        """Checks an array, or the first two drafts of a callable, against the data's shape.

        Raises:
            ValueError: another shape or type, NaN, an empty array, or something that is neither callable nor array.
        """
        if callable(draft) and not isinstance(draft, Tensor):
            _checked(draft(2, 0), shape, 2)
            return External(draft, shape)
        try:
            ready = _checked(draft, shape, None)
        except (TypeError, RuntimeError) as error:
            raise ValueError(
                f"the draft is a {type(draft).__name__}; give a callable draft(n, seed) or an array of drafts"
            ) from error
        if not len(ready):
            raise ValueError("the array of drafts is empty")
        return External(ready, shape)

    @property
    def takes(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({"index"}) if isinstance(self.draft, Tensor) else frozenset()

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        given = dict(condition or {})
        if isinstance(self.draft, Tensor):
            rows = given.pop("index", None)
            if rows is None:
                rows = noise.integers("row", high=len(self.draft))
            return Start(self.draft[rows], given)
        seed = int(noise.fold("external").key[0]) & 0x7FFFFFFF if n else 0
        return Start(_checked(self.draft(n, seed), self.shape, n), given)
