"""Our solvers against torchdiffeq's on the same grid. Ours end with another rule at t = 1, so walks stop at 0.9."""

from dataclasses import dataclass

import pytest
import torch

from warmflow.contracts import Estimate, Field, Start
from warmflow.noise import Noise
from warmflow.paths import LinearPath
from warmflow.solvers import RK4, Euler, Heun, Midpoint

torchdiffeq = pytest.importorskip("torchdiffeq")
X0 = Noise.of(0, 20).normal("x0", 3, dtype=torch.float64)
MATRIX = Noise.of(0, 3).normal("a", 3, dtype=torch.float64)


def bent(t, x):
    return torch.sin(x + 3 * t) - x.flip(1) * t**2


def linear(t, x):
    return x @ MATRIX


@dataclass(frozen=True, eq=False)
class Of(Field):
    function: object
    path: LinearPath = LinearPath()

    def __call__(self, x_t, t, start, *, at=None):
        assert bool((t == t[0]).all())
        u = self.function(t[0], x_t)
        return Estimate(torch.ones(len(x_t), dtype=torch.int64), velocity=u, x1=x_t)


def walk(solver, function, times):
    noise = Noise.of(0, len(X0))
    state = solver.begin(Start(X0), times[0].expand(len(X0)), noise=noise)
    out = [state.x]
    for s in times[1:]:
        state = solver.step(Of(function), state, s.expand(len(X0)), noise=noise)
        out.append(state.x)
    return torch.stack(out)


GRIDS = {"even": torch.linspace(0, 0.9, 8, dtype=torch.float64),
         "uneven": torch.tensor([0.0, 0.03, 0.4, 0.45, 0.9], dtype=torch.float64)}  # fmt: skip


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(("solver", "method"), [(Euler(), "euler"), (Midpoint(), "midpoint")], ids=str)
def test_euler_and_midpoint_are_theirs(solver, method, grid):
    times = GRIDS[grid]
    theirs = torchdiffeq.odeint(bent, X0, times, method=method)
    assert torch.allclose(walk(solver, bent, times), theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(("solver", "method"), [(Euler(), "euler"), (Midpoint(), "midpoint")], ids=str)
def test_and_all_the_way_to_one(solver, method, grid):
    times = torch.cat([GRIDS[grid], torch.ones(1, dtype=torch.float64)])
    theirs = torchdiffeq.odeint(bent, X0, times, method=method)
    assert torch.allclose(walk(solver, bent, times), theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("grid", GRIDS)
def test_rk4_on_a_linear_field_is_theirs(grid):
    """Theirs is the 3/8 rule: on linear fields all fourth-order rules of four stages are one."""
    times = GRIDS[grid]
    theirs = torchdiffeq.odeint(linear, X0, times, method="rk4")
    assert torch.allclose(walk(RK4(), linear, times), theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("grid", GRIDS)
def test_rk4_is_their_classical_step(grid):
    common = pytest.importorskip("torchdiffeq._impl.rk_common")
    if not hasattr(common, "rk4_step_func"):
        pytest.skip("this torchdiffeq has no classical step")
    times, x, out = GRIDS[grid], X0, [X0]

    def function(t, x, perturb=None):
        return bent(t, x)

    for t, s in zip(times[:-1], times[1:], strict=True):
        x = x + common.rk4_step_func(function, t, s - t, s, x)
        out.append(x)
    assert torch.allclose(walk(RK4(), bent, times), torch.stack(out), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("solver", "tolerance"), [(Heun(), 2e-4), (RK4(), 1e-8)], ids=str)
def test_many_steps_reach_dopri5(solver, tolerance):
    times = torch.linspace(0, 1, 201, dtype=torch.float64)
    theirs = torchdiffeq.odeint(bent, X0, times[[0, -1]], method="dopri5", rtol=1e-11, atol=1e-12)[-1]
    assert float((walk(solver, bent, times)[-1] - theirs).abs().max()) < tolerance
