"""Starts around tokens that are given: a prefix, an infilling, any pattern.

``condition["given"]`` (B, L) holds tokens, -1 where free. A source that takes "given" writes its draft around them
(``Autoregressive`` sees those to the left). Any other draws as if nothing were given and is overwritten: its draft did not
see them, and a warning says so.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from warmflow.contracts import Condition, JumpPath, Source, Start
from warmflow.noise import Noise


def together(*patterns: Tensor) -> Tensor:
    """One pattern (L,) of tokens, -1 where free, from several.

    Raises:
        ValueError: two patterns that want different tokens at one place, or are of different length.
    """
    whole = patterns[0].clone()
    for other in patterns[1:]:
        if other.shape != whole.shape:
            raise ValueError(f"patterns have {len(whole)} and {len(other)} places; give all the same length")
        clash = (whole >= 0) & (other >= 0) & (whole != other)
        if bool(clash.any()):
            i = int(clash.nonzero()[0, 0])
            raise ValueError(
                f"place {i} is fixed twice, as token {int(whole[i])} and as {int(other[i])}: give one of them"
            )
        whole = torch.where(whole >= 0, whole, other)
    return whole


def partly_known(given: Tensor, source: Source, path: JumpPath, *, noise: Noise) -> Start:
    """Starts from sequences of which a part is known: ``given`` (B, L), -1 where it is not.

    What is known is fixed; the rest is drawn from ``source`` (the one the flow was trained from). The walk begins at the
    time at which the path's points have such a share at their data, k(t) = share: there the network has seen as many
    right tokens as it is given. Begun at t0 instead, it would be told that all of them may be noise.

    Raises:
        ValueError: a row of which nothing is left to fill.
    """
    share = (given >= 0).double().mean(1)
    if bool((share == 1).any()):
        raise ValueError(f"row {int((share == 1).nonzero()[0, 0])} is known whole: nothing is left to fill in it")
    start = Filled(source, torch.full((given.shape[1],), -1)).draw(len(given), {"given": given}, noise=noise)
    return replace(start, t=path.when(share))


@dataclass(frozen=True, eq=False)
class Filled(Source):
    """The inner source's start with the given tokens in place and fixed. ``pattern`` (L,) is given to every draw, beside what
    a caller gives."""

    source: Source
    pattern: Tensor

    @property
    def takes(self) -> frozenset[str]:  # type: ignore[override]
        return self.source.takes | {"given"}

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return self.source.shape

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        kept = dict(condition or {})
        given = kept.pop("given", torch.full((n, *self.shape), -1))
        given = torch.where(self.pattern >= 0, self.pattern.expand(n, -1), given)
        if "given" in self.source.takes:
            start = self.source.draw(n, {**kept, "given": given}, noise=noise)
        else:
            start = self.source.draw(n, kept, noise=noise)
            if not _blind(self.source):
                warnings.warn(
                    f"the {type(self.source).__name__} draft does not see the tokens that are given: it is overwritten there",
                    stacklevel=2,
                )
        x0 = torch.where(given >= 0, given, start.x0)
        shown = {**start.condition, "draft": x0} if "draft" in start.condition else start.condition
        fixed = given >= 0 if start.fixed is None else (given >= 0) | start.fixed
        return replace(start, x0=x0, condition=shown, fixed=fixed)


def _blind(source: Source) -> bool:
    """Whether a source is plain noise, which has nothing to see."""
    from warmflow.sources.plain_tokens import MaskTokens, UniformTokens

    return isinstance(source, UniformTokens | MaskTokens)
