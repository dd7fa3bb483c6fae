"""Fields: x1 and velocity agree through the path, rows are independent, the start's own noise is never seen."""

from dataclasses import replace

import pytest
import torch

from examples import cases, example, mlp, normal, own_velocity, start_of
from warmflow.contracts import Field
from warmflow.fields import Guided, NetworkField, wrap
from warmflow.fields.guided import dropped
from warmflow.noise import Noise
from warmflow.paths import LinearPath

N = 40


def ask(field, dtype=torch.float32, rows=slice(None), start=None, at=None):
    start = start_of(N, dtype) if start is None else start
    x = normal("x_t", N, 2, dtype=dtype)
    t0 = field.path.begin(start)
    t = t0 + (1 - t0) * Noise.of(1, N).uniform("t") if at is None else torch.full((N,), at, dtype=torch.float64)
    return x[rows], t[rows], start[rows], field(x[rows], t[rows], start[rows])


@pytest.mark.parametrize(("kind", "k"), cases(Field))
def test_x1_and_velocity_are_two_views_of_one_estimate(kind, k):
    field = example(kind, k)
    x, t, start, estimate = ask(field)
    assert estimate.velocity.dtype == x.dtype and estimate.velocity.shape == x.shape
    assert torch.allclose(field.path.x1(estimate.velocity, x, t, start), estimate.x1, atol=1e-4, rtol=1e-4)
    assert estimate.calls.dtype == torch.int64 and bool((estimate.calls >= 1).all())


@pytest.mark.parametrize(("kind", "k"), cases(Field))
def test_rows_are_independent(kind, k):
    field, rows = example(kind, k), torch.tensor([30, 2, 2])
    whole, part = ask(field)[3], ask(field, rows=rows)[3]
    assert torch.allclose(whole.velocity[rows], part.velocity, atol=1e-5, rtol=1e-5)
    assert torch.equal(whole.calls[rows], part.calls)


@pytest.mark.parametrize(("kind", "k"), cases(Field))
def test_of_the_start_only_its_condition_is_seen(kind, k):
    field, start = example(kind, k), start_of(N)
    other = replace(start, x0=start.x0 + 100)
    assert torch.equal(ask(field, start=start)[3].velocity, ask(field, start=other)[3].velocity)


@pytest.mark.parametrize("at", [1 - 1e-6, None, 0.9])
@pytest.mark.parametrize(("kind", "k"), cases(Field))
def test_finite_up_to_a_millionth_before_the_end(kind, k, at):
    estimate = ask(example(kind, k), at=at)[3]
    assert bool(torch.isfinite(estimate.velocity).all() and torch.isfinite(estimate.x1).all())


@pytest.mark.parametrize(("kind", "k"), cases(Field))
def test_finite_at_its_own_beginning(kind, k):
    field = example(kind, k)
    assert bool(torch.isfinite(ask(field, at=field.path.t0)[3].velocity).all())


@pytest.mark.parametrize(("kind", "k"), cases(Field))
def test_inputs_are_left_as_they_were(kind, k):
    field, start = example(kind, k), start_of(N)
    x, t = normal("x_t", N, 2), torch.full((N,), 0.95, dtype=torch.float64)
    before = [v.clone() for v in (x, t, start.x0, *start.condition.values())]
    field(x, t, start)
    assert all(torch.equal(a, b) for a, b in zip(before, (x, t, start.x0, *start.condition.values()), strict=True))


def test_the_network_is_asked_the_raw_time():
    """Not (t - t0)/(1 - t0): with linear paths the same network then serves every t0."""
    asked = []

    class Ear(torch.nn.Module):
        def forward(self, x, t):
            asked.append(t)
            return x

    t = torch.linspace(0.7, 0.9, N, dtype=torch.float64)
    NetworkField(Ear(), LinearPath(0.7))(normal("x", N, 2), t, start_of(N))
    assert torch.equal(asked[0], t.float())


def test_a_prediction_of_the_end_and_of_the_velocity_are_the_same_network_read_twice():
    network, x, start = mlp(), normal("x", N, 2), start_of(N)
    t = torch.full((N,), 0.8, dtype=torch.float64)
    out = network(x, t.float())
    u = NetworkField(network, LinearPath(0.3))(x, t, start)
    e = NetworkField(network, LinearPath(0.3), "x1")(x, t, start)
    assert torch.equal(u.velocity, out) and torch.equal(e.x1, out)
    assert torch.allclose(u.x1, x + 0.2 * out, atol=1e-6)
    assert torch.allclose(e.velocity, (out - x) / 0.2, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="predicts is 'noise'"):
        NetworkField(network, LinearPath(), "noise")


def test_a_missing_condition_is_named():
    with pytest.raises(ValueError, match="sees 'draft'"):
        NetworkField(mlp(), LinearPath(), sees=("draft",))(
            torch.zeros(2, 2), torch.zeros(2, dtype=torch.float64), replace(start_of(2), condition={})
        )


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_guidance_is_the_line_through_blind_and_seeing(scale):
    field = NetworkField(mlp(classes=3), LinearPath(0.1), "velocity", ("label",))
    x, t, start, guided = ask(Guided(field, scale))
    seeing = field(x, t, start).velocity
    blind = field(x, t, replace(start, condition={**start.condition, "label": torch.full((N,), -1)})).velocity
    assert (seeing - blind).abs().max().item() > 1e-3
    assert torch.allclose(guided.velocity, blind + scale * (seeing - blind), atol=1e-6)
    assert bool((guided.calls == 2).all())


def test_dropped_conditions_are_minus_one_for_labels_and_zero_for_tensors():
    condition = start_of(6).condition
    rows = torch.tensor([True, False] * 3)
    out = dropped(condition, ("label", "draft"), rows)
    assert out["label"].tolist() == [-1, 1, -1, 0, -1, 2]
    assert bool((out["draft"][rows] == 0).all()) and torch.equal(out["draft"][~rows], condition["draft"][~rows])


T = torch.full((N,), 0.25, dtype=torch.float64)


@pytest.mark.parametrize("time", ["ascending", "descending"])
@pytest.mark.parametrize("predicts", ["velocity", "x1", "epsilon"])
def test_a_wrapped_model_of_a_known_pair_gives_the_known_velocity(predicts, time):
    """The model knows the pair: whatever it predicts and however its clock runs, u = x1 - eps."""
    eps, x1 = normal("eps", N, 2), normal("x1", N, 2)
    x_t = 0.75 * eps + 0.25 * x1
    clock = []
    sign = -1 if time == "descending" else 1
    out = {"velocity": sign * (x1 - eps), "x1": x1, "epsilon": eps}[predicts]

    def model(x, t):
        clock.append(t)
        return out

    estimate = wrap(model, predicts, time, scale=1000)(x_t, T, start_of(N))
    assert torch.allclose(estimate.velocity, x1 - eps, atol=1e-5)
    assert torch.allclose(estimate.x1, x1, atol=1e-5)
    assert float(clock[0][0]) == pytest.approx(1000 * (0.75 if time == "descending" else 0.25))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [((own_velocity, "score"), "predicts is"), ((own_velocity, "x1", "backwards"), "time is"), ((3,), "is a int")],
)
def test_wrap_refuses_what_it_does_not_know(arguments, match):
    with pytest.raises(ValueError, match=match):
        wrap(*arguments)
    with pytest.raises(ValueError, match="expected a tensor of shape"):
        wrap(lambda x, t: x[:, :1])(torch.zeros(N, 2), T, start_of(N))
