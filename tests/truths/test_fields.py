"""Exact fields are exact: against quadrature, least squares, brute force, and the law of their samples."""

import math

import pytest
import torch
from scipy import stats

from warmflow.contracts import Start
from warmflow.fields import ExactGaussian, ExactMixture, finite_data
from warmflow.fields.guided import dropped
from warmflow.noise import Noise
from warmflow.paths import LinearPath
from warmflow.sampler import Sampler
from warmflow.solvers import RK4, Heun, Midpoint
from warmflow.sources import Blurred, External, StandardNormal

D = torch.float64


def normal(name, n, *shape):
    return Noise.of(17, n).normal(name, *shape, dtype=D)


def density(x, mean, std):
    return torch.exp(-0.5 * ((x - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))


def quadrature(x_t, t, t0, weights, starts, ends, p, q):
    """E[(x1 - x0) / (1 - t0) | x_t] in one dimension, by integrating over x1; x0 is what the path then asks for."""
    a, b = (1 - t) / (1 - t0), (t - t0) / (1 - t0)
    x1 = torch.linspace(-12, 12, 200_001, dtype=D)
    x0 = (x_t - b * x1) / a
    joint = sum(w * density(x0, c, p) * density(x1, m, q) for w, c, m in zip(weights, starts, ends, strict=True))
    return float((joint * (x1 - x0)).sum() / joint.sum() / (1 - t0))


@pytest.mark.parametrize("t0", [0.0, 0.6])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8])
def test_mixture_and_gaussian_velocities_equal_quadrature(t0, share):
    t = t0 + (1 - t0) * share
    w, c, m, p, q = [0.2, 0.5, 0.3], [-2.0, 0.0, 1.0], [1.5, -1.0, 3.0], 0.7, 0.4
    column = lambda v: torch.tensor(v, dtype=D)[:, None]  # noqa: E731
    mixture = ExactMixture(torch.tensor(w, dtype=D), column(c), column(m), p, q, LinearPath(t0))
    one = [torch.tensor([v], dtype=D) for v in (0.5, -1.0)]
    gaussian = ExactGaussian(one[0], torch.tensor([[p**2]]), one[1], torch.tensor([[q**2]]), LinearPath(t0))
    for x in (-1.7, 0.0, 0.9, 2.3):
        x_t, times = torch.tensor([[x]], dtype=D), torch.tensor([t], dtype=D)
        found = float(mixture(x_t, times, Start(x_t)).velocity)
        assert found == pytest.approx(quadrature(x, t, t0, w, c, m, p, q), rel=1e-6, abs=1e-8)
        found = float(gaussian(x_t, times, Start(x_t)).velocity)
        p32, q32 = math.sqrt(float(torch.tensor(p**2))), math.sqrt(float(torch.tensor(q**2)))  # given in float32
        assert found == pytest.approx(quadrature(x, t, t0, [1.0], [0.5], [-1.0], p32, q32), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("t0", [0.0, 0.7])
def test_the_gaussian_field_is_the_least_squares_fit_of_sampled_velocities(t0):
    """In three dimensions with unequal covariances: the residual is uncorrelated with 1 and x_t."""
    n = 200_000
    mean0, mean1 = normal("m0", 1, 3)[0], normal("m1", 1, 3)[0]
    root0, root1 = normal("r0", 3, 3), normal("r1", 3, 3)
    field = ExactGaussian(mean0, root0 @ root0.T, mean1, root1 @ root1.T, LinearPath(t0))
    x0, x1 = mean0 + normal("x0", n, 3) @ root0.T, mean1 + normal("x1", n, 3) @ root1.T
    for share in (0.1, 0.5, 0.9):
        t = torch.full((n,), t0 + share * (1 - t0), dtype=D)
        x_t = (1 - share) * x0 + share * x1
        residual = (x1 - x0) / (1 - t0) - field(x_t, t, Start(x_t)).velocity
        for basis in (torch.ones(n, 1, dtype=D), x_t):
            products = residual[:, :, None] * basis[:, None, :]
            z = products.mean(0) / (products.std(0) / math.sqrt(n))
            assert float(z.abs().max()) < 4.5


def test_finite_data_is_the_softmax_of_distances():
    """x1hat = sum_k w_k x_k, w = softmax(-|x_t - t x_k|^2 / (2 (1 - t)^2)), in plain loops."""
    data, x_t = normal("data", 7, 2, 3), normal("x", 5, 2, 3)
    for t in (0.0, 0.3, 0.99):
        found = finite_data(data)(x_t, torch.full((5,), t, dtype=D), Start(x_t)).x1
        for i in range(5):
            weights = [math.exp(-float(((x_t[i] - t * x) ** 2).sum()) / (2 * (1 - t) ** 2) + 0.0) for x in data]
            if sum(weights) == 0:
                continue
            expected = sum(w * x for w, x in zip(weights, data, strict=True)) / sum(weights)
            assert torch.allclose(found[i], expected, atol=1e-9)


@pytest.mark.parametrize("t", [1 - 1e-6, 1 - 1e-9])
def test_finite_data_near_the_end_points_at_the_nearest_datum(t):
    data = normal("data", 7, 2)
    x_t = t * data + (1 - t) * normal("noise", 7, 2)
    estimate = finite_data(data)(x_t.float(), torch.full((7,), t, dtype=D), Start(x_t))
    assert bool(torch.isfinite(estimate.velocity).all())
    assert torch.allclose(finite_data(data)(x_t, torch.full((7,), t, dtype=D), Start(x_t)).x1, data, atol=1e-6)


def walked(field, source, n=4000, solver=None, steps=100):
    return Sampler(source, field, solver or Midpoint(), steps)(n, seed=3).x.double()


def test_samples_of_the_mixture_have_its_law():
    """Many steps: weights, means and spread of the ends, whatever the starts were."""
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=D)
    ends = torch.tensor([[-4.0, 0.0], [0.0, 4.0], [4.0, 0.0]], dtype=D)
    field = ExactMixture(weights, torch.zeros(1, 2, dtype=D), ends, 1.0, 0.3, LinearPath(0.4))
    x = walked(field, StandardNormal((2,)))
    nearest = torch.cdist(x, ends).argmin(1)
    assert stats.chisquare(torch.bincount(nearest, minlength=3).numpy(), (weights * len(x)).numpy()).pvalue > 1e-3
    residual = (x - ends[nearest]) / 0.3
    assert abs(float(residual.mean())) < 4 / math.sqrt(2 * len(x)) and abs(float(residual.std()) - 1) < 0.03
    assert stats.kstest(residual[:, 0].numpy(), "norm").pvalue > 1e-3


@pytest.mark.parametrize("warm", [False, True])
def test_samples_of_finite_data_are_its_points_equally_often(warm):
    data = 3 * normal("points", 8, 2)
    if warm:
        drafts = data.roll(1, 0) * 0.5
        field = finite_data(data, drafts, sigma=0.5, t0=0.8)
        source = Blurred(External.of(drafts, (2,)), 0.5)
    else:
        field, source = finite_data(data), StandardNormal((2,))
    x = walked(field, source, n=1500, solver=Heun(), steps=100)
    distance, nearest = torch.cdist(x, data).min(1)
    assert float((distance < 1e-2).double().mean()) > 0.995
    assert stats.chisquare(torch.bincount(nearest, minlength=8).numpy()).pvalue > 1e-3


@pytest.mark.parametrize("t0", [0.0, 0.5])
def test_the_continuity_equation_holds(t0):
    """d rho / dt + d (rho u) / dx = 0 for the mixture's own density, in one dimension, by central differences."""
    w, c, m = (
        torch.tensor([0.4, 0.6], dtype=D),
        torch.tensor([[-1.0], [0.5]], dtype=D),
        torch.tensor([[2.0], [-1.0]], dtype=D),
    )
    p, q, h = 0.6, 0.4, 1e-4
    field = ExactMixture(w, c, m, p, q, LinearPath(t0))

    def rho(x, t):
        a, b = (1 - t) / (1 - t0), (t - t0) / (1 - t0)
        std = math.sqrt(a**2 * p**2 + b**2 * q**2)
        return (w * density(x[:, None], (a * c + b * m)[:, 0], std)).sum(1)

    def flux(x, t):
        return rho(x, t) * field(x[:, None], torch.full((len(x),), t, dtype=D), Start(x[:, None])).velocity[:, 0]

    x = torch.linspace(-3, 3, 61, dtype=D)
    for t in (t0 + 0.1, t0 + 0.25, t0 + 0.4):
        change = (rho(x, t + h) - rho(x, t - h)) / (2 * h)
        outflow = (flux(x + h, t) - flux(x - h, t)) / (2 * h)
        assert float((change + outflow).abs().max()) < 1e-5 * float(change.abs().max())


def test_images_are_points_with_more_axes():
    data = normal("images", 6, 1, 2, 2)
    x_t, t = normal("x", 4, 1, 2, 2), torch.full((4,), 0.4, dtype=D)
    a = finite_data(data)(x_t, t, Start(x_t)).velocity
    b = finite_data(data.flatten(1))(x_t.flatten(1), t, Start(x_t.flatten(1))).velocity
    assert torch.allclose(a.flatten(1), b, atol=1e-12)


def test_the_gaussian_walk_from_its_source_has_the_end_law():
    cov1 = torch.tensor([[1.0, 0.6], [0.6, 0.5]], dtype=D)
    mean1 = torch.tensor([2.0, -1.0], dtype=D)
    field = ExactGaussian(torch.zeros(2, dtype=D), torch.eye(2, dtype=D), mean1, cov1, LinearPath(0.2))
    x = walked(field, StandardNormal((2,)), n=20_000, solver=RK4(), steps=8)
    white = (x - mean1) @ torch.linalg.inv(torch.linalg.cholesky(cov1)).T
    assert float(white.mean(0).abs().max()) < 4 / math.sqrt(len(x))
    assert float((white.T.cov() - torch.eye(2, dtype=D)).abs().max()) < 4 * math.sqrt(2 / len(x))


@pytest.mark.parametrize("sigma", [0.0, -1.0])
def test_finite_data_needs_noise_at_the_start(sigma):
    with pytest.raises(ValueError, match="sigma is"):
        finite_data(torch.zeros(3, 2), sigma=sigma)


def test_dropping_a_condition_that_is_not_there_names_it():
    start = Start(torch.zeros(2, 1), {"draft": torch.ones(2, 1)})
    with pytest.raises(ValueError, match="cannot drop 'label'.*draft"):
        dropped(start.condition, ["label"])
    assert torch.equal(dropped(start.condition, ["draft"])["draft"], torch.zeros(2, 1))
