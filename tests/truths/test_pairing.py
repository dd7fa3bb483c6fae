"""Pairing at scale: capacities, other spaces, passes over whole sets, blocks of whole classes, each by its theorem."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from warmflow.contracts import Batch, Source, Start
from warmflow.couplings import Assignment, Independent, NearestDatum, NearestDraft, Principal, prepare
from warmflow.couplings import nearest as neighbours
from warmflow.couplings import stable as matching
from warmflow.couplings.assignment import assign
from warmflow.couplings.nearest import nearest
from warmflow.couplings.prepare import blocks
from warmflow.couplings.refine import halved, refined
from warmflow.couplings.stable import stable
from warmflow.methods import Parts, settled
from warmflow.methods.warm_start import WarmStart
from warmflow.noise import Noise, permutation
from warmflow.problems.digits import Digits
from warmflow.sources import Blurred, StandardNormal


def normal(seed: int, n: int, *shape: int) -> Tensor:
    return Noise.of(seed, n).normal("x", *shape)


def cost(x0: Tensor, x1: Tensor) -> float:
    return float((x0.double() - x1.double()).square().sum())


def costs(x0: Tensor, x1: Tensor) -> Tensor:
    return (x0.double()[:, None] - x1.double()[None]).square().sum(-1)


@dataclass(frozen=True, eq=False)
class Ready(Source):
    """A source of given starts, moved by 100 times the label where it takes labels."""

    x: Tensor
    takes: frozenset[str] = frozenset()

    @property
    def shape(self) -> tuple[int, ...]:  # type: ignore[override]
        return tuple(self.x.shape[1:])

    def draw(self, n: int, condition: Any = None, *, noise: Noise) -> Start:
        given = dict(condition or {})
        x = self.x[:n] if len(self.x) else noise.normal("ready", *self.shape)
        return Start(x + 100 * given["label"][:, None] if "label" in self.takes else x, given)


# a capacity: the stable matching


def cheapest_first(cost: Tensor, room: list[int]) -> list[int]:
    """The rule itself: join the cheapest pair, then the cheapest of what is left."""
    n, m = cost.shape
    rows, room = [-1] * n, list(room)
    for k in cost.flatten().argsort().tolist():
        i, j = divmod(k, m)
        if rows[i] < 0 and room[j]:
            rows[i], room[j] = j, room[j] - 1
    return rows


@pytest.mark.parametrize("entries", [1, 2**23])
@pytest.mark.parametrize("seed", range(6))
def test_places_go_to_the_cheapest_pair_first(seed: int, entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching, "ENTRIES", entries)
    n, m = 40, 15
    x0, x1, bonus = normal(seed, n, 3), normal(seed + 100, m, 3) + 5, normal(seed + 200, m)
    room = Noise.of(seed, m).integers("room", high=4) + 2
    room[0] = 0
    assert stable(x0, x1, bonus, room).tolist() == cheapest_first(costs(x0, x1) - bonus, room.tolist())


def test_no_start_and_datum_would_rather_have_each_other() -> None:
    n = 300
    x0, x1 = normal(0, n, 8), normal(1, n, 8)
    rows, c = stable(x0, x1, torch.zeros(n), torch.full((n,), 2)), costs(x0, x1)
    paid = c[torch.arange(n), rows]
    used = torch.bincount(rows, minlength=n)
    assert int(used.max()) == 2 and int((used == 0).sum()) > 30
    worst = torch.full((n,), -1.0, dtype=torch.float64).scatter_reduce(0, rows, paid, "amax")
    would_have = torch.where(used < 2, torch.inf, worst)
    assert not bool(((c < paid[:, None] - 1e-4) & (c < would_have - 1e-4)).any())


def test_a_capacity_bounds_the_uses_and_a_large_one_changes_nothing() -> None:
    data = Batch(torch.tensor([[0.0], [10.0], [11.0], [30.0]]), {"tag": torch.arange(4)}, torch.arange(4))
    source = Ready(torch.tensor([[0.3], [0.1], [0.2], [9.0]]))

    def chosen(capacity: int | None) -> list[int]:
        pair = NearestDatum(capacity).pair(data, source, noise=Noise.of(0, 4))
        assert torch.equal(pair.start.x0, source.x) and pair.index is not None
        assert torch.equal(pair.start.condition["tag"], pair.index) and torch.equal(pair.x1, data.x1[pair.index])
        return pair.index.tolist()

    assert chosen(None) == chosen(4) == chosen(3) == [0, 0, 0, 1]
    assert chosen(2) == [1, 0, 0, 1]  # 0.3 is the farthest of the three that want 0
    assert chosen(1) == [2, 0, 3, 1]  # 0.3 is nearer to 11 than 0.2 is


def test_capacity_one_is_a_permutation_and_no_cheaper_than_the_assignment() -> None:
    n = 200
    data, source = Batch(normal(1, n, 4), {}, torch.arange(n)), Ready(normal(0, n, 4))
    one = NearestDatum(1).pair(data, source, noise=Noise.of(0, n))
    best = Assignment().pair(data, source, noise=Noise.of(0, n))
    assert one.index is not None and sorted(one.index.tolist()) == list(range(n))
    assert cost(best.start.x0, best.x1) < cost(one.start.x0, one.x1)
    free = NearestDatum().pair(data, source, noise=Noise.of(0, n))
    assert cost(free.start.x0, free.x1) < cost(best.start.x0, best.x1)


def test_the_nearest_row_by_row_is_the_nearest_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = normal(0, 90, 3), normal(1, 70, 3)
    expected = costs(x, y).argmin(1)
    assert torch.equal(nearest(x, y), expected)
    monkeypatch.setattr(neighbours, "ENTRIES", 70 * 4)
    assert torch.equal(nearest(x, y), expected)


def test_a_capacity_is_an_option() -> None:
    """In one block of 997 digits no sample is taken more often than that; without, some are."""
    setup, most = Digits().setup(), {}
    for capacity in (0, 3):
        method = settled(WarmStart(pairing="nearest-data", rounds=1, capacity=capacity), setup)
        found = method.drafted(Parts(setup, 0))
        assert found is not None and isinstance(found.pairs, Batch) and found.pairs.index is not None
        most[capacity] = int(torch.bincount(found.pairs.index).max())
    assert most[3] == 3 < most[0]
    with pytest.raises(ValueError, match="capacity is 3, which is for the pairing nearest-data"):
        settled(WarmStart(capacity=3), setup)


def test_far_from_the_origin_the_matching_is_the_same() -> None:
    x0, x1 = normal(0, 80, 5), normal(1, 80, 5)
    near, far = (stable(x0 + at, x1 + at, torch.zeros(80), torch.ones(80).long()) for at in (0, 1000))
    assert float((near == far).double().mean()) > 0.9  # float32 itself holds 4 digits of such data


@pytest.mark.parametrize("capacity", [0, -1, 1.5, True, "2"])
def test_a_capacity_that_is_none_is_refused(capacity: Any) -> None:
    with pytest.raises(ValueError, match="capacity is"):
        NearestDatum(capacity)
    with pytest.raises(ValueError, match="raise the capacity"):
        stable(normal(0, 5, 2), normal(1, 2, 2), torch.zeros(2), torch.full((2,), 2))


# other spaces


def test_principal_components_are_those_of_the_svd() -> None:
    x = normal(0, 300, 2, 3) * torch.tensor([5.0, 2.0, 0.1]) + 7
    p = Principal.fit(x, dimensions=3)
    flat = x.flatten(1).double()
    singular, vectors = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)[1:]
    assert torch.allclose((p.axes @ vectors[:3].T).abs(), torch.eye(3, dtype=torch.float64), atol=1e-6)
    assert p.left == pytest.approx(float(singular[3:].square().sum() / singular.square().sum()), rel=1e-6)
    assert torch.allclose(p(x).double().var(0) * 299, singular[:3].square(), rtol=1e-5)


def test_distances_on_the_plane_and_off_it_are_the_whole_distance() -> None:
    x, y = normal(0, 50, 6) + 3, normal(1, 50, 6)
    p = Principal.fit(x, dimensions=2)
    on = (p(x) - p(y)).double().square().sum(1)
    difference = (x - y).double()
    off = (difference - difference @ p.axes.T @ p.axes).square().sum(1)
    assert torch.allclose(on + off, difference.square().sum(1), rtol=1e-5)
    whole = Principal.fit(x, dimensions=99)
    assert len(whole.axes) == 6 and whole.left == pytest.approx(0, abs=1e-9)
    assert torch.allclose((whole(x) - whole(y)).double().square().sum(1), difference.square().sum(1), rtol=1e-5)


def test_for_starts_on_the_plane_the_assignment_there_is_that_of_the_whole_space() -> None:
    n = 120
    x1 = normal(0, n, 7) @ normal(1, 7, 7)
    p = Principal.fit(x1, dimensions=2)
    x0 = (3 * normal(2, n, 2).double() @ p.axes + p.centre).float()
    data = Batch(x1, {}, torch.arange(n))
    whole, plane = (c.pair(data, Ready(x0), noise=Noise.of(0, n)) for c in (Assignment(), Assignment(space=p)))
    assert torch.equal(plane.start.x0, whole.start.x0) and torch.equal(plane.x1, x1)
    off = Principal.fit(normal(9, 50, 7), dimensions=2)
    assert not torch.equal(Assignment(space=off).pair(data, Ready(x0), noise=Noise.of(0, n)).start.x0, whole.start.x0)


def second(x: Tensor) -> Tensor:
    """A feature of the user's: the second number alone."""
    return x[:, 1:2]


def test_pairs_are_made_in_the_space_and_are_still_starts_and_data() -> None:
    n = 60
    x0, x1 = normal(0, n, 3), normal(1, n, 3)
    data = Batch(x1, {}, torch.arange(n))
    pair = Assignment(space=second).pair(data, Ready(x0), noise=Noise.of(0, n))
    by_rank = pair.start.x0[x1[:, 1].argsort()]
    assert torch.equal(by_rank, x0[x0[:, 1].argsort()])  # on a line the assignment sorts
    datum = NearestDatum(space=second).pair(data, Ready(x0), noise=Noise.of(0, n))
    draft = NearestDraft(space=second).pair(data, Ready(x0), noise=Noise.of(0, n))
    apart = (x0[:, None, 1] - x1[None, :, 1]).abs()
    assert torch.equal(datum.index, apart.argmin(1)) and torch.equal(draft.start.x0, x0[apart.argmin(0)])


def test_a_space_sees_images_as_they_are_and_is_held_to_one_row_each() -> None:
    n = 20
    data, source = Batch(normal(1, n, 1, 4, 4), {}, torch.arange(n)), Ready(normal(0, n, 1, 4, 4))
    pooled = Assignment(space=torch.nn.AvgPool2d(4)).pair(data, source, noise=Noise.of(0, n))
    order = data.x1.mean((1, 2, 3)).argsort()
    assert torch.equal(pooled.start.x0[order], source.x[source.x.mean((1, 2, 3)).argsort()])
    for bad in (lambda x: x.flatten(1)[:3], lambda x: x.mean(), lambda x: 3):
        with pytest.raises(ValueError, match="one row for each row"):
            Assignment(space=bad).pair(data, source, noise=Noise.of(0, n))
    with pytest.raises(ValueError, match="fitted to rows of 5"):
        Principal.fit(normal(0, 9, 5))(data.x1)
    for x in (normal(0, 1, 3), torch.full((4, 2), math.nan)):
        with pytest.raises(ValueError, match="2 rows|NaN"):
            Principal.fit(x)


def test_pairs_made_in_another_space_are_not_found_again(tmp_path: Any) -> None:
    data, source = Batch(normal(1, 20, 3), {}, torch.arange(20)), StandardNormal((3,))
    prepare(Assignment(space=second), data, source, tmp_path, block=10)
    prepare(Assignment(space=second), data, source, tmp_path, block=10)
    for coupling, named in ((Assignment(), "coupling"), (Assignment(space=Principal.fit(data.x1)), "coupling")):
        with pytest.raises(ValueError, match=f"pairs made with {named}"):
            prepare(coupling, data, source, tmp_path, block=10)
    function = tmp_path / "function"
    prepare(Assignment(space=lambda x: x[:, :1]), data, source, function, block=10)
    with pytest.raises(ValueError, match="pairs made with space"):
        prepare(Assignment(space=lambda x: x[:, 1:]), data, source, function, block=10)


# passes over a whole set


def test_a_pass_never_raises_the_cost_and_a_permutation_stays_one() -> None:
    n = 600
    x0, x1 = normal(0, n, 6), normal(1, n, 6) * torch.tensor([3.0, 2.0, 1.0, 0.5, 0.5, 0.1])
    rows, before = permutation(0, n), math.inf
    best = cost(x0[assign(x0, x1)], x1)
    for k in range(8):
        rows = refined(x0, x1, rows, block=64, noise=Noise.of(0, n).fold(k))
        assert sorted(rows.tolist()) == list(range(n))
        now = cost(x0[rows], x1)
        assert best <= now <= before
        before = now
    assert before < 1.02 * best < cost(x0, x1) / 2


def test_passes_leave_the_best_pairs_alone_and_one_over_all_rows_finds_them() -> None:
    n = 150
    x0, x1 = normal(0, n, 3), normal(1, n, 3)
    best = assign(x0, x1)
    assert torch.equal(refined(x0, x1, best, block=20, noise=Noise.of(0, n)), best)
    assert torch.equal(refined(x0, x1, permutation(1, n), block=n, noise=Noise.of(0, n)), best)
    same = torch.zeros(n, 2)  # all pairs cost the same: they stay
    assert torch.equal(refined(same, same, best, block=20, noise=Noise.of(0, n)), best)


def test_passes_stay_within_groups() -> None:
    n = 200
    groups = torch.arange(n) % 3
    x0, x1, rows = normal(0, n, 2), normal(1, n, 2), torch.arange(n)
    for k in range(3):
        rows = refined(x0, x1, rows, groups, block=30, noise=Noise.of(0, n).fold(k))
    assert torch.equal(groups[rows], groups) and sorted(rows.tolist()) == list(range(n))
    assert cost(x0[rows], x1) < 0.6 * cost(x0, x1)


@pytest.mark.parametrize(("n", "block"), [(1, 5), (64, 64), (65, 64), (1000, 64), (1000, 2), (7, 3)])
def test_blocks_of_near_pairs_are_a_partition_of_even_parts(n: int, block: int) -> None:
    members = permutation(0, 2 * n)[:n]
    parts = halved(normal(0, 2 * n, 3), members, block, Noise.of(0, 2 * n))
    assert sorted(torch.cat(parts).tolist()) == sorted(members.tolist())
    assert len(parts) == -(-n // block)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1 and max(map(len, parts)) <= block


def test_blocks_of_a_pass_hold_near_pairs() -> None:
    x = normal(0, 2048, 2)
    parts = halved(x, torch.arange(2048), 64, Noise.of(0, 2048))
    spread = sum(float(x[part].var(0).sum()) * len(part) for part in parts) / 2048
    assert spread < 0.15 * float(x.var(0).sum())


def labelled(n: int = 300) -> Batch:
    """Ten classes of unequal size, the last of one member; they lie in one place, while starts lie apart by their labels."""
    label = (torch.arange(n).float() / n * 3).square().long().clamp(max=8)
    label[-1] = 9
    return Batch(normal(1, n, 2), {"label": label, "tag": torch.arange(n)}, torch.arange(n))


@pytest.mark.parametrize("within", [False, True])
def test_prepared_passes_lower_the_cost_and_everything_travels(within: bool) -> None:
    data = labelled() if within else Batch(normal(1, 300, 2), {"tag": torch.arange(300)}, torch.arange(300))
    source = Blurred(Ready(torch.zeros(0, 2), frozenset({"label"} if within else ())), 1e-4)
    coupling, before, drafts = Assignment("label" if within else None), math.inf, set()
    for passes in (0, 1, 3):
        pairs = prepare(coupling, data, source, block=20, rounds=2, passes=passes, seed=3)
        start = pairs.start
        assert start is not None and pairs.index is not None and len(pairs) == 600
        assert sorted(pairs.index[:300].tolist()) == list(range(300))
        assert torch.equal(pairs.x1, data.x1[pairs.index]) and torch.equal(start.condition["tag"], pairs.index)
        assert float((start.x0 - start.condition["draft"]).abs().max()) < 1e-3
        drafts.add(tuple(sorted(map(tuple, start.condition["draft"].tolist()))))
        if within:
            assert torch.equal((start.x0[:, 0] / 100).round().long(), start.condition["label"])
        now = cost(start.condition["draft"], pairs.x1)
        assert now < before
        before = now
    assert len(drafts) == 1, "the starts are the same, only paired otherwise"


def test_passes_go_on_where_they_ended_and_are_made_anew_for_other_pairs(tmp_path: Any) -> None:
    data, source = Batch(normal(1, 90, 2), {}, torch.arange(90)), StandardNormal((2,))
    arguments: dict[str, Any] = {"data": data, "source": source, "block": 10, "rounds": 2}
    whole = prepare(Assignment(), **arguments, passes=3)
    told: list[tuple[int, int]] = []
    prepare(Assignment(), folder=tmp_path, **arguments, passes=2, progress=lambda *done: told.append(done))
    assert told == [(k, 22) for k in range(1, 23)]
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.safetensors")}
    again = prepare(Assignment(), folder=tmp_path, **arguments, passes=3)
    assert all(path.stat().st_mtime_ns == then for path, then in kept.items())
    assert whole.start is not None and again.start is not None and torch.equal(again.start.x0, whole.start.x0)
    first = prepare(Assignment(), folder=tmp_path, **arguments, passes=1)
    assert first.start is not None and torch.equal(
        first.start.x0, prepare(Assignment(), **arguments, passes=1).start.x0
    )
    next(tmp_path.glob("round-0000-block-*")).unlink()
    prepare(Assignment(), folder=tmp_path, **arguments)  # without passes: but the old ones were over other pairs
    assert not list(tmp_path.glob("round-0000-pass-*")) and len(list(tmp_path.glob("round-0001-pass-*"))) == 3


def test_passes_are_refused_where_they_have_no_meaning() -> None:
    data, source = Batch(normal(1, 20, 2), {}, torch.arange(20)), StandardNormal((2,))
    for coupling, more in ((Independent(), {}), (NearestDatum(), {}), (Assignment(), {"passes": -1})):
        with pytest.raises(ValueError, match="only Assignment takes passes"):
            prepare(coupling, data, source, **{"passes": 1, **more})
    with pytest.raises(ValueError, match="at least 2 rows"):
        prepare(Assignment(), data, source, block=1, passes=1)


# blocks of whole classes


@pytest.mark.parametrize("block", [1, 7, 50, 1000])
def test_blocks_hold_whole_classes_and_large_ones_in_equal_parts(block: int) -> None:
    groups = labelled().condition["label"]
    found = blocks(permutation(0, 300), groups, block)
    assert sorted(torch.cat(found).tolist()) == list(range(300)) and max(map(len, found)) <= block
    for g in groups.unique():
        parts = [int((groups[rows] == g).sum()) for rows in found]
        parts = [p for p in parts if p]
        size = int((groups == g).sum())
        assert len(parts) == -(-size // block) and max(parts) - min(parts) <= 1


def test_pairs_within_a_label_are_the_best_of_the_whole_class_though_blocks_are_small() -> None:
    data = labelled()
    label = data.condition["label"]
    largest = int(torch.bincount(label).max())
    assert largest < 150 and int((label == 9).sum()) == 1
    pairs = prepare(Assignment(within="label"), data, Ready(torch.zeros(0, 2), frozenset({"label"})), block=largest)
    start = pairs.start
    assert start is not None and pairs.index is not None and sorted(pairs.index.tolist()) == list(range(300))
    for k in range(10):
        rows = start.condition["label"] == k
        a, b = start.x0[rows], pairs.x1[rows]
        assert torch.equal((a[:, 0] / 100).round().long(), torch.full((len(a),), k))
        best = costs(a, b).numpy()
        assert cost(a, b) == pytest.approx(best[linear_sum_assignment(best)].sum(), rel=1e-9)


def test_pairs_of_whole_classes_are_kept_and_found_again(tmp_path: Any) -> None:
    data, source = labelled(), Ready(torch.zeros(0, 2), frozenset({"label"}))
    first, again = (prepare(Assignment(within="label"), data, source, tmp_path, block=64) for _ in range(2))
    assert first.start is not None and again.start is not None and torch.equal(first.start.x0, again.start.x0)
    assert len(list(tmp_path.glob("round-*"))) == len(blocks(torch.arange(300), data.condition["label"], 64))
    bare = Batch(data.x1, {}, data.index)
    with pytest.raises(ValueError, match="within 'label'"):
        prepare(Assignment(within="label"), bare, source)


@pytest.mark.long
@pytest.mark.parametrize("n", [40, 600])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_wide_rows_far_from_the_origin_are_assigned_as_in_double(n: int, dtype: torch.dtype) -> None:
    """Products of 300 numbers are taken in float32, around the means: the total cost is that of the exact solver."""
    noise = Noise.of(4, n)
    x0, x1 = 50 + noise.normal("x0", 300, dtype=dtype), 50 + noise.normal("x1", 300, dtype=dtype).tanh()
    rows = assign(x0, x1)
    assert rows.sort().values.tolist() == list(range(n))
    cost = (x1.double()[:, None] - x0.double()).square().sum(2)
    best = linear_sum_assignment(cost.numpy())[1]
    assert float(cost[range(n), rows].sum()) <= float(cost[range(n), best].sum()) * (1 + 1e-6)
