"""A network as a field of tokens: logits of p(x1^i | x_t) at every position, or at the selected ones.

The network is called as ``network(x_t, t, at=at, **conditions)`` with the raw t, (B,) float32. ``Tempered`` wraps a field and
changes its distribution.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from warmflow.contracts import Condition, Estimate, Field, JumpPath, Start
from warmflow.devices import doubled
from warmflow.fields.network import precision, seen


@dataclass(frozen=True, eq=False)
class TokenField(Field):
    """``network(x_t, t, at=..., **{name: condition})``, interpreted as logits over the tokens that data may contain.

    Args:
        sees: names of the start's conditions given to the network ("draft", "label").
        autocast: None, "bfloat16" or "float16": the dtype of the network's own arithmetic.
    """

    network: nn.Module
    path: JumpPath
    sees: tuple[str, ...] = ()
    autocast: str | None = None

    def __call__(self, x_t: Tensor, t: Tensor, start: Start, *, at: Tensor | None = None) -> Estimate:
        condition: Condition = seen(start, self.sees)
        with precision(x_t, self.autocast):
            logits = self.network(x_t, t.float().to(x_t.device), at=at, **condition)
        return Estimate(torch.ones(len(x_t), dtype=torch.int64, device=x_t.device), logits=logits.float())


@dataclass(frozen=True, eq=False)
class Tempered(Field):
    """Changes the distribution that is sampled: p(x1^i | x_t) to the power 1 / temperature, restricted to the fewest tokens
    whose total probability is at least ``top_p``. With temperature 1 and top_p 1 it is the field itself; smaller values make
    samples less diverse.

    Raises:
        ValueError: a temperature that is not positive, or a top_p outside (0, 1].
    """

    field: Field
    temperature: float = 1.0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise ValueError(
                f"temperature is {self.temperature}; it must be positive, 1 leaves the distribution unchanged"
            )
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it must lie in (0, 1], 1 leaves the distribution unchanged")

    @property
    def path(self):  # type: ignore[no-untyped-def, override]
        return self.field.path

    def __call__(self, x_t: Tensor, t: Tensor, start: Start, *, at: Tensor | None = None) -> Estimate:
        estimate = self.field(x_t, t, start, at=at)
        assert estimate.logits is not None, "only a field that gives logits can be tempered"
        logits = doubled(estimate.logits) / self.temperature
        if self.top_p < 1:
            chance, order = torch.softmax(logits, -1).sort(-1, descending=True)
            above = chance.cumsum(-1) - chance  # total probability of all tokens that are more probable
            out = torch.zeros_like(above, dtype=torch.bool).scatter(-1, order, above >= self.top_p)
            logits = logits.masked_fill(out, -math.inf)
        return replace(estimate, logits=logits)
