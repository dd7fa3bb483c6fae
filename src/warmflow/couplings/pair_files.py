"""Files of pairs: one for each block, without the values that can be computed again.

A block of pairs is made from rows of the data and from draws of a source, whose random numbers are counter-based. Of a value that
the data or a second draw give again bit for bit, only the numbers of the rows are stored:

    x1, conditions of the data     ``at`` (n,): their row in the block, left out if it is the pair's own
    x0, conditions of the draft    ``row`` (n,): the draw that it is, left out likewise
    everything else                itself: texts that a coupling has written, drafts that take long to draw or cannot be repeated

Whether a value is given again is tested before it is left out. Whole numbers are stored in the narrowest type that holds them.
Rounding to half precision would change results, so it is not done. Files are written atomically; what is damaged is made again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from warmflow.contracts import Batch, Pair, Source, Start
from warmflow.couplings.base import starts
from warmflow.files import read_tensors, write_tensors
from warmflow.noise import Noise

SLOW, ONCE = 5e-7, 5e-3
"""Seconds for each byte of a draft, and for a call, above which drafts are stored: drawing them at every start takes too long."""
TIMED, TRIES = 32, 5
"""The number of drafts that are drawn to time the source, and the most tries: on a busy machine a single one may be slow."""
NARROW = (torch.uint8, torch.int16, torch.int32)
FROM_DATA, FROM_DRAW = "data", "draw"


@dataclass(frozen=True, eq=False)
class Block:
    """What a block of pairs is made from.

    Args:
        batch: (n, ...) its rows of the data.
        noise: the streams that its coupling was given.
        repeats: whether the source draws the same twice.
    """

    batch: Batch
    source: Source
    noise: Noise
    repeats: bool = True

    @cached_property
    def drawn(self) -> Start:
        """The starts, drawn again."""
        return starts(self.batch, self.source, noise=self.noise)

    @cached_property
    def quick(self) -> bool:
        """Whether the starts can be drawn again, and in a short time."""
        if not self.repeats or self.batch.start is not None:
            return False
        few = slice(0, TIMED)
        for _ in range(TRIES):
            began = time.perf_counter()
            found = starts(self.batch[few], self.source, noise=self.noise[few]).x0
            if time.perf_counter() - began < ONCE + SLOW * found.numel() * found.element_size():
                return True
        return False

    def write(self, path: Path, pair: Pair) -> None:
        """Writes the pairs of this block."""
        parts, kept = _flat(pair), dict[str, Tensor]()
        facts: dict[str, str] = {}
        at = _positions(pair.index, self.batch.index)
        row = _positions(_prints(pair.start.x0), _prints(self.drawn.x0)) if self.quick else None
        for origin, rows, given in ((FROM_DATA, at, self._data), (FROM_DRAW, row, self._draws)):
            known = {} if rows is None else {k: v[rows] for k, v in given().items()}
            same = [k for k, v in known.items() if k in parts and _equal(parts[k], v)]
            facts |= dict.fromkeys(same, origin)
            parts = {k: v for k, v in parts.items() if k not in same}
            if rows is not None and same and not torch.equal(rows, torch.arange(len(rows))):
                kept[f"rows.{origin}"] = rows
        kept |= parts
        facts |= {f"type.{k}": "int64" for k, v in kept.items() if v.dtype == torch.int64}
        write_tensors(path, {k: narrowed(v) for k, v in kept.items()}, facts or {"rows": str(len(pair.x1))})

    def read(self, path: Path) -> Pair | None:
        """The pairs in the file; None if there are none, or the file is damaged."""
        found = read(path)
        if found is None:
            return None
        kept, facts = found
        for origin, given in ((FROM_DATA, self._data), (FROM_DRAW, self._draws)):
            names = [k for k, v in facts.items() if v == origin]
            if names:
                rows, whole = kept.pop(f"rows.{origin}", None), given()
                if not _within(rows, len(self.batch)) or not set(names) <= whole.keys():
                    return None
                kept |= {k: whole[k] if rows is None else whole[k][rows] for k in names}
        if not {"x0", "x1"} <= kept.keys() or any(len(v) != len(self.batch) for v in kept.values()):
            return None
        condition = {k.removeprefix("condition."): v for k, v in kept.items() if k.startswith("condition.")}
        start = Start(kept["x0"], condition, kept.get("fixed"), kept.get("t"), kept.get("calls"))
        return Pair(start, kept["x1"], kept.get("index"))

    def _data(self) -> dict[str, Tensor]:
        batch = self.batch
        index = {} if batch.index is None else {"index": batch.index}
        return {"x1": batch.x1, **index, **{f"condition.{k}": v for k, v in batch.condition.items()}}

    def _draws(self) -> dict[str, Tensor]:
        return _of_start(self.drawn)


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]] | None:
    """The tensors of a file and its facts, whole numbers in the type that they had; None if it is missing or damaged."""
    try:
        tensors, facts = read_tensors(path)
    except ValueError:
        return None
    return {k: v.long() if f"type.{k}" in facts else v for k, v in tensors.items()}, facts


def write_rows(path: Path, rows: Tensor) -> None:
    """Writes a permutation (n,) int64, the pairs of a round after a pass."""
    write_tensors(path, {"rows": narrowed(rows)}, {"type.rows": "int64"})


def read_rows(path: Path, n: int) -> Tensor | None:
    """The permutation (n,) int64 in a file; None if it is missing or damaged."""
    found = read(path)
    rows = None if found is None else found[0].get("rows")
    if rows is None or rows.shape != (n,) or not torch.equal(rows.sort().values, torch.arange(n)):
        return None
    return rows


def narrowed(x: Tensor) -> Tensor:
    """Whole numbers in the narrowest type that holds them."""
    if x.dtype != torch.int64 or not x.numel():
        return x
    low, high = int(x.min()), int(x.max())
    fit = (t for t in NARROW if torch.iinfo(t).min <= low and high <= torch.iinfo(t).max)
    return x.to(next(fit, torch.int64))


def _flat(pair: Pair) -> dict[str, Tensor]:
    """The tensors of pairs, by name."""
    index = {} if pair.index is None else {"index": pair.index.cpu()}
    return {"x1": pair.x1.cpu(), **index, **_of_start(pair.start.to("cpu"))}


def _of_start(start: Start) -> dict[str, Tensor]:
    held = {f.name: getattr(start, f.name) for f in fields(start) if f.name != "condition"}
    return {k: v for k, v in held.items() if v is not None} | {f"condition.{k}": v for k, v in start.condition.items()}


def _prints(x: Tensor) -> list[bytes]:
    """The bytes of every row."""
    return [row.tobytes() for row in x.cpu().contiguous().flatten(1).numpy()]


def _positions(wanted: Tensor | list[bytes] | None, among: Tensor | list[bytes] | None) -> Tensor | None:
    """Where each wanted value stands among others; None if one of them is not there."""
    if wanted is None or among is None:
        return None
    places: Mapping[object, int] = {v: i for i, v in enumerate(_listed(among))}
    found = [places.get(v, -1) for v in _listed(wanted)]
    return torch.tensor(found, dtype=torch.int64) if min(found, default=-1) >= 0 else None


def _listed(values: Tensor | list[bytes]) -> list[object]:
    return list(values.tolist()) if torch.is_tensor(values) else list(values)


def _equal(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have the same type, shape and bytes: -0 is not 0, and NaN is itself."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    return torch.equal(*(x.cpu().contiguous().flatten().view(torch.uint8) for x in (a, b)))


def _within(rows: Tensor | None, n: int) -> bool:
    return rows is None or (rows.shape == (n,) and (not n or 0 <= int(rows.min()) <= int(rows.max()) < n))
