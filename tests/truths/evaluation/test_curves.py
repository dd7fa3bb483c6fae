"""Bounds are Welch's where the real set is certain; bands hold together, and are narrower than Bonferroni's."""

import numpy as np
import pytest
from hand_made import curve
from scipy import stats

from warmflow.evaluation.curves import (
    Bounds,
    Curve,
    band,
    band_of_difference,
    difference,
    distances,
    shared_error,
    simultaneous,
)


def random_curve(name, generator, k, n=4, spread=1.0, replicates=None):
    values = spread * generator.standard_normal((k, n)) + np.arange(n)
    mean = values.mean(0)[:, None]
    return Curve(
        name,
        np.arange(1, n + 1),
        np.arange(1.0, n + 1),
        {"m": values},
        {"m": np.repeat(mean, 10, 1) if replicates is None else mean + replicates},
        {"m": values.mean(0)},
    )


@pytest.mark.parametrize("k", [2, 3, 8])
def test_with_a_certain_real_set_the_bounds_are_welchs(k):
    generator = np.random.default_rng(k)
    a, b = random_curve("a", generator, k, spread=1.0), random_curve("b", generator, k, spread=3.0)
    rows, others = np.array([0, 2, 3]), np.array([1, 1, 0])
    found = difference(a, b, "m", rows, others)
    for i, (r, s) in enumerate(zip(rows, others, strict=True)):
        test = stats.ttest_ind(a.values["m"][:, r], b.values["m"][:, s], equal_var=False, alternative="greater")
        interval = stats.ttest_ind(a.values["m"][:, r], b.values["m"][:, s], equal_var=False).confidence_interval(0.95)
        side = found.low if test.pvalue < 0.5 else found.high  # the bound at its own p-value
        assert side(max(test.pvalue, 1 - test.pvalue))[i] == pytest.approx(0, abs=1e-6)
        assert found.freedom[i] == pytest.approx(test.df)
        assert (found.low(0.975)[i], found.high(0.975)[i]) == pytest.approx((interval.low, interval.high))


def test_of_one_method_the_interval_is_students():
    a = random_curve("a", np.random.default_rng(0), 5)
    found = distances(a, "m")
    for i in range(4):
        interval = stats.ttest_1samp(a.values["m"][:, i], 0).confidence_interval(0.95)
        assert (found.low(0.975)[i], found.high(0.975)[i]) == pytest.approx((interval.low, interval.high))


def test_only_what_the_real_set_does_to_the_difference_counts():
    generator = np.random.default_rng(1)
    shared, own = generator.standard_normal((1, 300)), generator.standard_normal((4, 300))
    a = random_curve("a", generator, 3, spread=1e-9, replicates=5 * shared)
    b = random_curve("b", generator, 3, spread=1e-9, replicates=5 * shared)
    c = random_curve("c", generator, 3, spread=1e-9, replicates=5 * shared + own)
    assert difference(a, b, "m", other=0).error == pytest.approx(np.zeros(4), abs=1e-6)
    assert difference(a, c, "m", other=0).error == pytest.approx(np.full(4, own[0].std(ddof=1)), rel=1e-6)
    z = stats.norm.ppf(0.975)
    bounds = difference(a, c, "m", other=0)
    assert bounds.estimate - bounds.low(0.975) == pytest.approx(z * bounds.error)  # no loss of freedom
    assert distances(a, "m").error == pytest.approx(np.full(4, 5 * shared.std(ddof=1)), rel=1e-6)


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("real", [0.1, 1.0])
@pytest.mark.parametrize("still", [False, True])
def test_a_bound_fails_no_more_often_than_it_says(k, real, still):
    """One or both methods noisy, beside a real set whose part is known: by Satterthwaite's freedom of the whole variance the
    error at a nominal 0.25 % was 3.2 % for two seeds, one of them still."""
    generator = np.random.default_rng(k)
    n = 40_000
    parts = generator.chisquare(k - 1, (2, n)) / (k - 1) / k * np.array([[1.0], [0.0 if still else 1.0]])
    known = real * (1 if still else 2) / k * np.ones(n)
    d = generator.standard_normal(n) * np.sqrt((1 if still else 2) / k * (1 + real))
    freedom = np.clip(parts.sum(0) ** 2 / np.maximum((parts**2).sum(0) / (k - 1), 1e-300), k - 1, None)
    bounds = Bounds(d, parts.sum(0), known, freedom)
    for error in (0.025, 0.0025):
        assert (bounds.low(1 - error) > 0).mean() < error + 4 * (error / n) ** 0.5


def equal_correlation(n, rho):
    return (1 - rho) * np.eye(n) + rho * np.ones((n, n))


@pytest.mark.parametrize("freedom", [4, 1e6])
def test_a_simultaneous_value_lies_between_pointwise_and_bonferroni(freedom):
    n = 8
    pointwise, bonferroni = stats.t.ppf(0.975, freedom), stats.t.ppf(1 - 0.025 / n, freedom)
    independent = simultaneous(np.eye(n), freedom)
    middle = simultaneous(equal_correlation(n, 0.9), freedom)
    same = simultaneous(np.ones((n, n)), freedom)
    assert pointwise <= same < 1.1 * pointwise
    assert same < middle < independent < 1.08 * bonferroni
    assert simultaneous(np.diag([1.0, 9, 4]), freedom) == pytest.approx(simultaneous(np.eye(3), freedom))


def test_a_simultaneous_value_of_normals_is_the_quantile_of_their_maximum():
    exact = stats.norm.ppf(0.5 + 0.95 ** (1 / 5) / 2)
    assert simultaneous(np.eye(5), 1e6) == pytest.approx(exact, abs=0.06)


def test_bands_hold_at_all_numbers_of_calls_together():
    generator, inside, pointwise = np.random.default_rng(3), 0, 0
    times, n, k = 400, 8, 6
    root = np.linalg.cholesky(equal_correlation(n, 0.5))
    for _ in range(times):
        x = generator.standard_normal((k, n)) @ root.T
        a = Curve(
            "a", np.arange(n), np.arange(1.0, n + 1), {"m": x}, {"m": np.repeat(x.mean(0)[:, None], 4, 1)}, {"m": x[0]}
        )
        whole, bounds = band(a, "m"), distances(a, "m")
        inside += bool(((whole.low <= 0) & (whole.high >= 0)).all())
        pointwise += bool(((bounds.low(0.975) <= 0) & (bounds.high(0.975) >= 0)).all())
    assert stats.binomtest(inside, times, 0.95, alternative="less").pvalue > 1e-3
    assert pointwise / times < 0.85 < inside / times


def test_a_band_of_a_difference_of_equal_methods_covers_zero():
    generator, covered = np.random.default_rng(4), 0
    rows = np.arange(4)
    for _ in range(200):
        a, b = random_curve("a", generator, 4), random_curve("b", generator, 4)
        found = band_of_difference(a, b, "m", rows, rows)
        covered += bool(((found.low <= 0) & (found.high >= 0)).all())
    assert stats.binomtest(covered, 200, 0.95, alternative="less").pvalue > 1e-3


@pytest.mark.parametrize("freedom", [4, 100])
def test_a_shared_error_lies_between_bonferroni_and_the_whole(freedom):
    n, e = 8, 0.05
    independent = shared_error(np.eye(n), freedom, e)
    same = shared_error(np.ones((n, n)), freedom, e)
    middle = shared_error(equal_correlation(n, 0.9), freedom, e)
    assert independent == pytest.approx(1 - (1 - e) ** (1 / n), rel=0.25)
    assert same == pytest.approx(e, rel=0.2)
    assert e / n <= independent < middle < same <= e
    assert shared_error(np.eye(1), freedom, e) == e


def test_several_tests_at_a_shared_error_make_one_false_claim_in_so_many():
    generator, false, unshared, times, k, n = np.random.default_rng(5), 0, 0, 2_000, 4, 8
    covariance = equal_correlation(n, 0.6)
    root = np.linalg.cholesky(covariance)
    each = shared_error(covariance, k - 1, 0.05)
    for _ in range(times):
        p = stats.ttest_1samp(generator.standard_normal((k, n)) @ root.T, 0, alternative="greater").pvalue
        false += bool((p < each).any())
        unshared += bool((p < 0.05).any())
    assert stats.binomtest(false, times, 0.05).pvalue > 1e-3
    assert unshared / times > 0.12


def test_one_seed_tells_nothing_of_training():
    a = curve("a", {1: 0.5, 2: 0.4}, k=1, real=0.1)
    assert distances(a, "m").error == pytest.approx([0.1, 0.1])


def test_values_without_any_noise_have_finite_bounds():
    a, b = curve("a", {1: 0.5, 2: 0.4}, sd=0.0), curve("b", {1: 0.6, 2: 0.4}, sd=0.0)
    found = difference(b, a, "m", np.array([0, 1]), np.array([0, 1]))
    assert found.low(0.975) == pytest.approx([0.1, 0.0]) and found.low(1 - 1e-9) == pytest.approx([0.1, 0.0])
    whole = band(a, "m")
    assert whole.low == pytest.approx([0.5, 0.4]) == whole.high
