"""What the measures of text claim of themselves: unbiased at every size, exact where a dictionary is, and not to be gamed."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from warmflow.evaluation.real import RealData
from warmflow.metrics.copying import CopiedRuns
from warmflow.metrics.judged import (
    Judged,
    Words,
    conditional_entropy,
    deciles_of,
    discriminator,
    duplicates,
    gaps,
    likelihood,
    raw_features,
    valid_words,
)
from warmflow.metrics.kgrams import KGrams, gram_codes, gram_hashes, kgrams_for
from warmflow.metrics.mmd import mmd_for
from warmflow.metrics.resampled import resampling_counts
from warmflow.noise import Noise
from warmflow.problems.measures import real_data, text_data
from warmflow.sources import NGram

LETTERS = " abcdefghijklmnopqrstuvwxyz"


def tokens(seed: int, n: int, length: int, law: Sequence[float] | int) -> Tensor:
    p = np.full(law, 1 / law) if isinstance(law, int) else np.asarray(law) / np.sum(law)
    return torch.from_numpy(np.random.default_rng(seed).choice(len(p), size=(n, length), p=p))


def zipf(v: int, power: float = 1.0) -> np.ndarray:
    p = np.arange(1, v + 1) ** -power
    return p / p.sum()


def as_text(row: Tensor) -> str:
    return "".join(LETTERS[i] for i in row.tolist())


def as_tokens(text: str) -> Tensor:
    return torch.tensor([LETTERS.index(letter) for letter in text])


def slow_divergence(a: Sequence[Sequence[int]], b: Sequence[Sequence[int]], k: int) -> float:
    """J of two bags of windows, gram by gram, from its definition."""
    shares = []
    for bag in (a, b):
        found = Counter(tuple(x[i : i + k]) for x in bag for i in range(len(x) - k + 1))
        shares.append({g: c / sum(found.values()) for g, c in found.items()})
    p, q = shares
    mixed = {g: (p.get(g, 0) + q.get(g, 0)) / 2 for g in {*p, *q}}
    entropies = [-sum(x * math.log(x) for x in table.values()) for table in (mixed, p, q)]
    return entropies[0] - entropies[1] / 2 - entropies[2] / 2


def slow_distance(a: list[list[list[int]]], b: list[list[list[int]]], k: int) -> float:
    cross = np.mean([slow_divergence(x, y, k) for x in a for y in b])
    own = [np.mean([slow_divergence(x, y, k) for x, y in itertools.combinations(bags, 2)]) for bags in (a, b)]
    return float(cross - own[0] / 2 - own[1] / 2)


def bags_of(x: Tensor, bag: int) -> list[list[list[int]]]:
    return [x[i : i + bag].tolist() for i in range(0, len(x) - bag + 1, bag)]


@pytest.mark.parametrize("k", [1, 2, 4])
def test_kgrams_are_their_definition(k: int) -> None:
    """Sets of different sizes, with windows left over beyond the last whole bag, and k-grams that only one of them has."""
    a, b = tokens(0, 11, 9, [1, 1, 1, 0, 2]), tokens(1, 8, 9, [2, 1, 1, 1, 0])
    metric = KGrams("grams", k, 5, 3)
    found = metric.distance(metric.features(a), metric.features(b))
    assert found == pytest.approx(slow_distance(bags_of(a, 3), bags_of(b, 3), k), abs=1e-13)


def test_kgrams_absent_from_the_other_set_enter_in_closed_form() -> None:
    """Shares (1/2, 1/2, 0) and (1/2, 0, 1/2) are log(2)/2 apart, apart altogether log 2; which absent k-grams a set has, and
    whether the real set's table knows them, changes nothing."""
    a, b, c = (torch.tensor(x * 4)[:, None].repeat(1, 6) for x in ([0, 1], [0, 2], [3, 4]))
    metric, counts = KGrams("grams", 2, 6, 2), resampling_counts(8, 5, 0)
    assert metric.distance(metric.features(a), metric.features(b)) == pytest.approx(math.log(2) / 2, abs=1e-15)
    assert metric.distance(metric.features(a), metric.features(c)) == pytest.approx(math.log(2), abs=1e-15)
    reference = metric.reference(metric.features(b), counts)
    first, second = (metric.against(metric.features(x), reference) for x in (a, torch.where(a == 1, 5, a)))
    assert first[0] == second[0] == pytest.approx(math.log(2) / 2, abs=1e-15)
    assert torch.equal(first[1], second[1])


@pytest.mark.long
def test_kgrams_are_unbiased_at_every_size() -> None:
    """Over all samples from two laws of windows of one token, D has the mean E J(A, B) - E J(A, A')/2 - E J(B, B')/2 of bags
    of two; so it is 0 for equal laws, though J is not."""
    p, q, metric = np.array([0.7, 0.2, 0.1]), np.array([0.2, 0.3, 0.5]), KGrams("grams", 1, 3, 2)

    def mean_divergence(p: np.ndarray, q: np.ndarray) -> float:
        pairs = itertools.product(range(3), repeat=4)
        return sum(
            p[i] * p[j] * q[k] * q[n] * slow_divergence([[i], [j]], [[k], [n]], 1) for i, j, k, n in pairs
        )  # fmt: skip

    def mean_distance(p: np.ndarray, q: np.ndarray) -> float:
        found = 0.0
        for rows in itertools.product(range(3), repeat=8):
            x = torch.tensor(rows)[:, None]
            weight = p[list(rows[:4])].prod() * q[list(rows[4:])].prod()
            found += weight * metric.distance(metric.features(x[:4]), metric.features(x[4:]))
        return found

    assert mean_divergence(p, p) > 0.1
    assert mean_distance(p, p) == pytest.approx(0, abs=1e-12)
    expected = mean_divergence(p, q) - mean_divergence(p, p) / 2 - mean_divergence(q, q) / 2
    assert expected > 0.05
    assert mean_distance(p, q) == pytest.approx(expected, abs=1e-12)


def test_excess_of_two_real_sets_has_mean_zero() -> None:
    pool, metric = tokens(2, 600, 20, zipf(40)), kgrams_for(3, 40, 40)
    features = metric.features(pool)
    orders = [np.random.default_rng(i).permutation(600) for i in range(200)]
    found = np.array([metric.distance(features[o[:40]], features[o[40:120]]) for o in orders])
    assert abs(found.mean()) < 4 * found.std() / 200**0.5


def test_against_is_the_distance_of_the_rows() -> None:
    pool, metric = tokens(3, 60, 12, zipf(8)), KGrams("grams", 2, 8, 5)
    a, b = metric.features(pool[:17]), metric.features(pool[17:39])
    found, _ = metric.against(a, metric.reference(b, resampling_counts(22, 3, 0)))
    assert found == pytest.approx(metric.distance(a, b), abs=1e-13)


def test_distance_of_large_sets_is_the_divergence_of_the_laws() -> None:
    p, q = zipf(12), zipf(12)[::-1]
    m = (p + q) / 2
    expected = float((p * np.log(p / m) + q * np.log(q / m)).sum() / 2)
    metric = KGrams("grams", 1, 12, 2_000)
    found = metric.distance(*(metric.features(tokens(i, 8_000, 20, law)) for i, law in enumerate((p, q))))
    assert found == pytest.approx(expected, rel=0.01)


@pytest.mark.long
def test_less_variety_is_no_gain() -> None:
    """Likelier tokens only: below the floor of real sets by J less a fixed floor, above it by D."""
    law, k, n = zipf(60), 3, 100
    metric, plain = kgrams_for(k, 60, n), []
    real = [tokens(i, n, 30, law) for i in range(40)]
    likely = [tokens(100 + i, n, 30, law**1.25) for i in range(20)]
    fair = [metric.distance(metric.features(x), metric.features(y)) for x, y in zip(likely, real[:20], strict=True)]
    for sets in (likely, real[20:]):
        plain.append([slow_divergence(x.tolist(), y.tolist(), k) for x, y in zip(sets, real[:20], strict=True)])
    excess = np.mean(plain[0]) - np.mean(plain[1])
    error = (np.var(plain[0]) + np.var(plain[1])) ** 0.5 / 20**0.5
    assert excess < -4 * error
    assert np.mean(fair) > 4 * np.std(fair) / 20**0.5


def test_replicates_go_through_every_window_taken_out() -> None:
    """With w = 1 + e_i - e_j the replicate is D + (D - D_(-i)) - (D - D_(-j)), each D_(-i) counted anew by dictionary."""
    a, b, k, bag = tokens(4, 9, 7, 4), tokens(5, 13, 7, [1, 2, 3, 1]), 2, 4
    metric = KGrams("grams", k, 4, bag)
    samples, real = bags_of(a, bag), bags_of(b, bag)

    def without(i: int) -> float:
        kept = [[x for n, x in enumerate(part) if j * bag + n != i] for j, part in enumerate(real)]
        return slow_distance(samples, kept, k)

    pairs = [(0, 1), (3, 7), (11, 4), (5, 12)]
    counts = torch.ones(len(pairs), 13, dtype=torch.float64)
    for row, (i, j) in enumerate(pairs):
        counts[row, i] += 1
        counts[row, j] -= 1
    value, replicates = metric.against(metric.features(a), metric.reference(metric.features(b), counts))
    expected = [value - without(i) + without(j) for i, j in pairs]
    np.testing.assert_allclose(replicates.numpy(), expected, atol=1e-12)


def test_replicates_are_not_lifted_and_spread_as_fresh_real_sets_do() -> None:
    """Counting windows twice, which is what they stand for, lifts J by many of its spreads."""
    law, metric = zipf(30), kgrams_for(3, 30, 100)
    a, c = (metric.features(tokens(i, 100, 20, p)) for i, p in enumerate((law, law**0.9)))
    sets, spread, counts = [metric.features(tokens(10 + i, 200, 20, law)) for i in range(60)], [], None
    for i, real in enumerate(sets[:6]):
        counts = resampling_counts(200, 400, i)
        reference = metric.reference(real, counts)
        (value, first), (_, second) = metric.against(a, reference), metric.against(c, reference)
        assert float(first.mean()) == pytest.approx(value, abs=4 * float(first.std()) / 400**0.5)
        spread.append(float((first - second).std()))
    fresh = np.std([metric.distance(a, real) - metric.distance(c, real) for real in sets], ddof=1)
    assert 0.75 < np.mean(spread) / fresh < 1.35
    x, y = tokens(0, 100, 20, law).tolist(), tokens(10, 200, 20, law).tolist()
    drawn = np.random.default_rng(0).integers(200, size=200)
    assert slow_divergence(x, [y[i] for i in drawn], 3) - slow_divergence(x, y, 3) > 5 * fresh


def test_hashes_tell_kgrams_apart_as_codes_do() -> None:
    x = tokens(6, 1, 3_000, 3)[0]
    for k in range(1, 13):
        codes, hashes = gram_codes(x, k, 3).numpy(), gram_hashes(x, k).numpy()
        pairs = len(np.unique(np.stack([codes, hashes]), axis=1).T)
        assert len(hashes) == len(x) - k + 1
        assert pairs == len(np.unique(codes)) == len(np.unique(hashes))
        assert torch.equal(gram_hashes(x[5 : 5 + k], k), gram_hashes(x, k)[5:6])


def test_copied_runs() -> None:
    """0 for windows cut out of the text at any place, 1 for fresh random ones, and for half a window its share of runs."""
    text, fresh = tokens(7, 1, 20_000, 27)[0], tokens(8, 50, 64, 27)
    copied = CopiedRuns.of(text, 64)
    assert copied.k == 24 and CopiedRuns.of(text, 10).k == 5
    begin = torch.arange(0, 19_900, 397)
    cut = text[begin[:, None] + torch.arange(64)]
    assert torch.equal(copied(cut), torch.zeros(len(cut), dtype=torch.float64))
    assert torch.equal(copied(fresh), torch.ones(50, dtype=torch.float64))
    half, runs = torch.cat([cut[:50, :32], fresh[:, 32:]], 1), 64 - 24 + 1
    half[:, 32] = (cut[:50, 32] + 1) % 27
    np.testing.assert_allclose(copied(half).numpy(), 1 - (32 - 24 + 1) / runs)
    one = cut.clone()
    one[:, 40] = (one[:, 40] + 1) % 27
    np.testing.assert_allclose(copied(one).numpy(), 24 / runs)


def test_words_are_those_between_spaces() -> None:
    text = tokens(9, 1, 30_000, [6, *([1] * 5)])[0]
    times = Counter(as_text(text[torch.nonzero(text == 0)[0, 0] :]).split(" ")[1:-1])
    listed = {word for word, n in times.items() if n >= 3 and word}
    words = Words.within(text, least=3)
    assert np.array_equal(words.hashes, Words.of(listed).hashes) and len(words) == len(listed)
    x = tokens(10, 200, 40, [6, *([1] * 7)])
    whole = [[word for word in as_text(row).split(" ")[1:-1] if word] for row in x]
    valid, count = words.count(x)
    assert count.tolist() == [len(row) for row in whole]
    assert valid.tolist() == [sum(word in listed for word in row) for row in whole]
    assert valid_words(words, x) == pytest.approx(float(valid.sum() / count.sum()))
    assert valid_words(words, as_tokens("aaaaaaaa")[None]) == 0


def test_features_of_a_window_are_its_numbers() -> None:
    text = tokens(11, 1, 20_000, [4, *([1] * 9)])[0]
    judge, words = NGram.fit(text, vocabulary=10, order=3, length=30), Words.within(text)
    x = tokens(12, 40, 30, [4, *([1] * 9)])
    found, chances = raw_features(judge, words, x), judge.log_chances(x)
    for row, values, logs in zip(x.tolist(), found.tolist(), chances, strict=True):
        pairs = list(zip(row[:-1], row[1:], strict=True))
        expected = [float(logs.mean()), float(logs.std()), len(set(row)), 1 - len(set(pairs)) / 29, row.count(0) / 30]
        assert [values[i] for i in (0, 1, 3, 4, 5)] == pytest.approx(expected)
        assert 0 <= values[2] <= 1
    judged = Judged.of(judge, words, x, 10)
    features = judged.features(x)
    np.testing.assert_allclose(features.mean(0).numpy(), 0, atol=1e-12)
    np.testing.assert_allclose(features.std(0).numpy(), 1, atol=1e-12)
    metric = mmd_for(x, judged, "judged")
    assert abs(metric.distance(metric.features(x[:20]), metric.features(x[20:]))) < 0.1


class Even:
    """A judge to whom all tokens are equally likely."""

    def log_chances(self, x: Tensor) -> Tensor:
        return torch.full(x.shape, -math.log(27.0), dtype=torch.float64)


def test_likelihood_never_comes_without_entropy() -> None:
    """Under an even judge the likeliest repetition has the perplexity of noise; its entropy is 0."""
    found = likelihood(Even(), torch.zeros(5, 20, dtype=torch.int64), 27)
    assert found.perplexity == pytest.approx(27) and found.nats == pytest.approx(math.log(27))
    assert (found.entropy, found.entropy_corrected) == (0.0, 0.0)
    cycle = (torch.arange(30) % 5)[None].repeat(4, 1)
    assert conditional_entropy(cycle, 27)[0] == pytest.approx(0, abs=1e-12)


def test_entropy_of_pairs_is_corrected_by_half_the_cells_a_pair() -> None:
    """Independent even pairs of 12 tokens: H = log 12; the plug-in is below it by about (144 - 12) / (2 N)."""
    plain, corrected = np.mean([conditional_entropy(tokens(i, 1_000, 2, 12), 12) for i in range(50)], axis=0)
    assert plain - math.log(12) == pytest.approx(-132 / 2_000, rel=0.1)
    assert corrected == pytest.approx(math.log(12), abs=0.005)


def test_duplicates_are_runs_that_stand_elsewhere() -> None:
    x = tokens(13, 30, 40, 27)
    assert duplicates(x) == 0 and duplicates(x.repeat(2, 1)) == 1
    assert duplicates(torch.cat([x, x[:10]])) == pytest.approx(20 / 40)


def test_discriminator_is_at_chance_for_one_law_and_right_for_two() -> None:
    law = zipf(27)
    areas = [discriminator(tokens(i, 150, 32, law), tokens(50 + i, 150, 32, law), i) for i in range(20)]
    assert abs(np.mean(areas) - 0.5) < 4 * np.std(areas) / 20**0.5
    assert discriminator(tokens(0, 50, 32, law), tokens(1, 50, 32, law[::-1])) == 1
    assert discriminator(tokens(0, 150, 32, law), tokens(1, 150, 32, law**0.7)) > 0.7


def test_deciles_are_filled_equally() -> None:
    text = tokens(14, 1, 20_000, zipf(27))[0]
    cells = deciles_of(NGram.fit(text, vocabulary=27, order=2, length=16), text[:16_000].reshape(1_000, 16))
    times = torch.bincount(cells.labels(text[:16_000].reshape(1_000, 16)), minlength=10)
    assert cells.classes == 10 and int(times.min()) >= 98 and int(times.max()) <= 102


def texts() -> tuple[Tensor, Tensor, Tensor, Tensor, NGram, Words]:
    """Windows of one 3-gram model: trained on, test, validation, fresh; a judge and its words from further ones."""
    stream = NGram.fit(tokens(15, 1, 4_000, zipf(27))[0], vocabulary=27, order=3, length=24).draw(
        1_100, noise=Noise.of(0, 1_100)
    )
    x, judge = stream.x0[:900], NGram.fit(stream.x0[900:].reshape(-1), vocabulary=27, order=3, length=24)
    return x[:500], x[500:620], x[620:720], x[720:], judge, Words.within(stream.x0[900:].reshape(-1))


def made(samples: int = 160) -> tuple[RealData, Tensor, Tensor]:
    train, test, validation, fresh, judge, words = texts()
    return text_data(train, test, validation, judge, words, 27, samples, train.reshape(-1)), train, fresh


def test_real_text_measures_tokens() -> None:
    real, train, fresh = made()
    assert [metric.name for metric in real.metrics] == ["4-grams", "3-grams", "2-grams", "1-grams", "judged features"]
    assert [f.scatter is None for f in real.metric_facts] == [True] * 4 + [False], (
        "only a kernel has a number of samples"
    )
    good, copies = real.measure(fresh[:160]), real.measure(train[:160])
    assert copies.copies is not None and good.copies is not None
    assert copies.copies.tolist() == [1.0] * len(real.facts.quantiles)
    assert float((good.copies - torch.tensor(real.facts.quantiles)).abs().max()) < 0.1
    flat = real.measure(torch.zeros_like(fresh[:160]))
    assert good.distance["4-grams"] < flat.distance["4-grams"] and good.classes is not None
    assert int(good.classes.sum()) == 120, "three quarters of the rows are measured against the test set"
    (shown,) = [m for m in real.fixed["metrics"] if m["name"] == "4-grams"]
    assert (shown["kind"], shown["k"]) == ("KGrams", 4)
    with pytest.raises(ValueError, match=r"token 27; with vocabulary=27"):
        real.measure(fresh[:160].clamp(min=27))
    with pytest.raises(ValueError, match=r"float32; give windows of tokens"):
        real.measure(fresh[:160].float())


@pytest.mark.long
def test_a_data_set_of_text_is_measured_so() -> None:
    from warmflow.data.text import text

    data = text("embedded", length=32)
    real, facts = real_data(data, 400)
    assert (real.metrics[0].name, real.shape) == ("4-grams", (32,)) and facts["words"] > 100
    found = torch.cat([data.heldout.x1, data.validation.x1])[
        torch.randperm(400, generator=torch.Generator().manual_seed(0))
    ]
    assert real.measure(found).distance["4-grams"] < real.measure((found + 1) % 27).distance["4-grams"] / 10


def test_gaps_are_differences_of_plain_numbers() -> None:
    train, _, _, fresh, judge, words = texts()
    a, b = fresh[:60], torch.where(fresh[60:120] % 3 == 0, 1, fresh[60:120])
    more = torch.cat([b, torch.zeros_like(b)])
    found = {gap.name: gap.distance(gap.features(a), gap.features(more)) for gap in gaps(judge, words, 27)}
    first, second = (likelihood(judge, x, 27) for x in (a, b))
    assert found["nats a token less real"] == pytest.approx(first.nats - second.nats)
    assert found["entropy of pairs less real"] == pytest.approx(first.entropy - second.entropy)
    assert found["valid words less real"] == pytest.approx(valid_words(words, a) - valid_words(words, b))
    assert found["duplicated 12-grams less real"] == duplicates(a) - duplicates(b)


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: KGrams("g", 14, 27, 5), "k is 14 with vocabulary=27"),
        (lambda: KGrams("g", 2, 27, 1), "bag is 1"),
        (lambda: kgrams_for(2, 27, 7), "size is 7"),
        (lambda: KGrams("g", 5, 27, 2).features(tokens(0, 4, 3, 27)), "windows of 3 tokens"),
        (
            lambda: KGrams("g", 1, 27, 4).distance(*(tokens(i, 7, 3, 27) for i in range(2))),
            "7 windows; it needs at least two",
        ),
        (lambda: gram_hashes(tokens(0, 1, 5, 3), 6), "k is 6"),
        (lambda: CopiedRuns.of(tokens(0, 1, 5, 3)[0], 20), "text has 5 tokens"),
        (lambda: Words.of(["it's"]), "words holds"),
        (lambda: Words.of([]), "words is empty"),
        (lambda: Words.within(torch.ones(20, dtype=torch.int64)), "no word"),
        (lambda: Judged.of(Even(), Words.of(["a"]), tokens(0, 1, 5, 3), 27), "windows is"),
        (lambda: deciles_of(Even(), tokens(0, 9, 5, 3)), "9 rows"),
        (lambda: conditional_entropy(tokens(0, 9, 1, 3), 3), "at least 2 tokens"),
        (lambda: discriminator(tokens(0, 9, 5, 3), tokens(0, 50, 5, 3)), "at least 10"),
    ],
)
def test_errors_name_the_argument(act, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        act()
