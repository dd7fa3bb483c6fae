"""What the image metrics say of sets whose answer is known: two halves of real images, and noise of rising strength."""

from __future__ import annotations

import pytest
import torch
from photographs import cifar10_test, lite0
from torch import Tensor

from warmflow.data.idx import fashion, fashion_folder
from warmflow.image_table import final_table
from warmflow.metrics.extractors import Classified
from warmflow.metrics.features import train_classifier

pytestmark = pytest.mark.long

SIGMAS = (8, 16, 32, 64)


def noisy(x: Tensor, sigma: int) -> Tensor:
    """Noise of sigma in 256 levels, clipped as a picture is."""
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(sigma))
    return (x + noise * sigma / 127.5).clamp(-1, 1)


@pytest.fixture(scope="module", params=["CIFAR-10", "Fashion-MNIST"])
def table(request: pytest.FixtureRequest):
    """Half of the real images against the other half, as it is and with noise; n images each."""
    if request.param == "CIFAR-10":
        n, extractor = 300, lite0(64)
        x, _ = cifar10_test(2 * n)
    else:
        if fashion_folder() is None:
            pytest.skip("Fashion-MNIST was not found: set WARMFLOW_DATA")
        n, data = 2_000, fashion(most=5_000)
        classifier = train_classifier(data.train.x1, data.train.condition["label"], classes=10, seed=0, steps=400)
        extractor, x = Classified(classifier, "Fashion-MNIST"), data.heldout.x1[: 2 * n]
    real, half = x[:n], x[n:]
    arms = {"half": half, **{f"{s}": noisy(half, s) for s in SIGMAS}}
    return {row.arm: row for row in final_table(real, arms, extractor)}


def test_two_halves_are_at_kernel_distance_zero_within_the_interval(table) -> None:
    kid = table["half"].kid
    assert kid.low <= 0 <= kid.high
    assert kid.high - kid.low < table["64"].kid.value / 4


def test_noise_of_rising_strength_is_farther_and_farther_away(table) -> None:
    frechet, kernel = (
        [f(table[a]) for a in ("half", *map(str, SIGMAS))] for f in (lambda r: r.frechet, lambda r: r.kid.value)
    )
    assert frechet == sorted(frechet) and frechet[-1] > 2 * frechet[0]
    assert kernel[1:] == sorted(kernel[1:]) and table["64"].kid.low > 0


def test_coverage_of_a_half_is_the_lemmas_and_noise_loses_coverage_and_recall(table) -> None:
    """1 - 2^-5 for two sets of one law. (Density says little of noise: it crowds into a corner where the balls of real images are
    many, and rises to 5.9 on CIFAR-10.)"""
    half, worst = table["half"].neighbours, table["64"].neighbours
    assert half.coverage == pytest.approx(1 - 2**-5, abs=0.04) and half.density == pytest.approx(1, abs=0.35)
    assert worst.coverage < half.coverage - 0.1 and worst.recall < half.recall - 0.2
