"""Our assignment against brute force, scipy on plain costs, and POT's exact transport."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from warmflow.contracts import Batch
from warmflow.couplings import Assignment
from warmflow.couplings.assignment import assign
from warmflow.noise import Noise
from warmflow.sources import StandardNormal


def sets(n, d, seed=0):
    noise = Noise.of(seed, n)
    return noise.normal("x0", d), noise.normal("x1", d) + 1


def cost(x0, x1):
    return float((x0.double() - x1.double()).square().sum())


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
def test_no_permutation_is_cheaper(n):
    for seed in range(5):
        x0, x1 = sets(n, 2, seed)
        rows = assign(x0, x1)
        assert sorted(rows.tolist()) == list(range(n))
        best = min(cost(x0[list(p)], x1) for p in itertools.permutations(range(n)))
        assert cost(x0[rows], x1) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize(("n", "d"), [(50, 1), (200, 2), (300, 64)])
def test_costs_as_much_as_pot_s_exact_plan(n, d):
    ot = pytest.importorskip("ot")
    x0, x1 = sets(n, d)
    costs = ((x0.double().numpy()[:, None] - x1.double().numpy()[None]) ** 2).sum(-1)
    weights = np.full(n, 1 / n)
    theirs = float(ot.emd2(weights, weights, costs))
    assert cost(x0[assign(x0, x1)], x1) / n == pytest.approx(theirs, rel=1e-9)
    rows, columns = linear_sum_assignment(costs)
    assert cost(x0[assign(x0, x1)], x1) == pytest.approx(costs[rows, columns].sum(), rel=1e-9)


def test_on_the_line_it_sorts():
    x0, x1 = sets(500, 1)
    assert torch.equal(x0[assign(x0, x1)][x1[:, 0].argsort()], x0.sort(0).values)


def test_far_from_the_origin_the_pairs_are_the_same():
    """The costs are formed from an expanded square: in float64 an offset of 1,000 does not drown them."""
    x0, x1 = sets(100, 3)
    assert torch.equal(assign(x0.double(), x1.double()), assign(x0.double() + 1e3, x1.double() + 1e3))


def test_images_are_paired_as_their_flat_vectors():
    x0, x1 = sets(40, 12)
    flat = Assignment().pair(Batch(x1), StandardNormal((12,)), noise=Noise.of(0, 40))
    image = Assignment().pair(Batch(x1.reshape(40, 3, 2, 2)), StandardNormal((3, 2, 2)), noise=Noise.of(0, 40))
    assert torch.equal(image.start.x0.flatten(1), flat.start.x0)
