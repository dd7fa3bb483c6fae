"""The audit of a pairing of texts: what it does to the data, to the starts, and how near the two are.

A flow learns the law of its *pairs*. On n pairs (x0_i, x1_i) of L tokens, x1_i being the datum number index_i of N where it
is a datum at all (rewritten drafts are none), and c_j the uses of datum j:

    agreement              share of positions at which x0 and x1 are equal; _random: its exact mean under a random
                           re-pairing of the same texts, from the shares of each token at each position
    mean_hamming           mean number of positions that differ, L (1 - agreement): what is left to the flow
    never_chosen           share of j with c_j = 0
    effective_sample_size  (sum c)^2 / sum c^2 / min(n, N): 1 where so many pairs use the data as evenly as they can
    divergence             Jensen-Shannon divergence in nats between the bigrams of the targets x1 and those of the data
    draft_shift            how well a classifier tells the paired x0 from fresh drafts, as the area under its ROC curve

The divergence compares m targets with m data, and its floor is the 95 % quantile of the same number between two disjoint sets
of m data each, over random splits: bigrams of one text depend on each other, so whole texts are drawn, not bigrams. Targets
that are the data themselves stay below it.

The shift is the larger of two. In one, classifiers see of each text how often each token occurs, and each of 128 classes of
bigrams (by a hash). This is blind to what a trigram draft and real text differ in, so in the other they see how likely the
text is to n-grams of order 2, 3 and 4 fitted to the paired drafts, and to the same fitted to fresh ones: one half of either
set fits, the other is told apart.

References:
    Divergence Measures Based on the Shannon Entropy, Lin, IEEE Trans. Information Theory 37, 1991
    Two-sample tests by classifiers: Lopez-Paz, Oquab, Revisiting Classifier Two-Sample Tests, 2016, arXiv 1610.06545
    Feature Hashing for Large Scale Multitask Learning, Weinberger et al., 2009, arXiv 0902.2206
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from warmflow.metrics.audit import FOLDS, NEVER_CHOSEN, SHIFT, auc
from warmflow.noise import mix, permutation
from warmflow.sources.ngram import NGram

ROWS_COUNTED = 5_000
SPLITS = 40
BUCKETS = 128
ORDERS = (2, 3, 4)
ROWS_FITTED = 1_000


@dataclass(frozen=True)
class TokenAudit:
    """What a pairing of texts does, as numbers and as sentences; each number is defined at the top of this module.

    ``flags`` has a sentence for each of: never_chosen > 0.1 (asked only of at least as many pairs as data; pairs drawn
    with replacement leave 0.37), divergence > divergence_floor, draft_shift > 0.6. Empty: nothing to warn of.
    never_chosen and effective_sample_size are None where the targets are no data.
    """

    pairs: int
    data: int
    agreement: float
    agreement_random: float
    mean_hamming: float
    never_chosen: float | None
    effective_sample_size: float | None
    divergence: float
    divergence_floor: float
    draft_shift: float
    flags: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as a dictionary of numbers, None and a list."""
        return {**dataclasses.asdict(self), "flags": list(self.flags)}


def audit_tokens(
    x0: Tensor,
    x1: Tensor,
    index: Tensor | None,
    n_data: int,
    fresh_drafts: Tensor,
    data_x1: Tensor,
    vocabulary: int,
    seed: int = 0,
) -> TokenAudit:
    """The audit of n pairs of texts; a function of its arguments alone.

    Args:
        x0, x1: (n, L) int64 starts and targets as paired; n of at least 10.
        index: (n,) int64, which datum each x1 is, or None where the targets are no data.
        n_data: N, the number of data.
        fresh_drafts: (m, L) draws from the source as inference will see them, none of them among the pairs.
        data_x1: at least 10 of the data, or all: (k, L).
        vocabulary: tokens of data lie in 0 .. vocabulary - 1; a start may hold others (a mask).

    Raises:
        ValueError: shapes that do not belong together, too few rows, an index or tokens out of range.
    """
    _check(x0, x1, index, n_data, fresh_drafts, data_x1, vocabulary)
    x0, x1, drafts, data = (x.detach().cpu() for x in (x0, x1, fresh_drafts, data_x1))
    never = effective = None
    if index is not None:
        count = torch.bincount(index.cpu(), minlength=n_data).double()
        never = float((count == 0).double().mean())
        effective = float(count.sum() ** 2 / count.square().sum() / min(len(index), n_data))
    agreement = float((x0 == x1).double().mean())
    found, floor = _divergences(x1, data, vocabulary, seed)
    audit = TokenAudit(
        pairs=len(x0),
        data=n_data,
        agreement=agreement,
        agreement_random=_agreement_random(x0, x1),
        mean_hamming=x0.shape[1] * (1 - agreement),
        never_chosen=never,
        effective_sample_size=effective,
        divergence=found,
        divergence_floor=floor,
        draft_shift=shift(x0, drafts, vocabulary, seed),
        flags=(),
    )
    return dataclasses.replace(audit, flags=_flags(audit))


def _check(
    x0: Tensor, x1: Tensor, index: Tensor | None, n_data: int, drafts: Tensor, data: Tensor, vocabulary: int
) -> None:
    for name, x in (("x0", x0), ("x1", x1), ("fresh_drafts", drafts), ("data_x1", data)):
        if x.ndim != 2 or x.is_floating_point() or x.shape[1] != x0.shape[1]:
            raise ValueError(
                f"audit: {name} is {x.dtype} of shape {tuple(x.shape)}; give texts of one length, int64 (n, L)"
            )
        if len(x) < 2 * FOLDS:
            raise ValueError(f"audit: {name} has {len(x)} rows, too few; give at least {2 * FOLDS}")
        top = vocabulary if name in ("x1", "data_x1") else None
        if x.numel() and (int(x.min()) < 0 or (top is not None and int(x.max()) >= top)):
            low, high = int(x.min()), int(x.max())
            raise ValueError(
                f"audit: tokens of {name} run from {low} to {high}, vocabulary is {vocabulary}; match them"
            )
    if len(x0) != len(x1):
        raise ValueError(f"audit: x0 has {len(x0)} rows, x1 {len(x1)}; give pairs")
    if index is None:
        return
    if index.shape != (len(x0),):
        raise ValueError(f"audit: index has shape {tuple(index.shape)}; give one number a pair, ({len(x0)},), or None")
    if int(index.min()) < 0 or int(index.max()) >= n_data:
        low, high = int(index.min()), int(index.max())
        raise ValueError(f"audit: index runs from {low} to {high}; give rows of the {n_data} data, from 0")


def _flags(audit: TokenAudit) -> tuple[str, ...]:
    flags = []
    if audit.never_chosen is not None and audit.pairs >= audit.data and audit.never_chosen > NEVER_CHOSEN:
        flags.append(f"{audit.never_chosen:.0%} of the data is never chosen: the flow cannot learn to make it.")
    if audit.divergence > audit.divergence_floor:
        flags.append(
            f"The targets' bigrams differ from the data's by {audit.divergence:.4f} nats (Jensen-Shannon); "
            f"real text differs from itself by {audit.divergence_floor:.4f}."
        )
    if audit.draft_shift > SHIFT:
        flags.append(
            f"The paired drafts are not like fresh ones: a classifier tells them apart "
            f"with AUC {audit.draft_shift:.2f} (0.5 is chance)."
        )
    return tuple(flags)


def _agreement_random(x0: Tensor, x1: Tensor) -> float:
    """The mean over positions of sum_v P(x0^i = v) P(x1^i = v), of the texts at hand."""
    high, length = int(max(x0.max(), x1.max())) + 1, x0.shape[1]
    place = high * torch.arange(length)
    a, b = (torch.bincount((x + place).flatten(), minlength=high * length).double() / len(x) for x in (x0, x1))
    return float((a * b).sum() / length)


def divergence(a: Tensor, b: Tensor) -> float:
    """The Jensen-Shannon divergence in nats of two histograms (K,), 0 for equal shares and log 2 for disjoint ones."""
    p, q = a.double() / a.sum(), b.double() / b.sum()
    middle = (p + q) / 2
    return float(
        (torch.xlogy(p, p / middle.clamp(min=1e-300)) + torch.xlogy(q, q / middle.clamp(min=1e-300))).sum() / 2
    )


def _divergences(x1: Tensor, data: Tensor, vocabulary: int, seed: int) -> tuple[float, float]:
    """The divergence of targets from data, and its floor between data and data, on equally many texts throughout."""
    m = min(len(x1), len(data) // 2, ROWS_COUNTED)
    codes, texts = torch.unique(_bigrams(torch.cat([x1, data]), vocabulary), return_inverse=True)
    targets, real = texts[: len(x1)], texts[len(x1) :]

    def histogram(rows: Tensor) -> Tensor:
        return torch.bincount(rows.flatten(), minlength=len(codes))

    first = targets[permutation(seed, len(targets), "audit.targets")[:m]]
    found = divergence(histogram(first), histogram(real[permutation(seed, len(real), "audit.data")[:m]]))
    floors = []
    for k in range(SPLITS):
        order = permutation(seed, len(real), f"audit.split {k}")
        floors.append(divergence(histogram(real[order[:m]]), histogram(real[order[m : 2 * m]])))
    return found, float(torch.tensor(floors, dtype=torch.float64).quantile(0.95))


def _bigrams(x: Tensor, vocabulary: int) -> Tensor:
    """(n, L - 1) codes of neighbouring tokens; the tokens themselves where a text has only one."""
    base = max(vocabulary, int(x.max()) + 1)
    return base * x[:, :-1] + x[:, 1:] if x.shape[1] > 1 else x


def shift(a: Tensor, b: Tensor, vocabulary: int, seed: int = 0) -> float:
    """How well classifiers tell texts a (n, L) from b (m, L), as an area under the ROC curve; 0.5 is chance."""
    found = auc(features(a, vocabulary), features(b, vocabulary), seed)
    if min(len(a), len(b)) < 4 * FOLDS or a.shape[1] < max(ORDERS):
        return found
    return max(found, auc(*likelihoods(a, b, vocabulary, seed), seed))


def likelihoods(a: Tensor, b: Tensor, vocabulary: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The log-likelihoods (n / 2, 6) and (m / 2, 6) of half of the texts a (n, L) and b (m, L), under n-grams of three orders
    fitted to up to 1,000 texts of the other half of a, and of b."""
    kinds = vocabulary + 1 if vocabulary < BUCKETS else BUCKETS // 2
    halves, told = [], []
    for x, name in ((a, "audit.a"), (b, "audit.b")):
        x = x.clamp(max=vocabulary) if vocabulary < BUCKETS else mix(x) % kinds
        order = permutation(seed, len(x), name)
        fitted = x[order[: len(x) // 2][:ROWS_FITTED]]
        ends = torch.full((len(fitted), 1), kinds)  # so that no text runs into the next
        halves.append(torch.cat([fitted, ends], 1).flatten())
        told.append(x[order[len(x) // 2 :]])
    models = [
        NGram.fit(text, vocabulary=kinds + 1, order=k, length=a.shape[1], least=2) for k in ORDERS for text in halves
    ]
    first, second = (torch.stack([m.log_chances(x).sum(1) for m in models], 1) for x in told)
    return first, second


def features(x: Tensor, vocabulary: int) -> Tensor:
    """(n, K + 128) float32 counts, for each text of x (n, L): of its K kinds of tokens (at most 128) and of hashed bigrams."""
    kinds = min(vocabulary + 1, BUCKETS)  # one more for a mask
    single = x.clamp(max=vocabulary) if vocabulary < BUCKETS else mix(x) % BUCKETS
    double = mix(mix(x[:, :-1]) + x[:, 1:]) % BUCKETS
    return torch.cat([_counts(single, kinds), _counts(double, BUCKETS)], 1)


def _counts(x: Tensor, kinds: int) -> Tensor:
    return torch.zeros(len(x), kinds).scatter_add(1, x, torch.ones(x.shape))
