"""Starts that keep given tokens in place: prefixes, infilling, or any other pattern.

``condition["given"]`` (B, L) holds the given tokens, -1 where free. A source that takes "given" writes its draft around them
(``Autoregressive`` sees those to the left). Any other source draws without them, its tokens at these positions are overwritten,
and a warning says that its draft did not see them.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from warmflow.contracts import Condition, JumpPath, Source, Start, Wrapper
from warmflow.noise import Noise


def together(*patterns: Tensor) -> Tensor:
    """Combines several patterns (L,) of tokens, -1 where free, into one.

    Raises:
        ValueError: two patterns have different tokens at the same position, or different lengths.
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
    """Starts from partly known sequences: ``given`` (B, L), -1 where unknown.

    Known tokens are fixed; the others are drawn from ``source``, the source the flow was trained with. Sampling begins at the
    time t at which the expected share of positions that have jumped to the data equals the known share, k(t) = share: at this
    time the network has been trained on points with as many correct tokens. Begun at t0, the network would assume that any of
    them may be noise.

    Raises:
        ValueError: a row with no unknown tokens.
    """
    share = (given >= 0).double().mean(1)
    if bool((share == 1).any()):
        raise ValueError(f"row {int((share == 1).nonzero()[0, 0])} is known whole: it has no unknown tokens to fill in")
    start = Filled(source, torch.full((given.shape[1],), -1)).draw(len(given), {"given": given}, noise=noise)
    return replace(start, t=path.when(share))


@dataclass(frozen=True, eq=False)
class Filled(Wrapper):
    """The inner source's start with the given tokens in place and fixed.

    Args:
        pattern: (L,) tokens given in every draw, -1 where free, in addition to ``condition["given"]``.
    """

    source: Source
    pattern: Tensor

    @property
    def takes(self) -> frozenset[str]:
        return self.source.takes | {"given"}

    def draw(self, n: int, condition: Condition | None = None, *, noise: Noise) -> Start:
        kept = dict(condition or {})
        given = kept.pop("given", torch.full((n, *self.shape), -1))
        given = torch.where(self.pattern >= 0, self.pattern.expand(n, -1), given)
        if "given" in self.source.takes:
            start = self.source.draw(n, {**kept, "given": given}, noise=noise)
        else:
            start = self.source.draw(n, kept, noise=noise)
            if not self.source.is_noise:
                warnings.warn(
                    f"the {type(self.source).__name__} draft does not see the given tokens: its own tokens are overwritten there",
                    stacklevel=2,
                )
        x0 = torch.where(given >= 0, given, start.x0)
        shown = {**start.condition, "draft": x0} if "draft" in start.condition else start.condition
        fixed = given >= 0 if start.fixed is None else (given >= 0) | start.fixed
        return replace(start, x0=x0, condition=shown, fixed=fixed)
