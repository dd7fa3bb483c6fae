"""Maximal coupling, token by token: a draft that agrees with its data point at as many positions as the two distributions allow.

Given a data point x1 and a draft model q, the draft x0 is written from left to right. With p_i = p(. | x1^1 .. x1^(i-1)) the data
model's probabilities given the data point's own prefix, and q_i = q(. | x0^1 .. x0^(i-1)) the draft model's given the draft's,

    x0^i = x1^i              with probability min(1, q_i(x1^i) / p_i(x1^i))
    x0^i ~ (q_i - p_i)+ / sum (q_i - p_i)+        otherwise

**If p is the data distribution, the draft's distribution is exactly q.** Given both prefixes, x1^i ~ p_i: the draft's prefix is a
function of x1^1 .. x1^(i-1) and of random numbers independent of x1, so it carries no further information about x1^i. Hence, for
any token v,

    P(x0^i = v | both prefixes) = p_i(v) min(1, q_i(v)/p_i(v)) + r (q_i(v) - p_i(v))+ / sum (q_i - p_i)+
                                = min(p_i(v), q_i(v)) + (q_i(v) - p_i(v))+ = q_i(v)

because the probability r of not keeping the token is 1 - sum min(p_i, q_i) = sum (q_i - p_i)+. The result depends only on the
draft's prefix, so x0 has the distribution q, the product over i. The tokens agree, x0^i = x1^i, with probability
sum min(p_i, q_i) = 1 - TV(p_i, q_i), the maximum for two tokens with these distributions. The maximum is taken token by token,
not over whole texts.

**With an estimated p, the draft's distribution is off** by as much as p_i is: the data marginal is preserved exactly, the source
marginal only as well as p is known. The audit's draft shift measures the difference.

References:
    Fast Inference from Transformers via Speculative Decoding, Leviathan, Kalman, Matias, 2022, arXiv 2211.17192 (the rule
        for one token, with the roles of draft and data exchanged)
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
    """Pairs each data point with a draft that the source's own model writes, from left to right, to agree with it.

    Preserves the data exactly. Preserves the source exactly if ``data_model`` is the data distribution, and only then.

    Raises:
        ValueError: a source that does not write from left to right, another vocabulary, or data with given tokens.
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
                "the data have given tokens; Maximal cannot write drafts around them: drop the condition 'given'"
            )
        n, length = x1.shape
        keep, other = noise.uniform("keep", length).to(x1.device), noise.uniform("other", length).to(x1.device)
        beside, state = model.first(n, x1.device), draft.first(n, x1.device)
        x0 = torch.empty_like(x1)
        for i in range(length):
            p, q, here = model.chances(beside), draft.chances(state), x1[:, i]
            kept = keep[:, i] * p.gather(1, here[:, None])[:, 0] < q.gather(1, here[:, None])[:, 0]
            rest = (q - p).clamp(min=0).cumsum(1)
            kept |= rest[:, -1] <= 0  # p = q up to rounding
            x0[:, i] = torch.where(kept, here, inverse(rest, other[:, i]))
            if i + 1 < length:
                beside, state = model.after(beside, here), draft.after(state, x0[:, i])
        spent = length * draft.calls_per_token
        calls = torch.full((n,), spent, dtype=torch.int64, device=x1.device) if spent else None
        start = start_at(x0, batch.condition, source, noise=noise)
        return Pair(replace(start, calls=calls), batch.x1, batch.index)


def writer(source: Source) -> Writer:
    """The model that writes a source's drafts: the source itself, or the inner one of a source that takes a draft."""
    inner = getattr(source, "source", None) if "draft" in source.takes else source
    if not isinstance(inner, Writer):
        raise ValueError(
            f"the source is a {type(source).__name__}; Maximal writes drafts token by token with the source's own "
            "probabilities, so it needs an Autoregressive source, such as an NGram"
        )
    return inner
