"""The kernel distance against torchmetrics' KID on the same features. (Frechet: test_frechet.py.)"""

from __future__ import annotations

import pytest
import torch

from warmflow.metrics.kid import KID

theirs = pytest.importorskip("torchmetrics.image.kid")


def _sets(n: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(d)
    a, b = (torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in range(2))
    return a.abs(), 1.1 * b.abs() + 0.05


@pytest.mark.parametrize(("n", "d"), [(2, 3), (150, 5), (200, 64)])
def test_equals_poly_mmd(n: int, d: int) -> None:
    a, b = _sets(n, d)
    assert KID().distance(a, b) == pytest.approx(float(theirs.poly_mmd(a, b)), rel=1e-9, abs=1e-12)


def test_equals_the_metric_given_features_in_one_subset() -> None:
    a, b = _sets(120, 16)
    metric = theirs.KernelInceptionDistance(feature=torch.nn.Identity(), subsets=1, subset_size=120).set_dtype(
        torch.float64
    )
    with torch.random.fork_rng():
        metric.update(a, real=True)
        metric.update(b, real=False)
        mean, _ = metric.compute()
    assert KID().distance(a, b) == pytest.approx(float(mean), rel=1e-5)


def test_equals_the_mean_of_their_values_on_our_disjoint_subsets() -> None:
    from warmflow.noise import permutation

    a, b = _sets(60, 8)
    parts = [x[permutation(3, 60, f"kid.{side}")].split(12) for x, side in ((a, "a"), (b, "b"))]
    values = torch.stack([theirs.poly_mmd(x, y) for x, y in zip(*parts, strict=True)])
    found = KID().estimate(a, b, size=12, seed=3)
    assert found.value == pytest.approx(float(values.mean()), rel=1e-9)
    assert (found.high - found.value) == pytest.approx(
        2.7764451 * float(values.std()) / 5**0.5, rel=1e-6
    )  # t, 4 degrees
