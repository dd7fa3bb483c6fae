"""Discrete flow matching: equal to a reference in a few lines, stationary at the exact posterior alone, tight as a bound."""

import pytest
import torch
from torch import nn

from warmflow.contracts import Batch, Pair, Player, Start
from warmflow.couplings import Given, Independent
from warmflow.fields import ExactTokens, TokenField
from warmflow.networks import TokenTransformer, seeded
from warmflow.noise import Noise
from warmflow.objectives import DiscreteFlowMatching
from warmflow.paths import MixturePath
from warmflow.sampler import Sampler
from warmflow.solvers import Jump
from warmflow.sources import External, MaskTokens, UniformTokens
from warmflow.training import train

ENDS = torch.tensor([[0, 0], [1, 2], [2, 1], [2, 2]])
WEIGHTS = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
DRAFTS = torch.tensor([[0, 1], [0, 1], [2, 1], [2, 1]])  # two data a draft: which one is what is to be learned
UNIFORM = torch.full((3,), 1 / 3, dtype=torch.float64)
MASKED = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)
N = 60_000


class Oracle(nn.Module):
    """An exact field as a network, with an offset of its logits to be learned."""

    def __init__(self, field):
        super().__init__()
        self.field, self.offset = field, nn.Parameter(torch.zeros(2, 3, dtype=torch.float64))

    def forward(self, x, t, at=None):
        chance = torch.softmax(self.field(x, t.double(), Start(x)).logits, 2)
        logits = torch.log(chance + 1e-12) + self.offset
        return logits if at is None else logits[at]


def problem(kind, power=1.0, weights=WEIGHTS):
    if kind == "warm":
        path = MixturePath(0.6, power)
        return ExactTokens(ENDS, weights, 3, path, starts=DRAFTS), External(lambda n, seed: None, (2,)), Given()
    path = MixturePath(0.0, power, 3 if kind == "mask" else None)
    field = ExactTokens(ENDS, weights, 3, path, source=MASKED if kind == "mask" else UNIFORM)
    return field, MaskTokens((2,), 3) if kind == "mask" else UniformTokens((2,), 3), Independent()


def batch(kind, n=N):
    rows = torch.multinomial(WEIGHTS, n, replacement=True, generator=torch.Generator().manual_seed(0))
    return Batch(ENDS[rows], {}, rows, Start(DRAFTS[rows]) if kind == "warm" else None)


def gradients(kind, power, weighting, weights=WEIGHTS, parts=30):
    """(parts, 6): the gradient by the offset on disjoint parts of the data."""
    field, source, coupling = problem(kind, power, weights)
    network, found, data = Oracle(field), [], batch(kind)
    objective = DiscreteFlowMatching(TokenField(network, field.path), source, coupling, Player(network), weighting)
    for i in range(parts):
        rows = slice(i * N // parts, (i + 1) * N // parts)
        noise = Noise.of(0, N // parts, rows.start)
        part = data[rows]
        pair = Pair(part.start, part.x1) if kind == "warm" else objective.pair(part, noise=noise)
        loss = objective.loss("flow", pair, noise=noise)[0]
        found.append(torch.autograd.grad(loss, network.offset)[0].flatten())
    return torch.stack(found)


@pytest.mark.parametrize("weighting", ["cross_entropy", "generalised_kl"])
@pytest.mark.parametrize("power", [1.0, 2.0])
@pytest.mark.parametrize("kind", ["uniform", "mask", "warm"])
def test_the_exact_posterior_is_stationary_and_another_is_not(kind, power, weighting):
    g = gradients(kind, power, weighting)
    z = g.mean(0) / (g.std(0) / len(g) ** 0.5).clamp(min=1e-9)
    assert float(z.abs().max()) < 4.5
    other = gradients(kind, power, weighting, torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64))
    z = other.mean(0) / (other.std(0) / len(other) ** 0.5).clamp(min=1e-9)
    assert float(z.abs().max()) > 10


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_the_weighted_loss_of_the_exact_masked_field_is_the_entropy_of_the_data(power):
    """The bound is tight there: L times the mean loss is H(x1)."""
    field, source, coupling = problem("mask", power)
    network, data = Oracle(field), batch("mask")
    objective = DiscreteFlowMatching(
        TokenField(network, field.path), source, coupling, Player(network), "generalised_kl"
    )
    pair = objective.pair(data, noise=Noise.of(1, N))
    with torch.no_grad():
        loss = 2 * float(objective.loss("flow", pair, noise=Noise.of(2, N))[0])
    assert loss == pytest.approx(float(-(WEIGHTS * WEIGHTS.log()).sum()), abs=0.03)


@pytest.mark.parametrize("weighting", ["cross_entropy", "generalised_kl"])
def test_the_loss_is_the_stated_formula(weighting):
    network = seeded(0, lambda: TokenTransformer(3, width=16, depth=1, heads=2))
    for p in network.parameters():
        nn.init.normal_(p, std=0.3, generator=torch.Generator().manual_seed(1))
    path, n = MixturePath(0.3, 2.0), 400
    source = UniformTokens((2,), 3)
    objective = DiscreteFlowMatching(TokenField(network, path), source, Independent(), Player(network), weighting)
    noise = Noise.of(3, n)
    pair = objective.pair(Batch(ENDS[torch.arange(n) % 4]), noise=noise)
    t = 0.3 + 0.7 * noise.uniform("t")
    k = ((t - 0.3) / 0.7) ** 2
    jumped = noise.fold("path").uniform("jump", 2) < k[:, None]
    x_t = torch.where(jumped, pair.x1, pair.start.x0)
    p = torch.softmax(network(x_t, t.float()), 2)
    right, stay = p.gather(2, pair.x1[..., None])[..., 0], p.gather(2, x_t[..., None])[..., 0]
    if weighting == "cross_entropy":
        expected = -right.log().mean()
    else:
        same = (x_t == pair.x1).float()
        rate = 2 * ((t - 0.3) / 0.7) / 0.7 / (1 - k)
        expected = (-rate.clamp(max=1e3)[:, None] * (stay - same + (1 - same) * right.log())).mean()
    loss = objective.loss("flow", pair, noise=noise)[0].detach()
    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-4)


def test_nothing_is_learned_where_nothing_can_change():
    field, source, _ = problem("mask")
    network = Oracle(field)
    objective = DiscreteFlowMatching(TokenField(network, field.path), source, Independent(), Player(network))
    pair = objective.pair(batch("mask", 50), noise=Noise.of(0, 50))
    fixed = Start(pair.x1, fixed=torch.ones(50, 2, dtype=torch.bool))
    loss = objective.loss("flow", Pair(fixed, pair.x1), noise=Noise.of(0, 50))[0]
    slope = torch.autograd.grad(loss, network.offset)[0]
    assert float(loss.detach()) == 0 and float(slope.abs().sum()) == 0


@pytest.mark.long
@pytest.mark.parametrize("kind", ["uniform", "mask"])
def test_a_small_transformer_learns_a_small_law(kind):
    """End to end: after training, samples of many steps have the data's law (total variation below 0.05)."""
    field, source, coupling = problem(kind)
    network = seeded(0, lambda: TokenTransformer(3, extra=1, length=2, width=32, depth=1, heads=2))
    objective = DiscreteFlowMatching(TokenField(network, field.path), source, coupling, Player(network, 3e-3, ema=0.99))
    trained = train(objective, batch(kind, 4000), steps=900, batch=128, seed=0, warmup=20)
    token = TokenField(trained.networks["flow"], field.path)
    x = Sampler(source, token, Jump(), 64)(8000, seed=0).x
    law = torch.zeros(9, dtype=torch.float64)
    law[3 * ENDS[:, 0] + ENDS[:, 1]] = WEIGHTS
    found = torch.bincount(3 * x[:, 0] + x[:, 1], minlength=9).double() / len(x)
    assert float((found - law).abs().sum()) / 2 < 0.05
