"""Features of windows of text from a language model (the judge), classes by likelihood, and numbers for tables.

A *judge* gives the probability of each token given those before it. It is fitted to a part of the data that is used for nothing
else. The features of a window x of L tokens are

    1  the mean of log q(x^i | x^1 .. x^(i-1)) over i
    2  its standard deviation over i                  low for repetition and for noise, higher for text
    3  the share of valid words among its whole words (those between two spaces of the window)
    4  the number of different tokens
    5  the share of pairs of neighbouring tokens that occurred before in the window
    6  the share of spaces

standardised by their mean and standard deviation on real windows. The MMD on these features shows differences that k-grams do
not: samples of a 5-gram model have the 1- to 4-grams of text, but not its words. No number of this module is sufficient
alone. Repeating the most probable text gives a low perplexity, so the perplexity is always returned with the entropy.

References:
    A kernel two-sample test, Gretton et al., JMLR 2012
    Note on the bias of information estimates, Miller, in Information theory in psychology, 1955 (the correction)
    Revisiting classifier two-sample tests, Lopez-Paz, Oquab, 2016, arXiv 1610.06545 (the discriminator)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from warmflow.contracts import Metric
from warmflow.metrics.kgrams import among, check_tokens, gram_codes, gram_hashes
from warmflow.noise import mix

ROWS = 4_096
LETTERS = " abcdefghijklmnopqrstuvwxyz"
LEAST = 2
FOLDS = 5
HASHED = 2**15
DUPLICATE = 12
FEATURES = ("mean log-likelihood", "its spread", "valid words", "different tokens", "repeated pairs", "spaces")


class Judge(Protocol):
    """Maps tokens x (n, L) to the log-probability of each token given those before it, (n, L) float64, in nats."""

    def log_chances(self, x: Tensor) -> Tensor: ...


def judged(judge: Judge, x: Tensor) -> Tensor:
    """log q of each token of x (n, L), (n, L) float64 on the CPU, 4,096 windows at a time."""
    found = torch.cat([judge.log_chances(part).detach().cpu().double() for part in x.split(ROWS)])
    bad = int((~torch.isfinite(found)).sum())
    if bad:
        raise ValueError(
            f"judge gives {bad} tokens of x {tuple(x.shape)} no finite log-probability: smooth its probabilities"
        )
    return found


def _grown(key: Tensor, token: Tensor) -> Tensor:
    """The hash of a word with one more token."""
    return mix(key ^ (token.long() + 1))


@dataclass(frozen=True, eq=False)
class Words:
    """A set of words as sorted 64-bit hashes; a word is a run of tokens between two tokens ``space``."""

    hashes: np.ndarray
    space: int = 0

    def __len__(self) -> int:
        return len(self.hashes)

    @staticmethod
    def of(words: Iterable[str], letters: str = LETTERS) -> Words:
        """The words of a list, written in ``letters``, which are in the order of the tokens and begin with the space.

        Raises:
            ValueError: no words, or a word with another letter.
        """
        place = {letter: i for i, letter in enumerate(letters)}
        found = []
        for word in words:
            if not word or any(place.get(letter, 0) == 0 for letter in word):
                raise ValueError(f"words holds {word!r}; words consist of {letters[1:]!r}: normalise the list")
            key = torch.zeros((), dtype=torch.int64)
            for letter in word:
                key = _grown(key, torch.tensor(place[letter]))
            found.append(int(key))
        if not found:
            raise ValueError("words is empty; give at least one word")
        return Words(np.unique(np.array(found, dtype=np.int64)))

    @staticmethod
    def within(text: Tensor, least: int = LEAST, space: int = 0) -> Words:
        """The whole words that occur at least ``least`` times in a text (T,) of tokens; ValueError if there are none."""
        gaps = torch.nonzero(text == space)[:, 0]
        start, length = gaps[:-1] + 1, gaps.diff() - 1
        start, length = start[length > 0], length[length > 0]
        order = length.argsort(descending=True)
        start, length = start[order], length[order]
        keys = torch.zeros(len(start), dtype=torch.int64)
        for i in range(int(length[0]) if len(length) else 0):
            longer = int((length > i).sum())
            keys[:longer] = _grown(keys[:longer], text[start[:longer] + i])
        found, times = np.unique(keys.numpy(), return_counts=True)
        if not (times >= least).any():
            raise ValueError(
                f"the text has no word that occurs {least} times between two tokens {space}: use more text"
            )
        return Words(found[times >= least], space)

    def count(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The numbers of valid words and of whole words of each window of x (n, L): (n,) float64 each."""
        n = len(x)
        key, inside = torch.zeros(n, dtype=torch.int64), torch.zeros(n, dtype=torch.bool)
        begun, valid, whole = inside.clone(), torch.zeros(n), torch.zeros(n)
        for token in x.detach().cpu().T:
            gap = token == self.space
            ends = gap & begun & inside
            whole += ends
            valid += ends & torch.from_numpy(among(key.numpy(), self.hashes))
            begun |= gap
            inside = ~gap
            key = torch.where(gap, 0, _grown(key, token))
        return valid.double(), whole.double()


def raw_features(judge: Judge, words: Words, x: Tensor) -> Tensor:
    """The six features, not standardised, of x (n, L): (n, 6) float64. The share of valid words is 0 without whole words."""
    x = x.detach().cpu()
    log_probabilities, (valid, whole) = judged(judge, x), words.count(x)
    tokens, pairs = (_different(x), _different(gram_codes(x, 2, int(x.max()) + 1)))
    columns = (
        log_probabilities.mean(1),
        log_probabilities.std(1),
        valid / whole.clamp(min=1),
        tokens,
        1 - pairs / (x.shape[1] - 1),
        (x == words.space).double().mean(1),
    )
    return torch.stack(columns, 1)


def _different(x: Tensor) -> Tensor:
    """The number of different entries of each row of x (n, d): (n,) float64."""
    return 1 + (x.sort(1).values.diff(dim=1) != 0).sum(1).double()


@dataclass(frozen=True, eq=False)
class Judged:
    """Extracts the six features of windows of tokens below ``vocabulary``, minus ``mean`` (6,), divided by ``spread`` (6,)."""

    judge: Judge
    words: Words
    vocabulary: int
    mean: Tensor
    spread: Tensor

    @staticmethod
    def of(judge: Judge, words: Words, windows: Tensor, vocabulary: int) -> Judged:
        """Standardised on real windows (n, L), n and L at least 2; a constant feature is not scaled."""
        check_tokens(windows, vocabulary, "judged features")
        if len(windows) < 2 or windows.shape[1] < 2:
            raise ValueError(f"windows is {tuple(windows.shape)}; judged features need at least 2 windows of 2 tokens")
        found = raw_features(judge, words, windows)
        spread = found.std(0)
        return Judged(judge, words, vocabulary, found.mean(0), torch.where(spread > 0, spread, 1.0))

    def features(self, x: Tensor) -> Tensor:
        check_tokens(x, self.vocabulary, "judged features")
        return (raw_features(self.judge, self.words, x) - self.mean) / self.spread


@dataclass(frozen=True, eq=False)
class Deciles:
    """Classes of windows by their mean log-likelihood under the judge; ``edges`` (classes - 1,) separate them.

    Real windows fill the classes equally, so the total variation is the share of samples that would have to become more or less
    likely. Classes are empty if a method generates only likely text, or never does. (Clusters of topics would describe missing
    text better, but a window of 64 characters has about a dozen words, most of them common in all topics.)
    """

    judge: Judge
    edges: Tensor

    @property
    def classes(self) -> int:
        return len(self.edges) + 1

    def labels(self, x: Tensor) -> Tensor:
        return torch.bucketize(judged(self.judge, x).mean(1), self.edges)


def deciles_of(judge: Judge, windows: Tensor, classes: int = 10) -> Deciles:
    """Classes by likelihood that real windows (n, L) fill equally; ValueError for fewer windows than classes."""
    if len(windows) < classes:
        raise ValueError(f"windows has {len(windows)} rows; {classes} classes by likelihood need at least {classes}")
    levels = torch.arange(1, classes, dtype=torch.float64) / classes
    return Deciles(judge, judged(judge, windows).mean(1).quantile(levels))


@dataclass(frozen=True)
class Likelihood:
    """Negative log-likelihood per token of a set of windows, in nats, its exponential, and entropies of the set, in nats.

    ``entropy`` is the plug-in estimate of H(x2 | x1) of neighbouring tokens. ``entropy_corrected`` adds the correction of
    Miller and Madow, (K2 - K1) / (2 N), where K2 and K1 are the numbers of different pairs and different first tokens among N
    pairs. The correction assumes independent pairs, so it underestimates the bias for overlapping pairs.
    """

    nats: float
    perplexity: float
    entropy: float
    entropy_corrected: float


def likelihood(judge: Judge, x: Tensor, vocabulary: int) -> Likelihood:
    """The likelihood of windows x (n, L), L at least 2, under the judge."""
    nats = -float(judged(judge, x).mean())
    return Likelihood(nats, math.exp(min(nats, 700.0)), *conditional_entropy(x, vocabulary))


def conditional_entropy(x: Tensor, vocabulary: int) -> tuple[float, float]:
    """H(x2 | x1) of neighbouring tokens in the windows x (n, L), in nats: plug-in, and corrected as in ``Likelihood``."""
    check_tokens(x, vocabulary, "conditional entropy")
    if not x.numel() or x.shape[1] < 2:
        raise ValueError(f"x is {tuple(x.shape)}; a conditional entropy needs windows of at least 2 tokens")
    pairs = torch.bincount(gram_codes(x.cpu(), 2, vocabulary).reshape(-1), minlength=vocabulary**2).double()
    first = pairs.reshape(vocabulary, vocabulary).sum(1)
    total = float(pairs.sum())
    entropy = float(torch.special.entr(pairs / total).sum() - torch.special.entr(first / total).sum())
    return entropy, entropy + float((pairs > 0).sum() - (first > 0).sum()) / (2 * total)


def valid_words(words: Words, x: Tensor) -> float:
    """The share of valid words among all whole words of the windows x (n, L); 0 without whole words."""
    valid, whole = words.count(x)
    return float(valid.sum() / whole.sum().clamp(min=1))


def duplicates(x: Tensor, k: int = DUPLICATE) -> float:
    """The share of the k-grams of x (n, L) that occur more than once in x."""
    _, place, times = gram_hashes(x.detach().cpu(), k).unique(return_inverse=True, return_counts=True)
    return float((times[place] > 1).double().mean())


def discriminator(real: Tensor, generated: Tensor, seed: int = 0, longest: int = 4) -> float:
    """AUC of a logistic regression that distinguishes windows ``generated`` (n, L) from ``real`` (m, L); 0.5 is no difference.

    Its features are counts of 1- to ``longest``-grams, hashed to 32,768 buckets. The AUC is the mean over five folds.

    Raises:
        ValueError: fewer than 10 windows in a set, or unequal lengths.
    """
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    if min(len(real), len(generated)) < 2 * FOLDS or real.shape[1] != generated.shape[1]:
        raise ValueError(
            f"real and generated are {tuple(real.shape)} and {tuple(generated.shape)}; the discriminator needs at least "
            f"{2 * FOLDS} of each, of one length"
        )
    x = torch.cat([real, generated]).cpu()
    columns = torch.cat([gram_hashes(x, k) % HASHED for k in range(1, min(longest, x.shape[1]) + 1)], 1).numpy()
    ends = np.arange(0, columns.size + 1, columns.shape[1])
    table = sparse.csr_matrix((np.ones(columns.size), columns.reshape(-1), ends), shape=(len(x), HASHED))
    table.sum_duplicates()
    y, areas = np.repeat([0, 1], [len(real), len(generated)]), []
    for fit, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed % 2**32).split(table, y):
        model = LogisticRegression(C=0.01, solver="liblinear").fit(table[fit], y[fit])
        areas.append(roc_auc_score(y[test], model.decision_function(table[test])))
    return float(np.mean(areas))


@dataclass(frozen=True, eq=False)
class Gap(Metric):
    """The difference of a statistic such as the entropy between two sets of features, each (n, d): number(a) - number(b). It is
    only reported beside a verdict.

    It is negative if the number is smaller for the first set, and 0 does not mean that the sets are equal. Entropies and
    duplicates grow with the size of a set, so the first rows of both sets are used, equally many.
    """

    name: str
    of: Callable[[Tensor], Tensor]
    number: Callable[[Tensor], float]

    def features(self, x: Tensor) -> Tensor:
        return self.of(x)

    def distance(self, a: Tensor, b: Tensor) -> float:
        n = min(len(a), len(b))
        return self.number(a[:n]) - self.number(b[:n])


def gaps(judge: Judge, words: Words, vocabulary: int) -> tuple[Gap, ...]:
    """Differences in nats per token, in entropy, in the share of valid words and in the share of duplicated 12-grams."""
    return (
        Gap("nats a token less real", lambda x: -judged(judge, x).mean(1, keepdim=True), lambda f: float(f.mean())),
        Gap("entropy of pairs less real", lambda x: x, lambda f: conditional_entropy(f, vocabulary)[0]),
        Gap(
            "valid words less real",
            lambda x: torch.stack(words.count(x), 1),
            lambda f: float(f[:, 0].sum() / f[:, 1].sum().clamp(min=1)),
        ),
        Gap("duplicated 12-grams less real", lambda x: x, duplicates),
    )
