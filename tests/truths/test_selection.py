"""Pruning keeps the best of every class; re-weighted rows have the law asked for; all still point at the user's array."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from warmflow.contracts import Batch
from warmflow.data import DataSet
from warmflow.data.arrays import from_array
from warmflow.data.images import digits
from warmflow.data.selection import pruned, reweighted
from warmflow.data.toy import toy
from warmflow.drafts import Own
from warmflow.methods import Parts, settled
from warmflow.methods.warm_start import WarmStart
from warmflow.noise import Noise
from warmflow.problems import problem_of

N = 1200
X = Noise.of(5, N).normal("x", 2)
LABEL = (torch.arange(N) % 6).clamp(max=2)  # a sixth, a sixth, two thirds
SCORE = Noise.of(6, N).uniform("score")


@pytest.fixture
def data() -> DataSet:
    return from_array(X, labels=LABEL)


def sound(data: DataSet) -> None:
    """Rows, labels and index of a training part agree with the user's array."""
    mine, train = data.rows["train"], data.train
    assert torch.equal(train.x1, X[mine]) and torch.equal(train.condition["label"], LABEL[mine])
    assert train.index is not None and torch.equal(train.index, torch.arange(len(mine)))
    assert torch.equal(train[train.index].x1, train.x1)


def members(data: DataSet) -> torch.Tensor:
    return torch.bincount(data.train.condition["label"], minlength=len(data.classes))


@pytest.mark.parametrize("keep", [0.1, 0.37, 0.5, 1.0])
def test_every_class_keeps_the_same_share_and_its_best(data: DataSet, keep: float) -> None:
    score = SCORE[data.rows["train"]]
    less = pruned(data, score, keep)
    sound(less)
    assert members(less).tolist() == [round(keep * m) for m in members(data).tolist()]
    kept = set(less.rows["train"].tolist())
    for k in range(3):
        mine = data.rows["train"][data.train.condition["label"] == k]
        inside = torch.tensor([row in kept for row in mine.tolist()])
        if not inside.all():
            assert float(SCORE[mine][inside].min()) > float(SCORE[mine][~inside].max())


def test_the_whole_keeps_its_best_whatever_their_class(data: DataSet) -> None:
    label = data.train.condition["label"]
    less = pruned(data, (label == 0).double(), 0.1, by_class=False)
    sound(less)
    assert len(less.train) == round(0.1 * len(data.train)) and members(less)[1:].tolist() == [0, 0]
    first = (label == 0).nonzero().flatten()[: len(less.train)]
    assert torch.equal(less.rows["train"], data.rows["train"][first]), "equal scores are kept from the first row on"


def test_a_class_keeps_one_row_at_least(data: DataSet) -> None:
    assert members(pruned(data, torch.zeros(len(data.train)), 1e-6)).tolist() == [1, 1, 1]


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 2, 3), (0, 1, 0), (5, 1, 0.5), (0.2, 0.3, 0.5)])
def test_drawn_labels_have_the_weights_for_their_law(data: DataSet, weights: tuple[float, ...]) -> None:
    """An epoch visits every row once, so the law of a drawn label is its share of the rows: w_k, to within 1/n."""
    other = reweighted(data, weights)
    sound(other)
    n, law = len(data.train), torch.tensor(weights, dtype=torch.float64) / sum(weights)
    assert len(other.train) == n
    assert float((members(other).double() / n - law).abs().max()) < 1 / n
    assert abs(sum(other.notes["reweighted"]["shares"].values()) - 1) < 1e-12


def test_rows_of_a_class_are_drawn_equally_often(data: DataSet) -> None:
    """Within a class the law stays that of its rows: no row stands two times more than another."""
    other = reweighted(data, {"0": 7.0, "2": 1.0})
    times = torch.bincount(other.rows["train"], minlength=N)
    for k in range(3):
        mine = data.rows["train"][data.train.condition["label"] == k]
        assert int(times[mine].max() - times[mine].min()) <= 1, k
    assert int(times[data.rows["train"][data.train.condition["label"] == 1]].sum()) == 0
    again = reweighted(data, {"0": 7.0, "2": 1.0}, seed=1)
    assert not torch.equal(again.rows["train"], other.rows["train"]) and torch.equal(members(again), members(other))


def test_weights_of_the_shares_it_has_change_nothing(data: DataSet) -> None:
    same = reweighted(data, members(data).tolist())
    assert torch.equal(same.train.x1, data.train.x1) and torch.equal(same.rows["train"], data.rows["train"])


def test_pruned_then_reweighted(data: DataSet) -> None:
    both = reweighted(pruned(data, SCORE[data.rows["train"]], 0.5), [1, 1, 1])
    sound(both)
    third = len(both.train) / 3
    assert all(abs(m - third) < 1 for m in members(both).tolist())
    assert {"pruned", "reweighted"} <= set(both.notes)
    best = set(pruned(data, SCORE[data.rows["train"]], 0.5).rows["train"].tolist())
    assert set(both.rows["train"].tolist()) <= best


def test_what_is_judged_by_stays_as_it_was(data: DataSet) -> None:
    """Held-out rows and the pool of the margins keep the law of the data; repeats are in neither."""
    both = reweighted(pruned(data, SCORE[data.rows["train"]], 0.2), [1, 5, 1])
    assert both.heldout is data.heldout and both.validation is data.validation
    assert torch.equal(both.everything, data.everything) and both.numbered == N
    assert torch.equal(both.rows["heldout"], data.rows["heldout"])


def test_drafts_aligned_with_the_array_stay_aligned(data: DataSet) -> None:
    less = pruned(data, SCORE[data.rows["train"]], 0.5)
    setup = problem_of(less).setup(width=8, depth=1)
    found = settled(WarmStart(draft=Own(samples=X + 10), pairing="given"), setup).drafted(Parts(setup, 0))
    assert found is not None and isinstance(found.pairs, Batch) and found.pairs.start is not None
    assert torch.equal(found.pairs.x1, less.train.x1) and torch.equal(found.pairs.start.x0, less.train.x1 + 10)


def test_drawn_data_have_no_rows_to_point_at() -> None:
    moons = toy("moons", train=400, heldout=200)
    assert reweighted(moons, [3, 1]).rows == {} and members(reweighted(moons, [3, 1])).tolist() == [300, 100]


BAD: list[tuple[str, Any, str]] = [
    ("scores of another number", lambda d: pruned(d, [1.0, 2.0], 0.5), r"scores have shape \(2,\).*780 training rows"),
    ("scores of NaN", lambda d: pruned(d, torch.full((780,), torch.nan), 0.5), "NaN"),
    ("nothing kept", lambda d: pruned(d, torch.zeros(780), 0), "keep is 0"),
    ("more than all kept", lambda d: pruned(d, torch.zeros(780), 1.5), "keep is 1.5"),
    ("weights of another number", lambda d: reweighted(d, [1, 2]), r"\(2,\); give one for each of the 3"),
    ("negative weights", lambda d: reweighted(d, [1, -1, 1]), "0 or more"),
    ("no weight", lambda d: reweighted(d, [0, 0, 0]), "one of them positive"),
    ("weight of NaN", lambda d: reweighted(d, [1, float("nan"), 0]), "finite"),
    ("an unknown class", lambda d: reweighted(d, {"7": 1.0}), '"7", which is unknown'),
    ("no classes", lambda d: reweighted(from_array(X), [1]), "array has no classes"),
]


@pytest.mark.parametrize(("call", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_choices_are_one_clear_line(data: DataSet, call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        call(data)
    assert "\n" not in str(caught.value)


def test_weight_on_a_class_without_rows() -> None:
    one = pruned(digits(), (digits().train.condition["label"] == 3).double(), 0.05, by_class=False)
    with pytest.raises(ValueError, match='class "0" has weight but no training rows'):
        reweighted(one, [1] * 10)
