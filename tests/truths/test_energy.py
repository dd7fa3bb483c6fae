"""The energy distance: its definition, unbiased, the closed forms on the line, used in an evaluation without another edit."""

import itertools
import math

import numpy as np
import pytest
import torch

import warmflow
from warmflow.evaluation.evaluate import Extras
from warmflow.evaluation.study import Training
from warmflow.metrics.energy import EnergyDistance
from warmflow.metrics.mmd import mmd_for
from warmflow.metrics.resampled import resampling_counts

METRIC = EnergyDistance()


def normal(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def test_it_is_unbiased():
    """Over every pair of samples of sizes 2 and 3 from two distributions on three points, its mean is their distance."""
    points = torch.tensor([[0.0], [1.0], [2.5]], dtype=torch.float64)
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])
    apart = torch.cdist(points, points).numpy()
    expected = 2 * p @ apart @ q - p @ apart @ p - q @ apart @ q
    total = 0.0
    for rows in itertools.product(range(3), repeat=5):
        i, j = list(rows[:2]), list(rows[2:])
        total += p[i].prod() * q[j].prod() * METRIC.distance(points[i], points[j])
    assert total == pytest.approx(expected, abs=1e-14) and expected > 0


def folded(mean, variance):
    """E|N(mean, variance)|."""
    if variance == 0:
        return abs(mean)
    return math.sqrt(2 * variance / math.pi) * math.exp(-(mean**2) / (2 * variance)) + mean * math.erf(
        mean / math.sqrt(2 * variance)
    )


@pytest.mark.long
@pytest.mark.parametrize(("shift", "std"), [(0.0, 1.0), (0.5, 1.0), (0.0, 2.0), (-1.0, 0.3)])
def test_two_gaussians_on_the_line(shift, std):
    n = 20_000
    a, b = normal(0, n, 1), shift + std * normal(1, n, 1)
    expected = 2 * folded(shift, 1 + std**2) - folded(0, 2) - folded(0, 2 * std**2)
    assert METRIC.distance(a, b) == pytest.approx(expected, abs=0.02)
    assert (expected == pytest.approx(0, abs=1e-12)) is ((shift, std) == (0.0, 1.0))


def test_equal_distributions_have_mean_zero():
    found = [METRIC.distance(normal(2 * k, 50, 3), normal(2 * k + 1, 80, 3)) for k in range(200)]
    assert abs(np.mean(found)) < 4 * np.std(found) / len(found) ** 0.5 and min(found) < 0 < max(found)
    assert METRIC.distance(normal(0, 50, 3), normal(1, 80, 3) + 1) > max(found)


def test_on_the_line_it_is_twice_the_integral_of_the_squared_difference():
    """Of the two empirical distribution functions; pairs of a row with itself are then counted."""
    a, b = normal(5, 9, 1), 0.4 + 1.5 * normal(6, 7, 1)
    at = torch.cat([a, b]).flatten().sort().values
    gap = (a.flatten()[None] <= at[:, None]).double().mean(1) - (b.flatten()[None] <= at[:, None]).double().mean(1)
    integral = 2 * float((gap[:-1].square() * at.diff()).sum())
    counted = sum(torch.cdist(x, x).sum() / len(x) ** 2 / (len(x) - 1) for x in (a, b))
    assert METRIC.distance(a, b) + float(counted) == pytest.approx(integral, abs=1e-12)


def test_replicates_are_distances_to_the_resampled_set_without_pairs_of_copies():
    a, b = normal(3, 40, 2), normal(4, 30, 2) + 0.2
    counts = torch.cat([torch.ones(1, 30, dtype=torch.float64), resampling_counts(30, 3, 0)])
    value, replicates = METRIC.against(a, METRIC.reference(b, counts))
    assert value == pytest.approx(METRIC.distance(a, b), abs=1e-14) == float(replicates[0])
    own = torch.cdist(a, a).sum() / (40 * 39)
    for w, found in zip(counts, replicates, strict=True):
        rows = torch.arange(30).repeat_interleave(w.long())
        apart = rows[:, None] != rows[None]
        expected = 2 * torch.cdist(a, b[rows]).mean() - own - torch.cdist(b[rows], b[rows])[apart].mean()
        assert float(found) == pytest.approx(float(expected), abs=1e-10)


def test_one_row_is_an_error():
    with pytest.raises(ValueError, match="'energy distance' was given 1 rows; an unbiased distance needs at least 2"):
        METRIC.distance(normal(0, 1, 2), normal(1, 5, 2))


def test_it_judges_samples_beside_the_default_metric():
    """The candidate's samples are exact at one call, those of the baseline are shifted: both metrics say so."""
    train, real, n, calls = normal(10, 300, 2).float(), normal(11, 300, 2).float(), 160, (1, 2, 4, 8)
    sets = {
        name: [{c: normal(100 * k + 10 * s + c, n, 2).float() + shift for c in calls} for s in range(3)]
        for k, (name, shift) in enumerate((("cold", 2.0), ("warm", 0.0)), 1)
    }
    found = warmflow.evaluate(
        real, baseline={"cold": sets["cold"]}, candidates={"warm": sets["warm"]}, train=train,
        metrics=[mmd_for(train, None, "values"), warmflow.EnergyDistance()], extras=Extras(trained=Training.EQUAL),
    )  # fmt: skip
    assert [m.name for m in found.study.metrics] == ["values", "energy distance"]
    assert found.verdict.outcome.name in ("FASTER", "NEARER")
    at = {r.method: r.measure.distance["energy distance"] for r in found.study.rows}
    assert at["warm"] < 0.2 < 1 < at["cold"]
