"""Drafts written beside their datum, token by token, as alike as two texts of two laws can be.

Given a datum x1, and a draft model q, the draft x0 is written from left to right. With p_i = p(. | x1^1 .. x1^(i-1)) the
data model's chances after the datum's own text so far, and q_i = q(. | x0^1 .. x0^(i-1)) the draft model's after the draft's,

    x0^i = x1^i              with probability min(1, q_i(x1^i) / p_i(x1^i))
    x0^i ~ (q_i - p_i)+ / sum (q_i - p_i)+        else

**If p is the data's law, the draft's law is exactly q.** Given the datum's text before i and the draft's, x1^i ~ p_i: the
draft so far is a function of x1^1 .. x1^(i-1) and of draws that know nothing of x1, so it adds nothing about x1^i. Hence, for
any token v,

    P(x0^i = v | both texts so far) = p_i(v) min(1, q_i(v)/p_i(v)) + r (q_i(v) - p_i(v))+ / sum (q_i - p_i)+
                                    = min(p_i(v), q_i(v)) + (q_i(v) - p_i(v))+ = q_i(v)

because the chance r not to keep is 1 - sum min(p_i, q_i) = sum (q_i - p_i)+. This depends on the draft's text alone, so x0 is
written by q: the product over i is q(x0). And x0^i = x1^i has the probability sum min(p_i, q_i) = 1 - TV(p_i, q_i), the most
that two tokens of these laws can agree; what is chosen greedily here is the token, not the whole text.

**With an estimated p the draft's law is off**, by as much as p_i is: the data are kept, the source only as well as it is
known. The audit's draft shift measures it.

References:
    Fast Inference from Transformers via Speculative Decoding, Leviathan, Kalman, Matias, 2022, arXiv 2211.17192 (the rule
        of one token, with the parts of draft and datum exchanged)
    Accelerating Large Language Model Decoding with Speculative Sampling, Chen et al., 2023, arXiv 2302.01318
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from warmflow.contracts import Batch, Coupling, Pair, Source
from warmflow.couplings.tokens import Writer, start_at, tokens_of, within
from warmflow.noise import Noise, inverse


@dataclass(frozen=True, eq=False)
class Maximal(Coupling):
    """Each datum with a draft that the source's own model writes beside it, from left to right.

    Keeps the data exactly; keeps the source's law exactly where ``data_model`` is the data's law, and only there.

    Raises:
        ValueError: a source that is not written from left to right, another vocabulary, tokens that are given.
    """

    data_model: Writer
    preserves: ClassVar[frozenset[str]] = frozenset({"data"})

    @torch.no_grad()
    def pair(self, batch: Batch, source: Source, *, noise: Noise) -> Pair:
        model, draft = self.data_model, writer(source)
        x1 = within("the data", tokens_of(batch), model.vocabulary)
        if draft.vocabulary != model.vocabulary:
            raise ValueError(
                f"the source has {draft.vocabulary} tokens, the data_model {model.vocabulary}: fit both to one vocabulary"
            )
        if "given" in batch.condition:
            raise ValueError(
                "the data name tokens that are given; Maximal writes its drafts from nothing: drop the condition 'given'"
            )
        n, length = x1.shape
        keep, other = noise.uniform("keep", length).to(x1.device), noise.uniform("other", length).to(x1.device)
        beside, state = model.first(n, x1.device), draft.first(n, x1.device)
        x0 = torch.empty_like(x1)
        for i in range(length):
            p, q, here = model.chances(beside), draft.chances(state), x1[:, i]
            kept = keep[:, i] * p.gather(1, here[:, None])[:, 0] < q.gather(1, here[:, None])[:, 0]
            rest = (q - p).clamp(min=0).cumsum(1)
            kept |= rest[:, -1] <= 0  # p = q but for rounding
            x0[:, i] = torch.where(kept, here, inverse(rest, other[:, i]))
            if i + 1 < length:
                beside, state = model.after(beside, here), draft.after(state, x0[:, i])
        spent = length * draft.calls_per_token
        calls = torch.full((n,), spent, dtype=torch.int64, device=x1.device) if spent else None
        start = start_at(x0, batch.condition, source, noise=noise)
        return Pair(replace(start, calls=calls), batch.x1, batch.index)


def writer(source: Source) -> Writer:
    """The model that writes a source's drafts: the source itself, or the one inside a source that takes its draft."""
    inner = getattr(source, "source", None) if "draft" in source.takes else source
    if not isinstance(inner, Writer):
        raise ValueError(
            f"the source is a {type(source).__name__}; Maximal writes drafts token by token with the source's own "
            "chances, so it needs an Autoregressive one, such as an NGram"
        )
    return inner
