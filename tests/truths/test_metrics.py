"""What the distances claim of themselves: unbiased, no self-pairs, blind to blocks, exact where exactness is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from warmflow.metrics.copying import copying, copying_ratio
from warmflow.metrics.distances import TILE, nearest_two, squared_distances
from warmflow.metrics.features import Classifier, clusters_of, train_classifier
from warmflow.metrics.mmd import MMD, kernel_times, median_distance, mmd_for
from warmflow.metrics.resampled import resampling_counts
from warmflow.metrics.sliced_wasserstein import SlicedWasserstein
from warmflow.metrics.variation import histogram, total_variation, variation


def normal(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def slow_kernel(x: Tensor, y: Tensor, scale: float) -> float:
    q = float((x - y).square().sum())
    return float(np.mean([np.exp(-q / (2 * (f * scale) ** 2)) for f in (0.25, 0.5, 1, 2)]))


def slow_mmd(a: list[Tensor], b: list[Tensor], scale: float, same_a: list[int], same_b: list[int]) -> float:
    """The definition, pair by pair; pairs with equal ``same`` are copies of one point and are left out."""

    def own(x: list[Tensor], same: list[int]) -> float:
        pairs = [(i, j) for i, j in itertools.product(range(len(x)), repeat=2) if same[i] != same[j]]
        return float(np.mean([slow_kernel(x[i], x[j], scale) for i, j in pairs]))

    cross = np.mean([slow_kernel(x, y, scale) for x, y in itertools.product(a, b)])
    return own(a, same_a) + own(b, same_b) - 2 * float(cross)


def test_mmd_is_its_definition() -> None:
    a, b = normal(0, 7, 3), normal(1, 5, 3) + 0.3
    expected = slow_mmd(list(a), list(b), 1.7, list(range(7)), list(range(5)))
    assert MMD("pixels", 1.7).distance(a, b) == pytest.approx(expected, abs=1e-14)


def test_mmd_is_unbiased() -> None:
    """Over every pair of samples of sizes 2 and 3 from two laws on three points, its mean is the laws' MMD^2."""
    points, metric = torch.tensor([[0.0], [1.0], [2.5]], dtype=torch.float64), MMD("pixels", 1.0)
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])
    kernel = np.array([[slow_kernel(x, y, 1.0) for y in points] for x in points])
    expected = (p - q) @ kernel @ (p - q)
    total = 0.0
    for rows in itertools.product(range(3), repeat=5):
        i, j = list(rows[:2]), list(rows[2:])
        total += p[i].prod() * q[j].prod() * metric.distance(points[i], points[j])
    assert total == pytest.approx(expected, abs=1e-14)


def test_resampling_leaves_out_pairs_of_copies() -> None:
    a, b = normal(0, 6, 2), normal(1, 5, 2)
    counts = torch.tensor([[1, 1, 1, 1, 1], [3, 0, 1, 1, 0], [0, 2, 2, 0, 1]], dtype=torch.float64)
    metric = MMD("pixels", 1.3)
    distance, replicates = metric.against(a, metric.reference(b, counts))
    assert distance == pytest.approx(metric.distance(a, b), abs=1e-14)
    for count, replicate in zip(counts, replicates, strict=True):
        drawn = [j for j in range(5) for _ in range(int(count[j]))]
        expected = slow_mmd(list(a), [b[j] for j in drawn], 1.3, list(range(6)), drawn)
        assert float(replicate) == pytest.approx(expected, abs=1e-13)


def test_a_naive_bootstrap_is_lifted_and_ours_is_not() -> None:
    a, b = normal(0, 100, 2), normal(1, 100, 2)
    metric, counts = MMD("pixels", 1.7), resampling_counts(100, 2_000, 0)
    distance, replicates = metric.against(a, metric.reference(b, counts))
    naive = (counts.square().sum(1) - 100).mean() / (100 * 99)
    assert float(replicates.mean()) == pytest.approx(distance, abs=4 * float(replicates.std()) / 2_000**0.5)
    assert naive > 5 * abs(float(replicates.mean()) - distance)


@pytest.mark.parametrize("entries", [1, 37, 1_000, 10**6])
def test_blocks_change_nothing(entries: int) -> None:
    a, b = 100 + normal(3, 53, 4), 100 + normal(4, 31, 4)
    columns = normal(5, 31, 3)
    whole = kernel_times(a, b, columns, 1.5, 10**7)
    np.testing.assert_allclose(kernel_times(a, b, columns, 1.5, entries).numpy(), whole.numpy(), rtol=0, atol=1e-12)
    blocks = torch.cat([q for _, q in squared_distances(a, b, entries)])
    np.testing.assert_allclose(blocks.numpy(), torch.cdist(a, b).square().numpy(), atol=1e-10)
    np.testing.assert_array_equal(nearest_two(a, b, entries).numpy(), nearest_two(a, b).numpy())


def test_neighbours_are_found_in_every_tile() -> None:
    """Against all distances, with the nearest of each point at one end of a training set of several tiles and copies at both."""
    train = normal(21, 2 * TILE + 100, 3)
    x = torch.cat([train[:5], train[-5:], normal(22, 40, 3)])
    wanted = torch.cdist(x.double(), train.double()).topk(2, largest=False).values
    found = nearest_two(x, train)
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), atol=1e-6)
    assert not found[:10, 0].any(), "a copy is at exactly 0"


def test_far_from_the_origin_nothing_is_lost() -> None:
    a, b = normal(3, 60, 4), normal(4, 50, 4)
    metric = MMD("pixels", 1.5)
    assert metric.distance(a + 1e5, b + 1e5) == pytest.approx(metric.distance(a, b), abs=1e-9)


def test_scale_is_the_training_sets_median_distance() -> None:
    train = normal(0, 300, 1, 2, 2).float()
    metric = mmd_for(train)
    assert metric.scale == pytest.approx(float(torch.pdist(train.double().flatten(1)).median()))
    big = normal(1, 5_000, 3)
    assert median_distance(big) == median_distance(big) == pytest.approx(float(torch.pdist(big).median()), rel=0.02)
    with pytest.raises(ValueError, match="scale of metric"):
        mmd_for(torch.zeros(10, 3))


@pytest.mark.long
def test_sliced_wasserstein_of_a_shift_is_known() -> None:
    a, v = normal(0, 500, 6), torch.tensor([1.0, -2.0, 0.0, 0.5, 0.0, 1.0], dtype=torch.float64)
    metric = SlicedWasserstein(projections=400)
    exact = float((metric.directions(6) @ v).square().mean().sqrt())
    assert metric.distance(a, a + v) == pytest.approx(exact, rel=1e-12)
    assert exact == pytest.approx(float(v.norm()) / 6**0.5, rel=0.05)
    assert metric.distance(normal(1, 20_000, 6), normal(2, 20_000, 6) + v) == pytest.approx(exact, rel=0.02)


def test_sliced_wasserstein_of_unequal_sizes_is_that_of_repeated_rows() -> None:
    a, b = normal(0, 6, 3), normal(1, 4, 3)
    metric = SlicedWasserstein(projections=16)
    repeated = metric.distance(a.repeat_interleave(2, 0), b.repeat_interleave(3, 0))
    assert metric.distance(a, b) == pytest.approx(repeated, rel=1e-12)


def test_total_variation() -> None:
    p = histogram(torch.tensor([[0, 0, 1, 2], [2, 2, 2, 2]]), 3)
    assert p.tolist() == [[0.5, 0.25, 0.25], [0, 0, 1]]
    assert float(total_variation(p[0], p[1])) == pytest.approx(0.75)
    assert float(total_variation(p[0], p[0])) == 0
    with pytest.raises(ValueError, match=r"0 \.\. 1"):
        histogram(torch.tensor([0, 2]), 2)


def test_variation_of_three_lost_classes_is_their_share() -> None:
    x = torch.arange(100.0).reshape(100, 1) // 10 * 100
    clusters = clusters_of(x, 10)
    assert variation(clusters, x, x) == 0
    assert variation(clusters, x[:70].repeat(10, 1), x.repeat(7, 1)) == pytest.approx(0.3)


def test_copies_have_ratio_zero_even_of_duplicated_points() -> None:
    train = normal(0, 50, 1, 3, 3).float()
    twice = torch.cat([train, train[:10]])
    found = copying(train, twice)
    assert (found.mean, found.share) == (0.0, 1.0)
    halfway = (train[:1] + train[1:2]) / 2
    near = nearest_two(halfway.double().flatten(1), train.double().flatten(1))
    assert float(copying_ratio(halfway, train)) == pytest.approx(float(near[0, 0] / near[0, 1]))


def test_ratio_of_new_points_in_the_plane_is_uniform_when_squared() -> None:
    rng = np.random.default_rng(0)
    train, x = (torch.from_numpy(rng.uniform(size=(4_000, 2))) for _ in range(2))
    found = copying(x, train)
    assert found.share == pytest.approx(0.25, abs=0.03) and found.mean == pytest.approx(2 / 3, abs=0.02)


def test_classifier_learns_repeats_and_survives_a_folder() -> None:
    state = torch.get_rng_state()
    label = torch.arange(300) % 3
    x = (normal(0, 300, 1, 2, 2) + 3 * label.reshape(-1, 1, 1, 1)).float()
    first, second = (train_classifier(x, label, classes=3, seed=4, steps=200) for _ in range(2))
    assert torch.equal(state, torch.get_rng_state())
    assert first.accuracy(x, label) > 0.9 and first.features(x).shape == (300, 64)
    again = Classifier.from_state(*first.state())
    assert torch.equal(first.features(x), second.features(x)) and torch.equal(first.features(x), again.features(x))
    with pytest.raises(ValueError, match="classes=2"):
        train_classifier(x, label, classes=2, seed=0)
    with pytest.raises(ValueError, match="trained on 4"):
        first.features(x[:, :, :1])
