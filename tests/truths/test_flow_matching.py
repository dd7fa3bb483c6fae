"""Flow matching: equal to twenty lines that import nothing of ours, and stationary at the exact field alone."""

import math

import pytest
import torch
from torch import nn

from warmflow.contracts import Batch, Pair, Player, Start
from warmflow.couplings import Given, Independent
from warmflow.fields import ExactGaussian, NetworkField, finite_data
from warmflow.noise import Noise
from warmflow.objectives import FlowMatching
from warmflow.paths import LinearPath
from warmflow.sampler import Sampler
from warmflow.solvers import Euler
from warmflow.sources import Blurred, External, StandardNormal

# the reference: cold flow matching, as anyone would write it


def reference_samples(network, noise, steps, predicts):
    x = noise.clone()
    for i in range(steps):
        t, s = i / steps, (i + 1) / steps
        out = network(x, torch.full((len(x),), t))
        u = (out - x) / torch.tensor(1 - t, dtype=torch.float32) if predicts == "x1" else out
        x = x + torch.tensor(s - t, dtype=torch.float32) * u
    return x


def reference_loss(network, x0, x1, t, predicts):
    a, b = (1 - t).float()[:, None], t.float()[:, None]
    x_t = a * x0 + b * x1
    return ((network(x_t, t.float()) - (x1 if predicts == "x1" else x1 - x0)) ** 2).mean()


class Net(nn.Module):
    """A plain network of torch's own."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layers = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 2))

    def forward(self, x, t):
        return self.layers(torch.cat([x, t[:, None]], 1))


@pytest.mark.parametrize("predicts", ["velocity", "x1"])
@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 32])
def test_at_t0_zero_samples_equal_the_reference_bit_for_bit(steps, predicts):
    network = Net()
    drawn = Sampler(StandardNormal((2,)), NetworkField(network, LinearPath(), predicts), Euler(), steps)(50, seed=1)
    with torch.no_grad():
        assert torch.equal(drawn.x, reference_samples(network, drawn.start.x0, steps, predicts))


@pytest.mark.parametrize("predicts", ["velocity", "x1"])
def test_at_t0_zero_the_loss_and_its_gradient_equal_the_reference_bit_for_bit(predicts):
    network, noise, x1 = Net(), Noise.of(4, 64), Noise.of(5, 64).normal("x1", 2)
    objective = FlowMatching(
        NetworkField(network, LinearPath(), predicts), StandardNormal((2,)), Independent(), Player(network)
    )
    pair = objective.pair(Batch(x1), noise=noise)
    loss = objective.loss("flow", pair, noise=noise)[0]
    expected = reference_loss(network, pair.start.x0, x1, noise.uniform("t"), predicts)
    assert torch.equal(loss, expected)
    ours, theirs = (torch.autograd.grad(v, list(network.parameters())) for v in (loss, expected))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("t0", [0.0, 0.5, 0.9])
def test_times_are_uniform_on_the_path_and_targets_are_its_velocities(t0):
    from scipy import stats

    asked = {}

    class Ear(nn.Module):
        def forward(self, x, t):
            asked.update(x=x, t=t)
            return torch.zeros_like(x)

    n = 20_000
    network = Ear()
    objective = FlowMatching(
        NetworkField(network, LinearPath(t0)), StandardNormal((2,)), Independent(), Player(network)
    )
    noise = Noise.of(2, n)
    pair = objective.pair(Batch(torch.full((n, 2), 3.0)), noise=noise)
    loss = float(objective.loss("flow", pair, noise=noise)[0])
    share = (asked["t"].double() - t0) / (1 - t0)
    assert stats.kstest(share.numpy(), "uniform").pvalue > 1e-3 and float(asked["t"].min()) >= t0
    expected = (1 - share[:, None]) * pair.start.x0 + share[:, None] * 3.0
    assert torch.allclose(asked["x"].double(), expected, atol=1e-5)
    # E |x1 - x0|^2 / (1 - t0)^2 = (9 + 1) / (1 - t0)^2 an entry
    assert loss == pytest.approx(10 / (1 - t0) ** 2, rel=4 * math.sqrt(38 / 100 / (2 * n)))


# stationarity


class Perturbed(nn.Module):
    """A known velocity plus theta times fixed functions of (x, t); ``scale`` spoils the velocity."""

    def __init__(self, field, scale=1.0, shift=0.0, sign=1.0):
        super().__init__()
        self.field, self.scale, self.shift, self.sign = field, scale, shift, sign
        self.theta = nn.Parameter(torch.zeros(8, dtype=torch.float64))

    def forward(self, x, t):
        x, t = x.double(), t.double()
        u = self.field(x, (t + self.shift).clamp(max=1 - 1e-7), Start(x)).velocity
        r = (x**2).sum(1)
        with torch.no_grad():
            directions = torch.stack([
                torch.ones_like(x), x, x.flip(1), t[:, None] * x, torch.sin(2 * x), torch.exp(-r)[:, None] * x,
                (t**2)[:, None].expand_as(x), torch.tanh(x) * x.flip(1),
            ])  # fmt: skip
        return self.scale * u + torch.einsum("k,kbd->bd", self.theta, directions)


def cold_gaussian():
    mean, cov = (
        torch.tensor([1.0, -0.5], dtype=torch.float64),
        torch.tensor([[0.5, 0.2], [0.2, 0.3]], dtype=torch.float64),
    )
    n = 8000
    x1 = mean + Noise.of(8, n).normal("x1", 2, dtype=torch.float64) @ torch.linalg.cholesky(cov).T
    field = ExactGaussian(torch.zeros(2).double(), torch.eye(2).double(), mean, cov, LinearPath(0.0))
    fresh = lambda k: Batch((mean + Noise.of(100 + k, n).normal("x1", 2, dtype=torch.float64)  # noqa: E731
                             @ torch.linalg.cholesky(cov).T).float())  # fmt: skip
    return field, StandardNormal((2,)), Independent(), fresh, x1


def warm_gaussian():
    field, source, coupling, fresh, x1 = cold_gaussian()
    from dataclasses import replace

    return replace(field, path=LinearPath(0.7)), source, coupling, fresh, x1


def warm_pairs():
    """A finite paired set, blurred, the field blind to the draft."""
    data, drafts = 1.5 * Noise.of(9, 5).normal("data", 2), Noise.of(9, 5).normal("drafts", 2)
    field = finite_data(data.double(), drafts.double(), sigma=0.5, t0=0.6)

    def fresh(k):
        rows = Noise.of(200 + k, 8000).integers("row", high=5)
        return Batch(data[rows], {}, None, Start(drafts[rows]))

    return field, Blurred(External.of(drafts, (2,)), 0.5), Given(), fresh, data


CASES = {f.__name__: f for f in (cold_gaussian, warm_gaussian, warm_pairs)}


def z_scores(case, **spoil):
    """The gradient of the expected loss in theta at theta = 0, in its own standard errors, from 24 independent batches."""
    field, source, coupling, fresh, _ = CASES[case]()
    network = Perturbed(field, **spoil)
    objective = FlowMatching(NetworkField(network, field.path), source, coupling, Player(network))
    gradients = []
    for k in range(24):
        batch = fresh(k)
        noise = Noise.of(300 + k, len(batch))
        loss = objective.loss("flow", objective.pair(batch, noise=noise), noise=noise)[0]
        gradients.append(torch.autograd.grad(loss, network.theta)[0])
    g = torch.stack(gradients)
    return g.mean(0) / (g.std(0) / math.sqrt(len(g)))


@pytest.mark.parametrize("case", CASES)
def test_the_exact_field_is_a_stationary_point(case):
    assert float(z_scores(case).abs().max()) < 4.5


@pytest.mark.parametrize("spoil", [{"scale": 1.1}, {"scale": -1.0}, {"shift": 0.1}], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_a_wrong_field_is_not(case, spoil):
    assert float(z_scores(case, **spoil).abs().max()) > 8


def test_dropped_rows_are_the_share_asked_for():
    seen = []

    class Ear(nn.Module):
        def forward(self, x, t, label):
            seen.append(label)
            return x

    network, n = Ear(), 20_000
    field = NetworkField(network, LinearPath(), sees=("label",))
    objective = FlowMatching(field, StandardNormal((2,)), Independent(), Player(network), drop=0.2)
    noise = Noise.of(0, n)
    pair = objective.pair(Batch(torch.zeros(n, 2), {"label": torch.ones(n, dtype=torch.int64)}), noise=noise)
    objective.loss("flow", pair, noise=noise)
    assert float((seen[0] == -1).double().mean()) == pytest.approx(0.2, abs=4 * 0.4 / math.sqrt(n))
    assert isinstance(pair, Pair) and bool((pair.start.condition["label"] == 1).all())
