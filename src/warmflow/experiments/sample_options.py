"""What may be asked of a trained run's samples: another law of its tokens, tokens that are given, a label, guidance."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from warmflow.data.text import Alphabet
from warmflow.fields import Guided, Tempered
from warmflow.recipes.settings import interval_of, scale_of
from warmflow.sampler import Sampler
from warmflow.solvers import Jump
from warmflow.sources import ByLabel, Filled, Labelled, together


@dataclass(frozen=True)
class Writing:
    """What may be asked of a token run: changes of its law, by name, and tokens that are given.

    ``prefix`` is text that every sample begins with; ``template`` a text of the window's length with underscores where
    it is free.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    renoise: float = 0.0
    prefix: str = ""
    template: str = ""

    def none_for(self, run: Path) -> None:
        """ValueError where something is asked of a run that walks no tokens."""
        for f in fields(self):
            if getattr(self, f.name) != f.default:
                raise ValueError(f"--{f.name.replace('_', '-')} is for runs that walk tokens, which {run} does not")

    def applied(self, sampler: Sampler, codec: Any) -> Sampler:
        """The sampler with all of it; ValueError for impossible values and texts that do not fit."""
        found = replace(sampler, solver=Jump(self.renoise))
        if self.temperature != 1 or self.top_p != 1:
            found = replace(found, field=Tempered(found.field, self.temperature, self.top_p))
        patterns = []
        (length,) = sampler.shape
        for name in ("prefix", "template"):
            text = getattr(self, name)
            if not text:
                continue
            if not isinstance(codec, Alphabet):
                raise ValueError(f"--{name} is {text!r}, but this run makes no texts")
            if len(text) > length or (name == "template" and len(text) != length):
                raise ValueError(
                    f"--{name} has {len(text)} symbols, the windows of this run have {length}: fit it to them"
                )
            patterns.append(_pattern(text, codec, length, free="_" if name == "template" else None))
        return replace(found, source=Filled(found.source, together(*patterns))) if patterns else found


@dataclass(frozen=True)
class Asking:
    """What may be asked of a run whose flow is given labels: one label for all samples, and guidance other than its own.

    ``interval`` is LOW,HIGH as text; with ``guidance`` and no interval it guides everywhere.
    """

    label: int | None = None
    guidance: float | None = None
    interval: str = ""

    def applied(self, sampler: Sampler, run: Path, n: int) -> tuple[Sampler, dict[str, Tensor] | None]:
        """The sampler, and the condition of n samples; ValueError for a run without labels, or an impossible wish."""
        if self.label is None and self.guidance is None and not self.interval:
            return sampler, None
        source: Any = sampler.source
        while not isinstance(source, Labelled | ByLabel) and hasattr(source, "source"):
            source = source.source
        inner: Any = sampler.field.field if isinstance(sampler.field, Guided) else sampler.field
        if not isinstance(source, Labelled | ByLabel) or "label" not in getattr(inner, "sees", ()):
            name = (
                "label" if self.label is not None else "guidance" if self.guidance is not None else "guidance-interval"
            )
            raise ValueError(
                f"--{name} is for flows that are given labels, which {run} is not: train with --conditional"
            )
        scale = sampler.field.scale if isinstance(sampler.field, Guided) else 1.0
        scale = scale if self.guidance is None else scale_of(self.guidance)
        interval = interval_of(self.interval)
        if interval is not None and scale == 1:
            raise ValueError(
                f"--guidance-interval is {self.interval!r}, but guidance is 1, which is off: give --guidance"
            )
        if self.guidance is not None or interval is not None:
            sampler = replace(sampler, field=inner if scale == 1 else Guided(inner, scale, ("label",), interval))
        if self.label is None:
            return sampler, None
        if not 0 <= self.label < len(source.shares):
            raise ValueError(f"--label is {self.label}; the labels of {run} are 0 .. {len(source.shares) - 1}")
        return sampler, {"label": torch.full((n,), self.label)}


def _pattern(text: str, codec: Alphabet, length: int, free: str | None) -> Tensor:
    """Tokens (length,), -1 where the text says ``free`` or has ended."""
    out = torch.full((length,), -1, dtype=torch.int64)
    for i, symbol in enumerate(text):
        if symbol != free:
            out[i] = codec.encode(symbol)[0]
    return out
