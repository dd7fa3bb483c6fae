"""Why a warm start that the field sees needs noise of its own.

y | c is one of two values about c, and the draft is c itself. Without noise x_t reveals y for every t > t0, at t0 the
best velocity points at E[y | c], and the flow returns the conditional mean. With noise it returns the law.
"""

import pytest
import torch

from warmflow.contracts import Batch, Player, Start
from warmflow.couplings import Given
from warmflow.fields import NetworkField
from warmflow.networks import MLP, seeded
from warmflow.noise import Noise
from warmflow.objectives import FlowMatching
from warmflow.paths import LinearPath
from warmflow.sampler import Sampler
from warmflow.solvers import Euler
from warmflow.sources import Blurred, StandardNormal
from warmflow.training import train

HALF = 0.6


@pytest.fixture(autouse=True)
def _one_thread():
    """Small matrices: on a busy machine several threads are a hundred times slower than one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def data(n):
    noise = Noise.of(0, n)
    c = noise.uniform("c", 1).float() * 2 - 1
    side = 2 * noise.integers("side", high=2)[:, None] - 1
    return Batch(c + HALF * side + 0.05 * noise.normal("spread", 1), {}, None, Start(c))


def recovered(sigma, steps=20):
    """The conditional variance about the draft, and within draws of one draft, as shares of the truth."""
    network = seeded(0, lambda: MLP((1,), sees={"draft": (1,)}, width=64, depth=2))
    field = NetworkField(network, LinearPath(0.8), "x1", ("draft",))
    source = Blurred(StandardNormal((1,)), sigma)
    objective = FlowMatching(field, source, Given(), Player(network, learning_rate=4e-3, ema=0.99))
    train(objective, data(20_000), steps=1500, batch=256, seed=0, warmup=50)
    c = torch.linspace(-0.8, 0.8, 16).repeat_interleave(200)[:, None]
    x = Sampler(source, field, Euler(), steps)(len(c), condition={"draft": c}).x
    truth = HALF**2 + 0.05**2
    within = x.reshape(16, 200).var(1).mean() / truth
    return float((x - c).square().mean() / truth), float(within)


@pytest.mark.long
@pytest.mark.parametrize("sigma", [0.4])
def test_with_noise_the_conditional_variance_is_recovered(sigma):
    about, within = recovered(sigma)
    assert 0.8 <= about <= 1.15 and 0.8 <= within <= 1.15


@pytest.mark.long
def test_without_noise_it_is_lost():
    about, within = recovered(0.0)
    assert about < 0.5 and within < 0.01
