"""Records: row-indexing commutes with everything, concatenation undoes it, nothing can be written."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from examples import below, normal
from warmflow.contracts import Batch, Estimate, Pair, Point, Samples, Start, State
from warmflow.records import Record, concatenate

N = 9


def start():
    n = normal("start", N, 2)
    return Start(n, {"label": torch.arange(N), "draft": n + 1}, n > 0, torch.linspace(0, 1, N), torch.arange(N))


RECORDS = {
    Start: start,
    Batch: lambda: Batch(normal("x1", N, 2), {"label": torch.arange(N)}, torch.arange(N), start()),
    Pair: lambda: Pair(start(), normal("x1", N, 2), torch.arange(N)),
    Point: lambda: Point(RECORDS[Pair](), torch.linspace(0, 1, N), normal("x_t", N, 2), normal("u", N, 2)),
    Estimate: lambda: Estimate(torch.arange(N), normal("x1", N, 2), None, normal("logits", N, 3, 4)),
    State: lambda: State(
        start(), normal("x", N, 2), torch.linspace(0, 1, N), torch.arange(N), {"slope": normal("k", N, 2)}
    ),
    Samples: lambda: Samples(normal("x", N, 2), start(), 4, torch.arange(N), 1.5, 0.5),
}


def tensors(record):
    """(place, tensor) of everything in a record."""
    out = []

    def visit(value, at):
        if isinstance(value, torch.Tensor):
            out.append((at, value))
        elif isinstance(value, Record):
            for f in dataclasses.fields(value):
                visit(getattr(value, f.name), f"{at}.{f.name}")
        elif isinstance(value, dict):
            for k, v in value.items():
                visit(v, f"{at}.{k}")

    visit(record, "")
    return out


def same(a, b):
    return all(p == q and torch.equal(x, y) for (p, x), (q, y) in zip(tensors(a), tensors(b), strict=True))


def test_every_record_is_here():
    assert {k for k in below(Record) if k.__module__.startswith("warmflow")} == set(RECORDS)


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.integers(-N, N - 1), max_size=12), kind=st.sampled_from(list(RECORDS)))
def test_indexing_slices_every_tensor_alike(rows, kind):
    record, rows = RECORDS[kind](), torch.tensor(rows, dtype=torch.int64)
    part = record[rows]
    assert len(part) == len(rows) and type(part) is kind
    for (place, whole), (other, sliced) in zip(tensors(record), tensors(part), strict=True):
        assert place == other and torch.equal(sliced, whole[rows])


@pytest.mark.parametrize("kind", RECORDS, ids=lambda k: k.__name__)
def test_masks_slices_and_repeated_indexing_agree(kind):
    record, mask = RECORDS[kind](), torch.arange(N) % 2 == 0
    assert same(record[mask], record[mask.nonzero()[:, 0]]) and same(record[mask], record[0:N:2])
    assert same(record[3:][mask[3:]], record[mask & (torch.arange(N) >= 3)])


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(0, N), kind=st.sampled_from(list(RECORDS)))
def test_concatenation_undoes_slicing(cut, kind):
    record = RECORDS[kind]()
    assert same(concatenate([record[:cut], record[cut:]]), record)
    assert same(concatenate([record[i : i + 1] for i in range(N)]), record)


@pytest.mark.parametrize("kind", RECORDS, ids=lambda k: k.__name__)
def test_records_are_frozen_and_what_is_not_a_tensor_is_carried(kind):
    record = RECORDS[kind]()
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.x1 = None
    if kind is Samples:
        assert (record[:2].steps, record[:2].seconds, record[:2].source_seconds) == (4, 1.5, 0.5)


def test_no_two_records_share_a_mutable_default():
    assert Start(torch.zeros(1)).condition is not Start(torch.zeros(1)).condition


@pytest.mark.parametrize("memory", [(normal("k", N, 2),), [normal("k", N, 2)]], ids=["tuple", "list"])
def test_a_solvers_memory_may_be_a_sequence_of_tensors(memory):
    state = State(start(), normal("x", N, 2), torch.zeros(N), torch.zeros(N), memory)
    assert len(state[:3].memory[0]) == 3, "r[rows] slices every tensor, also in tuples and lists"
