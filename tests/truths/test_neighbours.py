"""Precision, recall, density, coverage: closed forms, the definitions pair by pair, the expectations that the papers prove."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import warmflow.metrics.neighbours as module
from warmflow.metrics.neighbours import Balls, Neighbours, neighbours


def normal(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def measure(real: Tensor, generated: Tensor, k: tuple[int, int] = (3, 5)) -> Neighbours:
    return neighbours(Balls.of(real, k), Balls.of(generated, k))


def slow(real: Tensor, generated: Tensor, k: tuple[int, int]) -> Neighbours:
    """The definitions, row by row, with distances of differences."""

    def radius(x: Tensor, i: int, nearest: int) -> float:
        return sorted(float((x[i] - x[j]).norm()) for j in range(len(x)) if j != i)[nearest - 1]

    far = [[float((x - y).norm()) for x in real] for y in generated]
    narrow = [radius(real, i, k[0]) for i in range(len(real))]
    wide = [radius(real, i, k[1]) for i in range(len(real))]
    reach = [radius(generated, j, k[0]) for j in range(len(generated))]
    n, m = range(len(real)), range(len(generated))
    return Neighbours(
        precision=float(np.mean([any(far[j][i] <= narrow[i] for i in n) for j in m])),
        recall=float(np.mean([any(far[j][i] <= reach[j] for j in m) for i in n])),
        density=sum(far[j][i] < wide[i] for i in n for j in m) / (k[1] * len(m)),
        coverage=float(np.mean([any(far[j][i] < wide[i] for j in m) for i in n])),
    )


@pytest.mark.parametrize("k", [(3, 5), (1, 1), (4, 2)])
def test_they_are_their_definitions(k: tuple[int, int]) -> None:
    real, generated = normal(0, 40, 3), 0.6 + 0.8 * normal(1, 29, 3)
    found, expected = measure(real, generated, k), slow(real, generated, k)
    assert vars(found) == pytest.approx(vars(expected), abs=1e-12)
    assert 0.1 < found.recall < 1 and 0.1 < found.coverage < 1, "the case says nothing"


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_a_set_against_itself_is_exactly_one(shift: float) -> None:
    """Rims decide here: a row's k-th neighbour stands on its rim, and rounding must not take it in or out."""
    x = shift + normal(0, 300, 20)
    assert measure(x, x) == Neighbours(1.0, 1.0, 1.0, 1.0)
    assert measure(x, x[torch.randperm(300, generator=torch.Generator().manual_seed(0))]) == Neighbours(
        1.0, 1.0, 1.0, 1.0
    )


def test_sets_far_apart_are_exactly_zero() -> None:
    assert measure(normal(0, 50, 4), 1e3 + normal(1, 60, 4)) == Neighbours(0.0, 0.0, 0.0, 0.0)


def test_half_of_the_modes_halves_recall_and_coverage_only() -> None:
    modes = 100 * torch.arange(4.0, dtype=torch.float64).repeat_interleave(30)[:, None]
    real = modes + normal(0, 120, 2)
    assert measure(real, real[:60]) == Neighbours(precision=1.0, recall=0.5, density=1.0, coverage=0.5)
    found = measure(real[:60], real)  # and the other way round: half of the samples are of modes that are not real
    assert (found.precision, found.recall, found.density, found.coverage) == (0.5, 1.0, 0.5, 1.0)


def test_one_real_outlier_makes_all_precise_but_not_dense() -> None:
    """Its ball reaches back to the cluster and holds every sample on the way: precise, each in one ball of k."""
    real = torch.cat([normal(0, 50, 2), torch.tensor([[100.0, 0.0]], dtype=torch.float64)])
    between = torch.tensor([50.0, 0.0], dtype=torch.float64) + normal(1, 40, 2)
    found = measure(real, between)
    assert found.precision == 1.0 and found.density == pytest.approx(1 / 5)
    assert found.coverage == pytest.approx(1 / 51) and found.recall == 0.0
    assert measure(real[:50], between).precision == 0.0


def test_an_outlier_among_the_samples_lifts_recall_and_not_coverage() -> None:
    """The ball of one far sample holds the whole real set."""
    real, away = normal(0, 50, 2), torch.tensor([[100.0, 0.0]], dtype=torch.float64)
    generated = torch.cat([torch.tensor([-100.0, 0.0], dtype=torch.float64) + normal(1, 40, 2), away])
    found = measure(real, generated)
    assert found.recall == 1.0 and found.coverage == 0.0 and found.precision == 0.0


@pytest.mark.parametrize(("n", "m"), [(30, 30), (25, 60)])
def test_expectations_between_equal_laws_are_those_of_the_lemma(n: int, m: int) -> None:
    """E density = 1; E coverage = 1 - prod_{i=1..k} (n - i) / (n + m - i), in any dimension and for any law."""
    k, draws = 5, 400
    found = [measure(normal(i, n, 3).exp(), normal(10_000 + i, m, 3).exp()) for i in range(draws)]
    coverage = 1 - math.prod((n - i) / (n + m - i) for i in range(1, k + 1))
    for values, expected in (([f.density for f in found], 1.0), ([f.coverage for f in found], coverage)):
        assert np.mean(values) == pytest.approx(expected, abs=4 * float(np.std(values)) / draws**0.5)
        assert np.std(values) / draws**0.5 < 0.02


@pytest.mark.parametrize("entries", [1, 100, 10**7])
def test_blocks_change_nothing(entries: int) -> None:
    real, generated = normal(0, 60, 5), normal(1, 45, 5)
    whole = measure(real, generated)
    assert neighbours(Balls.of(real, entries=entries), Balls.of(generated, entries=entries), entries) == whole


def test_no_table_of_all_pairs_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    largest, inner = 0, module.squared_distances

    def watched(a: Tensor, b: Tensor, entries: int = module.ENTRIES):
        nonlocal largest
        for rows, block in inner(a, b, entries):
            largest = max(largest, block.numel())
            yield rows, block

    monkeypatch.setattr(module, "squared_distances", watched)
    x, y = normal(0, 2_500, 2), normal(1, 2_500, 2)
    measure(x, y)
    assert 0 < largest <= module.ENTRIES < 2_500**2


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.ones(5, 2), "more than 5 rows"),
        (torch.ones(9), "rows, features"),
        (torch.full((9, 2), float("nan")), "9 of 9"),
    ],
)
def test_errors(features: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Balls.of(features)


def test_two_ks_or_two_extractors_are_no_comparison() -> None:
    with pytest.raises(ValueError, match="one k"):
        neighbours(Balls.of(normal(0, 9, 2)), Balls.of(normal(1, 9, 2), (2, 4)))
    with pytest.raises(ValueError, match="the same extractor"):
        measure(normal(0, 9, 2), normal(1, 9, 3))
