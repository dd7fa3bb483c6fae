"""Data larger than memory: rows are read on demand.

Training needs the rows of one batch at a time (``contracts.Data``). Steps that need their data at once - drafts, offline
pairing, classifiers, margins - get as many rows as fit in memory:

    room = memory / (4 bytes x numbers per row)       rows of float32 that fit
    heldout, validation                               the requested sizes, at most a quarter and a tenth of the room, and at
                                                      most 10,000 and 5,000 rows, because margins use no more
    train                                             the first rows of ``whole`` that fit in the rest of the room

The permutation is that of :func:`warmflow.data.split`: if everything fits, the parts are the same, row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from warmflow.contracts import Batch
from warmflow.data import LEAST, DataSet, Kind, check_classes, part
from warmflow.noise import permutation
from warmflow.number_checks import is_number

MEMORY = 2.0
"""Memory limit in GB (1e9 bytes) of the parts of a data set as float32; larger data sets are read on demand."""
HELDOUT, VALIDATION = 10_000, 5_000


@dataclass(frozen=True, eq=False)
class OnDemand:
    """Rows that are read on demand.

    Args:
        read: takes rows (b,) int64 of the user's array in ascending order, returns x1 (b, *S) float32.
        rows: (n,) int64, the user's rows that belong to this part.
        label: (n,) int64, or None.
    """

    read: Callable[[Tensor], Tensor]
    rows: Tensor
    label: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Tensor) -> Batch:
        """The batch of these rows (b,) int64, in this order; ``index`` numbers rows of this part, as for a part in memory."""
        mine = self.rows[rows]
        there, back = mine.unique(return_inverse=True)  # files are read in ascending order, and no row twice
        condition = {} if self.label is None else {"label": self.label[rows]}
        return Batch(self.read(there)[back], condition, torch.arange(len(self))[rows])


def gigabytes(memory: float, name: str) -> float:
    """``memory`` as a float; ValueError unless it is a positive number."""
    if not is_number(memory):
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
    notes: Mapping[str, object] | None = None,
) -> DataSet:
    """A data set of n rows whose training part is read on demand (``whole``), with the other parts in memory.

    Args:
        read: takes rows (b,) int64, returns x1 (b, *S) float32; it checks the values that it reads.
        validation, heldout: sizes of these parts, limited as in the docstring of this module.
        memory: memory limit in GB of ``train``, ``validation`` and ``heldout`` together, as float32.

    Raises:
        ValueError: memory for fewer than 200 rows, a class with one member, identical rows only, or an error of ``read``.
    """
    check_classes(name, classes, label)
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
    told = f"{first} training rows are read on demand; memory holds the first {len(x)} for drafts, pairing and margins"
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
