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


def rows_of(counts: Mapping[str, int], most: int, seed: int) -> dict[str, Tensor]:
    """The rows of each part of a data set with splits, by part, numbered through the splits: train, validation, heldout.

    Args:
        counts: the number of rows of "train", and of "heldout" and "validation" if they have a split of their own.
        most: the largest number of training rows, 0 for all.
    """
    n = counts["train"]
    if "heldout" not in counts:
        order = permutation(seed, n, "data.split")
        held, valid = min(n // 4, HELDOUT), min(n // 10, VALIDATION)
        first, last = n - held - valid, n - held
        return {"train": order[:first][: most or None], "validation": order[first:last], "heldout": order[last:]}
    passed = n + counts.get("validation", 0)
    heldout = passed + permutation(0, counts["heldout"], "hub.heldout")[:HELDOUT]
    order = permutation(seed, n, "hub.train")
    if "validation" in counts:
        valid_rows = n + permutation(0, counts["validation"], "hub.validation")[:VALIDATION]
    else:
        first = n - min(n // 10, VALIDATION)
        order, valid_rows = order[:first], order[first:]
    return {"train": order[: most or None], "validation": valid_rows, "heldout": heldout}


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
    given: Mapping[str, Tensor] | None = None,
) -> DataSet:
    """A data set of n rows whose training part is read on demand (``whole``), with the other parts in memory.

    Args:
        read: takes rows (b,) int64, returns x1 (b, *S) float32; it checks the values that it reads.
        validation, heldout: sizes of these parts, limited as in the docstring of this module.
        memory: memory limit in GB of ``train``, ``validation`` and ``heldout`` together, as float32.
        given: the rows of each part, as ``rows_of`` returns them, instead of a random permutation.

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
    if given is not None:
        validation, heldout = len(given["validation"]), len(given["heldout"])
    if room < n:
        heldout, validation = min(heldout, room // 4, HELDOUT), min(validation, room // 10, VALIDATION)
    order = permutation(seed, n, "data.split")
    first, last = n - heldout - validation, n - heldout
    parts_of = (
        {"train": order[:first], "validation": order[first:last], "heldout": order[last:]} if given is None else given
    )
    rows = {"whole": parts_of["train"], "train": parts_of["train"][: room - heldout - validation]}
    rows |= {"validation": parts_of["validation"][:validation], "heldout": parts_of["heldout"][:heldout]}
    data = {key: OnDemand(read, mine, None if label is None else label[mine]) for key, mine in rows.items()}
    held = {key: data[key][torch.arange(len(data[key]))] for key in ("train", "validation", "heldout")}
    parts = {key: part(batch.x1, batch.condition.get("label")) for key, batch in held.items()}
    x = parts["train"].x1
    if bool((x == x[:1]).all()):
        raise ValueError(f"{name}: all {len(x)} rows are the same; there is nothing to learn, check the file")
    all_rows = len(rows["whole"])
    told = (
        f"{all_rows} training rows are read on demand; memory holds the first {len(x)} for drafts, pairing and margins"
    )
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
