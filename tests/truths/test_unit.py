"""The unit of a squared MMD: n real samples' empirical distribution is on average scatter / n from the data."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from warmflow.metrics.mmd import MMD, kernel_times, mmd_for
from warmflow.metrics.resampled import resampling_counts
from warmflow.metrics.unit import equivalent


def normal(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def kernel(x: Tensor, scale: float) -> Tensor:
    return kernel_times(x, x, torch.eye(len(x), dtype=torch.float64), scale)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_n_samples_of_a_finite_population_are_at_scatter_over_n(n: int) -> None:
    """Over every sequence of n draws with replacement from five points of unequal probability, exactly."""
    points, p = normal(0, 5, 2), torch.tensor([0.3, 0.1, 0.25, 0.05, 0.3], dtype=torch.float64)
    k = kernel(points, 1.3)
    scatter = 1 - float(p @ k @ p)
    mean = 0.0
    for rows in itertools.product(range(5), repeat=n):
        w = torch.bincount(torch.tensor(rows), minlength=5).double() / n - p
        mean += float(p[list(rows)].prod() * (w @ k @ w))
    assert mean == pytest.approx(scatter / n, abs=1e-14)
    assert equivalent(mean, scatter) == pytest.approx(n, rel=1e-12)


def test_scatter_is_unbiased_on_a_finite_population() -> None:
    points, p, metric = normal(1, 4, 2), torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64), MMD("pixels", 1.0)
    exact = 1 - float(p @ kernel(points, 1.0) @ p)
    rows = list(itertools.product(range(4), repeat=3))
    mean = sum(float(p[list(r)].prod()) * metric.scatter(points[list(r)]) for r in rows)
    assert mean == pytest.approx(exact, abs=1e-14)


def test_scatter_is_one_less_the_references_own_term() -> None:
    x, metric = normal(2, 60, 3), MMD("pixels", 1.7)
    assert metric.scatter(x) == 1 - metric.reference(x, resampling_counts(60, 5, 0)).own


def test_scatter_of_gaussians_is_known() -> None:
    """For N(0, I) in d dimensions E exp(-|X - X'|^2 / (2 w^2)) = (1 + 2 / w^2)^(-d / 2), a width w."""
    d, scale = 6, 3.4
    exact = 1 - np.mean([(1 + 2 / (f * scale) ** 2) ** (-d / 2) for f in (0.25, 0.5, 1, 2)])
    assert MMD("pixels", scale).scatter(normal(3, 4_000, d)) == pytest.approx(exact, abs=0.005)


@pytest.mark.parametrize("n", [10, 50])
def test_digits_are_as_good_as_their_number(n: int) -> None:
    """The biased distance of n digits drawn with replacement to all of them reads n in the unit."""
    x = torch.from_numpy(load_digits().data / 8 - 1)[:600]
    metric = mmd_for(x)
    k = kernel(x, metric.scale)
    w = torch.zeros(2_000, 600, dtype=torch.float64)
    rows = torch.from_numpy(np.random.default_rng(n).integers(600, size=(2_000, n)))
    w.scatter_add_(1, rows, torch.full((2_000, n), 1 / n, dtype=torch.float64))
    w -= 1 / 600
    distances = ((w @ k) * w).sum(1)
    scatter = metric.scatter(x) * 599 / 600  # of the finite population, in which X = X' once in 600
    assert equivalent(float(distances.mean()), scatter) == pytest.approx(n, rel=0.01)


def test_the_unit_does_not_depend_on_how_many_samples_are_measured() -> None:
    """Samples of one fixed wrong distribution, 20 or 200 of them, read the same number of real samples on average."""
    metric, real = MMD("pixels", 2.0), normal(4, 1_000, 2)
    reference, read = metric.reference(real, resampling_counts(1_000, 2, 0)), []
    for n, times in ((20, 400), (200, 40)):
        sets = 1.2 * normal(n, times, n, 2) + 0.3
        read.append(equivalent(float(np.mean([metric.against(x, reference)[0] for x in sets])), 1 - reference.own))
    assert read[0] == pytest.approx(read[1], rel=0.15)
    assert 5 < read[1] < 40


def test_equal_distributions_are_as_good_as_any_number() -> None:
    assert equivalent(0.0, 0.5) == equivalent(-1e-3, 0.5) == math.inf


def test_errors_name_the_argument() -> None:
    with pytest.raises(ValueError, match="scatter is 0"):
        equivalent(0.1, 0.0)
    with pytest.raises(ValueError, match=r"scatter is 1\.5"):
        equivalent(0.1, 1.5)
    with pytest.raises(ValueError, match="distance is NaN"):
        equivalent(math.nan, 0.5)


def test_the_spread_of_a_distance_of_zero_is_what_simulation_gives() -> None:
    """400 distances between sets of one distribution: their standard deviation within 15 %."""
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(300, 4, generator=generator, dtype=torch.float64)
    metric = MMD("d", 1.5)
    values = torch.tensor([
        metric.distance(torch.randn(100, 4, generator=generator, dtype=torch.float64),
                        torch.randn(300, 4, generator=generator, dtype=torch.float64))
        for _ in range(400)
    ])  # fmt: skip
    assert abs(float(values.mean())) < 4 * float(values.std()) / 20
    assert metric.null_spread(real, 100) == pytest.approx(float(values.std()), rel=0.15)
