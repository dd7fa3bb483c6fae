"""Histograms of oriented gradients: exact on ramps, equivariant, and nearer to what eyes see than pixels are."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional as F

from warmflow.metrics.gradients import FLOOR, Gradients, cell_weights, oriented
from warmflow.metrics.mmd import MMD, mmd_for
from warmflow.metrics.unit import equivalent

FEATURES = Gradients().features
FINE = slice(0, 128)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def digits() -> tuple[Tensor, Tensor, Tensor]:
    x = torch.from_numpy(load_digits().data / 8 - 1).reshape(-1, 1, 8, 8)
    train, real, other = x[torch.from_numpy(np.random.default_rng(0).permutation(len(x)))].split([700, 550, 547])
    return train, real, other


def blurred(x: Tensor, sigma: float) -> Tensor:
    t = torch.arange(-3, 4).double()
    k = (-t.square() / (2 * sigma**2)).exp()
    kernel = torch.outer(k, k) / k.sum() ** 2
    return F.conv2d(F.pad(x, (3, 3, 3, 3), value=-1.0), kernel[None, None])


def histograms(x: Tensor) -> Tensor:
    """h of the 4 x 4 cells, (n, 8, 4, 4), from the features."""
    return ((FEATURES(x)[:, FINE] + math.sqrt(FLOOR)).square() - FLOOR).reshape(-1, 8, 4, 4)


@pytest.mark.parametrize("direction", range(8))
def test_a_ramp_fills_one_direction(direction: int) -> None:
    """x = a (u . position), u at angle 2 pi o / 8: inside the image all of the magnitude, a, is in direction o."""
    angle, a = 2 * math.pi * direction / 8, 0.05
    row, column = torch.meshgrid(torch.arange(16.0).double(), torch.arange(16.0).double(), indexing="ij")
    ramp = a * (math.cos(angle) * column + math.sin(angle) * row)
    inside = oriented(ramp[None])[0, :, 1:-1, 1:-1]
    expected = torch.zeros(8, 14, 14, dtype=torch.float64)
    expected[direction] = a
    torch.testing.assert_close(inside, expected, rtol=0, atol=1e-12)


def test_a_direction_between_two_bins_is_shared() -> None:
    """A quarter of the way from direction 0 to direction 1: shares 3/4 and 1/4."""
    angle = 2 * math.pi / 8 / 4
    row, column = torch.meshgrid(torch.arange(8.0).double(), torch.arange(8.0).double(), indexing="ij")
    found = oriented((math.cos(angle) * column + math.sin(angle) * row)[None])[0, :, 4, 4]
    assert found.tolist() == pytest.approx([0.75, 0.25, 0, 0, 0, 0, 0, 0], abs=1e-12)


@pytest.mark.parametrize("side", [8, 11, 28, 32])
@pytest.mark.parametrize("cells", [4, 2, 1])
def test_no_magnitude_is_lost_between_cells(side: int, cells: int) -> None:
    weights = cell_weights(side, cells)
    torch.testing.assert_close(weights.sum(0) * side / cells, torch.ones(side, dtype=torch.float64))
    torch.testing.assert_close(weights.flip(0, 1), weights)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 9), (2, 28, 28), (3, 32, 32)])
def test_a_constant_changes_nothing_and_any_channels_and_sides_are_taken(shape: tuple[int, ...]) -> None:
    x = normal(0, 5, *shape) / 3
    assert FEATURES(x).shape == (5, 168) and FEATURES(x).dtype == torch.float64
    np.testing.assert_allclose(FEATURES(x + 0.4).numpy(), FEATURES(x).numpy(), atol=1e-12)
    assert not FEATURES(torch.full((2, *shape), 0.7)).any()


def test_channels_add() -> None:
    x = normal(1, 4, 1, 12, 12)
    torch.testing.assert_close(histograms(x.repeat(1, 3, 1, 1)), 3 * histograms(x))


def test_a_quarter_turn_turns_cells_and_directions_and_a_negative_reverses_them() -> None:
    x = normal(2, 4, 1, 12, 12)
    h = histograms(x)
    turned = torch.rot90(h, 1, (2, 3)).roll(-2, 1)  # counterclockwise, and the rows' axis points down
    torch.testing.assert_close(histograms(torch.rot90(x, 1, (2, 3))), turned)
    torch.testing.assert_close(histograms(-x), h.roll(4, 1))


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = normal(3, 9, 2, 8, 8)
    whole = FEATURES(x)
    monkeypatch.setattr("warmflow.metrics.gradients.PIXELS", 130)
    torch.testing.assert_close(FEATURES(x), whole, rtol=0, atol=1e-12)


def test_blur_takes_energy_from_every_digit() -> None:
    """By the triangle inequality: the gradient of a blurred image is the blurred gradient."""
    x = digits()[2]
    sharp, soft = histograms(x).sum((1, 2, 3)), histograms(blurred(x, 0.5)).sum((1, 2, 3))
    assert bool((soft < sharp).all()) and float((soft / sharp).mean()) < 0.9


def test_a_shift_by_one_pixel_moves_gradients_less_than_pixels() -> None:
    """In units of the median distance between images."""
    train, _, other = digits()
    moved = []
    for metric in (mmd_for(train), mmd_for(train, Gradients())):
        a, b = metric.features(other), metric.features(other.roll(1, 3))
        moved.append(float((a - b).norm(dim=1).median()) / metric.scale)
    assert moved[1] < 0.75 * moved[0]


def as_good_as(metric: MMD, x: Tensor, real: Tensor) -> float:
    features = metric.features(real)
    return equivalent(metric.distance(metric.features(x), features), metric.scatter(features))


def test_blurred_and_noisy_digits_are_farther_by_gradients_than_by_pixels() -> None:
    """As good as how many real digits: fewer by gradients. Real digits themselves are as good as many by both."""
    train, real, other = digits()
    pixels, gradients = mmd_for(train), mmd_for(train, Gradients(), "gradients")
    for sigma in (0.4, 0.5):
        x = blurred(other, sigma)
        assert as_good_as(gradients, x, real) < 0.8 * as_good_as(pixels, x, real)
    noisy = other + 0.1 * normal(4, *other.shape)
    assert as_good_as(gradients, noisy, real) < 200 and as_good_as(pixels, noisy, real) > 1_000
    assert min(as_good_as(metric, other, real) for metric in (pixels, gradients)) > 1_000


def test_broken_strokes_are_farther_by_gradients_than_by_pixels() -> None:
    """Digits drawn four times larger, with one gap of 4 x 8 pixels near the middle."""
    train, real, other = (F.interpolate(x, scale_factor=4, mode="bilinear") for x in digits())
    broken, rng = other.clone(), np.random.default_rng(1)
    for image in broken:
        row, column = rng.integers(8, 18, 2)
        image[:, row : row + 4, column : column + 8] = -1
    pixels, gradients = mmd_for(train), mmd_for(train, Gradients(), "gradients")
    assert as_good_as(gradients, broken, real) < 0.5 * as_good_as(pixels, broken, real)


def test_errors_name_the_argument() -> None:
    for bad in (torch.zeros(3, 1, 7, 8), torch.zeros(3, 64), torch.zeros(3, 1, 8, 8, dtype=torch.int64)):
        with pytest.raises(ValueError, match="x is"):
            FEATURES(bad)
