"""What a window of text is like, through a judge that has read other text: features, cells, and numbers for tables.

A *judge* says how likely each token is after those before it, and was fitted to a part of the data that nothing else is
trained or measured on. A window x of L tokens becomes

    1  the mean of log q(x^i | x^1 .. x^(i-1))        how well the judge expected it
    2  the standard deviation of the same, over i     text has easy and hard places; repetition and noise have one kind
    3  the share of its whole words that are words    whole: between two spaces of the window
    4  how many different tokens it has
    5  the share of its pairs of neighbours that it had before
    6  its share of spaces

standardised by their mean and spread on real windows. The MMD on these sees what k-grams do not: a 5-gram sampler has the
1- to 4-grams of text, but not its words. No number here is a claim alone. A low perplexity is had by saying the likeliest
thing again and again, so the function that gives it gives the entropy beside it.

References:
    A kernel two-sample test, Gretton et al., JMLR 2012
    Note on the bias of information estimates, Miller, in Information theory in psychology, 1955 (the correction)
    Revisiting classifier two-sample tests, Lopez-Paz, Oquab, 2016, arXiv 1610.06545 (the discriminator)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from warmflow.contracts import Metric
from warmflow.metrics.copying import CopiedRuns
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
    """Anything that gives tokens x (n, L) their log-chances given those before them, (n, L) float64, in nats."""

    def log_chances(self, x: Tensor) -> Tensor: ...


def judged(judge: Judge, x: Tensor) -> Tensor:
    """log q of each token of x (n, L), (n, L) float64 on the CPU, 4,096 windows at a time."""
    found = torch.cat([judge.log_chances(part).detach().cpu().double() for part in x.split(ROWS)])
    bad = int((~torch.isfinite(found)).sum())
    if bad:
        raise ValueError(f"judge gives {bad} tokens of x {tuple(x.shape)} no finite log-chance: smooth it")
    return found


def _grown(key: Tensor, token: Tensor) -> Tensor:
    """The hash of a word that is one token longer."""
    return mix(key ^ (token.long() + 1))


@dataclass(frozen=True, eq=False)
class Words:
    """A set of words as sorted 64-bit hashes; a word is what stands between two tokens ``space``."""

    hashes: np.ndarray
    space: int = 0

    def __len__(self) -> int:
        return len(self.hashes)

    @staticmethod
    def of(words: Iterable[str], letters: str = LETTERS) -> Words:
        """The words of a list, written in ``letters``, whose first is the space; letters in the order of the tokens."""
        place = {letter: i for i, letter in enumerate(letters)}
        found = []
        for word in words:
            if not word or any(place.get(letter, 0) == 0 for letter in word):
                raise ValueError(f"words holds {word!r}; a word is written in {letters[1:]!r}: normalise the list")
            key = torch.zeros((), dtype=torch.int64)
            for letter in word:
                key = _grown(key, torch.tensor(place[letter]))
            found.append(int(key))
        if not found:
            raise ValueError("words is empty; give at least one word")
        return Words(np.unique(np.array(found, dtype=np.int64)))

    @staticmethod
    def within(text: Tensor, least: int = LEAST, space: int = 0) -> Words:
        """The whole words that stand at least ``least`` times in a text (T,) of tokens."""
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
                f"the text has no word that stands {least} times between two tokens {space}: bring more text"
            )
        return Words(found[times >= least], space)

    def count(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """How many of the whole words of each window of x (n, L) are words, and how many whole words it has: (n,) each."""
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
    """The six numbers above, not standardised, of x (n, L): (n, 6) float64. A window without a whole word has share 0."""
    x = x.detach().cpu()
    log_chances, (valid, whole) = judged(judge, x), words.count(x)
    tokens, pairs = (_different(x), _different(gram_codes(x, 2, int(x.max()) + 1)))
    columns = (
        log_chances.mean(1),
        log_chances.std(1),
        valid / whole.clamp(min=1),
        tokens,
        1 - pairs / (x.shape[1] - 1),
        (x == words.space).double().mean(1),
    )
    return torch.stack(columns, 1)


def _different(x: Tensor) -> Tensor:
    """How many different entries each row of x (n, d) has, (n,) float64."""
    return 1 + (x.sort(1).values.diff(dim=1) != 0).sum(1).double()


@dataclass(frozen=True, eq=False)
class Judged:
    """An extractor: the six features of windows of tokens below ``vocabulary``, less ``mean`` (6,), over ``spread`` (6,)."""

    judge: Judge
    words: Words
    vocabulary: int
    mean: Tensor
    spread: Tensor

    @staticmethod
    def of(judge: Judge, words: Words, windows: Tensor, vocabulary: int) -> Judged:
        """Standardised on real windows (n, L), n at least 2, L at least 2; a feature that never varies keeps its unit."""
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
    """Cells of a window by its mean log-likelihood under the judge: below the first of ``edges`` (classes - 1,), and so on.

    Real windows fill ten of them equally, so the total variation is the share of an arm's windows that would have to become
    more or less likely; an arm that says only likely things, or one that never does, leaves cells empty. (Clusters of topics
    would name what is missing better, but a window of 64 characters has a dozen words, most of them the same everywhere.)
    """

    judge: Judge
    edges: Tensor

    @property
    def classes(self) -> int:
        return len(self.edges) + 1

    def labels(self, x: Tensor) -> Tensor:
        return torch.bucketize(judged(self.judge, x).mean(1), self.edges)


def deciles_of(judge: Judge, windows: Tensor, classes: int = 10) -> Deciles:
    """Cells that real windows (n, L) fill equally."""
    if len(windows) < classes:
        raise ValueError(f"windows has {len(windows)} rows; {classes} cells of likelihood need at least {classes}")
    levels = torch.arange(1, classes, dtype=torch.float64) / classes
    return Deciles(judge, judged(judge, windows).mean(1).quantile(levels))


@dataclass(frozen=True)
class Likelihood:
    """A set of windows under a judge: nats a token and its exponential, with the set's own entropies beside it, in nats.

    ``entropy`` is H(x2 | x1) of neighbouring tokens, plug-in; ``entropy_corrected`` has the correction of Miller and
    Madow, + (K2 - K1) / (2 N), K2 and K1 being how many pairs and how many first tokens were seen in N pairs. It takes
    pairs for independent draws, so that of overlapping pairs it is a lower estimate of the bias.
    """

    nats: float
    perplexity: float
    entropy: float
    entropy_corrected: float


def likelihood(judge: Judge, x: Tensor, vocabulary: int) -> Likelihood:
    """Of windows x (n, L), L at least 2."""
    nats = -float(judged(judge, x).mean())
    return Likelihood(nats, math.exp(min(nats, 700.0)), *conditional_entropy(x, vocabulary))


def conditional_entropy(x: Tensor, vocabulary: int) -> tuple[float, float]:
    """H(x2 | x1) over the neighbours in the windows x (n, L), in nats: plug-in, and corrected as above."""
    check_tokens(x, vocabulary, "conditional entropy")
    if not x.numel() or x.shape[1] < 2:
        raise ValueError(f"x is {tuple(x.shape)}; a conditional entropy needs windows of at least 2 tokens")
    pairs = torch.bincount(gram_codes(x.cpu(), 2, vocabulary).reshape(-1), minlength=vocabulary**2).double()
    first = pairs.reshape(vocabulary, vocabulary).sum(1)
    total = float(pairs.sum())
    entropy = float(torch.special.entr(pairs / total).sum() - torch.special.entr(first / total).sum())
    return entropy, entropy + float((pairs > 0).sum() - (first > 0).sum()) / (2 * total)


def valid_words(words: Words, x: Tensor) -> float:
    """The share of all whole words of the windows x (n, L) that are words; 0 where there is none."""
    valid, whole = words.count(x)
    return float(valid.sum() / whole.sum().clamp(min=1))


def duplicates(x: Tensor, k: int = DUPLICATE) -> float:
    """The share of the k-grams of x (n, L) that stand elsewhere in x too."""
    _, place, times = gram_hashes(x.detach().cpu(), k).unique(return_inverse=True, return_counts=True)
    return float((times[place] > 1).double().mean())


def discriminator(real: Tensor, generated: Tensor, seed: int = 0, longest: int = 4) -> float:
    """How well a logistic regression on counts of 1- to ``longest``-grams, each hashed to 32,768 places, tells the windows
    ``generated`` (n, L) from ``real`` (m, L): the mean area under the ROC curve over five folds, 0.5 is chance."""
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


def text_numbers(
    x: Tensor, judge: Judge, words: Words, copied: CopiedRuns, vocabulary: int, real: Tensor | None = None
) -> dict[str, float]:
    """One row of a table on windows x (n, L): everything above, and with ``real`` (m, L) the discriminator's area."""
    found: dict[str, Any] = vars(likelihood(judge, x, vocabulary))
    found = {**found, "valid_words": valid_words(words, x), "duplicates": duplicates(x)}
    found["copied_runs"] = 1 - float(copied(x).mean())
    if real is not None:
        found["discriminator"] = discriminator(real, x)
    return found


@dataclass(frozen=True, eq=False)
class Gap(Metric):
    """A plain number of one set less that of another, to stand beside a verdict: number(a) - number(b), of features (n, d).

    It has a sign (below 0: the first set has less of it), and 0 does not say that two sets are alike. Entropies and
    duplicates grow with a set, so equally many rows of both are taken, the first.
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
    """Nats a token, and beside it the entropy; the share of valid words; the share of duplicated 12-grams."""
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
