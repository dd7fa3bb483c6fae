"""Divergence between two sets of token windows, from their k-grams, corrected for the bias of finite sets.

For two tables of shares p and q of k-grams (k consecutive tokens),

    J(p, q) = H((p + q) / 2) - H(p) / 2 - H(q) / 2 = log 2 - 1/2 sum_{g in both} h(p_g, q_g)        in nats, in [0, log 2]
    h(x, y) = (x + y) log(x + y) - x log x - y log y

h(x, 0) = 0, so k-grams that occur in only one of the tables contribute nothing to the sum.

Two finite sets from *one* distribution have J > 0: 0.10 nats for the 4-grams of 500 and 1,000 windows of 64 characters of
English. Subtracting this floor is not enough, because it depends on the distribution: it is lower for a set with less variety,
and the more likely half of all real windows is 1.2 margins *nearer* to real sets than real sets are (k = 4; 4.9 at k = 6).
Therefore the floor of each set is subtracted, at equal size. Both sets are split into bags of s windows, in order; with A_i and
B_j the shares of their bags,

    D(a, b) = mean_ij J(A_i, B_j) - 1/2 mean_{i < i'} J(A_i, A_i') - 1/2 mean_{j < j'} J(B_j, B_j')

The root of J is a distance in a Hilbert space, J(p, q) = |f(p) - f(q)|^2. Hence

    E D(a, b) = |E f(A) - E f(B)|^2

exactly, for any number of independently drawn windows. It is at least 0, it is 0 for equal distributions at every s, and it
tends to J of the two distributions as s grows. D is an unbiased squared distance like MMD^2: single values may be negative, and
a ratio of two of them is meaningless. No floor has to be measured beforehand. If p and q differ in rare k-grams only, D of small
bags is well below J of the distributions, because k-grams observed once do not determine their probabilities.

Resampling the real set. Repeated windows increase J (there are fewer distinct windows: 0.03 nats at k = 4, or twenty margins,
and D by two margins), and k-grams observed once are then missing or doubled, which is not how they vary: the standard deviation
of such replicates is two thirds of that of fresh real sets. Therefore a replicate uses the influence of each window. With
D_(-i), which is D without the real window i, exactly (its k-grams are removed from its bag, and the others get more weight),

    D_w = D + sum_i (w_i - 1) (D - D_(-i))

sum_i (w_i - 1) = 0, so there is no bias, and the standard deviation is that of the jackknife: for differences between methods
0.86 to 1.03 of that between fresh real sets, over k = 1 .. 4. To remove one window with counts c of k-grams from a bag q of s
windows of T k-grams,

    J(p, q_(-i)) = log 2 - 1/2 [ sum_g h(p_g, z q_g) + sum_{g in i} h(p_g, z (q_g - c_g / (s T))) - h(p_g, z q_g) ],
    z = s / (s - 1)

so that removing each window of a set costs little more than the distance itself.

References:
    A new metric for probability distributions, Endres, Schindelin, IEEE Trans. Inf. Theory 2003 (the root is a metric)
    Jensen-Shannon divergence and Hilbert space embedding, Fuglede, Topsoe, ISIT 2004 (the Hilbert space)
    The jackknife estimate of variance, Efron, Stein, Annals of Statistics 1981 (its mean is at least the variance)
    Energy statistics: a class of statistics based on distances, Szekely, Rizzo, J. Stat. Plan. Inference 2013 (D)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from warmflow.metrics.resampled import Reference, ResampledMetric
from warmflow.noise import GOLDEN, mix

BAGS = 4
"""Number of bags of a set of samples in ``kgrams_for``. On 500 windows of English, 2, 4 and 10 bags detected known differences
about equally well. More bags cost more divergences; with 2 bags the terms of each set depend on a single pair."""
BLOCK = 2**22


def check_tokens(x: Tensor, vocabulary: int, name: str) -> None:
    """Raises ValueError unless x (n, L) is int64 tokens in 0 .. vocabulary - 1."""
    if x.ndim != 2 or x.dtype != torch.int64:
        raise ValueError(f"{name}: x is {tuple(x.shape)} of {x.dtype}; give windows of tokens (n, L) of torch.int64")
    if x.numel() and not (int(x.min()) >= 0 and int(x.max()) < vocabulary):
        bad = int(x.max()) if int(x.max()) >= vocabulary else int(x.min())
        raise ValueError(
            f"{name}: x holds token {bad}; with vocabulary={vocabulary} tokens are in 0 .. {vocabulary - 1}"
        )


def gram_codes(x: Tensor, k: int, vocabulary: int) -> Tensor:
    """The k-grams of x (..., L) as numbers to the base ``vocabulary``: (..., L - k + 1) int64, without collisions."""
    places = x.shape[-1] - k + 1
    codes = x[..., :places].long()
    for j in range(1, k):
        codes = codes * vocabulary + x[..., j : j + places]
    return codes


def gram_hashes(x: Tensor, k: int) -> Tensor:
    """64-bit hashes of the k-grams of x (..., L), for any k up to L: (..., L - k + 1) int64.

    A hash of i + j tokens is mix(golden hash_i(at t) + hash_j(at t + i)), and k is written as a sum of powers of two, so
    that the work grows with log k. Two different k-grams have equal hashes with probability 2^-64.

    Raises:
        ValueError: k is not in 1 .. L.
    """
    if not 1 <= k <= x.shape[-1]:
        raise ValueError(f"k is {k}; in rows of {x.shape[-1]} tokens it must be in 1 .. {x.shape[-1]}")

    def joined(left: Tensor, right: Tensor, offset: int) -> Tensor:
        size = right.shape[-1] - offset
        return mix(left[..., :size] * (GOLDEN - 2**64) + right[..., offset:])

    power, found, length, bit = mix(x.long() + 1), None, 0, 1
    while True:
        if k & bit:
            found = power if found is None else joined(found, power, length)
            length += bit
        if length == k:
            assert found is not None
            return found
        power, bit = joined(power, power, bit), 2 * bit


def stream_hashes(text: Tensor, k: int) -> np.ndarray:
    """The sorted distinct hashes of the k-grams of a text (T,), computed by blocks; 8 bytes per k-gram."""
    if len(text) < k:
        raise ValueError(f"the text has {len(text)} tokens, fewer than the {k} of a k-gram: use more text")
    blocks = [gram_hashes(text[i : i + BLOCK + k - 1], k).numpy() for i in range(0, len(text) - k + 1, BLOCK)]
    return np.unique(np.concatenate(blocks))


def among(hashes: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Booleans of the shape of ``hashes``, True if a hash is in ``known``, which must be sorted and not empty."""
    place = np.searchsorted(known, hashes).clip(max=len(known) - 1)
    return np.asarray(known[place] == hashes)


def _xlogx(x: np.ndarray) -> np.ndarray:
    return x * np.log(np.maximum(x, 1e-300))


@dataclass(frozen=True, eq=False)
class _Bags:
    """The shares p (bags, G) of the k-grams of one table in each bag, and the values of p log p (bags, G)."""

    shares: np.ndarray
    logs: np.ndarray

    @staticmethod
    def of(places: np.ndarray, size: int, bag: int) -> _Bags:
        """Bags of ``bag`` rows of ``places`` (n, T). A place is the position of a k-gram in a table of ``size`` k-grams, or -1 if
        the table lacks it.
        """
        n, width = places.shape
        used = places[: n // bag * bag].reshape(n // bag, -1)
        cells = used + size * np.arange(len(used))[:, None]
        shares = np.bincount(cells[used >= 0], minlength=size * len(used)) / (bag * width)
        return _Bags(shares.reshape(len(used), size), _xlogx(shares).reshape(len(used), size))

    def __getitem__(self, rows: slice | list[int]) -> _Bags:
        return _Bags(self.shares[rows], self.logs[rows])

    def __len__(self) -> int:
        return len(self.shares)

    def to(self, others: _Bags) -> np.ndarray:
        """J (bags, others) between these bags and the others. A k-gram that the table lacks is in at most one of two bags."""
        found = np.empty((len(self), len(others)))
        for i, (share, log) in enumerate(zip(self.shares, self.logs, strict=True)):
            met = np.flatnonzero(share)
            joint = _xlogx(others.shares[:, met] + share[met]).sum(1) - others.logs[:, met].sum(1) - log[met].sum()
            found[i] = math.log(2) - joint / 2
        return found

    def own(self) -> float:
        """The mean of J over pairs of these bags."""
        pairs = len(self) * (len(self) - 1) / 2
        return float(sum(self[i : i + 1].to(self[i + 1 :]).sum() for i in range(len(self) - 1)) / pairs)


def _h(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return _xlogx(p + q) - _xlogx(p) - _xlogx(q)


def _taken_out(others: _Bags, share: np.ndarray, places: np.ndarray) -> np.ndarray:
    """J between the others and one bag with one of its windows removed: (others, windows).

    Args:
        share: (G,) shares of the bag.
        places: (windows, T) positions of the k-grams of its windows in the table.
    """
    windows, width = places.shape
    stretch = windows / (windows - 1)
    cells, counts = np.unique(places + len(share) * np.arange(windows)[:, None], return_counts=True)
    window, gram = np.divmod(cells, len(share))
    less = stretch * np.maximum(share[gram] - counts / (windows * width), 0)
    met = np.flatnonzero(share)
    p, place = others.shares[:, met], np.searchsorted(met, gram)
    whole = _h(p, stretch * share[met])
    change = _h(p[:, place], less) - whole[:, place]
    by_window = np.stack([np.bincount(window, row, minlength=windows) for row in change])
    return math.log(2) - (whole.sum(1, keepdims=True) + by_window) / 2


@dataclass(frozen=True, eq=False)
class _Table:
    """The sorted k-grams (G,) of the real set, their positions in each window (m, T), and its bags."""

    grams: np.ndarray
    places: np.ndarray
    bags: _Bags

    @staticmethod
    def of(codes: Tensor, bag: int) -> _Table:
        grams, places = np.unique(codes.numpy(), return_inverse=True)
        places = places.reshape(codes.shape)
        return _Table(grams, places, _Bags.of(places, len(grams), bag))

    def bags_of(self, codes: Tensor, bag: int) -> _Bags:
        """The bags of other windows over this table."""
        place = np.searchsorted(self.grams, codes.numpy()).clip(max=len(self.grams) - 1)
        return _Bags.of(np.where(self.grams[place] == codes.numpy(), place, -1), len(self.grams), bag)

    def worth(self, others: _Bags | None, bag: int) -> np.ndarray:
        """The influence (m,) of each real window: the mean of J between ``others`` (None: the other real bags) and its bag,
        minus the same without the window; 0 for windows after the last complete bag."""
        found = np.zeros(len(self.places))
        for j, share in enumerate(self.bags.shares):
            against = self.bags[[i for i in range(len(self.bags)) if i != j]] if others is None else others
            rows = slice(j * bag, (j + 1) * bag)
            found[rows] = (against.to(self.bags[j : j + 1]) - _taken_out(against, share, self.places[rows])).mean(0)
        return found


@dataclass(frozen=True)
class KGrams(ResampledMetric):
    """D, defined above, for one k, on windows (n, L) of tokens below ``vocabulary``, in bags of ``bag`` windows; unit: nats.

    The features of a window are its k-grams, (n, L - k + 1) int64. Windows after the last complete bag are left out. Bags
    follow the order of the rows: a sorted set must be shuffled first. ``kgrams_for`` chooses ``bag`` from the size of the
    sets.

    Raises:
        ValueError: k below 1, a vocabulary below 2, vocabulary^k of 2^62 or more, or bags of fewer than 2 windows.
    """

    name: str
    k: int
    vocabulary: int
    bag: int

    def __post_init__(self) -> None:
        if self.k < 1 or self.vocabulary < 2 or self.k * math.log2(max(2, self.vocabulary)) > 62:
            raise ValueError(
                f"metric {self.name!r}: k is {self.k} with vocabulary={self.vocabulary}; k must be at least 1, the "
                "vocabulary at least 2, and vocabulary^k below 2^62: lower k"
            )
        if self.bag < 2:
            raise ValueError(f"metric {self.name!r}: bag is {self.bag}; a bag holds at least 2 windows")

    def features(self, x: Tensor) -> Tensor:
        check_tokens(x, self.vocabulary, f"metric {self.name!r}")
        if x.shape[1] < self.k:
            raise ValueError(f"metric {self.name!r}: windows of {x.shape[1]} tokens have no {self.k}-gram: lower k")
        return gram_codes(x.detach().cpu(), self.k, self.vocabulary)

    def distance(self, a: Tensor, b: Tensor) -> float:
        """D(a, b) of k-grams (n, T) and (m, T), at least two bags of each; may be negative."""
        self._check(a, b)
        grams, places = np.unique(torch.cat([a, b]).numpy(), return_inverse=True)
        places = places.reshape(len(a) + len(b), -1)
        first, second = (_Bags.of(part, len(grams), self.bag) for part in (places[: len(a)], places[len(a) :]))
        return float(first.to(second).mean()) - first.own() / 2 - second.own() / 2

    def reference(self, real: Tensor, counts: Tensor) -> Reference:
        """Prepares real k-grams (m, T) and R resamplings of them, counts (R, m) of each window. ``own_resampled``, the divergence
        within each resampled set, is computed from the influence of each window, as defined above."""
        self._check(real)
        table = _Table.of(real, self.bag)
        own, bags = table.bags.own(), len(table.bags)
        worth = (
            torch.from_numpy(table.worth(None, self.bag)) * 2 / bags
        )  # a bag is in bags - 1 of bags (bags - 1) / 2 pairs
        return Reference(real, counts, own, own + (counts - 1) @ worth)

    def against(self, samples: Tensor, reference: Reference) -> tuple[float, Tensor]:
        self._check(samples)
        table = _Table.of(reference.features, self.bag)
        bags, own = table.bags_of(samples, self.bag), _Table.of(samples, self.bag).bags.own()
        cross = float(bags.to(table.bags).mean())
        worth = torch.from_numpy(table.worth(bags, self.bag)) / len(table.bags)
        resampled = cross + (reference.counts - 1) @ worth - own / 2 - reference.own_resampled / 2
        return cross - own / 2 - reference.own / 2, resampled

    def _check(self, *sets: Tensor) -> None:
        for x in sets:
            if len(x) < 2 * self.bag:
                raise ValueError(
                    f"metric {self.name!r} was given {len(x)} windows; it needs at least two bags of {self.bag}: give more "
                    "windows, or a smaller bag"
                )


def kgrams_for(k: int, vocabulary: int, size: int, name: str | None = None) -> KGrams:
    """The metric for sets of ``size`` windows (and at least half as many real ones), in ``BAGS`` bags each."""
    if size < 2 * BAGS:
        raise ValueError(f"size is {size}; k-grams need sets of at least {2 * BAGS} windows: draw more")
    return KGrams(name or f"{k}-grams", k, vocabulary, size // BAGS)
