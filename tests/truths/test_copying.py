"""Copying against a held-out set: planted copies are found, near-twins do not hide them, blur is not taken for copying."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import betabinom
from sklearn.datasets import load_digits
from torch import Tensor

from warmflow.metrics.copying import NEAR, CopyingReference, copying, copying_ratio, distinct
from warmflow.metrics.distances import TILE, nearest, nearest_two

Sets = tuple[Tensor, Tensor, Tensor, Tensor]


def normal(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def digits() -> Sets:
    """Train, other, real, fresh: 797 + 300 + 300 + 400 digits in a fixed random order."""
    x = torch.from_numpy(load_digits().data / 8 - 1).reshape(-1, 1, 8, 8)
    x = x[torch.from_numpy(np.random.default_rng(0).permutation(len(x)))]
    train, other, real, fresh = x.split([797, 300, 300, 400])
    return train, other, real, fresh


def gaussians() -> Sets:
    return normal(0, 800, 8), normal(1, 400, 8), normal(2, 400, 8), normal(3, 400, 8)


DATA = pytest.mark.parametrize("sets", [digits(), gaussians()], ids=["digits", "gaussians"])


def flagged(reference: CopyingReference, x: Tensor) -> bool:
    """Above the limit at one of the two lowest levels."""
    return bool((reference.shares(x) > reference.limits(len(x), 0.99))[:2].any())


def with_copies(fresh: Tensor, copies: Tensor, share: float = 0.05) -> Tensor:
    n = round(share * len(fresh))
    return torch.cat([copies[:n], fresh[n:]])


@DATA
def test_real_points_are_not_flagged(sets: Sets) -> None:
    train, other, real, fresh = sets
    reference = CopyingReference.of(train, other, real)
    torch.testing.assert_close(reference.shares(real), torch.tensor([0.01, 0.05, 0.25, 0.5], dtype=torch.float64))
    assert not flagged(reference, fresh)
    assert bool((reference.shares(fresh) <= reference.limits(400, 0.999)).all())


@DATA
def test_five_per_cent_of_copies_are_found(sets: Sets) -> None:
    train, other, real, fresh = sets
    reference, x = CopyingReference.of(train, other, real), with_copies(fresh, train)
    share = reference.shares(x)
    assert flagged(reference, x) and float(share[0]) >= 0.05
    torch.testing.assert_close(share[0], 0.05 + 0.95 * reference.shares(fresh[20:])[0])
    assert not reference.ratio(x)[:20].any(), "a copy has r = 0"


@DATA
def test_near_twins_hide_copies_from_the_old_ratio_only(sets: Sets) -> None:
    """Every training point has a twin at a distance e, and copies are e off too: nearest and second-nearest are alike."""
    train, other, real, fresh = sets
    e = 0.05 * float(nearest(fresh.flatten(1), train.flatten(1)).median()) / train[0].numel() ** 0.5
    twins = torch.cat([train, train + e * normal(5, *train.shape)])
    x = with_copies(fresh, train + e * normal(6, *train.shape))
    assert float((copying_ratio(x[:20], twins) < NEAR).double().mean()) < 0.1
    assert copying(x, twins).share <= copying(fresh, twins).share + 0.01
    reference = CopyingReference.of(twins, other, real)
    assert flagged(reference, x) and float(reference.shares(x)[0]) >= 0.05
    assert not flagged(reference, fresh)


@DATA
def test_averages_of_training_neighbours_are_found(sets: Sets) -> None:
    train, other, real, fresh = sets
    rows = train.flatten(1)
    neighbour = torch.cdist(rows, rows).fill_diagonal_(float("inf")).argmin(1)
    reference = CopyingReference.of(train, other, real)
    averages = (train + train[neighbour]) / 2
    assert flagged(reference, averages[:400])
    assert float(reference.shares(averages)[1]) > 0.5
    assert flagged(reference, with_copies(fresh, averages, 0.15))


@DATA
def test_averages_of_held_out_neighbours_are_not(sets: Sets) -> None:
    """The same averages, of neighbours in a set that was not trained on, pass: it is not smoothness that is found."""
    train, other, real, fresh = sets
    rows = fresh.flatten(1)
    neighbour = torch.cdist(rows, rows).fill_diagonal_(float("inf")).argmin(1)
    assert not flagged(CopyingReference.of(train, other, real), (fresh + fresh[neighbour]) / 2)


def test_blurred_digits_are_not_flagged() -> None:
    train, other, real, fresh = digits()
    kernel = torch.outer(b := torch.tensor([0.25, 0.5, 0.25], dtype=torch.float64), b)[None, None]
    blurred = torch.nn.functional.conv2d(torch.nn.functional.pad(fresh, (1, 1, 1, 1), mode="replicate"), kernel)
    assert not flagged(CopyingReference.of(train, other, real), blurred)


def test_a_shrunken_gaussian_is_not_flagged() -> None:
    """Samples near the mode are near to both sets. Their distance to the training set alone would accuse them."""
    train, other, real, fresh = gaussians()
    reference = CopyingReference.of(train, other, real)
    assert not flagged(reference, fresh / 2)
    assert float(reference.shares(fresh / 2)[0]) <= 0.01


def test_a_larger_other_set_does_not_accuse_blurred_samples() -> None:
    train, other, real, fresh = normal(0, 100, 4), normal(1, 4_000, 4), normal(2, 2_000, 4), normal(3, 2_000, 4)
    reference = CopyingReference.of(torch.cat([train, train]), other, real)
    assert len(reference.train) == len(reference.other) == 100
    assert not bool((reference.shares(fresh / 3) > reference.limits(2_000, 0.999)).any())


def test_duplicated_training_points_change_nothing() -> None:
    train, other, real, fresh = digits()
    once, twice = (CopyingReference.of(x, other, real) for x in (train, torch.cat([train, train[:300]])))
    assert torch.equal(once.thresholds, twice.thresholds) and torch.equal(once.shares(fresh), twice.shares(fresh))


@pytest.mark.parametrize("repeated", [0.02, 0.1])
def test_real_data_that_repeats_the_training_set(repeated: float) -> None:
    """A share of all real data stands in the training set: samples with that share pass, 5 % more are found."""
    train, other, real, fresh = normal(0, 800, 8), normal(1, 400, 8), normal(2, 1_000, 8), normal(3, 1_000, 8)
    reference = CopyingReference.of(train, other, with_copies(real, train, repeated))
    assert float(reference.thresholds[0]) == 0
    same = reference.shares(with_copies(fresh, train, repeated))
    assert float(same[0]) == pytest.approx(0.01)
    more = reference.shares(with_copies(fresh, train, repeated + 0.05))
    assert float(more[0]) == pytest.approx(0.01 * (repeated + 0.05) / repeated)
    assert float(more[1]) > float(same[1]) + 0.02


def test_ties_of_zero_distances() -> None:
    train, other = torch.tensor([[0.0], [4.0]]), torch.tensor([[1.0], [4.0]])
    reference = CopyingReference.of(train, other, torch.tensor([[2.0], [3.0]]), quantiles=(0.5,))
    assert reference.ratio(torch.tensor([[0.0], [1.0], [4.0], [0.5]])).tolist() == [0.0, float("inf"), 1.0, 1.0]


@pytest.mark.long
def test_limits_hold_for_new_real_sets_and_are_not_slack() -> None:
    """Over fresh real points and fresh samples, the share passes its 90 % limit in at most 10 % of trials, and often enough."""
    train, other = normal(0, 60, 2), normal(1, 60, 2)
    above, trials = torch.zeros(3), 400
    for i in range(trials):
        real, fresh = normal(100 + i, 200, 2), normal(10_000 + i, 200, 2)
        reference = CopyingReference.of(train, other, real, (0.05, 0.25, 0.5))
        above += reference.shares(fresh) > reference.limits(200, 0.9)
    assert bool((above / trials < 0.135).all()) and bool((above / trials > 0.04).all())
    assert float(reference.limits(200, 0.9)[0]) == betabinom.ppf(0.9, 200, 10, 191) / 200


def test_nearest_is_the_first_of_the_nearest_two() -> None:
    train, x = normal(21, TILE + 100, 3).float(), normal(22, 60, 3).float()
    x = torch.cat([x, train[:2], train[-2:]])
    assert torch.equal(nearest(x, train), nearest_two(x, train)[:, 0])
    assert torch.equal(nearest(x, train, 37), nearest(x, train)) and not nearest(x, train)[-4:].any()
    assert nearest(x, train[:1]).numpy() == pytest.approx((x.double() - train[0]).norm(dim=1).numpy())


def test_distinct_keeps_the_first_of_equal_rows() -> None:
    x = torch.tensor([[1.0, -0.0], [2.0, 1.0], [1.0, 0.0], [2.0, 1.0], [0.0, 3.0]])
    assert distinct(x).tolist() == [[1, 0], [2, 1], [0, 3]]


def test_errors_name_the_argument() -> None:
    x = normal(0, 50, 3)
    with pytest.raises(ValueError, match=r"real has 50 rows; the quantile 0\.01 needs 100"):
        CopyingReference.of(x, x, x)
    with pytest.raises(ValueError, match="other is"):
        CopyingReference.of(x, x[:, :2], x, (0.5,))
    with pytest.raises(ValueError, match="quantiles are"):
        CopyingReference.of(x, x, x, (0.0,))
    with pytest.raises(ValueError, match="n and level"):
        CopyingReference.of(x, x, x, (0.5,)).limits(0)
