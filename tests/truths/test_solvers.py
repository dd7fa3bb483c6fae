"""Solvers against closed-form flow maps; calls counted on the network; the grid."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn

from warmflow.contracts import Estimate, Field, Start
from warmflow.fields import ExactGaussian, ExactMixture, Guided, NetworkField
from warmflow.noise import Noise
from warmflow.paths import LinearPath
from warmflow.sampler import Sampler
from warmflow.solvers import RK4, AdamsBashforth, Euler, Heun, Jump, Midpoint, MultistepX1, grid, label
from warmflow.sources import StandardNormal

SOLVERS = [Euler(), Heun(), Midpoint(), RK4(), AdamsBashforth(), MultistepX1()]
NAMED = {"argvalues": SOLVERS, "ids": lambda s: type(s).__name__}
T0 = (0.0, 0.3, 0.7)

# a rotation's columns: both covariances share them, so that the flow map is known
Q = torch.linalg.qr(Noise.of(1, 3).normal("q", 3, dtype=torch.float64))[0]
S0, S1 = torch.tensor([1.0, 0.8, 1.3]).double(), torch.tensor([0.3, 1.5, 0.7]).double()
M0, M1 = torch.tensor([0.5, 0.0, -1.0]).double(), torch.tensor([1.0, -2.0, 0.3]).double()


def gaussian(t0):
    return ExactGaussian(M0, Q @ torch.diag(S0**2) @ Q.T, M1, Q @ torch.diag(S1**2) @ Q.T, LinearPath(t0))


def starts(n=64):
    return M0 + (Noise.of(2, n).normal("x0", 3, dtype=torch.float64) * S0) @ Q.T


def flow_map(x0, t0=None, t=None):
    """Along each shared axis the flow of independent Gaussian ends keeps (x - mean_t) / std_t; at t = 1, mean1 and std1."""
    if t is None:
        return M1 + ((x0 - M0) @ Q * (S1 / S0)) @ Q.T
    a, b = (1 - t) / (1 - t0), (t - t0) / (1 - t0)
    std = torch.sqrt((a * S0) ** 2 + (b * S1) ** 2)
    return a * M0 + b * M1 + ((x0 - M0) @ Q * (std / S0)) @ Q.T


# the slope of the error: a mixture on the line bends, and its flow map is known too, for flows of the line keep order


WEIGHTS, CENTRES, END = torch.tensor([0.3, 0.7]).double(), torch.tensor([[-0.8], [0.7]]).double(), 0.5
X0 = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None]


def mixture(t0):
    return ExactMixture(WEIGHTS, torch.zeros(1, 1).double(), CENTRES, 1.0, END, LinearPath(t0))


def quantiles():
    """F1^-1(F0(x0)) by bisection."""
    low, high = torch.full_like(X0, -10), torch.full_like(X0, 10)
    for _ in range(80):
        middle = (low + high) / 2
        below = (WEIGHTS * torch.special.ndtr((middle - CENTRES.T) / END)).sum(1, keepdim=True) < torch.special.ndtr(X0)
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def error(field, solver, steps):
    end = Sampler(StandardNormal((1,)), field, solver, steps)(start=Start(X0)).x
    assert end.dtype == torch.float64
    return float((end - quantiles()).square().mean().sqrt())


def slope(field, solver, steps=32):
    coarse, fine = error(field, solver, steps), error(field, solver, 2 * steps)
    return float(torch.log2(torch.tensor(coarse / fine))), fine


@pytest.mark.parametrize("t0", T0)
@pytest.mark.parametrize("solver", **NAMED)
def test_error_falls_at_the_declared_order(solver, t0):
    found, fine = slope(mixture(t0), solver)
    assert abs(found - solver.order) < 0.25 and fine < 0.1 ** (solver.order + 0.5)


@pytest.mark.parametrize("solver", **NAMED)
def test_error_falls_at_least_as_fast_on_gaussians(solver):
    """Faster for the midpoint rule, whose second-order term happens to vanish on independent Gaussians."""
    x0, errors = starts(8), []
    for steps in (16, 32):
        end = Sampler(StandardNormal((3,)), gaussian(0.3), solver, steps)(start=Start(x0)).x
        errors.append(float((end - flow_map(x0)).square().mean().sqrt()))
    assert torch.log2(torch.tensor(errors[0] / errors[1])) > solver.order - 0.3 and errors[1] < 0.1


@dataclass(frozen=True, eq=False)
class Turned(Field):
    """A field with its time or its sign turned round."""

    field: Field
    which: str

    @property
    def path(self):
        return self.field.path

    def __call__(self, x_t, t, start, *, at=None):
        asked = 1 + self.path.begin(start) - t if self.which == "time" else t
        estimate = self.field(x_t, asked.clamp(max=1 - 1e-9), start)
        u = -estimate.velocity if self.which == "sign" else estimate.velocity
        return Estimate(estimate.calls, velocity=u, x1=self.path.x1(u, x_t, t, start))


@pytest.mark.parametrize("which", ["time", "sign"])
@pytest.mark.parametrize("solver", **NAMED)
def test_a_reversed_field_fails_the_same_check(solver, which):
    found, fine = slope(Turned(mixture(0.3), which), solver)
    assert abs(found) < 0.2 and fine > 0.1


@pytest.mark.parametrize("t0", T0)
def test_the_exact_field_follows_the_closed_form_all_the_way(t0):
    x0 = starts(8)
    sampler = Sampler(StandardNormal((3,)), gaussian(t0), RK4(), 20)
    for state in sampler.walk(Start(x0), noise=Noise.of(0, len(x0))):
        assert torch.allclose(state.x, flow_map(x0, t0, state.t[0]), atol=1e-4)


@pytest.mark.parametrize("solver", **NAMED)
def test_steps_do_not_depend_on_where_the_label_of_time_begins(solver):
    """In rescaled time t0 changes nothing: the end of n steps is the same for every t0."""
    ends = [Sampler(StandardNormal((3,)), gaussian(t0), solver, 5)(start=Start(starts(8))).x for t0 in T0]
    assert torch.allclose(ends[0], ends[1], atol=1e-10) and torch.allclose(ends[0], ends[2], atol=1e-10)


@pytest.mark.parametrize("t0", [0.1, 0.7, 0.95])
def test_an_x1_step_does_not_depend_on_t0(t0):
    """x += h (x1 - x) / (1 - t): one network, one step, any t0; bit for bit."""
    network, x = Counter(3), starts().float()
    state = Euler().begin(Start(x), torch.full((64,), 0.96, dtype=torch.float64), noise=Noise.of(0, 64))
    s = torch.full((64,), 0.99, dtype=torch.float64)
    cold, warm = (
        Euler().step(NetworkField(network, LinearPath(b), "x1"), state, s, noise=Noise.of(0, 64)).x for b in (0.0, t0)
    )
    assert torch.equal(cold, warm)


# calls, counted on the network


class Counter(nn.Module):
    """Counts the rows it is called with, in all and by the row's name; remembers the latest time."""

    def __init__(self, rows):
        super().__init__()
        self.calls, self.rows, self.latest = 0, torch.zeros(rows, dtype=torch.int64), 0.0

    def forward(self, x, t, row=None):
        self.calls += 1
        if row is not None:
            self.rows.index_add_(0, row, torch.ones_like(row))
        self.latest = max(self.latest, float(t.max()))
        return 0.1 * x


def declared(solver, steps):
    return (steps - 1) * solver.calls_per_step + solver.calls_last_step


@pytest.mark.parametrize("solver", **NAMED)
def test_the_network_is_called_as_declared_for_twenty_t0_and_sixty_four_steps(solver):
    """Each row of the batch has a t0 of its own."""
    t0 = torch.tensor([k / 20 for k in range(20)], dtype=torch.float64)
    start = Start(torch.zeros(20, 1), {"row": torch.arange(20)}, t=t0)
    for steps in range(1, 65):
        network = Counter(20)
        field = NetworkField(network, LinearPath(), sees=("row",))
        drawn = Sampler(StandardNormal((1,)), field, solver, steps)(start=start)
        assert network.calls == declared(solver, steps)
        assert network.rows.tolist() == drawn.calls.tolist() == [declared(solver, steps)] * 20
        assert network.latest < 1


@pytest.mark.parametrize("t0", [0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8,
                                0.85, 0.9, 0.95])  # fmt: skip
@pytest.mark.parametrize("solver", **NAMED)
def test_no_stray_call_for_a_t0_of_the_path(solver, t0):
    """ceil((1 - t0) / h) in float32 makes 4 calls of 3 at t0 = 0.7, h = 0.1."""
    for steps in (1, 2, 3, 7, 64):
        network = Counter(1)
        drawn = Sampler(StandardNormal((1,)), NetworkField(network, LinearPath(t0)), solver, steps)(3)
        assert network.calls == declared(solver, steps) and drawn.calls.tolist() == [network.calls] * 3


@pytest.mark.parametrize("solver", **NAMED)
def test_guidance_doubles_the_calls(solver):
    network = Counter(3)
    field = Guided(NetworkField(network, LinearPath(), sees=("row",)), 2.0, ("row",))
    drawn = Sampler(StandardNormal((1,)), field, solver, 5)(3, condition={"row": torch.arange(3)})
    assert network.calls == 2 * declared(solver, 5) and drawn.calls.tolist() == [network.calls] * 3


def test_totals_written_out():
    """n steps: Euler, Adams-Bashforth and multistep x1 n, Heun 2n - 1, midpoint 2n, RK4 4n - 1."""
    assert [[declared(s, n) for s in SOLVERS] for n in (1, 10)] == [[1, 1, 2, 3, 1, 1], [10, 19, 20, 39, 10, 10]]


# memory


@dataclass(frozen=True, eq=False)
class Turning(Field):
    """A field that turns with time alone: u = u0 + t d, whatever x is."""

    u0: torch.Tensor
    d: torch.Tensor

    @property
    def path(self):
        return LinearPath(0.1)

    def __call__(self, x_t, t, start, *, at=None):
        u = self.u0 + t[:, None] * self.d
        return Estimate(torch.ones(len(x_t), dtype=torch.int64), x1=x_t + (1 - t[:, None]) * u, velocity=u)


@pytest.mark.parametrize("end", [0.5, 0.9, 1.0])
def test_a_step_with_a_memory_is_exact_where_the_slope_moves_along_a_line(end):
    """x(s) = x + (s - t) u0 + (s^2 - t^2) / 2 d, after a step of another length."""
    u0, d = torch.tensor([[0.4, -1.0]]).double(), torch.tensor([[1.5, 0.3]]).double()
    field, solver, noise = Turning(u0, d), AdamsBashforth(), Noise.of(0, 1)
    before, t, s = (torch.tensor([v], dtype=torch.float64) for v in (0.1, 0.4, end))
    begun = solver.begin(Start(torch.tensor([[2.0, 3.0]]).double()), before, noise=noise)
    state = solver.step(field, begun, t, noise=noise)
    assert torch.allclose(state.x, begun.x + 0.3 * (u0 + 0.1 * d), atol=1e-14), "the first step is Euler's"
    found = solver.step(field, state, s, noise=noise).x
    assert torch.allclose(found, state.x + (end - 0.4) * u0 + (end**2 - 0.4**2) / 2 * d, atol=1e-14)


@pytest.mark.parametrize("solver", [AdamsBashforth(), MultistepX1()], ids=label)
def test_memory_belongs_to_its_own_row(solver):
    """A row that stands still keeps its memory; one that began later has none: as if each were walked alone."""
    field, noise, x0 = gaussian(0.0), Noise.of(0, 2), starts(2)

    def walk(x, times):
        state = solver.begin(Start(x), times[0], noise=noise)
        for s in times[1:]:
            state = solver.step(field, state, s, noise=noise)
        return state.x

    times = torch.tensor([[0.1, 0.4], [0.3, 0.4], [0.3, 0.7], [0.8, 1.0], [1.0, 1.0]], dtype=torch.float64)
    both = walk(x0, times)
    alone = [walk(x0[k : k + 1], times[:, k : k + 1][[*(rows)]]) for k, rows in ((0, (0, 1, 3, 4)), (1, (0, 2, 3)))]
    assert torch.allclose(both, torch.cat(alone), atol=1e-12)


@pytest.mark.parametrize("t0", T0)
def test_a_memory_is_worth_half_the_calls(t0):
    """The mixture on the line, its flow map known: eight calls are nearer than sixteen without."""
    assert 2 * error(mixture(t0), AdamsBashforth(), 8) < error(mixture(t0), Euler(), 16)


@dataclass(frozen=True, eq=False)
class Moving(Field):
    """A field whose estimate of the end moves with time alone: x1 = c + t d, whatever x is; d = 0 is a constant estimate."""

    c: torch.Tensor
    d: torch.Tensor
    path: LinearPath

    def __call__(self, x_t, t, start, *, at=None):
        x1 = (self.c + t[:, None] * self.d).expand_as(x_t)
        u = self.path.velocity(x1, x_t, t, start)
        return Estimate(torch.ones(len(x_t), dtype=torch.int64), x1=x1, velocity=u)


C, D = torch.tensor([[0.4, -1.0, 2.0]]).double(), torch.tensor([[1.5, 0.3, -0.7]]).double()


@pytest.mark.parametrize("s", [0.31, 0.5, 0.9, 1 - 1e-9, 1.0])
def test_a_constant_estimate_is_followed_exactly_in_one_step(s):
    """The solution is the line from x to x1: x(s) = r x + (1 - r) x1, r = (1 - s) / (1 - t)."""
    x0, noise, t = starts(4), Noise.of(0, 4), torch.full((4,), 0.3, dtype=torch.float64)
    state = MultistepX1().begin(Start(x0), t, noise=noise)
    found = MultistepX1().step(Moving(C, 0 * D, LinearPath(0.3)), state, torch.full_like(t, s), noise=noise).x
    r = (1 - s) / 0.7
    assert torch.allclose(found, r * x0 + (1 - r) * C, atol=1e-14)


@pytest.mark.parametrize("s", [0.41, 0.6, 0.9, 1.0])
def test_an_estimate_that_moves_along_a_line_is_followed_exactly_with_a_memory(s):
    """y = x - c - t d solves y' = -y / (1 - t) - d, hence y(s) = r y(t) + d (1 - s) log r."""
    x0, noise, field = starts(4), Noise.of(0, 4), Moving(C, D, LinearPath(0.1))
    before, t, end = (torch.full((4,), v, dtype=torch.float64) for v in (0.1, 0.4, s))
    state = MultistepX1().step(field, MultistepX1().begin(Start(x0), before, noise=noise), t, noise=noise)
    found = MultistepX1().step(field, state, end, noise=noise).x
    r = (1 - end[:, None]) / 0.6
    expected = C + s * D + r * (state.x - C - 0.4 * D) + D * torch.special.xlogy(1 - end[:, None], r)
    assert torch.allclose(found, expected, atol=1e-14)


@pytest.mark.parametrize("spacing", [0.7, 1.0, 2.0])
@pytest.mark.parametrize("steps", [2, 3, 5, 20])
def test_an_estimate_that_moves_along_a_line_ends_exactly_at_its_last_value(steps, spacing):
    """At s = 1 the state has no weight and the estimate is extrapolated: the end is c + d for any number of steps."""
    sampler = Sampler(StandardNormal((3,)), Moving(C, D, LinearPath(0.1)), MultistepX1(spacing), steps)
    found = sampler(start=Start(starts(4))).x
    assert torch.allclose(found, (C + D).expand_as(found), atol=1e-12)


@pytest.mark.parametrize("spacing", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("predicts", ["x1", "velocity"])
def test_the_data_prediction_form_ends_finite_in_float32(predicts, spacing):
    """For any number of steps: the weights of x, x1 and the difference of estimates are all bounded."""
    field = NetworkField(Counter(4), LinearPath(0.2), predicts)
    for steps in (1, 2, 64, 1000):
        x = Sampler(StandardNormal((3,)), field, MultistepX1(spacing), steps)(start=Start(starts(4).float())).x
        assert x.dtype == torch.float32 and bool(x.isfinite().all()) and float(x.abs().max()) < 10


@pytest.mark.parametrize("t0", T0)
def test_the_first_step_of_the_data_prediction_form_is_eulers(t0):
    ends = [
        Sampler(StandardNormal((3,)), gaussian(t0), solver, 1)(start=Start(starts())).x
        for solver in (Euler(), MultistepX1())
    ]
    assert torch.allclose(ends[0], ends[1], atol=1e-14)


def test_the_data_prediction_form_tends_to_adams_bashforth_on_short_steps():
    """To second order in h both are x + h u + h^2 / 2 u': one step with the same memory differs by O(h^3)."""

    def gap(h):
        field, noise, ends = gaussian(0.0), Noise.of(0, 4), []
        times = [torch.full((4,), v, dtype=torch.float64) for v in (0.4, 0.4 + h, 0.4 + 2 * h)]
        for solver in (AdamsBashforth(), MultistepX1()):
            state = solver.begin(Start(starts(4)), times[0], noise=noise)
            for s in times[1:]:
                state = solver.step(field, state, s, noise=noise)
            ends.append(state.x)
        return float((ends[0] - ends[1]).norm())

    assert 7 < gap(0.02) / gap(0.01) < 9


def test_a_solver_is_named_with_the_options_that_differ_from_its_defaults():
    names = {
        "Euler": Euler(), "Adams-Bashforth": AdamsBashforth(), "Adams-Bashforth, spacing 1.5": AdamsBashforth(1.5),
        "multistep x1": MultistepX1(), "multistep x1, spacing 0.7": MultistepX1(spacing=0.7), "RK4": RK4(),
        "midpoint": Midpoint(), "jump, renoise 0.2": Jump(0.2),
    }  # fmt: skip
    assert [label(s) for s in names.values()] == list(names)


# the grid


@pytest.mark.parametrize("power", [0.5, 1.3, 2.0])
def test_a_spaced_grid_stands_at_powers_and_is_exact_at_both_ends(power):
    times = grid(torch.tensor([0.3]).double(), 7, power)[:, 0]
    assert torch.allclose(times, 0.3 + 0.7 * (torch.arange(8).double() / 7) ** power, atol=1e-14)
    assert float(times[0]) == float(torch.tensor(0.3).double()) and float(times[-1]) == 1.0


@pytest.mark.parametrize("power", [0.0, -1.0, float("nan"), float("inf")])
def test_spacing_is_positive(power):
    with pytest.raises(ValueError, match="spacing is"):
        grid(torch.zeros(1), 4, power)


@pytest.mark.parametrize("t0", [0.0, 0.1, 0.3, 1 / 3, 0.7, 0.8, 0.9, 0.999])
def test_the_grid_is_float64_even_and_exact_at_both_ends(t0):
    for steps in range(1, 65):
        times = grid(torch.tensor([t0], dtype=torch.float64), steps)[:, 0]
        assert times.dtype == torch.float64 and len(times) == steps + 1
        assert float(times[0]) == t0 and float(times[-1]) == 1.0
        assert bool((times[1:] > times[:-1]).all())
        assert torch.allclose(times.diff(), torch.full((steps,), (1 - t0) / steps, dtype=torch.float64), atol=1e-15)


def test_the_cold_grid_is_i_over_n():
    for steps in range(1, 65):
        times = grid(torch.zeros(1), steps)[:, 0]
        assert times.tolist() == [i / steps for i in range(steps + 1)]


@pytest.mark.parametrize("steps", [0, -1, 2.5, 3.0, True, "3", None])
def test_steps_are_whole_numbers(steps):
    with pytest.raises(ValueError, match="whole number of at least 1"):
        grid(torch.zeros(1), steps)


def test_one_step_is_a_step():
    """linspace(0, 1, n) has n - 1 intervals: one step would return the noise untouched."""
    x0 = starts()
    drawn = Sampler(StandardNormal((3,)), gaussian(0.0), Euler(), 1)(start=Start(x0))
    field = gaussian(0.0)(x0, torch.zeros(len(x0)), Start(x0))
    assert torch.allclose(drawn.x, x0 + field.velocity) and torch.allclose(drawn.x, field.x1)


@pytest.mark.parametrize("solver", **NAMED)
def test_stopping_short_of_one_does_not_jump_to_the_data(solver):
    x0, field = starts(), gaussian(0.0)
    state = solver.begin(Start(x0), torch.full((64,), 0.98, dtype=torch.float64), noise=Noise.of(0, 64))
    s = torch.full((64,), 0.99, dtype=torch.float64)
    moved = solver.step(field, state, s, noise=Noise.of(0, 64)).x - x0
    whole = field(x0, state.t, state.start).velocity
    assert float((moved - 0.01 * whole).norm() / (0.01 * whole).norm()) < 0.2
