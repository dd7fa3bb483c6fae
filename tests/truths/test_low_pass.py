"""Low frequencies as a prior: what is coarse comes back, what is fine is spread, and the spread is the residual's own."""

from __future__ import annotations

import math

import pytest
import torch

from warmflow.networks import LowPass
from warmflow.noise import Noise


def test_a_flat_image_comes_back_and_a_checkerboard_is_all_residual() -> None:
    network = LowPass((1, 8, 8), factor=2)
    flat = torch.full((1, 1, 8, 8), 0.3)
    checks = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    assert torch.allclose(network.decode(network.encode(flat)[0])[0], flat)
    assert not network.encode(checks[None, None])[0].any(), "a checkerboard has no low frequencies"


def test_sigma_is_the_residual_of_each_pixel() -> None:
    """White noise of variance v: a pixel's residual has the variance of y - A y - B spread eps, A and B known matrices."""
    v, spread, n = 0.5, 0.2, 40_000
    y = v**0.5 * Noise.of(0, n).normal("y", 1, 4, 4)
    network = LowPass.fit(y, 2, spread)
    basis = torch.eye(16).reshape(16, 1, 4, 4)
    through = network.decode(network.encode(basis)[0])[0].reshape(16, 16).T
    up = network.decode(torch.eye(4))[0].reshape(4, 16).T
    wanted = v * (torch.eye(16) - through).square().sum(1) + spread**2 * up.square().sum(1)
    assert torch.allclose(network.log_variance.exp().flatten(), wanted, rtol=0.05)


def test_the_latent_has_its_spread_and_a_flat_border_the_floor() -> None:
    y = torch.zeros(50, 1, 4, 4)
    y[:, :, 2:, 2:] = Noise.of(0, 50).normal("y", 1, 2, 2)
    network = LowPass.fit(y, 2, 1e-4)
    assert float(network.encode(y)[1].max()) == pytest.approx(math.log(1e-4))
    log_variance = network.decode(network.encode(y)[0])[1]
    assert 0.05 < network.clamped(log_variance) < 0.8


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"shape": (8, 8)}, "takes images"),
        ({"shape": (1, 7, 8)}, "multiples of it"),
        ({"shape": (1, 8, 8), "factor": 1}, "factor >= 2"),
        ({"shape": (1, 8, 8), "spread": 0.0}, "spread is 0"),
    ],
)
def test_impossible_ones_are_named(more, says) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=says):
        LowPass(**more)
