"""Existing pairs: made by ``prepare``, by a user, or by another model.

If the source takes the draft as a condition (``Blurred``), only the source's noise is drawn anew on each visit; the stored
draft is never blurred twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from warmflow.contracts import Batch, Coupling, Pair, Source
from warmflow.noise import Noise


@dataclass(frozen=True)
class Given(Coupling):
    """Uses the starts of the batch. Which marginals are preserved depends on how the pairs were made; the audit measures it.

    Raises:
        ValueError: the data has no starts.
    """

    preserves: ClassVar[frozenset[str]] = frozenset()
    given: ClassVar[bool] = True

    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        start = batch.start
        if start is None:
            raise ValueError("the coupling Given needs data that is already paired: make the pairs with prepare first")
        if "draft" in source.takes:
            draft = start.condition.get("draft", start.x0)
            fresh = source.draw(len(batch), {**start.condition, "draft": draft}, noise=noise)
            start = replace(start, x0=fresh.x0, condition={**start.condition, **fresh.condition})
        return Pair(start, batch.x1, batch.index)
