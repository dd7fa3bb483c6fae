"""The pairs of reflow: each start with the flow's own walk from it; trained on them, a flow of Gaussians is straight."""

from __future__ import annotations

import pytest
import torch

from warmflow.contracts import Batch, Player
from warmflow.couplings import Given, Walked, prepare
from warmflow.fields import ExactGaussian, NetworkField
from warmflow.networks import MLP, seeded
from warmflow.noise import Noise
from warmflow.objectives import FlowMatching
from warmflow.paths import LinearPath
from warmflow.sampler import Sampler
from warmflow.solvers import Euler
from warmflow.sources import Blurred, StandardNormal
from warmflow.training import train

EYE = torch.eye(1)
FLOW = Sampler(
    StandardNormal((1,)), ExactGaussian(torch.zeros(1), EYE, torch.tensor([1.0]), 4 * EYE, LinearPath(0.0)), Euler(), 1
)


def test_targets_are_the_walk_from_their_starts_and_no_data() -> None:
    n = 300
    data = Batch(torch.full((n, 1), 77.0), {"tag": torch.arange(n)}, torch.arange(n))
    pair = Walked(FLOW, 20).pair(data, FLOW.source, noise=Noise.of(0, n))
    assert pair.index is None and torch.equal(pair.start.condition["tag"], data.condition["tag"])
    assert torch.equal(pair.x1, FLOW(start=pair.start, steps=20).x) and float(pair.x1.max()) < 20


def test_prepared_pairs_keep_the_start_that_was_walked_also_where_a_draft_is_blurred() -> None:
    """Given would blur a draft afresh, and another start has another walk: a source that takes no draft leaves them."""
    n, source = 200, Blurred(StandardNormal((1,)), 0.5)
    paired = prepare(Walked(FLOW, 20), Batch(torch.zeros(n, 1)), source, block=64)
    assert paired.start is not None
    pair = Given().pair(paired, StandardNormal((1,)), noise=Noise.of(9, n))
    assert torch.equal(pair.start.x0, paired.start.x0)
    assert torch.allclose(pair.x1, FLOW(start=pair.start, steps=20).x, atol=1e-5)
    assert not torch.equal(Given().pair(paired, source, noise=Noise.of(9, n)).start.x0, paired.start.x0)


@pytest.mark.long
def test_one_step_of_the_reflow_is_the_whole_walk() -> None:
    """Between Gaussians the flow's map is affine and monotone, so that reflow is straight at once: one step is exact."""
    network = seeded(0, lambda: MLP((1,), width=32, depth=1))
    paired = prepare(Walked(FLOW, 200), Batch(torch.zeros(4096, 1)), FLOW.source)
    field = NetworkField(network, LinearPath(0.0))
    objective = FlowMatching(field, FLOW.source, Given(), Player(network, 3e-3))
    trained = train(objective, paired, steps=800, batch=256, seed=0, warmup=20)
    start = FLOW.source.draw(2000, noise=Noise.of(5, 2000))
    reflow = Sampler(FLOW.source, NetworkField(trained.networks["flow"], LinearPath(0.0)), Euler(), 1)
    exact = 1 + 2 * start.x0
    assert float((reflow(start=start).x - exact).square().mean().sqrt()) < 0.1
    assert float((FLOW(start=start, steps=1).x - exact).square().mean().sqrt()) > 1.5, (
        "the teacher's one step is far off"
    )
