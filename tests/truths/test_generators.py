"""Trained drafts: a variational autoencoder's bound against the likelihood of a factor model, where its latents are drawn, drafts
that are saved, resumed, and all alike."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from warmflow.checkpoints import load_part
from warmflow.drafts.generators import train_gan, train_vae
from warmflow.networks import Auxiliary, seeded
from warmflow.noise import Noise
from warmflow.objectives.variance_guided import losses
from warmflow.sources import Decoded, GaussianMixture, StandardNormal

D, K = 4, 2


class Factors(nn.Module):
    """y = W z + b + N(0, diag psi), with q(z | y) = N(B (y - b) + shift, diag spread^2)."""

    latent = K

    def __init__(self) -> None:
        super().__init__()
        draw = Noise.of(5, D)
        self.b = draw.normal("b", dtype=torch.float64)
        self.psi = draw.uniform("psi") + 0.2
        # columns that the noise's metric keeps apart: then the posterior's covariance is diagonal
        q = torch.linalg.qr(draw.normal("W", K, dtype=torch.float64))[0] * torch.tensor([1.5, 0.7])
        self.W = self.psi.sqrt()[:, None] * q
        inner = self.W.T @ (self.W / self.psi[:, None])
        self.spread = (1 + inner.diagonal()).rsqrt()
        self.B = self.spread.square()[:, None] * (self.W / self.psi[:, None]).T
        self.shift = torch.zeros(K, dtype=torch.float64)

    def encode(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return (y - self.b) @ self.B.T + self.shift, self.spread.log().expand(len(y), K)

    def decode(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z @ self.W.T + self.b, self.psi.log().expand(len(z), D)

    def likelihood(self, y: Tensor) -> Tensor:
        whole = self.W @ self.W.T + self.psi.diag()
        return torch.distributions.MultivariateNormal(self.b, whole).log_prob(y)


def bound(model: Factors, y: Tensor) -> Tensor:
    """The evidence lower bound of each y from the objective's own loss, its expectation exact by quadrature."""
    x, w = np.polynomial.hermite_e.hermegauss(8)
    nodes = torch.cartesian_prod(*[torch.tensor(x)] * K)
    weights = torch.cartesian_prod(*[torch.tensor(w / w.sum())] * K).prod(1)
    loss, _ = losses(model, y.repeat_interleave(len(nodes), 0), nodes.repeat(len(y), 1), 1 / D)
    mean = loss.reshape(len(y), -1) @ weights
    return -D * mean - D / 2 * math.log(2 * math.pi)


def test_the_loss_at_weight_one_over_d_is_the_bound_tight_at_the_posterior() -> None:
    model = Factors()
    y = Noise.of(1, 9).normal("y", D, dtype=torch.float64)
    assert torch.allclose(bound(model, y), model.likelihood(y), atol=1e-9)


def test_another_encoder_is_below_by_its_divergence_from_the_posterior() -> None:
    model = Factors()
    y = Noise.of(1, 9).normal("y", D, dtype=torch.float64)
    true, before = model.spread.clone(), model.likelihood(y)
    model.shift = torch.tensor([0.3, -0.2], dtype=torch.float64)
    model.spread = true * torch.tensor([1.4, 0.6], dtype=torch.float64)
    ratio = (model.spread / true).square()
    divergence = 0.5 * (ratio - 1 - ratio.log() + (model.shift / true).square()).sum()
    assert torch.allclose(bound(model, y), before - divergence, atol=1e-9)
    assert float(divergence) > 0.1


def test_a_decoder_draws_its_mean_of_the_latent() -> None:
    network = seeded(0, lambda: Auxiliary((1, 3, 3), latent=2, width=8, depth=1)).eval()
    source = Decoded(StandardNormal((2,)), network, (1, 3, 3))
    noise = Noise.of(4, 600)
    start = source.draw(600, noise=noise)
    z = StandardNormal((2,)).draw(600, noise=noise.fold("latent")).x0
    with torch.no_grad():
        assert torch.allclose(start.x0, network.decode(z)[0], atol=1e-6)
    assert start.calls is not None and start.calls.tolist() == [1] * 600 and start.condition == {}
    with pytest.raises(ValueError, match=r"z of shape \(3,\), the network takes \(2,\)"):
        Decoded(StandardNormal((3,)), network, (1, 3, 3))


def waves(n: int, shape: tuple[int, ...] = (1, 8, 8)) -> Tensor:
    """Images of two numbers: a bright bar at a drawn place, of a drawn height."""
    u = Noise.of(8, n).uniform("u", 2, dtype=torch.float32)
    place = torch.linspace(0, 1, shape[2])
    bar = torch.exp(-(((place - u[:, :1]) / 0.15) ** 2)) * (0.5 + 0.5 * u[:, 1:])
    return (2 * bar[:, None, None, :] - 1).expand(n, *shape).contiguous()


SMALL: dict[str, Any] = {"steps": 60, "batch": 32, "width": 16, "latent": 3}
MAKE = {"vae": train_vae, "gan": train_gan}


@pytest.mark.parametrize("kind", MAKE)
def test_a_trained_draft_is_saved_and_read_again(kind: str, tmp_path: Path) -> None:
    x = waves(200)
    source = MAKE[kind](x, folder=tmp_path / "a", **SMALL)
    a = source.draw(40, noise=Noise.of(2, 40)).x0
    again = load_part(tmp_path / "a")
    assert torch.equal(a, again.draw(40, noise=Noise.of(2, 40)).x0)
    told = json.loads((tmp_path / "a" / "config.json").read_text())
    assert told["state"] == "complete" and told["training"]["seconds"] > 0
    weights = tmp_path / "a" / "model.safetensors"
    stamp = weights.stat().st_mtime_ns
    read = MAKE[kind](x, folder=tmp_path / "a", **SMALL)
    assert torch.equal(a, read.draw(40, noise=Noise.of(2, 40)).x0) and weights.stat().st_mtime_ns == stamp
    with pytest.raises(ValueError, match="holds a run with other settings: .*latent was 3, is now 4"):
        MAKE[kind](x, folder=tmp_path / "a", **{**SMALL, "latent": 4})
    assert not any(p.requires_grad for p in source.network.parameters()) and not source.network.training


@pytest.mark.parametrize("kind", MAKE)
def test_a_draft_cut_off_and_continued_equals_one_that_was_not(kind: str, tmp_path: Path, monkeypatch: Any) -> None:
    from warmflow import training

    x, real, done = waves(200), training._update, 0
    whole = MAKE[kind](x, **SMALL)

    def cut(*args: Any) -> Any:
        nonlocal done
        done += 1
        if done > 25:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(training, "_update", cut)
        with pytest.raises(KeyboardInterrupt):
            MAKE[kind](x, folder=tmp_path, **SMALL)
    again = MAKE[kind](x, folder=tmp_path, **SMALL)
    assert json.loads((tmp_path / "config.json").read_text())["training"]["steps"] == SMALL["steps"]
    assert torch.equal(whole.draw(9, noise=Noise.of(0, 9)).x0, again.draw(9, noise=Noise.of(0, 9)).x0)


@pytest.mark.long
def test_a_vae_learns_images_of_two_numbers_and_draws_latents_where_the_encoder_puts_them() -> None:
    x = waves(500)
    fitted = train_vae(x, steps=600, batch=64, width=48, latent=2, components=5)
    assert isinstance(fitted.latent, GaussianMixture)
    plain = Decoded(StandardNormal((2,)), fitted.network, fitted.shape)
    found = []
    for source in (fitted, plain):
        drawn = source.draw(400, noise=Noise.of(0, 400)).x0
        near = torch.cdist(drawn.flatten(1), x.flatten(1)).min(1).values
        found.append(float(near.mean()))
    spread = float(torch.cdist(x[:100].flatten(1), x[100:].flatten(1)).mean())
    assert found[0] < 0.35 * spread, "drafts lie near the data"
    assert found[0] < found[1], "and nearer than those of N(0, I)"
    none = train_vae(x, steps=5, batch=64, width=8, latent=2, components=0)
    assert isinstance(none.latent, StandardNormal)


@pytest.mark.long
def test_a_gan_moves_from_noise_to_the_data() -> None:
    x = waves(500)
    distances = []
    for steps in (2, 400):
        drawn = train_gan(x, steps=steps, batch=32, width=8, latent=4).draw(300, noise=Noise.of(0, 300)).x0
        distances.append(float(torch.cdist(drawn.flatten(1), x.flatten(1)).min(1).values.mean()))
    assert distances[1] < 0.6 * distances[0]


@pytest.mark.parametrize("kind", MAKE)
def test_bad_data_and_sizes_are_named(kind: str) -> None:
    x, make = waves(20), MAKE[kind]
    with pytest.raises(ValueError, match="no data"):
        make(x[:0], **SMALL)
    with pytest.raises(ValueError, match=r"torch.uint8.*finite numbers"):
        make(torch.zeros(20, 1, 8, 8, dtype=torch.uint8), **SMALL)
    with pytest.raises(ValueError, match="finite numbers"):
        make(x / 0, **SMALL)
    with pytest.raises(ValueError, match="^latent is 0"):
        make(x, **{**SMALL, "latent": 0})
    with pytest.raises(ValueError, match="steps is 0"):
        make(x, **{**SMALL, "steps": 0})


def test_a_gan_draws_images_alone() -> None:
    with pytest.raises(ValueError, match=r"generates images.*use vae or mixture"):
        train_gan(torch.zeros(20, 2), **SMALL)
    source = train_vae(Noise.of(0, 200).normal("points", 2), **SMALL)
    assert source.draw(3, noise=Noise.of(0, 3)).x0.shape == (3, 2)


def test_drafts_that_are_all_alike_are_an_error() -> None:
    from warmflow.drafts.generators import _alive

    network = seeded(0, lambda: Auxiliary((1, 8, 8), latent=2, width=8, depth=1)).eval().requires_grad_(False)
    network.decoder[-1].weight.zero_()
    source = Decoded(StandardNormal((2,)), network, (1, 8, 8))
    with pytest.raises(ValueError, match=r"the vae's drafts have collapsed: .* wait"):
        _alive(source, waves(100), "vae", "wait")
    network.decoder[-1].bias.fill_(float("nan"))
    with pytest.raises(ValueError, match="generates NaN"):
        _alive(source, waves(100), "vae", "wait")
