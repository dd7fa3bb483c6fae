"""Solvers: a step is pure, rows are independent and may stand still, no field is asked at t = 1."""

from dataclasses import dataclass, replace

import pytest
import torch

from examples import GAUSSIAN, cases, concrete, example, normal
from warmflow.contracts import Estimate, Field, Solver, Start
from warmflow.noise import Noise
from warmflow.paths import LinearPath
from warmflow.sampler import Sampler
from warmflow.solvers import Euler
from warmflow.sources import StandardNormal

N = 12
NOISE = Noise.of(0, N)
SOLVERS = cases(Solver)


@dataclass(frozen=True, eq=False)
class Watched(Field):
    """An exact field that raises outside [0, 1) and remembers the times it was asked."""

    asked: list
    path: LinearPath = LinearPath(0.0)

    def __call__(self, x_t, t, start, *, at=None):
        if bool((t >= 1).any()) or bool((t < self.path.begin(start)).any()):
            raise AssertionError(f"asked at {t.tolist()}")
        self.asked.append(t)
        one = torch.ones(len(x_t), dtype=torch.int64)
        u = torch.sin(3 * t)[:, None] * x_t + t[:, None]
        return Estimate(one, velocity=u, x1=x_t + (1 - t[:, None]) * u)


def state_of(solver, t, dtype=torch.float64):
    return solver.begin(Start(normal("x0", N, 2, dtype=dtype)), t, noise=NOISE)


def times(value):
    return torch.full((N,), value, dtype=torch.float64)


@pytest.mark.parametrize("s", [0.6, 1.0])
@pytest.mark.parametrize(("kind", "k"), SOLVERS)
def test_a_step_is_pure(kind, k, s):
    solver = example(kind, k)
    state = state_of(solver, times(0.2))
    before = [v.clone() for v in (state.x, state.t, state.calls, state.start.x0)]
    a, b = (solver.step(Watched([]), state, times(s), noise=NOISE) for _ in range(2))
    assert torch.equal(a.x, b.x) and torch.equal(a.calls, b.calls)
    assert all(torch.equal(x, y) for x, y in zip(before, (state.x, state.t, state.calls, state.start.x0), strict=True))
    assert torch.equal(a.t, times(s))


@pytest.mark.parametrize("all_stand", [False, True])
@pytest.mark.parametrize(("kind", "k"), SOLVERS)
def test_rows_that_stand_still_are_unchanged_and_cost_nothing(kind, k, all_stand):
    solver, asked = example(kind, k), []
    t = torch.linspace(0, 1, N, dtype=torch.float64)  # the last row is done already
    still = torch.ones(N, dtype=torch.bool) if all_stand else torch.arange(N) % 3 == 2
    state = state_of(solver, t)
    after = solver.step(Watched(asked), state, torch.where(still, t, (t + 1) / 2), noise=NOISE)
    assert torch.equal(after.x[still], state.x[still]) and bool((after.calls[still] == 0).all())
    assert torch.equal(after.t[still], t[still])
    assert sum(len(a) for a in asked) == int(after.calls.sum()) == int((~still).sum()) * solver.calls_per_step


@pytest.mark.parametrize(("kind", "k"), SOLVERS)
def test_mixed_times_in_one_batch_equal_separate_walks(kind, k):
    solver = example(kind, k)
    begin = torch.tensor([0.0, 0.3, 0.5, 0.9] * 3, dtype=torch.float64)
    start = Start(normal("x0", N, 2, dtype=torch.float64), t=begin)
    sampler = Sampler(StandardNormal((2,)), Watched([]), solver, 6)
    together = sampler(start=start)
    for i in range(N):
        alone = sampler(start=start[i : i + 1])
        assert torch.allclose(together.x[i], alone.x[0], atol=1e-13) and int(together.calls[i]) == int(alone.calls[0])


@pytest.mark.parametrize(("kind", "k"), SOLVERS)
def test_a_step_may_end_some_rows_and_not_others(kind, k):
    solver = example(kind, k)
    state, s = state_of(solver, times(0.5)), torch.where(torch.arange(N) % 2 == 0, 1.0, 0.7).double()
    mixed = solver.step(Watched([]), state, s, noise=NOISE)
    for value in (1.0, 0.7):
        alone = solver.step(Watched([]), state, times(value), noise=NOISE)
        assert torch.equal(mixed.x[s == value], alone.x[s == value])
        assert torch.equal(mixed.calls[s == value], alone.calls[s == value])


@pytest.mark.parametrize("t0", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("steps", [1, 2, 3, 10, 37])
@pytest.mark.parametrize(("kind", "k"), SOLVERS)
def test_no_field_is_asked_at_one_or_before_the_start(kind, k, steps, t0):
    asked = []
    Sampler(StandardNormal((2,)), Watched(asked, LinearPath(t0)), example(kind, k), steps)(4)
    assert len(asked) >= steps and float(asked[0][0]) == t0


@pytest.mark.parametrize(("kind", "k"), SOLVERS)
def test_entries_that_are_data_already_stay(kind, k):
    fixed = torch.arange(2 * N).reshape(N, 2) % 3 == 0
    start = Start(normal("x0", N, 2), fixed=fixed)
    drawn = Sampler(StandardNormal((2,)), Watched([]), example(kind, k), 5)(start=start)
    assert torch.equal(drawn.x[fixed], start.x0[fixed]) and not bool((drawn.x == start.x0)[~fixed].any())


@pytest.mark.parametrize(("kind", "k"), SOLVERS)
def test_state_is_kept_in_float32_or_better(kind, k):
    """In bfloat16 a hundred Euler steps of velocity 1 end at 1.047."""

    @dataclass(frozen=True, eq=False)
    class One(Field):
        path: LinearPath = LinearPath(0.0)

        def __call__(self, x_t, t, start, *, at=None):
            one = torch.ones(len(x_t), dtype=torch.int64)
            return Estimate(one, velocity=torch.ones_like(x_t), x1=x_t + (1 - t[:, None]).to(x_t.dtype))

    start = Start(torch.zeros(3, 2, dtype=torch.bfloat16))
    x = Sampler(StandardNormal((2,)), One(), example(kind, k), 100)(start=start).x
    assert x.dtype == torch.float32 and torch.allclose(x, torch.ones(3, 2), atol=1e-5)


# the sampler: batches, seeds, hooks, noise of the steps


@pytest.mark.parametrize("batch", [1, 7, 23])
@pytest.mark.parametrize(("kind", "k"), SOLVERS)
def test_samples_do_not_depend_on_the_batch_size(kind, k, batch):
    sampler = Sampler(StandardNormal((2,)), GAUSSIAN, example(kind, k), 4)
    whole, parts = sampler(23, seed=5), sampler(23, seed=5, batch=batch)
    assert torch.equal(whole.start.x0, parts.start.x0) and torch.allclose(whole.x, parts.x, atol=1e-5)
    assert torch.equal(whole.calls, parts.calls)
    assert torch.allclose(sampler(9, seed=5).x, whole.x[:9], atol=1e-5), "fewer samples are other samples"
    assert not torch.allclose(sampler(23, seed=6).x, whole.x)


@dataclass(frozen=True)
class Restless(Solver):
    """A solver that adds noise at every step and moves by nothing else."""

    order = calls_per_step = calls_last_step = 1

    def begin(self, start, t, *, noise):
        return Euler().begin(start, t, noise=noise)

    def step(self, field, state, s, *, noise):
        return replace(state, x=state.x + noise.normal("step", 2), t=s)


@pytest.mark.long
def test_every_step_has_noise_of_its_own():
    """n independent steps have variance n; one name used at every step would have n^2."""
    n, steps = 4000, 16
    sampler = Sampler(StandardNormal((2,)), GAUSSIAN, Restless(), steps)
    start = Start(torch.zeros(n, 2))
    whole = sampler(start=start, seed=3)
    assert float(whole.x.var()) == pytest.approx(steps, rel=0.1)
    assert torch.equal(whole.x, sampler(start=start, seed=3, batch=7).x)
    drawn = sampler(n, seed=3)
    assert float((drawn.x - drawn.start.x0).var()) == pytest.approx(steps, rel=0.1)
    r = torch.corrcoef(torch.stack([(drawn.x - drawn.start.x0).flatten(), drawn.start.x0.flatten()]))[0, 1]
    assert abs(float(r)) < 4 / (2 * n) ** 0.5


def test_hooks_see_every_step_in_order_and_steps_count():
    seen = []

    def watch(state):
        seen.append(float(state.t[0]))
        return state

    sampler = Sampler(StandardNormal((2,)), GAUSSIAN, Euler(), 4, hooks=(watch,))
    assert sampler(3).steps == 4
    assert seen == [(4 - i) / 4 * 0.3 + i / 4 for i in range(1, 5)]
    assert sampler(3, steps=2).steps == 2 and len(seen) == 6


def test_a_sampler_is_a_source_that_draws_what_it_samples():
    sampler = Sampler(StandardNormal((2,)), GAUSSIAN, Euler(), 4)
    start = sampler.draw(9, noise=Noise.of(5, 9))
    assert torch.equal(start.x0, sampler(9, seed=5).x) and start.calls.tolist() == [4] * 9
    chain = Sampler(sampler, replace(GAUSSIAN, path=LinearPath(0.8)), Euler(), 2)
    drawn = chain(9, seed=5)
    assert drawn.calls.tolist() == [2] * 9 and drawn.start.calls.tolist() == [4] * 9
    assert chain.draw(9, noise=Noise.of(5, 9)).calls.tolist() == [6] * 9


@pytest.mark.parametrize("n", [0, -1, None])
def test_asking_for_no_samples_is_an_error(n):
    with pytest.raises(ValueError, match="at least one sample"):
        Sampler(StandardNormal((2,)), GAUSSIAN, Euler(), 4)(n)


@pytest.mark.parametrize("steps", [0, -1, 2.5, True, "3", None])
@pytest.mark.parametrize("kind", concrete(Solver), ids=lambda k: k.__name__)
def test_steps_that_are_not_a_whole_number_are_an_error(kind, steps):
    with pytest.raises(ValueError, match=r"steps is"):
        Sampler(StandardNormal((2,)), GAUSSIAN, kind(), steps)(3)
