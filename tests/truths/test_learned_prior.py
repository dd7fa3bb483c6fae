"""The learned prior: the Variance Guided Loss against its closed form, the weighted loss against whitened flow matching, the
prior's law, the encoder as a coupling."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from warmflow.contracts import Batch, Pair, Player, Start
from warmflow.couplings import Encoded, Independent
from warmflow.fields import NetworkField
from warmflow.networks import MLP, Auxiliary, seeded
from warmflow.noise import Noise
from warmflow.objectives import FlowMatching, VarianceGuided
from warmflow.objectives.variance_guided import losses
from warmflow.paths import LinearPath
from warmflow.sources import Labelled, LearnedPrior, StandardNormal

D, K, N = 3, 2, 5


class Linear(nn.Module):
    """mu = A z + b with one log sigma^2 a pixel; q(z | y) = N(C y + c, exp(2 s))."""

    latent = K

    def __init__(self) -> None:
        super().__init__()

        def draw(name: str, *shape: int) -> nn.Parameter:
            return nn.Parameter(Noise.of(5, shape[0]).normal(name, *shape[1:], dtype=torch.float64))

        self.A, self.b, self.l = draw("A", D, K), draw("b", D), draw("l", D)
        self.C, self.c, self.s = draw("C", K, D), draw("c", K), draw("s", K)

    def encode(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return y @ self.C.T + self.c, self.s.expand(len(y), K)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z @ self.A.T + self.b, self.l.expand(len(z), D)

    def clamped(self, log_variance: Tensor) -> float:
        return 0.0


def hermite(order: int, dimensions: int) -> tuple[Tensor, Tensor]:
    """Nodes (m, dimensions) and weights (m,) of the expectation over N(0, I)."""
    x, w = np.polynomial.hermite_e.hermegauss(order)
    nodes = torch.tensor(list(itertools.product(x, repeat=dimensions)))
    weights = torch.tensor([math.prod(p) for p in itertools.product(w / w.sum(), repeat=dimensions)])
    return nodes, weights


def test_the_gradient_is_the_closed_form_of_a_linear_gaussian_auxiliary() -> None:
    network, weight = Linear(), 0.07
    y = Noise.of(6, N).normal("y", D, dtype=torch.float64)
    nodes, weights = hermite(6, K)
    many = len(nodes)
    loss, _ = losses(network, y.repeat_interleave(many, 0), nodes.repeat(N, 1), weight)
    (loss.reshape(N, many) @ weights).mean().backward()
    with torch.no_grad():
        A, b, C, c, s = network.A, network.b, network.C, network.c, network.s
        precision, m = (-network.l).exp(), y @ C.T + c
        r, e2 = y - m @ A.T - b, (2 * s).exp()
        dm = -(precision * r) @ A / D + weight * m
        expected = {
            "A": (-(precision * r).T @ m / N + precision[:, None] * A * e2) / D,
            "b": -(precision * r).mean(0) / D,
            "l": (1 - precision * (r.square().mean(0) + A.square() @ e2)) / (2 * D),
            "C": dm.T @ y / N,
            "c": dm.mean(0),
            "s": (precision[:, None] * A.square()).sum(0) * e2 / D + weight * (e2 - 1),
        }
    for name, value in expected.items():
        found = getattr(network, name).grad
        assert float((found - value).abs().max()) < 1e-5, name


def test_the_objective_is_the_mean_of_that_loss_on_its_own_noise() -> None:
    network = Linear()
    objective = VarianceGuided(network, Player(network), 0.3)
    y = Noise.of(1, 9).normal("y", D, dtype=torch.float64)
    noise = Noise.of(2, 9)
    pair = objective.pair(Batch(y, {}, torch.arange(9)), noise=noise)
    value, numbers = objective.loss("auxiliary", pair, noise=noise)
    by_hand, parts = losses(network, y, noise.normal("z", K), 0.3)
    assert torch.equal(value, by_hand.mean())
    assert numbers["kl"] == pytest.approx(float(parts["kl"].detach().sum(1).mean()))
    assert objective.turn(7) == objective.product == "auxiliary"


class Whitened(nn.Module):
    """A network of the whitened residual, read in pixels: sigma w((x_t - mu) / sigma, t, z)."""

    def __init__(self, inner: MLP) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, t: Tensor, z: Tensor, mean: Tensor, log_sigma: Tensor) -> Tensor:
        sigma = log_sigma.exp()
        return sigma * self.inner((x - mean) / sigma, t, z=z)


def test_raw_weights_make_it_flow_matching_of_the_whitened_residual() -> None:
    """x_t = mu + sigma ((1 - t) eps + t (y - mu) / sigma): the same loss and the same gradient, in float64."""
    n = 40

    def build() -> MLP:
        inner = MLP((D,), modulated={"z": (K,)}, width=16, depth=2).double()
        for p in inner.parameters():
            nn.init.normal_(p, std=0.3)
        return inner

    one, two = seeded(3, build), seeded(3, build)
    noise = Noise.of(4, n)
    y, z, eps, mean, log_sigma = (
        noise.normal(name, size, dtype=torch.float64)
        for name, size in (("y", D), ("z", K), ("eps", D), ("mean", D), ("log", D))
    )
    sigma = log_sigma.exp()
    seen = {"z": z, "mean": mean, "log_sigma": log_sigma}
    pixels = NetworkField(Whitened(one), LinearPath(0.0), "velocity", ("z", "mean", "log_sigma"))
    plain = NetworkField(two, LinearPath(0.0), "velocity", ("z",))
    source = StandardNormal((D,))
    weighted = FlowMatching(pixels, source, Independent(), Player(one), weigh_by="log_sigma")
    unweighted = FlowMatching(plain, source, Independent(), Player(two))
    a, _ = weighted.loss("flow", Pair(Start(mean + sigma * eps, seen), y), noise=noise)
    b, _ = unweighted.loss("flow", Pair(Start(eps, {"z": z}), (y - mean) / sigma), noise=noise)
    a.backward()
    b.backward()
    assert float((a - b).detach().abs()) < 1e-5 * float(b.detach())
    for p, q in zip(one.parameters(), two.parameters(), strict=True):
        assert p.grad is not None and q.grad is not None
        assert float((p.grad - q.grad).abs().max()) < 1e-5
    normalised = (-2 * log_sigma).exp().mean()
    assert float((a / normalised - b).detach().abs()) > 1e-3, "weights of mean 1 would break the equality"


def auxiliary() -> Auxiliary:
    return seeded(0, lambda: Auxiliary((1, 2, 2), latent=K, width=16, depth=1))


def test_the_clamp_is_soft() -> None:
    network = auxiliary()
    raw = torch.linspace(-30, 20, 501, dtype=torch.float64, requires_grad=True)
    bounded = network.bounded(raw)
    bounded.sum().backward()
    assert raw.grad is not None
    assert bool((bounded >= network.low).all() and (bounded < network.high + 1e-4).all())
    assert bool((raw.grad > 0).all()), "a hard clamp has no gradient outside"
    middle = (raw.detach() + 4).abs() < 1
    assert float((bounded - raw)[middle].abs().max()) < 0.02
    outside = (raw.detach() < network.low) | (raw.detach() > network.high)
    assert network.clamped(bounded.detach()) == pytest.approx(float(outside.double().mean()), abs=0.005)


def test_a_prior_is_gaussian_around_its_mean_given_z() -> None:
    n, network = 20_000, auxiliary()
    z = torch.tensor([[0.7, -1.2]]).expand(n, K)
    for scale in (1.0, 0.5):
        prior = LearnedPrior(StandardNormal((K,)), network, (1, 2, 2), scale)
        start = prior.draw(n, {"z": z}, noise=Noise.of(1, n))
        residual = (start.x0 - start.condition["mean"]) / start.condition["log_sigma"].exp() / scale
        assert float(residual.mean(0).abs().max()) < 4 / math.sqrt(n)
        assert float((residual.var(0) - 1).abs().max()) < 4 * math.sqrt(2 / n)
        with torch.no_grad():
            mean, log_variance = network.decode(z)
        assert torch.equal(start.condition["mean"], mean)
        sigma = (log_variance / 2).exp()
        assert torch.allclose(start.condition["log_sigma"].exp(), sigma), "sigma is the root of the decoded variance"
        again = prior.draw(n, {"z": z}, noise=Noise.of(2, n))
        assert not torch.equal(again.x0, start.x0)
        assert all(torch.equal(again.condition[k], start.condition[k]) for k in ("z", "mean", "log_sigma"))
    still = LearnedPrior(StandardNormal((K,)), network, (1, 2, 2), 0.0).draw(3, noise=Noise.of(0, 3))
    assert torch.equal(still.x0, still.condition["mean"])
    assert prior.takes == {"z"}


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: LearnedPrior(StandardNormal((K,)), auxiliary(), (1, 2, 2), -0.5), "scale is -0.5"),
        (lambda: LearnedPrior(StandardNormal((3,)), auxiliary(), (1, 2, 2)), r"draws z of shape \(3,\)"),
        (
            lambda: LearnedPrior(StandardNormal((K,)), auxiliary(), (1, 2, 2)).draw(
                2, {"z": torch.zeros(2, 5)}, noise=Noise.of(0, 2)
            ),
            r"z is \(2, 5\)",
        ),
        (
            lambda: Encoded(auxiliary()).pair(
                Batch(torch.zeros(2, 1, 2, 2)), StandardNormal((1, 2, 2)), noise=Noise.of(0, 2)
            ),
            "which StandardNormal does not take: use LearnedPrior",
        ),
        (lambda: VarianceGuided(network := auxiliary(), Player(network), -1.0), "weight is -1.0"),
        (lambda: VarianceGuided(auxiliary(), Player(auxiliary())), "not the objective's network"),
    ],
)
def test_bad_parts_are_named(build, says) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=says):
        build()


def test_the_encoder_pairs_each_datum_with_its_own_latent() -> None:
    n, network = 20_000, auxiliary()
    y = Noise.of(3, 1).normal("y", 1, 2, 2).expand(n, 1, 2, 2)
    source = LearnedPrior(StandardNormal((K,)), network, (1, 2, 2))
    batch = Batch(y, {"label": torch.zeros(n, dtype=torch.int64)}, torch.arange(n))
    pair = Encoded(network).pair(batch, source, noise=Noise.of(8, n))
    assert torch.equal(pair.x1, y) and pair.index is not None and torch.equal(pair.index, torch.arange(n))
    assert torch.equal(pair.start.condition["label"], batch.condition["label"])
    with torch.no_grad():
        mean, log_spread = network.encode(y[:1])
    whitened = (pair.start.condition["z"] - mean) / log_spread.exp()
    assert float(whitened.mean(0).abs().max()) < 4 / math.sqrt(n)
    assert float((whitened.var(0) - 1).abs().max()) < 4 * math.sqrt(2 / n)
    decoded, _ = source.decoded(pair.start.condition["z"])
    assert torch.equal(decoded, pair.start.condition["mean"]), "the start's mean is the decoded z"


def test_an_encoder_keeps_the_source_only_where_its_latents_have_the_sampled_law() -> None:
    """Encoded z of one datum are all alike, sampled z are not: the starts' means differ, which ``preserves`` does not deny."""
    n, network = 4000, auxiliary()
    source = LearnedPrior(StandardNormal((K,)), network, (1, 2, 2))
    y = Noise.of(3, 1).normal("y", 1, 2, 2).expand(n, 1, 2, 2)
    paired = Encoded(network).pair(Batch(y), source, noise=Noise.of(8, n)).start.condition["z"]
    free = source.draw(n, noise=Noise.of(8, n)).condition["z"]
    assert float((paired.mean(0) - free.mean(0)).abs().max()) > 0.1
    assert Encoded.preserves == {"data"}


def test_labels_come_by_their_shares_or_as_given() -> None:
    n = 10_000
    source = Labelled.of(StandardNormal((2,)), torch.tensor([0, 0, 2, 2, 2, 3]))
    drawn = source.draw(n, noise=Noise.of(0, n))
    shares = torch.bincount(drawn.condition["label"], minlength=4) / n
    assert float((shares - torch.tensor([2, 0, 3, 1]) / 6).abs().max()) < 4 * math.sqrt(0.25 / n)
    given = torch.arange(n) % 4
    again = source.draw(n, {"label": given}, noise=Noise.of(0, n))
    assert torch.equal(again.condition["label"], given) and torch.equal(again.x0, drawn.x0)
    assert source.takes == {"label"}
