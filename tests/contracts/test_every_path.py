"""Paths: exact at both ends, velocity the derivative of the point, conversions each other's inverse."""

import pytest
import torch

from examples import cases, example, normal
from warmflow.contracts import FlowPath, Pair, Path, Start
from warmflow.noise import Noise

N = 4000


def pair_of(dtype=torch.float32, n=N, t=None):
    return Pair(Start(3 * normal("start", n, 2, dtype=dtype), t=t), normal("datum", n, 2, dtype=dtype))


def sample(path, pair, t):
    return path.sample(pair, t, noise=Noise.of(0, len(pair.x1)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("kind", "k"), cases(Path))
def test_both_ends_are_exact_in_every_bit(kind, k, dtype):
    path, pair = example(kind, k), pair_of(dtype)
    begin = path.begin(pair.start)
    assert begin.dtype == torch.float64 and bool((begin == path.t0).all())
    assert torch.equal(sample(path, pair, begin).x_t, pair.start.x0)
    assert torch.equal(sample(path, pair, torch.ones(N, dtype=torch.float64)).x_t, pair.x1)
    assert torch.equal(sample(path, pair, torch.ones(N)).x_t, pair.x1)


@pytest.mark.parametrize("kind", {k.values[0] for k in cases(Path)}, ids=lambda k: k.__name__)
def test_ends_are_exact_where_starts_carry_their_own_times(kind):
    t = Noise.of(1, N).uniform("t")
    path, pair = example(kind), pair_of(t=t)
    assert torch.equal(path.begin(pair.start), t)
    assert torch.equal(sample(path, pair, t).x_t, pair.start.x0)
    assert torch.equal(sample(path, pair, torch.ones(N, dtype=torch.float64)).x_t, pair.x1)


@pytest.mark.parametrize(("kind", "k"), cases(FlowPath))
def test_velocity_is_the_forward_mode_derivative_in_t(kind, k):
    path, pair = example(kind, k), pair_of(torch.float64, 200)
    t0 = path.begin(pair.start)
    t = t0 + (1 - t0) * Noise.of(2, 200).uniform("t")
    x_t, derivative = torch.func.jvp(lambda t: sample(path, pair, t).x_t, (t,), (torch.ones_like(t),))
    point = sample(path, pair, t)
    assert torch.equal(point.x_t, x_t)
    assert torch.allclose(point.velocity, derivative, rtol=1e-12, atol=1e-12)
    # it points from the start to the datum: a closed form for the straight path, a direction for any
    assert torch.allclose(point.velocity * (1 - t0)[:, None], pair.x1 - pair.start.x0, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("kind", "k"), cases(FlowPath))
def test_conversions_round_trip_and_agree_with_the_point(kind, k, dtype):
    path, pair = example(kind, k), pair_of(dtype)
    t0 = path.begin(pair.start)
    t = t0 + (0.999 - t0) * Noise.of(3, N).uniform("t")
    point = sample(path, pair, t)
    tight = 1e-10 if dtype == torch.float64 else 2e-3  # float32: 1/(1 - t) is up to 1000
    assert torch.allclose(path.velocity(pair.x1, point.x_t, t, pair.start), point.velocity, rtol=tight, atol=tight)
    assert torch.allclose(path.x1(point.velocity, point.x_t, t, pair.start), pair.x1, rtol=tight, atol=tight)
    there = path.velocity(pair.x1, point.x_t, t, pair.start)
    assert torch.allclose(path.x1(there, point.x_t, t, pair.start), pair.x1, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("kind", "k"), cases(FlowPath))
def test_a_millionth_before_the_end_all_is_finite(kind, k, dtype):
    path, pair = example(kind, k), pair_of(dtype)
    t = torch.full((N,), 1 - 1e-6, dtype=torch.float64)
    point = sample(path, pair, t)
    velocity = path.velocity(pair.x1, point.x_t, t, pair.start)
    for value in (point.x_t, point.velocity, velocity, path.x1(velocity, point.x_t, t, pair.start)):
        assert bool(torch.isfinite(value).all())
    assert torch.allclose(path.x1(velocity, point.x_t, t, pair.start), pair.x1, atol=1e-5)


@pytest.mark.parametrize(("kind", "k"), cases(Path))
def test_rows_are_independent(kind, k):
    path, pair = example(kind, k), pair_of(n=50)
    t = path.t0 + (1 - path.t0) * Noise.of(4, 50).uniform("t")
    rows = torch.tensor([40, 3, 3, 17])
    whole, part = sample(path, pair, t), sample(path, pair[rows], t[rows])
    assert torch.equal(whole.x_t[rows], part.x_t) and torch.equal(whole[rows].x_t, part.x_t)


@pytest.mark.parametrize("t0", [-0.1, 1.0, 1.5, float("nan")])
@pytest.mark.parametrize("kind", {k.values[0] for k in cases(Path)}, ids=lambda k: k.__name__)
def test_an_impossible_t0_is_an_error_that_names_it(kind, t0):
    with pytest.raises(ValueError, match="t0 is"):
        kind(t0)
