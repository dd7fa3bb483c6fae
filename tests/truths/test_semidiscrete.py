"""Semidiscrete transport: cells that meet at quantiles, masses that agree with shares, a map that is optimal for any dual."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm
from torch import Tensor

from warmflow.contracts import Batch
from warmflow.couplings import Principal, Semidiscrete, prepare
from warmflow.noise import Noise
from warmflow.sources import Blurred, Gaussian, StandardNormal


def normal(seed: int, n: int, *shape: int) -> Tensor:
    return Noise.of(seed, n).normal("x", *shape)


def whole(y: Tensor) -> Batch:
    return Batch(y, {"tag": torch.arange(len(y))}, torch.arange(len(y)))


LINE = StandardNormal((1,))


@pytest.mark.parametrize("share", [0.5, 0.2, 0.9])
def test_two_data_on_the_line_are_parted_at_the_quantile(share: float) -> None:
    shares = torch.tensor([share, 1 - share])
    found, masses = Semidiscrete.fit(torch.tensor([[-1.0], [1.0]]), LINE, shares=shares, check=10_000)
    assert float(found.dual[0] - found.dual[1]) / 4 == pytest.approx(norm.ppf(share), abs=0.02)
    assert masses.worst < 0.05 and masses.starts >= 20_000


def test_eight_data_on_the_line_are_parted_at_the_eighths() -> None:
    """Cells of neighbours a < b meet at (g_a - g_b + b^2 - a^2) / (2 (b - a)), wherever the data lie."""
    y = torch.tensor([-3.0, -2.0, -1.0, 0.0, 2.0, 3.0, 5.0, 9.0])
    found, masses = Semidiscrete.fit(y[:, None] + 50, StandardNormal((1,)), check=3_000)
    g, z = found.dual, y.double() + 50
    meet = (g[:-1] - g[1:] + z[1:] ** 2 - z[:-1] ** 2) / (2 * (z[1:] - z[:-1]))
    assert torch.allclose(meet, torch.as_tensor(norm.ppf(torch.arange(1, 8) / 8)), atol=0.04)
    assert masses.worst < 0.1 and masses.exact_worst < 0.05


def test_masses_of_many_data_are_nearly_those_of_exact_cells() -> None:
    y = 0.7 * normal(0, 400, 2) + 1.5
    found, masses = Semidiscrete.fit(y, StandardNormal((2,)), batch=512, check=100)
    assert masses.mean < 1.6 * masses.exact_mean and masses.worst < 0.8
    assert masses.exact_mean == pytest.approx(0.8 / 100**0.5, rel=0.1)  # E |Poisson(m) - m| / m is sqrt(2 / (pi m))
    nothing, _ = Semidiscrete.fit(y, StandardNormal((2,)), steps=1, batch=512, check=1)
    assert float(nothing.dual.abs().max()) < float(found.dual.abs().max())


def test_the_transport_costs_what_the_closed_form_says() -> None:
    """From N(0, 1) to -1 and 1 alike: E (|x| - 1)^2 = 2 - 2 sqrt(2 / pi)."""
    n = 4000
    y = torch.tensor([-1.0, 1.0]).repeat(n // 2)[:, None]
    coupling = Semidiscrete(torch.zeros(n, dtype=torch.float64), most=float("inf"))
    pair = coupling.pair(whole(y), LINE, noise=Noise.of(0, n))
    assert torch.equal(pair.x1.sign(), pair.start.x0.sign())
    cost = float((pair.start.x0 - pair.x1).square().mean())
    assert cost == pytest.approx(2 - 2 * (2 / torch.pi) ** 0.5, abs=0.03)


@pytest.mark.parametrize("space", [None, Principal.fit(normal(7, 50, 3), dimensions=2)], ids=["pixels", "principal"])
def test_whatever_the_dual_no_pairing_of_the_same_starts_and_targets_is_cheaper(space: Any) -> None:
    """The map of any g is the optimal transport to the masses that it has: this is what makes a dual one."""
    n = 150
    y = normal(1, n, 3)
    coupling = Semidiscrete(3 * normal(2, n).double(), most=float("inf"), space=space)
    pair = coupling.pair(whole(y), StandardNormal((3,)), noise=Noise.of(0, n))
    assert pair.index is not None and len(pair.index.unique()) < n / 2
    view = (lambda x: x) if space is None else space
    costs = (view(pair.start.x0).double()[:, None] - view(pair.x1).double()[None]).square().sum(-1).numpy()
    assert costs.trace() == pytest.approx(costs[linear_sum_assignment(costs)].sum(), rel=1e-6)


def test_a_block_uses_no_datum_more_often_than_allowed_and_else_as_the_dual_says() -> None:
    n = 300
    y, shares = normal(1, n, 2), torch.arange(1, n + 1).double()
    shares = shares / shares.sum()
    g = 0.3 * normal(2, n).double()
    free = Semidiscrete(g, shares, most=float("inf"))
    pair = free.pair(whole(y), StandardNormal((2,)), noise=Noise.of(0, n))
    assert pair.index is not None
    score = (pair.start.x0.double()[:, None] - y.double()[None]).square().sum(-1) - g
    assert torch.equal(pair.index, score.argmin(1))
    for most in (1.0, 2.0):
        bound = (most * n * shares).ceil()
        held = Semidiscrete(g, shares, most).pair(whole(y), StandardNormal((2,)), noise=Noise.of(0, n))
        assert held.index is not None and torch.equal(held.start.x0, pair.start.x0)
        used = torch.bincount(held.index, minlength=n)
        assert not bool((used > bound).any()) and bool((torch.bincount(pair.index, minlength=n) > bound).any())
    one = Semidiscrete(g, most=1.0).pair(whole(y), StandardNormal((2,)), noise=Noise.of(0, n))
    assert one.index is not None and sorted(one.index.tolist()) == list(range(n))


def test_prepared_pairs_of_a_whole_set_use_the_data_evenly_over_rounds() -> None:
    y = 0.7 * normal(0, 200, 2) + 1.5
    source = Blurred(Gaussian.fit(normal(1, 500, 2)), 1e-4)
    coupling, _ = Semidiscrete.fit(y, source, steps=600, batch=512, check=1)
    pairs = prepare(coupling, whole(y), source, block=200, rounds=10)
    assert pairs.index is not None and pairs.start is not None and torch.equal(pairs.x1, y[pairs.index])
    assert torch.equal(pairs.start.condition["tag"], pairs.index)
    for k in range(10):
        assert int(torch.bincount(pairs.index[200 * k : 200 * (k + 1)]).max()) <= 2
    used = torch.bincount(pairs.index, minlength=200)
    assert int(used.min()) > 0 and int(used.max()) <= 20
    plain = prepare(Semidiscrete(torch.zeros(200)), whole(y), source, block=200, rounds=10)
    assert plain.index is not None
    assert float((used - 10).abs().double().mean()) < float(
        (torch.bincount(plain.index, minlength=200) - 10).abs().double().mean()
    )


BAD: list[tuple[Any, str]] = [
    (lambda: Semidiscrete(torch.zeros(3), most=0.5), "most is 0.5"),
    (lambda: Semidiscrete(torch.zeros(3), torch.tensor([0.5, 0.5])), "3 positive numbers"),
    (lambda: Semidiscrete(torch.zeros(2), torch.tensor([1.5, -0.5])), "2 positive numbers"),
    (lambda: Semidiscrete(torch.zeros(2), torch.tensor([0.5, 0.6])), "sum to 1.1"),
    (lambda: Semidiscrete.fit(torch.zeros(3, 1), LINE, steps=0), "steps=0"),
    (lambda: Semidiscrete.fit(torch.full((3, 1), torch.nan), LINE), "NaN"),
    (lambda: prepare(Semidiscrete(torch.zeros(9)), whole(normal(0, 9, 1)), LINE, block=5), "block=9"),
    (lambda: Semidiscrete(torch.zeros(5)).pair(Batch(normal(0, 5, 1)), LINE, noise=Noise.of(0, 5)), "block=5"),
]


@pytest.mark.parametrize(("build", "said"), BAD, ids=[said for _, said in BAD])
def test_bad_input_is_an_error_of_one_line(build: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        build()
    assert "\n" not in str(error.value)
