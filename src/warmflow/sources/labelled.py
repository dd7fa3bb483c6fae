"""Labels for a source whose law, or whose field, depends on them: drawn by their shares where none are given."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import Condition, Source, Start
from warmflow.noise import Noise


@dataclass(frozen=True, eq=False)
class Labelled(Source):
    """The inner source's starts with ``condition["label"]`` (n,) int64: given, or drawn with probability ``shares`` (K,)."""

    source: Source
    shares: Tensor

    @staticmethod
    def of(source: Source, labels: Tensor) -> Labelled:
        """With the shares that labels (n,) have."""
        counts = torch.bincount(labels.cpu()).double()
        return Labelled(source, counts / counts.sum())

    @property
    def takes(self) -> frozenset[str]:  # type: ignore[override]
        return self.source.takes | {"label"}

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.source.shape

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        given = dict(condition or {})
        if "label" not in given:
            places = torch.bucketize(noise.uniform("label").double(), self.shares.cumsum(0), right=True)
            given["label"] = places.clamp(max=len(self.shares) - 1)
        inner = {k: v for k, v in given.items() if k != "label" or "label" in self.source.takes}
        start = self.source.draw(n, inner, noise=noise)
        return Start(start.x0, {**given, **start.condition}, start.fixed, start.t, start.calls)
