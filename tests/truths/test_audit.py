"""The audit: each number against its closed form, and the two pairings of a draft without three classes."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm
from torch import Tensor

from warmflow.data.images import digits
from warmflow.data.toy import draw
from warmflow.drafts import Own
from warmflow.experiments.pair_audits import audits
from warmflow.methods.base import Drafted, settled
from warmflow.methods.parts import Parts
from warmflow.methods.warm_start import WarmStart
from warmflow.metrics.audit import Audit, auc, auc_floor, aucs, audit_pairs, explained, variation_floor
from warmflow.metrics.cost import timed
from warmflow.noise import Noise, permutation
from warmflow.problems import problem_of
from warmflow.setup import Setup


def gaussian(seed: int, n: int, *shape: int) -> Tensor:
    return Noise.of(seed, n).normal("x", *shape)


def drafted_of(method: WarmStart, setup: Setup) -> Drafted:
    found = settled(method, setup).drafted(Parts(setup, 0))
    assert found is not None
    return found


def audit(index: Tensor, data: Tensor, labels: Tensor | None = None, **changed: Any) -> Audit:
    given: dict[str, Any] = {
        "x0": gaussian(1, len(index), *data.shape[1:]),
        "x1": changed["x1"] if "x1" in changed else data[index],
        "index": index,
        "data_size": len(data),
        "labels_of_data": labels,
        "drafts_fresh": gaussian(2, 600, *data.shape[1:]),
        "data": data,
    }
    return audit_pairs(**(given | changed))


def test_a_permutation_uses_every_datum_once() -> None:
    data = gaussian(0, 600, 2)
    for labels in (None, torch.arange(600) % 4, torch.zeros(600, dtype=torch.int64)):
        found = audit(permutation(0, 600), data, labels)
        assert found.never_chosen == 0 and found.effective_sample_size == 1 and found.variation == 0
        assert found.flags == () and found.groups == ("labels" if labels is not None and labels.any() else "clusters")


def test_use_is_counted() -> None:
    data, labels = gaussian(0, 400, 2), torch.arange(400) % 4
    index = torch.arange(100).repeat(4)  # a quarter of the data, four times each
    found = audit(index, data, labels)
    assert found.never_chosen == 0.75 and found.effective_sample_size == 0.25 and found.variation == 0
    assert len(found.flags) == 1 and "75%" in found.flags[0]
    found = audit(torch.arange(0, 400, 4).repeat(4), data, labels)  # one class of four
    assert found.variation == pytest.approx(0.75) and any("classes" in flag for flag in found.flags)
    # fewer pairs than data must leave some unchosen: no flag for it
    assert not any("never" in flag for flag in audit(torch.arange(100), data, labels).flags)


def test_cost_of_a_random_pairing_is_one() -> None:
    x0, x1 = gaussian(0, 4_000, 3), gaussian(1, 4_000, 3) + 2
    found = audit(torch.arange(4_000), x1, x0=x0)
    assert found.mean_cost == pytest.approx(3 + 3 + 12, rel=0.05)
    assert found.mean_cost_relative == pytest.approx(1, abs=0.02)
    assert audit(torch.arange(4_000), x1, x0=x1 - 1).mean_cost == pytest.approx(3, rel=1e-4)


@pytest.mark.parametrize(("d", "scale"), [(1, 1.0), (2, 1.0), (8, 1.0), (64, 1.0), (2, 0.5)])
def test_independent_pairs_are_explained_by_the_closed_form(d: int, scale: float) -> None:
    """x0 ~ N(0, I), x1 ~ N(0, s^2 I) independent: E[v | x0] = -x0, a share 1 / (1 + s^2) of the velocity's variance."""
    x0, x1 = gaussian(0, 4_000, d), scale * gaussian(1, 4_000, d)
    assert explained(x0, x1) == pytest.approx(1 / (1 + scale**2), abs=0.03)


def test_a_linear_map_is_explained_and_noise_on_it_by_its_share() -> None:
    x0, noise = gaussian(0, 4_000, 2), gaussian(1, 4_000, 2)
    linear = x0 @ torch.tensor([[2.0, 1.0], [-1.0, 0.5]])
    assert explained(x0, linear) > 0.98
    assert explained(x0, x0 + 3) == 1
    variance = float((linear - x0).var(0).sum())
    assert explained(x0, linear + noise) == pytest.approx(variance / (variance + 2), abs=0.03)


def test_assigned_pairs_are_explained_better_than_independent_ones() -> None:
    x0, x1 = gaussian(0, 1_000, 2), draw("eight_gaussians", 1_000, Noise.of(1, 1_000))
    rows, columns = linear_sum_assignment(torch.cdist(x0, x1).square().numpy())
    assert explained(x0[rows], x1[columns]) > explained(x0, x1) + 0.2
    independent, assigned = audit(torch.arange(1_000), x1, x0=x0), audit(torch.from_numpy(columns), x1, x0=x0[rows])
    assert independent.explained_data < 0.05 and assigned.explained_data > 0.85


def test_auc_of_equal_laws_is_a_half() -> None:
    found = [aucs(gaussian(s, 1_000, 4), gaussian(50 + s, 1_000, 4), s) for s in range(4)]
    for name in ("logistic", "trees"):
        assert np.mean([f[name] for f in found]) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_auc_of_shifted_gaussians_is_the_closed_form(shift: float) -> None:
    a, b = gaussian(0, 1_000, 3), gaussian(1, 1_000, 3) + torch.tensor([shift, 0.0, 0.0])
    assert aucs(a, b)["logistic"] == pytest.approx(norm.cdf(shift / math.sqrt(2)), abs=0.03)


def test_trees_see_what_a_plane_cannot() -> None:
    found = aucs(gaussian(0, 1_000, 2), 2 * gaussian(1, 1_000, 2))
    assert found["logistic"] < 0.56 and found["trees"] > 0.65


@pytest.mark.long
def test_a_shift_between_many_pixels_is_seen_in_time() -> None:
    a, b = gaussian(0, 1_200, 3, 32, 32), gaussian(1, 1_200, 3, 32, 32)
    begin = time.process_time()
    assert auc(a, b) < 0.57 and auc(a, b + 0.1) > 0.9
    assert time.process_time() - begin < 30  # about 2 s each on an idle core


def nearest_and_assigned() -> tuple[Audit, Audit]:
    """Digits without three classes, blurred, as drafts; the other half of the digits as data."""
    train = digits().train
    x, label = train.x1, train.condition["label"]
    data, labels = x[:400], label[:400]
    rest = x[400:][label[400:] < 7]
    order = permutation(5, 800) % len(rest)
    draws = rest[order] + 0.5 * gaussian(3, 800, 1, 8, 8)
    drafts, fresh = draws[:400], draws[400:]
    cost = torch.cdist(drafts.flatten(1), data.flatten(1)).square()
    given: dict[str, Any] = {"data_size": 400, "labels_of_data": labels, "drafts_fresh": fresh, "data": data}
    index = cost.argmin(1)
    nearest = audit_pairs(drafts, data[index], index, **given)
    index = torch.from_numpy(linear_sum_assignment(cost.numpy())[1])
    return nearest, audit_pairs(drafts, data[index], index, **given)


def test_nearest_pairing_of_a_draft_without_three_classes_is_flagged_and_assignment_is_not() -> None:
    nearest, assigned = nearest_and_assigned()
    assert nearest.variation > 2 * nearest.variation_floor and nearest.never_chosen > 0.1
    assert any("classes" in flag for flag in nearest.flags) and any("never chosen" in flag for flag in nearest.flags)
    assert assigned.flags == () and assigned.effective_sample_size == 1
    assert nearest.mean_cost < assigned.mean_cost


def test_starts_that_will_not_come_again_are_flagged() -> None:
    data, drafts = gaussian(0, 800, 2), gaussian(1, 800, 2)
    picked = drafts[drafts.sum(1).argsort(descending=True)[:400]].repeat(2, 1)
    found = audit(torch.arange(800), data, x0=picked)
    assert found.draft_shift > 0.65 and len(found.flags) == 1 and "AUC" in found.flags[0]


@pytest.mark.long
@pytest.mark.parametrize("d", [2, 16, 96, 1_200])
def test_drafts_drawn_with_replacement_are_like_themselves(d: int) -> None:
    """Paired drafts are all different, fresh ones are drawn with replacement from others of the same law: no difference."""
    paired, pool = gaussian(0, 1_000, d), gaussian(1, 600, d)
    fresh = pool[Noise.of(2, 1_200).integers("row", high=600)]
    assert 1 - auc_floor(paired, fresh) < auc(paired, fresh) < auc_floor(paired, fresh)
    seen = math.sqrt(min(d, 64))  # 64 principal components are classified: of 1,200 they hold a part of the shift
    moved = auc(paired, fresh + 1 / seen)
    assert moved > 0.65 if d > 64 else moved == pytest.approx(norm.cdf(1 / math.sqrt(2)), abs=0.06)


@pytest.mark.long
def test_few_drafts_of_one_law_are_not_flagged_and_another_law_is() -> None:
    """Forty pairs: an AUC above 0.6 is common by chance."""
    data, high = gaussian(9, 40, 2), []
    for seed in range(6):
        x0, fresh = gaussian(seed, 40, 2), gaussian(100 + seed, 40, 2)
        found = audit(torch.arange(40), data, x0=x0, drafts_fresh=fresh)
        assert not any("AUC" in flag for flag in found.flags)
        high.append(found.draft_shift)
        other = audit(torch.arange(40), data, x0=x0, drafts_fresh=fresh + 2)
        assert any("AUC" in flag for flag in other.flags)
    assert max(high) > 0.6 and auc_floor(data, data) == pytest.approx(0.5 + 3 * math.sqrt(81 / 19_200))


def test_categories_are_told_apart_by_their_shares() -> None:
    """Rows with five values: every fold has copies of each, or none of them could be recognised."""
    rows = torch.arange(1_000)[:, None] % 5
    few = torch.where(rows == 4, 0, rows)
    assert auc(rows.float(), few.float()) > 0.57 and auc(rows.float(), rows.float()) == pytest.approx(0.5, abs=0.02)


@pytest.mark.long
def test_an_audit_of_given_pairs_is_not_flagged_for_equal_laws() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1_200, 16)).astype("f4")
    drafts = (x * 0.9 + 0.3 * rng.normal(size=x.shape)).astype("f4")
    setup = problem_of(x).setup()
    found = audits(setup, drafted_of(WarmStart(draft=Own(samples=drafts), pairing="given"), setup))["given"]
    assert found["flags"] == [] and found["draft_shift"] < 0.57


def test_variation_floor_is_that_of_two_real_sets() -> None:
    """Two sets of 500 from ten equal classes differ by 0.108 in 5 % of cases, of 5,000 by 0.035."""
    assert variation_floor(np.ones(10), 500, 500) == pytest.approx(0.108, abs=0.012)
    assert variation_floor(np.ones(10), 5_000, 5_000) == pytest.approx(0.035, abs=0.004)


def test_an_audit_is_a_function_of_its_arguments() -> None:
    data = gaussian(0, 300, 1, 4, 4)
    torch.manual_seed(0)
    first = audit(permutation(0, 300), data, seed=3)
    torch.manual_seed(1)
    np.random.seed(1)
    assert audit(permutation(0, 300), data, seed=3) == first
    assert json.loads(json.dumps(first.to_json()))["flags"] == []


BAD: list[tuple[dict[str, Any], str]] = [
    ({"x0": gaussian(0, 50, 3)}, "one shape"),
    ({"x0": gaussian(0, 49, 2)}, "one shape"),
    ({"drafts_fresh": gaussian(0, 50, 3)}, "drafts_fresh"),
    ({"drafts_fresh": gaussian(0, 5, 2)}, "at least 10"),
    ({"x0": torch.full((50, 2), math.nan)}, "x0 holds NaN"),
    ({"data_size": 49}, "data_size is 49"),
    ({"index": torch.arange(49), "x0": gaussian(0, 50, 2)}, "one number a pair"),
    ({"index": torch.arange(1, 51)}, "from 1 to 50"),
    ({"labels_of_data": torch.arange(49)}, "one for each data point"),
]


@pytest.mark.parametrize(("changed", "message"), BAD, ids=[b[1] for b in BAD])
def test_pairs_that_do_not_belong_together(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        audit(data=gaussian(0, 50, 2), **({"index": torch.arange(50), "x1": gaussian(0, 50, 2)} | changed))
    assert "\n" not in str(caught.value)


# cost


def test_timed_counts_its_calls_and_orders_its_quantiles() -> None:
    calls = []

    def work() -> None:
        calls.append(1)
        time.sleep(0.01)

    found = timed(work, repeats=4, warmup=2)
    assert len(calls) == 6 and found.repeats == 4
    assert 0.01 <= found.low <= found.seconds <= found.high
    for bad in ({"repeats": 0}, {"warmup": -1}, {"repeats": 1.5}):
        with pytest.raises(ValueError, match=next(iter(bad))):
            timed(lambda: None, **bad)  # type: ignore[arg-type]
