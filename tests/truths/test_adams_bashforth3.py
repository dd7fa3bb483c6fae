"""Three-step Adams-Bashforth: exact where the slope moves along a parabola, third order on an exact flow, found by its name."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

import warmflow
from warmflow.cli import main
from warmflow.contracts import Estimate, Field, Start
from warmflow.fields import ExactGaussian
from warmflow.noise import Noise
from warmflow.paths import LinearPath
from warmflow.sampler import Sampler
from warmflow.solvers import AdamsBashforth, solver_named
from warmflow.solvers.adams_bashforth3 import AdamsBashforth3
from warmflow.sources import StandardNormal

NOISE = Noise.of(0, 1)


@dataclass(frozen=True, eq=False)
class Parabola(Field):
    """u = a + b t + c t^2, whatever x is."""

    a: float
    b: float
    c: float
    path: LinearPath = LinearPath(0.0)

    def __call__(self, x_t, t, start, *, at=None):
        u = (self.a + self.b * t + self.c * t**2)[:, None].expand_as(x_t)
        return Estimate(torch.ones(len(x_t), dtype=torch.int64), velocity=u)

    def integral(self, t, s):
        return self.a * (s - t) + self.b * (s**2 - t**2) / 2 + self.c * (s**3 - t**3) / 3


def moves(field, times):
    """How far each step moves a point that goes through these times."""
    at = [torch.tensor([t], dtype=torch.float64) for t in times]
    state = AdamsBashforth3().begin(Start(torch.zeros(1, 1, dtype=torch.float64)), at[0], noise=NOISE)
    found = [0.0]
    for s in at[1:]:
        state = AdamsBashforth3().step(field, state, s, noise=NOISE)
        found.append(float(state.x))
    return np.diff(found)


@pytest.mark.parametrize("times", [(0.0, 0.1, 0.4, 0.5, 1.0), (0.1, 0.6, 0.65, 0.9), (0.0, 0.25, 0.5, 0.75, 1.0)])
def test_exact_on_a_parabola_from_the_third_step_whatever_the_lengths(times):
    field = Parabola(0.4, -2.0, 3.0)
    exact = [field.integral(t, s) for t, s in zip(times, times[1:], strict=False)]
    found = moves(field, times)
    assert np.allclose(found[2:], exact[2:], atol=1e-13)
    assert abs(found[0] - exact[0]) > 1e-3 and abs(found[1] - exact[1]) > 1e-3
    line = Parabola(0.4, -2.0, 0.0)
    assert np.allclose(
        moves(line, times)[1:], [line.integral(t, s) for t, s in zip(times[1:], times[2:], strict=False)]
    )


def test_equal_steps_have_the_weights_23_16_5():
    h, (third, *_) = 0.2, moves(Parabola(1.0, 1.0, 1.0), (0.0, 0.2, 0.4, 0.6))[2:]
    u2, u1, u0 = (1 + t + t * t for t in (0.0, 0.2, 0.4))
    assert third == pytest.approx(h * (23 * u0 - 16 * u1 + 5 * u2) / 12, abs=1e-13)


# order, on the flow from N(0, 1) to N(2, 0.3^2), whose map is 2 + 0.3 x0

ONE = torch.eye(1, dtype=torch.float64)
FIELD = ExactGaussian(torch.zeros(1), ONE, torch.tensor([2.0]), 0.09 * ONE, LinearPath(0.0))
X0 = torch.linspace(-2, 2, 21, dtype=torch.float64)[:, None]


def order(solver, steps):
    errors = []
    for n in (steps, 2 * steps):
        drawn = Sampler(StandardNormal((1,)), FIELD, solver, n)(start=Start(X0))
        assert drawn.calls.tolist() == [n] * len(X0)
        errors.append(float((drawn.x - (2 + 0.3 * X0)).square().mean().sqrt()))
    return math.log2(errors[0] / errors[1]), errors[1]


def test_third_order_on_an_exact_flow_with_one_call_a_step():
    found, error = order(AdamsBashforth3(), 128)
    assert found == pytest.approx(3, abs=0.15)
    assert error < order(AdamsBashforth(), 128)[1] / 10


@pytest.mark.parametrize("spacing", [1.0, 2.0])
@pytest.mark.parametrize("n", [4, 10])
def test_the_error_of_the_first_step(spacing, n):
    """On u = a + b t only the first step errs, an Euler step of length h = n^-p: by b h^2 / 2, of order 2 p."""
    sampler = Sampler(StandardNormal((1,)), Parabola(0.4, -2.0, 0.0), AdamsBashforth3(spacing), n)
    moved = float(sampler(start=Start(torch.zeros(1, 1, dtype=torch.float64))).x)
    assert moved - (0.4 - 1.0) == pytest.approx(n ** (-2 * spacing), rel=1e-9)


# found by its name, in Python and at the command line


def test_found_by_its_name(tmp_path, capsys):
    assert warmflow.AdamsBashforth3 is AdamsBashforth3 and solver_named("adams-bashforth-3") == AdamsBashforth3()
    drawn = warmflow.sample(lambda x, t: -x, n=4, shape=(2,), steps=5, solver="adams-bashforth-3")
    assert drawn.shape == (4, 2)
    small = ["--updates", "2", "--width", "8", "--depth", "1", "--train", "200", "--heldout", "200"]
    run, out = tmp_path / "run", tmp_path / "x.npz"
    assert not main(["train", "moons", "--method", "cold", *small, "--quiet", "--out", str(run)])
    capsys.readouterr()
    assert not main(
        ["sample", str(run), "-n", "9", "--steps", "6", "--solver", "adams-bashforth-3", "--out", str(out), "--quiet"]
    )
    assert "6 calls a sample" in capsys.readouterr().out and np.load(out)["x"].shape == (9, 2)
    assert not main(["sample", "--help"])
    assert "adams-bashforth-3" in capsys.readouterr().out
