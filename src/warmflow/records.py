"""Frozen records of tensors with a common first axis, and one function that goes through nested values.

Records can be indexed by rows, moved to a device and concatenated. ``merged`` does this for tensors wherever they are nested: in
records, mappings, tuples and lists. It has one registered function for each of these types.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from typing import Any, TypeVar

import torch
from torch import Tensor

from warmflow.brief import Brief
from warmflow.devices import moved

R = TypeVar("R", bound="Record")
Act = Callable[[tuple[Tensor, ...]], Tensor]
Other = Callable[[object], object]


@singledispatch
def merged(first: object, *rest: object, act: Act, other: Other) -> Any:
    """One value from several of the same structure: ``act`` of the tensors at each place, else ``other`` of the first."""
    return other(first)


@merged.register
def _(first: Tensor, *rest: Tensor, act: Act, other: Other) -> Tensor:
    return act((first, *rest))


@merged.register
def _(first: Mapping, *rest: Mapping, act: Act, other: Other) -> Mapping:
    return {k: merged(*(v[k] for v in (first, *rest)), act=act, other=other) for k in first}


@merged.register
def _(first: tuple | list, *rest: tuple | list, act: Act, other: Other) -> tuple | list:
    return type(first)(merged(*column, act=act, other=other) for column in zip(first, *rest, strict=True))


@dataclass(frozen=True, eq=False)
class Record(Brief):
    """A frozen collection of tensors with a common first axis; values that are not tensors are kept unchanged."""

    def each(self: R, act: Callable[[Tensor], Tensor]) -> R:
        """Returns a copy of the record with ``act`` applied to every tensor in it, nested records included."""
        found: R = merged(self, act=lambda x: act(x[0]), other=_unchanged)
        return found

    def __getitem__(self: R, rows: Tensor | slice) -> R:
        return self.each(lambda x: x[rows])

    def __len__(self) -> int:
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if isinstance(value, Tensor | Record):
                return len(value)
        raise TypeError(f"{type(self).__name__} holds no tensor, so it has no length")

    def to(self: R, device: torch.device | str) -> R:
        """The record on this device; float64 tensors stay on the CPU if it has none."""
        return self.each(lambda x: moved(x, device))


@merged.register
def _(first: Record, *rest: Record, act: Act, other: Other) -> Record:
    columns = {f.name: [getattr(v, f.name) for v in (first, *rest)] for f in dataclasses.fields(first)}
    return dataclasses.replace(first, **{k: merged(*v, act=act, other=other) for k, v in columns.items()})


def _unchanged(value: object) -> object:
    return value


def concatenate(records: Sequence[R]) -> R:
    """Concatenates records along the first axis; values that are not tensors are taken from the first record."""
    found: R = merged(*records, act=torch.cat, other=_unchanged)
    return found
