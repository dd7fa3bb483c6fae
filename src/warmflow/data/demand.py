"""Data larger than memory: rows that are read when they are asked for.

Training asks for the rows of one batch at a time, so it needs no more of a data set than these (``contracts.Data``). All that
must see its data at once - drafts, offline pairing, classifiers, rulers - is given as many rows as memory may hold:

    room = memory / (4 bytes x numbers in a row)      rows of float32
    heldout, validation                               the shares asked for, at most a quarter and a tenth of the room, and
                                                      at most 10,000 and 5,000 rows: margins are measured on no more
    train                                             the first rows of ``whole``, as many as are left of the room

The permutation is that of :func:`warmflow.data.split`: where everything fits, the parts are the same, row by row.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from warmflow.contracts import Batch
from warmflow.data import LEAST, DataSet, Kind, part, peopled
from warmflow.noise import permutation

MEMORY = 2.0
"""GB (1e9 bytes) that the parts of a data set may take as float32 before its rows are read on demand."""
HELDOUT, VALIDATION = 10_000, 5_000


@dataclass(frozen=True, eq=False)
class OnDemand:
    """Rows that are read when they are asked for.

    Args:
        read: rows (b,) int64 of the user's array, rising -> x1 (b, *S) float32.
        rows: (n,) int64, which of the user's rows these are.
        label: (n,) int64, or None.
    """

    read: Callable[[Tensor], Tensor]
    rows: Tensor
    label: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Tensor) -> Batch:
        """The rows (b,) int64 asked for, in this order; ``index`` is their number here, as in a part in memory."""
        mine = self.rows[rows]
        there, back = mine.unique(return_inverse=True)  # files are read forwards, and no row twice
        condition = {} if self.label is None else {"label": self.label[rows]}
        return Batch(self.read(there)[back], condition, torch.arange(len(self))[rows])


def gigabytes(memory: float, name: str) -> float:
    """``memory`` where it is a positive number; ValueError where it is not."""
    if isinstance(memory, bool) or not isinstance(memory, int | float) or not 0 < memory < math.inf:
        raise ValueError(f"{name}: memory is {memory!r}; give a positive number of GB")
    return float(memory)


def on_demand(
    name: str,
    kind: Kind,
    read: Callable[[Tensor], Tensor],
    n: int,
    label: Tensor | None,
    *,
    validation: int,
    heldout: int,
    memory: float,
    seed: int,
    classes: tuple[str, ...] = (),
    notes: dict[str, Any] | None = None,
) -> DataSet:
    """A data set of n rows whose training part is read on demand (``whole``), and of which memory holds the rest.

    Args:
        read: rows (b,) int64 -> x1 (b, *S) float32; it checks what it reads.
        validation, heldout: rows of these parts, cut to what this module's docstring says.
        memory: GB that ``train``, ``validation`` and ``heldout`` may take together, as float32.

    Raises:
        ValueError: memory for fewer than 200 rows, a class with one member, rows that are all alike, what ``read`` raises.
    """
    peopled(name, classes, label)
    size = 4 * read(torch.tensor([0])).numel()
    room = min(n, int(gigabytes(memory, name) * 1e9) // size)
    if n >= LEAST > room:
        raise ValueError(
            f"{name}: memory of {memory:g} GB holds {room} rows of {size / 1e6:.3g} MB; a verdict needs {LEAST}, raise it"
        )
    if room < n:
        heldout, validation = min(heldout, room // 4, HELDOUT), min(validation, room // 10, VALIDATION)
    order = permutation(seed, n, "data.split")
    first, last = n - heldout - validation, n - heldout
    rows = {"whole": order[:first], "train": order[: room - heldout - validation]}
    rows |= {"validation": order[first:last], "heldout": order[last:]}
    data = {key: OnDemand(read, mine, None if label is None else label[mine]) for key, mine in rows.items()}
    held = {key: data[key][torch.arange(len(data[key]))] for key in ("train", "validation", "heldout")}
    parts = {key: part(batch.x1, batch.condition.get("label")) for key, batch in held.items()}
    x = parts["train"].x1
    if bool((x == x[:1]).all()):
        raise ValueError(f"{name}: all {len(x)} rows are the same; there is nothing to learn, check the file")
    told = f"{first} training rows are read on demand; memory holds the first {len(x)} for drafts, pairing and rulers"
    return DataSet(
        name,
        kind,
        parts["train"],
        parts["validation"] if validation else None,
        parts["heldout"],
        classes,
        {**(notes or {}), "whole": told},
        rows,
        whole=data["whole"],
    )
