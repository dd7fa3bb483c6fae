"""The kernel distance on features: its definition, its moments, unbiased, and an interval that covers as often as it says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from warmflow.metrics.kid import KID, LEAST_SUBSETS, SUBSET


def normal(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def slow(a: Tensor, b: Tensor) -> float:
    """The definition, pair by pair."""

    def k(x: Tensor, y: Tensor) -> float:
        return (float(x @ y) / a.shape[1] + 1) ** 3

    own = [np.mean([k(x[i], x[j]) for i, j in itertools.permutations(range(len(x)), 2)]) for x in (a, b)]
    return float(own[0] + own[1] - 2 * np.mean([k(x, y) for x, y in itertools.product(a, b)]))


def test_it_is_its_definition_at_unequal_sizes() -> None:
    a, b = normal(0, 7, 5), 0.4 + normal(1, 4, 5)
    assert KID().distance(a, b) == pytest.approx(slow(a, b), abs=1e-13)
    assert KID().distance(b, a) == pytest.approx(slow(a, b), abs=1e-13)


def test_it_is_unbiased_for_the_distance_of_three_moments() -> None:
    """In one dimension k = 1 + 3 xy + 3 (xy)^2 + (xy)^3, so the laws' distance is 3 dm1^2 + 3 dm2^2 + dm3^2; the mean of D over
    every pair of samples of sizes 2 and 3 from two laws on three points is exactly that."""
    points = torch.tensor([[-0.5], [0.7], [1.5]], dtype=torch.float64)
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])
    gaps = [float((p - q) @ points[:, 0].numpy() ** r) for r in (1, 2, 3)]
    expected = 3 * gaps[0] ** 2 + 3 * gaps[1] ** 2 + gaps[2] ** 2
    total = 0.0
    for rows in itertools.product(range(3), repeat=5):
        i, j = list(rows[:2]), list(rows[2:])
        total += p[i].prod() * q[j].prod() * KID().distance(points[i], points[j])
    assert total == pytest.approx(expected, abs=1e-13)


@pytest.mark.parametrize(("features", "shift", "least"), [(20, 0.0, 0.90), (1, 0.0, 0.86), (1, 0.3, 0.84)])
def test_the_interval_covers_the_true_distance(features: int, shift: float, least: float) -> None:
    """N(0, 1) against N(shift, 1): moments shift, 1 + shift^2, shift^3 + 3 shift. Ten subsets of 20 rows; of 1,000 such pairs of
    sets 95 %, 92 % and 90 % were covered, the bounds here leave four standard errors. Ten subsets give 9 degrees of freedom."""
    truth = 3 * shift**2 + 3 * shift**4 + (shift**3 + 3 * shift) ** 2
    draws, n = 200, 200
    a, b = normal(1, draws, n, features), shift + normal(2, draws, n, features)
    found = [KID().estimate(x, y, size=n // 10) for x, y in zip(a, b, strict=True)]
    assert {(f.subsets, f.size) for f in found} == {(10, 20)}
    assert least <= np.mean([f.low <= truth <= f.high for f in found]) <= 0.985
    values = np.array([f.value for f in found])
    assert values.mean() == pytest.approx(truth, abs=4 * values.std() / draws**0.5)


def test_the_whole_sets_say_more_than_their_subsets() -> None:
    """Between equal laws the estimate over all pairs varies less than the mean over ten subsets, by about sqrt(10)."""
    pairs = [(normal(10 + i, 200, 3), normal(1_000 + i, 200, 3)) for i in range(60)]
    whole = np.std([KID().distance(a, b) for a, b in pairs])
    parts = np.std([KID().estimate(a, b).value for a, b in pairs])
    assert 2 < parts / whole < 5


def test_sizes_are_a_thousand_or_a_tenth_and_the_order_is_the_seeds() -> None:
    a, b = normal(0, 230, 2), normal(1, 210, 2)
    found = KID().estimate(a, b)
    assert (found.size, found.subsets) == (21, 10) and LEAST_SUBSETS * SUBSET == 10_000
    assert KID().estimate(a, b) == found != KID().estimate(a, b, seed=1)
    assert found.low < found.value < found.high
    assert found.value - found.low == pytest.approx(found.high - found.value)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = normal(0, 60, 4), normal(1, 50, 4)
    whole = KID().distance(a, b)
    monkeypatch.setattr("warmflow.metrics.kid._kernel_sum.__defaults__", (77,))
    assert KID().distance(a, b) == pytest.approx(whole, abs=1e-12)


@pytest.mark.parametrize(
    ("a", "b", "message"),
    [((1, 3), (5, 3), "at least 2"), ((5, 3), (5, 4), "equally many"), ((5, 3, 1), (5, 3), "two .rows, features")],
)
def test_errors_of_the_distance(a: tuple[int, ...], b: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KID("on toys").distance(torch.ones(a), torch.ones(b))


def test_errors_of_the_interval() -> None:
    with pytest.raises(ValueError, match="two subsets"):
        KID().estimate(torch.ones(50, 2), torch.ones(50, 2), size=26)
    with pytest.raises(ValueError, match="two subsets"):
        KID().estimate(torch.ones(15, 2), torch.ones(50, 2))
