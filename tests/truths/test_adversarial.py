"""Two players against each other: the generator's gradient at the best discriminator, where the discriminator stands still, the
penalty's closed form, the networks' sizes, and training that resumes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from warmflow.contracts import Batch, Pair, Player, Start
from warmflow.networks import DCDiscriminator, DCGenerator, seeded
from warmflow.noise import Noise
from warmflow.objectives import Adversarial
from warmflow.sources import StandardNormal
from warmflow.training import Diverged, train

M1, S1, M0, S0 = 0.4, 0.8, -0.7, 1.3
"""The data's mean and standard deviation, and the generator's."""


class Affine(nn.Module):
    """x = m + exp(l) z."""

    def __init__(self) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.tensor(M0, dtype=torch.float64))
        self.l = nn.Parameter(torch.tensor(math.log(S0), dtype=torch.float64))

    def forward(self, z: Tensor) -> Tensor:
        return self.m + self.l.exp() * z


class Quadratic(nn.Module):
    """a + b x + c x^2: log p(x) - log q(x) of two Gaussians is one."""

    def __init__(self, a: float, b: float, c: float) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([a, b, c], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return (self.w[0] + self.w[1] * x + self.w[2] * x.square())[:, 0]


def log_normal(x: Tensor, mean: Tensor | float, log_std: Tensor | float) -> Tensor:
    log_std = torch.as_tensor(log_std, dtype=torch.float64)
    return -0.5 * ((x - mean) / log_std.exp()).square() - log_std - 0.5 * math.log(2 * math.pi)


def best() -> Quadratic:
    """The best discriminator: log p_data - log p_generator."""
    i1, i0 = 1 / S1**2, 1 / S0**2
    return Quadratic(
        0.5 * (M0**2 * i0 - M1**2 * i1) + math.log(S0 / S1), M1 * i1 - M0 * i0, 0.5 * (i0 - i1)
    )  # fmt: skip


def nodes(n: int = 20_001) -> Tensor:
    """Quantiles (n, 1) of N(0, 1): means over them are expectations."""
    share = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    return (math.sqrt(2) * torch.erfinv(2 * share - 1))[:, None]


def game(discriminator: nn.Module, **more: Any) -> tuple[Adversarial, Affine]:
    generator = Affine()
    by = {"generator": Player(generator), "discriminator": Player(discriminator)}
    return Adversarial(generator, discriminator, StandardNormal((1,)), by, **more), generator


def test_the_generators_gradient_at_the_best_discriminator_is_that_of_kl_minus_twice_jsd() -> None:
    """Arjovsky, Bottou 2017, Theorem 2.5, both sides by quadrature."""
    objective, generator = game(best())
    z = nodes()
    loss, _ = objective.loss("generator", Pair(Start(z), M1 + S1 * z), noise=Noise.of(0, len(z)))
    loss.backward()
    x = torch.linspace(-14, 14, 40_001, dtype=torch.float64)
    m, log_s = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (M0, math.log(S0)))
    p, q = log_normal(x, M1, math.log(S1)), log_normal(x, m, log_s)
    middle = torch.logaddexp(p, q) - math.log(2)
    kl = torch.trapezoid(q.exp() * (q - p), x)
    jsd = 0.5 * torch.trapezoid(p.exp() * (p - middle) + q.exp() * (q - middle), x)
    (kl - 2 * jsd).backward()
    assert (
        generator.m.grad is not None and generator.l.grad is not None and m.grad is not None and log_s.grad is not None
    )
    assert float(generator.m.grad) == pytest.approx(float(m.grad), rel=1e-3)
    assert float(generator.l.grad) == pytest.approx(float(log_s.grad), rel=1e-3)
    assert float(generator.m.grad) < -0.1, "the generator is drawn to the data"


def test_the_best_discriminator_stands_still_and_no_other_does() -> None:
    z = nodes()
    for discriminator, still in ((best(), True), (Quadratic(0.1, 0.2, 0.0), False)):
        objective, _ = game(discriminator, penalty=0.0)
        loss, _ = objective.loss("discriminator", Pair(Start(z), M1 + S1 * z), noise=Noise.of(0, len(z)))
        loss.backward()
        assert (float(discriminator.w.grad.abs().max()) < 1e-4) is still  # type: ignore[union-attr]
    x = torch.linspace(-14, 14, 40_001, dtype=torch.float64)
    p, q = log_normal(x, M1, math.log(S1)), log_normal(x, M0, math.log(S0))
    middle = torch.logaddexp(p, q) - math.log(2)
    jsd = 0.5 * torch.trapezoid(p.exp() * (p - middle) + q.exp() * (q - middle), x)
    least = game(best(), penalty=0.0)[0].loss("discriminator", Pair(Start(z), M1 + S1 * z), noise=Noise.of(0, len(z)))[
        0
    ]
    assert float(least.detach()) == pytest.approx(2 * math.log(2) - 2 * float(jsd), abs=1e-4)


class Form(nn.Module):
    """x' A x / 2 + b' x, whose slope is (A + A') x / 2 + b."""

    def __init__(self) -> None:
        super().__init__()
        self.A = nn.Parameter(Noise.of(1, 3).normal("A", 3, dtype=torch.float64))
        self.b = nn.Parameter(Noise.of(1, 3).normal("b", dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * ((x @ self.A) * x).sum(1) + x @ self.b


def test_the_penalty_is_the_squared_slope_at_real_data() -> None:
    network, n = Form(), 64
    generator = Affine()
    by = {"generator": Player(generator), "discriminator": Player(network)}
    x, z = (Noise.of(2, n).normal(name, 3, dtype=torch.float64) for name in ("x", "z"))
    noise, losses = Noise.of(3, n), []
    for penalty in (0.0, 0.7):
        objective = Adversarial(generator, network, StandardNormal((3,)), by, penalty, share=1.0)
        losses.append(objective.loss("discriminator", Pair(Start(z), x), noise=noise)[0])
    slope = x @ (network.A + network.A.T) / 2 + network.b
    expected = 0.7 / 2 * slope.square().sum(1).mean()
    found = losses[1] - losses[0]
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-9)
    for a, b in zip(
        torch.autograd.grad(found, list(network.parameters())),
        torch.autograd.grad(expected, list(network.parameters())),
        strict=True,
    ):
        assert torch.allclose(a, b)


def test_a_share_of_the_rows_has_the_same_mean() -> None:
    network, n = Form(), 4000
    generator = Affine()
    by = {"generator": Player(generator), "discriminator": Player(network)}
    x = Noise.of(2, n).normal("x", 3, dtype=torch.float64)
    found = [
        Adversarial(generator, network, StandardNormal((3,)), by, share=share).slopes(x, Noise.of(5, n)).detach()
        for share in (1.0, 0.25)
    ]
    taken = found[1] > 0
    assert 0.2 < float(taken.double().mean()) < 0.3
    assert torch.allclose(found[1][taken], 4 * found[0][taken])
    error = float(found[1].std()) / n**0.5
    assert abs(float(found[1].mean() - found[0].mean())) < 4 * error


def test_the_discriminators_turn_leaves_the_generator_alone() -> None:
    objective, generator = game(Quadratic(0.1, 0.2, 0.0))
    z = nodes(50)
    objective.loss("discriminator", Pair(Start(z), z), noise=Noise.of(0, 50))[0].backward()
    assert generator.m.grad is None
    assert [objective.turn(k) for k in range(4)] == ["discriminator", "generator"] * 2
    more, _ = game(Quadratic(0.1, 0.2, 0.0), discriminator_updates=3)
    assert [more.turn(k) for k in range(4)] == ["discriminator"] * 3 + ["generator"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"penalty": -1.0}, "penalty is -1"),
        ({"share": 0.0}, "share is 0"),
        ({"discriminator_updates": 0}, "updates is 0"),
    ],
)
def test_impossible_settings_are_named(more: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        game(best(), **more)


def test_another_network_than_the_players_is_an_error() -> None:
    generator, discriminator = Affine(), best()
    by = {"generator": Player(Affine()), "discriminator": Player(discriminator)}
    with pytest.raises(ValueError, match="'generator' holds another network"):
        Adversarial(generator, discriminator, StandardNormal((1,)), by)


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 28, 28), (1, 28, 28), (2, 9, 6), (3, 15, 33), (4, 32, 32), (3, 64, 64)]
)
def test_images_of_any_channels_and_sides(shape: tuple[int, ...]) -> None:
    generator = seeded(0, lambda: DCGenerator(shape, latent=3, width=4))
    discriminator = seeded(0, lambda: DCDiscriminator(shape, width=4))
    x = generator(Noise.of(0, 2).normal("z", 3))
    assert x.shape == (2, *shape) and float(x.detach().abs().max()) <= 1
    assert discriminator(x).shape == (2,)
    assert max(generator.sizes[0][1:]) <= 7
    x.sum().backward()
    assert all(p.grad is not None for p in generator.parameters())


def test_a_picture_does_not_depend_on_its_neighbours() -> None:
    generator = seeded(0, lambda: DCGenerator((1, 28, 28), latent=3, width=4)).train()
    z = Noise.of(0, 5).normal("z", 3)
    assert torch.allclose(generator(z)[:1], generator(z[:1]), atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "width", "says"),
    [((1, 3, 8), 4, "sides of at least 4"), ((8, 8), 4, "takes images"), ((1, 8, 8), 6, "width is 6")],
)
def test_impossible_images_are_named(shape: tuple[int, ...], width: int, says: str) -> None:
    for build in (DCGenerator, DCDiscriminator):
        with pytest.raises(ValueError, match=says):
            build(shape, width=width)


def played(folder: Path | None, steps: int, stop: int | None = None) -> dict[str, Tensor]:
    shape = (1, 8, 8)
    generator, discriminator = DCGenerator(shape, latent=3, width=4), DCDiscriminator(shape, width=4)
    seeded(0, lambda: [p.data.normal_(std=0.2) for n in (generator, discriminator) for p in n.parameters()])  # type: ignore[arg-type]
    calls = 0

    by = {"generator": Player(generator), "discriminator": Player(discriminator, ema=0.0)}
    objective = Adversarial(generator, discriminator, StandardNormal((3,)), by)
    x = Noise.of(0, 40).normal("x", *shape).clamp(-1, 1)

    class Cut(Batch):
        def __getitem__(self, rows: Any) -> Any:
            nonlocal calls
            calls += 1
            if stop is not None and calls > stop:
                raise KeyboardInterrupt
            return Batch.__getitem__(Batch(self.x1, self.condition, self.index), rows)

    data = Cut(x, {}, torch.arange(40))
    trained = train(objective, data, steps=steps, batch=10, seed=0, folder=folder, warmup=2)
    return {f"{k}.{n}": v for k, net in trained.networks.items() for n, v in net.state_dict().items()}


def test_a_game_cut_off_and_continued_equals_one_that_was_not(tmp_path: Path) -> None:
    whole = played(None, 9)
    with pytest.raises(KeyboardInterrupt):
        played(tmp_path, 9, stop=4)
    again = played(tmp_path, 9)
    assert whole.keys() == again.keys() and all(torch.equal(whole[k], again[k]) for k in whole)


def test_a_game_that_diverges_says_so() -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(()))

        def forward(self, x: Tensor) -> Tensor:
            return self.w * x.flatten(1).sum(1) / 0.0

    generator, broken = Affine(), Broken()
    by = {"generator": Player(generator), "discriminator": Player(broken)}
    objective = Adversarial(generator, broken, StandardNormal((1,)), by)
    data = Batch(torch.ones(8, 1, dtype=torch.float64), {}, torch.arange(8))
    with pytest.raises(Diverged, match="training diverged at step 1"):
        train(objective, data, steps=4, batch=4, seed=0)
