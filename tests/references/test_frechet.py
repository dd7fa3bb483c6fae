"""The Frechet distance against torchmetrics' computation, scipy's matrix root, and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from warmflow.metrics.frechet import Frechet


def _sets(n: int, m: int, d: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(n + d)
    mixing = torch.randn(d, d, generator=generator, dtype=torch.float64)
    a = torch.randn(n, d, generator=generator, dtype=torch.float64)
    return a, 0.5 + torch.randn(m, d, generator=generator, dtype=torch.float64) @ mixing / d**0.5


@pytest.mark.parametrize(("n", "m", "d"), [(300, 200, 5), (500, 500, 64)])
def test_equals_torchmetrics(n: int, m: int, d: int) -> None:
    fid = pytest.importorskip("torchmetrics.image.fid")
    a, b = _sets(n, m, d)
    theirs = float(fid._compute_fid(a.mean(0), a.T.cov(), b.mean(0), b.T.cov()))
    assert Frechet().distance(a, b) == pytest.approx(theirs, rel=1e-9)


def test_equals_the_matrix_root() -> None:
    a, b = _sets(400, 300, 12)
    root = np.real(sqrtm(a.T.cov().numpy() @ b.T.cov().numpy()))
    trace = float(a.T.cov().trace() + b.T.cov().trace()) - 2 * float(np.trace(root))
    assert Frechet().distance(a, b) == pytest.approx(float((a.mean(0) - b.mean(0)).square().sum()) + trace, rel=1e-9)


def test_closed_form_of_a_shifted_and_stretched_copy() -> None:
    """b = 2 a + v for a of covariance S: |v + mean a|^2 + tr(S + 4 S - 2 (2 S))."""
    a, _ = _sets(200, 2, 6)
    v = torch.arange(6.0, dtype=torch.float64)
    expected = float((a.mean(0) + v).square().sum() + a.T.cov().trace())
    assert Frechet().distance(a, 2 * a + v) == pytest.approx(expected, rel=1e-12)


def test_one_dimension() -> None:
    a, b = _sets(50, 80, 1)
    expected = float((a.mean() - b.mean()) ** 2 + (a.std() - b.std()) ** 2)
    assert Frechet().distance(a, b) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n", "m", "d"), [(2, 2, 100), (10, 300, 64), (300, 10, 64)])
def test_fewer_samples_than_features_is_finite_and_symmetric(n: int, m: int, d: int) -> None:
    a, b = _sets(n, m, d)
    value = Frechet().distance(a, b)
    assert math.isfinite(value) and value > 0
    assert value == pytest.approx(Frechet().distance(b, a), rel=1e-9)
    assert Frechet().distance(a, a) == pytest.approx(0, abs=1e-9)


def test_constant_features_are_no_error() -> None:
    a = torch.ones(20, 4, dtype=torch.float64)
    assert Frechet().distance(a, 3 * a) == pytest.approx(16.0)


def test_one_row_is_an_error_that_says_so() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        Frechet().distance(torch.ones(1, 3), torch.ones(5, 3))
