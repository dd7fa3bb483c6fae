"""Audit of a pairing of texts: how it changes the distributions of data and starts, and how similar paired texts are.

A flow learns the distribution of its *pairs*. On n pairs (x0_i, x1_i) of L tokens, where x1_i is data point number index_i of N
(rewritten drafts are no data points) and c_j is the number of pairs that use data point j:

    agreement              share of positions at which x0 and x1 are equal; _random: its exact mean under a random
                           re-pairing of the same texts, from the shares of each token at each position
    mean_hamming           mean number of positions that differ, L (1 - agreement), which the flow has to change
    never_chosen           share of j with c_j = 0
    effective_sample_size  (sum c)^2 / sum c^2 / min(n, N): 1 if n pairs use the data as evenly as possible
    divergence             Jensen-Shannon divergence in nats between the bigrams of the targets x1 and those of the data
    draft_shift            AUC of a classifier that distinguishes the paired x0 from fresh drafts (0.5: no difference)

The divergence compares m targets with m texts of the data. Its floor is the 95 % quantile of the same number between two
disjoint sets of m texts of the data each, over random splits: bigrams of one text are dependent, so whole texts are drawn, not
bigrams. If the targets are the data themselves, the divergence is below the floor.

The shift is the larger of two. In the first, the features of a text are its counts of each token and of each of 128 hash
buckets of bigrams. These hardly differ between trigram drafts and real text. In the second, the features are the
log-likelihoods of the text under n-grams of order 2, 3 and 4 fitted to the paired drafts, and under the same fitted to fresh
drafts: one half of each set is used for fitting, the other half is classified. Copies of a text are in one half.

References:
    Divergence Measures Based on the Shannon Entropy, Lin, IEEE Trans. Information Theory 37, 1991
    Two-sample tests by classifiers: Lopez-Paz, Oquab, Revisiting Classifier Two-Sample Tests, 2016, arXiv 1610.06545
    Feature Hashing for Large Scale Multitask Learning, Weinberger et al., 2009, arXiv 0902.2206
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.metrics.audit import CATEGORIES, FOLDS, NEVER_CHOSEN, SHIFT, auc, auc_floor
from warmflow.noise import mix, permutation
from warmflow.sources.ngram import NGram

ROWS_COUNTED = 5_000
SPLITS = 40
BUCKETS = 128
ORDERS = (2, 3, 4)
ROWS_FITTED = 1_000


@dataclass(frozen=True)
class TokenAudit:
    """The result of an audit of texts; each number is defined at the top of this module.

    ``flags`` has a sentence for each of: never_chosen > 0.1 (checked only if there are at least as many pairs as data
    points; it is 0.37 for pairs drawn with replacement), divergence > divergence_floor, draft_shift > 0.6 and
    > draft_shift_floor. It is empty if there is nothing to warn of. never_chosen and effective_sample_size are None if the
    targets are not data points.
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
    draft_shift_floor: float
    flags: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """The audit's values as a dictionary of numbers, None and a list of strings (``flags``)."""
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
    """Audits n pairs of texts; deterministic given its arguments.

    Args:
        x0, x1: (n, L) int64 paired starts and targets; n at least 10.
        index: (n,) int64, the number of the data point that each x1 is; None if the targets are not data points.
        n_data: N, the number of data points.
        fresh_drafts: (m, L) samples from the source as used at inference, none of them among the pairs.
        data_x1: (k, L), at least 10 texts of the data, or all.
        vocabulary: tokens of data are in 0 .. vocabulary - 1; a start may have others (a mask).

    Raises:
        ValueError: shapes that do not match, too few rows, an index or tokens out of range.
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
        draft_shift_floor=auc_floor(x0, drafts),
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
        flags.append(f"{audit.never_chosen:.0%} of the data is never chosen: the flow cannot learn to generate it.")
    if audit.divergence > audit.divergence_floor:
        flags.append(
            f"The targets' bigrams differ from the data's by {audit.divergence:.4f} nats (Jensen-Shannon); "
            f"two sets of real texts differ by up to {audit.divergence_floor:.4f}."
        )
    if audit.draft_shift > max(SHIFT, audit.draft_shift_floor):
        flags.append(
            f"The paired drafts differ from fresh drafts: a classifier distinguishes them "
            f"with AUC {audit.draft_shift:.2f} (0.5: no difference)."
        )
    return tuple(flags)


def _agreement_random(x0: Tensor, x1: Tensor) -> float:
    """The mean over positions i of sum_v P(x0^i = v) P(x1^i = v), with the empirical distributions of x0 and x1 (n, L)."""
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
    """The divergence between targets and data, and its floor between data and data, all with equally many texts."""
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
    """Codes (n, L - 1) of pairs of neighbouring tokens; the tokens themselves if L is 1."""
    base = max(vocabulary, int(x.max()) + 1)
    return base * x[:, :-1] + x[:, 1:] if x.shape[1] > 1 else x


def shift(a: Tensor, b: Tensor, vocabulary: int, seed: int = 0) -> float:
    """AUC of classifiers that distinguish texts a (n, L) from b (m, L); 0.5 is no difference."""
    found = auc(features(a, vocabulary), features(b, vocabulary), seed)
    if min(len(a), len(b)) < 4 * FOLDS or a.shape[1] < max(ORDERS):
        return found
    return max(found, auc(*likelihoods(a, b, vocabulary, seed), seed))


def likelihoods(a: Tensor, b: Tensor, vocabulary: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """The log-likelihoods (n / 2, 6) and (m / 2, 6) of one half of the texts a (n, L) and b (m, L), under n-grams of three
    orders fitted to up to 1,000 texts of the other half of a, and of b."""
    kinds = vocabulary + 1 if vocabulary < BUCKETS else BUCKETS // 2
    halves, told = [], []
    for x, name in ((a, "audit.a"), (b, "audit.b")):
        x = x.clamp(max=vocabulary) if vocabulary < BUCKETS else mix(x) % kinds
        first, second = _halves(x, seed, name)
        fitted = x[first[:ROWS_FITTED]]
        ends = torch.full((len(fitted), 1), kinds)  # an end token, so that n-grams do not span two texts
        halves.append(torch.cat([fitted, ends], 1).flatten())
        told.append(x[second])
    models = [
        NGram.fit(text, vocabulary=kinds + 1, order=k, length=a.shape[1], least=2) for k in ORDERS for text in halves
    ]
    paired, fresh = (torch.stack([m.log_chances(x).sum(1) for m in models], 1) for x in told)
    return paired, fresh


def _halves(x: Tensor, seed: int, name: str) -> tuple[Tensor, Tensor]:
    """The rows of two random halves of texts (n, L); copies of a text are in one half."""
    distinct, copy_of = x.unique(dim=0, return_inverse=True)
    order = permutation(seed, len(x), name)
    if len(distinct) == len(x) or len(distinct) < CATEGORIES:
        return order[: len(x) // 2], order[len(x) // 2 :]
    first = torch.zeros(len(distinct), dtype=torch.bool)
    first[permutation(seed, len(distinct), name)[: len(distinct) // 2]] = True
    return order[first[copy_of[order]]], order[~first[copy_of[order]]]


def features(x: Tensor, vocabulary: int) -> Tensor:
    """Counts (n, K + 128) float32 for each text of x (n, L): of K tokens (hashed if more than 128) and of hashed bigrams."""
    kinds = min(vocabulary + 1, BUCKETS)  # one more for the mask
    single = x.clamp(max=vocabulary) if vocabulary < BUCKETS else mix(x) % BUCKETS
    double = mix(mix(x[:, :-1]) + x[:, 1:]) % BUCKETS
    return torch.cat([_counts(single, kinds), _counts(double, BUCKETS)], 1)


def _counts(x: Tensor, kinds: int) -> Tensor:
    return torch.zeros(len(x), kinds).scatter_add(1, x, torch.ones(x.shape))
