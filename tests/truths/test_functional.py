"""Losses for one's own loop: equal to the objective's and to closed forms; draws that never repeat; sampling in closed form."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import warmflow
from warmflow.contracts import Batch, Player, Start
from warmflow.couplings import Assignment, Given, Independent
from warmflow.fields import NetworkField
from warmflow.functional import flow_matching_loss, flow_sampler, pair_batch, path_points, sample, warm_start_loss
from warmflow.noise import Noise
from warmflow.objectives import FlowMatching
from warmflow.paths import LinearPath
from warmflow.solvers import Heun, solver_named
from warmflow.sources import Blurred, External, StandardNormal


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(seed, *shape):
    return torch.randn(*shape, generator=generator(seed))


class Net(nn.Module):
    """Sees x, t and a draft, and notes nothing."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layers = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Dropout(0.5), nn.Linear(16, 2))

    def forward(self, x, t, draft=None, label=None):
        draft = torch.zeros_like(x) if draft is None else draft
        shift = 0 if label is None else label[:, None]
        return self.layers(torch.cat([x, draft, t[:, None]], 1)) + shift


DRAFT, DATA = normal(1, 64, 2), normal(2, 64, 2) + 1


@pytest.mark.parametrize("predicts", ["velocity", "x1"])
@pytest.mark.parametrize("t0", [0.0, 0.8])
def test_warm_start_loss_is_that_of_the_objective(predicts, t0):
    model = Net().eval()
    source = Blurred(External.of(DRAFT, (2,)), 0.3)
    field = NetworkField(model, LinearPath(t0), predicts, ("draft",))
    objective = FlowMatching(field, source, Given(), Player(model))
    noise = Noise.drawn(64, generator(7))
    pair = objective.pair(Batch(DATA, start=Start(DRAFT)), noise=noise)
    theirs = objective.loss("flow", pair, noise=noise)[0]
    ours = warm_start_loss(model, (DRAFT, DATA), t0=t0, predicts=predicts, generator=generator(7))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)


@pytest.mark.parametrize("predicts", ["velocity", "x1"])
def test_flow_matching_loss_is_that_of_the_objective(predicts):
    model, noise = Net().eval(), Noise.drawn(64, generator(7))
    objective = FlowMatching(
        NetworkField(model, LinearPath(), predicts), StandardNormal((2,)), Independent(), Player(model)
    )
    pair = objective.pair(Batch(DATA), noise=noise)
    theirs = objective.loss("flow", pair, noise=noise)[0]
    ours = flow_matching_loss(model, (pair.start.x0, DATA), predicts=predicts, generator=generator(7))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)


def test_the_gradient_is_that_of_the_objective():
    ours, theirs = Net().eval(), Net().eval()
    noise = Noise.drawn(64, generator(7))
    warm_start_loss(ours, (DRAFT, DATA), generator=generator(7)).backward()
    source = Blurred(External.of(DRAFT, (2,)), 0.3)
    objective = FlowMatching(
        NetworkField(theirs, LinearPath(0.8), "velocity", ("draft",)), source, Given(), Player(theirs)
    )
    objective.loss("flow", objective.pair(Batch(DATA, start=Start(DRAFT)), noise=noise), noise=noise)[0].backward()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("t0", [0.0, 0.5, 0.8])
def test_the_exact_velocity_has_no_loss_and_a_shifted_one_its_square(t0):
    """Data that are a function of the draft and a model that knows it: x1 = draft + 2, so u = (x1 - x_t) / (1 - t)."""

    def exact(x_t, t, draft):
        return (draft + 2 - x_t) / (1 - t)[:, None]

    def shifted(x_t, t, draft):
        return exact(x_t, t, draft) + 3

    assert float(warm_start_loss(exact, (DRAFT, DRAFT + 2), t0=t0, generator=generator())) < 1e-6
    assert float(warm_start_loss(shifted, (DRAFT, DRAFT + 2), t0=t0, generator=generator())) == pytest.approx(
        9, rel=1e-4
    )


def test_the_loss_of_the_mean_velocity_is_the_variance():
    """x0 ~ N(0, I), x1 = c: u = c - x0, and the best constant c leaves E |x0|^2 = 1 for each number."""
    n, c = 200_000, 1.5
    loss = flow_matching_loss(
        lambda x, t: torch.full_like(x, c), (normal(3, n, 1), torch.full((n, 1), c)), generator=generator()
    )
    assert float(loss) == pytest.approx(1, abs=4 * (2 / n) ** 0.5)


def test_the_noise_of_a_warm_start_has_the_asked_standard_deviation():
    """With x1 = draft and sigma, u = -sigma eps / (1 - t0); a model that returns 0 pays sigma^2 / (1 - t0)^2."""
    draft = torch.zeros(100_000, 1)
    loss = warm_start_loss(
        lambda x, t, draft: torch.zeros_like(x), (draft, draft), t0=0.5, sigma=0.2, generator=generator()
    )
    assert float(loss) == pytest.approx(0.16, rel=0.02)


def test_times_reach_from_t0_to_one():
    seen = []

    def model(x, t, draft):
        seen.append(t)
        return x

    warm_start_loss(model, (torch.zeros(20_000, 1), torch.zeros(20_000, 1)), t0=0.6, generator=generator())
    (t,) = seen
    assert t.dtype == torch.float32 and 0.6 <= float(t.min()) < 0.6001 and 0.9999 < float(t.max()) <= 1
    assert float(t.mean()) == pytest.approx(0.8, abs=0.003)


def test_path_points_are_the_linear_path():
    x0, x1, t = normal(1, 8, 3), normal(2, 8, 3), torch.linspace(0.5, 1, 8)
    found_t, x_t, u = path_points(x0, x1, t0=0.5, t=t)
    share = ((t - 0.5) / 0.5)[:, None]
    torch.testing.assert_close(x_t, (1 - share) * x0 + share * x1)
    torch.testing.assert_close(u, (x1 - x0) / 0.5)
    assert torch.equal(found_t, t) and torch.equal(x_t[0], x0[0]) and torch.equal(x_t[-1], x1[-1])
    drawn, _, _ = path_points(x0, x1, t0=0.5, generator=generator())
    assert bool((drawn >= 0.5).all()) and bool((drawn <= 1).all())


# ---------------------------------------------------------------- draws


def losses(seed, steps=3):
    """A loop's losses under a seed; the model returns 0, so that a loss tells its draws."""
    made = generator(seed)
    zero = lambda x, t, draft: torch.zeros_like(x)  # noqa: E731
    return [float(warm_start_loss(zero, (DRAFT, DATA), generator=made)) for _ in range(steps)]


def test_two_steps_differ_and_a_seed_repeats_bit_by_bit():
    assert len(set(losses(0))) == 3
    assert losses(0) == losses(0) and not set(losses(0)) & set(losses(1))


def test_two_epochs_differ():
    made, x = generator(), TensorDataset(DRAFT, DATA)
    zero = lambda x, t, draft: torch.zeros_like(x)  # noqa: E731
    epochs = [[float(warm_start_loss(zero, b, generator=made)) for b in DataLoader(x, 16)] for _ in range(2)]
    assert len({loss for epoch in epochs for loss in epoch}) == 8


def test_the_default_generator_is_torchs():
    zero = lambda x, t, draft: torch.zeros_like(x)  # noqa: E731
    with torch.random.fork_rng(devices=[]):
        found = []
        for _ in range(2):
            torch.manual_seed(5)
            found.append([float(warm_start_loss(zero, (DRAFT, DATA))) for _ in range(2)])
    assert found[0] == found[1] and found[0][0] != found[0][1]


def test_a_kept_state_continues_bit_by_bit():
    made, zero = generator(), lambda x, t, draft: torch.zeros_like(x)
    warm_start_loss(zero, (DRAFT, DATA), generator=made)
    state = made.get_state()
    one = warm_start_loss(zero, (DRAFT, DATA), generator=made)
    other = torch.Generator()
    other.set_state(state)
    assert torch.equal(one, warm_start_loss(zero, (DRAFT, DATA), generator=other))


class Points:
    """A collate function that draws path points in the worker."""

    def __call__(self, rows):
        x1 = torch.stack([row[1] for row in rows])
        return path_points(torch.zeros_like(x1), x1)[0]


def test_two_workers_and_two_epochs_in_them_differ():
    loader = DataLoader(TensorDataset(DRAFT, DATA), 16, num_workers=2, collate_fn=Points(), generator=generator())
    times = torch.cat([batch for _ in range(2) for batch in loader])
    assert len(times.unique()) == len(times) == 128


def test_two_processes_seeded_alike_differ(monkeypatch):
    drawn = []
    for rank in (0, 1):
        monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        drawn.append(Noise.drawn(8, generator()).normal("x", 2))
    assert not bool((drawn[0] == drawn[1]).any())


@pytest.mark.parametrize("given", [Noise.of(0, 64), 0])
def test_what_would_repeat_is_refused(given):
    with pytest.raises(ValueError, match="the same numbers in every batch; give a torch.Generator"):
        warm_start_loss(Net(), (DRAFT, DATA), generator=given)


# ---------------------------------------------------------------- pairs of a batch


def test_pair_batch_is_the_assignment_and_moves_noise_only():
    x0, x1 = pair_batch(DRAFT, DATA)
    assert x1 is DATA and sorted(map(tuple, x0.tolist())) == sorted(map(tuple, DRAFT.tolist()))
    theirs = Assignment().pair(Batch(DATA), External.of(DRAFT, (2,)), noise=Noise.of(0, 64))
    assert (x0 - x1).square().sum() <= (DRAFT - DATA).square().sum()
    again, _ = pair_batch(theirs.start.x0, DATA)
    assert torch.equal(again, theirs.start.x0)


def test_pair_batch_stays_within_labels():
    label = torch.arange(64) % 3
    x0, _ = pair_batch(DRAFT, DATA, labels=label)
    for k in range(3):
        mine = [sorted(map(tuple, x[label == k].tolist())) for x in (x0, DRAFT)]
        assert mine[0] == mine[1]


# ---------------------------------------------------------------- sampling


def to_draft_plus_two(x_t, t, draft):
    return (draft + 2 - x_t) / (1 - t)[:, None]


@pytest.mark.parametrize("solver", ["adams-bashforth", "euler", "heun", "midpoint", "multistep-x1", "rk4", Heun()])
@pytest.mark.parametrize("steps", [1, 3])
def test_an_exact_straight_flow_ends_at_its_data(solver, steps):
    found = sample(to_draft_plus_two, DRAFT, steps=steps, solver=solver)
    torch.testing.assert_close(found, DRAFT + 2)


def test_a_model_of_x1_ends_at_it():
    found = sample(lambda x, t, draft: draft + 2, DRAFT, predicts="x1", t0=0.3)
    torch.testing.assert_close(found, DRAFT + 2)


def test_from_noise_one_step_moves_by_the_velocity():
    found = sample(lambda x, t: torch.ones_like(x), n=4, shape=(2,), steps=1, seed=3)
    torch.testing.assert_close(found, Noise.of(3, 4).fold("source").normal("noise", 2) + 1)


def test_samples_do_not_depend_on_the_batch_and_repeat_under_a_seed():
    model = Net()
    whole = sample(model, DRAFT, seed=1)
    torch.testing.assert_close(whole, sample(model, DRAFT, seed=1, batch=10), rtol=1e-5, atol=1e-6)
    assert torch.equal(whole, sample(model, DRAFT, seed=1)) and not torch.equal(whole, sample(model, DRAFT, seed=2))
    assert torch.equal(sample(model, DRAFT.numpy(), seed=1), whole)


def test_a_module_is_evaluated_in_evaluation_mode_and_left_as_it_was():
    model = Net()
    model.layers[0].eval()
    sample(model, DRAFT, steps=1)
    assert model.training and not model.layers[0].training and model.layers[2].training
    assert not torch.is_grad_enabled() or sample(model, DRAFT, steps=1).grad_fn is None


def test_clip_hooks_and_conditions():
    told = []

    def model(x, t, draft, label):
        told.append(label)
        return 100 * torch.ones_like(x)

    hook = lambda state: told.append("hook") or state  # noqa: E731
    label = torch.arange(64)
    found = sample(model, DRAFT, steps=1, clip=(-1, 1), hooks=[hook], condition={"label": label})
    assert bool((found == 1).all()) and torch.equal(told[0], label) and told[1] == "hook"


def test_a_blind_flow_is_not_given_its_draft():
    blind = lambda x, t: torch.zeros_like(x)  # noqa: E731
    assert sample(blind, DRAFT, seen=False).shape == DRAFT.shape
    assert float(warm_start_loss(blind, (DRAFT, DATA), seen=False)) > 0


def test_the_sampler_counts_its_calls_and_can_be_judged():
    generate = flow_sampler(to_draft_plus_two, lambda n, seed: normal(seed, n, 2), solver="heun")
    found = generate(5, steps=3, seed=0)
    assert found.x.shape == (5, 2) and found.calls.tolist() == [5] * 5


def test_solvers_by_name():
    assert solver_named("heun") == Heun()
    with pytest.raises(ValueError, match="solver is 'hen'; did you mean 'heun'"):
        solver_named("hen")


def test_diffusers_outputs_are_read():
    class Output:
        sample = DATA

    assert float(flow_matching_loss(lambda x, t: Output(), (torch.zeros_like(DATA), DATA), predicts="x1")) == 0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: warm_start_loss(Net(), DATA), "batch is of another form; give"),
        (lambda: warm_start_loss(Net(), (DRAFT, DATA, 3)), "third part is a int; give conditions by name"),
        (lambda: warm_start_loss(Net(), (DRAFT[:3], DATA)), r"x0 is \(3, 2\) float32 and x1 \(64, 2\)"),
        (lambda: warm_start_loss(Net(), (DRAFT, DATA), t0=1.0), "t0 is 1.0; it must lie in"),
        (lambda: warm_start_loss(Net(), (DRAFT, DATA), sigma=-1), "sigma is -1"),
        (
            lambda: warm_start_loss(Net(), (DRAFT, DATA), predicts="epsilon"),
            "predicts is 'epsilon'; give 'velocity' or 'x1'",
        ),
        (lambda: warm_start_loss(lambda x, t, draft: x[:, :1], (DRAFT, DATA)), r"returned \(64, 1\), expected"),
        (lambda: path_points(DRAFT, DATA, t=torch.full((64,), 2.0)), r"give 64 times in \[0, 1\]"),
        (lambda: sample(Net()), "n is missing"),
        (lambda: sample(Net(), n=3), "give shape, the shape of one sample"),
        (lambda: sample(Net(), "mixture", n=3), "start is 'mixture'; give drafts"),
        (lambda: sample(Net(), DRAFT, n=3), "n is 3 and there are 64 drafts"),
        (lambda: sample(Net(), DRAFT, step=3), "step is no option of sampling; did you mean 'steps'"),
        (lambda: sample(Net(), DRAFT, steps=0), "steps is 0"),
    ],
)
def test_errors_name_what_is_wrong(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_functions_stand_at_the_top_level():
    assert warmflow.sample is sample and warmflow.functional.warm_start_loss is warm_start_loss
