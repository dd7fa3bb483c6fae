"""Audits of the pairing that a comparison trains on, and of other pairings for reference.

FOLDER/PAIRING.json    a finished audit
FOLDER/PAIRING/        its pairs so far, until it is finished
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from warmflow.contracts import Batch, Source
from warmflow.couplings import prepare
from warmflow.data import DataSet
from warmflow.estimates import ahead, clock, is_trying
from warmflow.files import Damaged, make_folder, write_json
from warmflow.methods.base import Drafted
from warmflow.methods.pairing import OFFLINE, coupling_of
from warmflow.metrics.audit import Audit, audit_pairs
from warmflow.noise import Noise, permutation
from warmflow.printing import bar
from warmflow.schemas import OBJECT, read_as
from warmflow.setup import Setup

AUDITED = 10_000
"""Largest number of training rows on which a pairing is audited."""
TEXTS = 2000
"""The same of texts."""
TRIED = 256
"""Drafts that are drawn in an estimate of time."""
DELAY = 3.0
"""Seconds after which a progress bar appears."""


def seen_as(data: DataSet, x: Tensor) -> Tensor:
    """Samples as used by metrics and figures: tokens of a grid are decoded to points, everything else is unchanged."""
    return x if data.grid is None else data.grid.decode(x)


class Found(Protocol):
    """What an audit gives."""

    def to_json(self) -> dict[str, object]: ...


@dataclass(eq=False)
class _Audits:
    """The audits of pairings by name, where they are kept, and how many of their blocks of pairs are done.

    Args:
        folder: None keeps nothing.
        tell: called with (done, total), each audit counted as one block more.
    """

    names: tuple[str, ...]
    folder: Path | None
    tell: Callable[[int, int], None]
    done: int = 0
    seconds: float | None = None
    """Seconds of the first audit, its pairs apart."""
    found: dict[str, dict[str, object]] = field(default_factory=dict)

    def add(self, name: str, paired: Callable[[Path | None, Callable[[int, int], None]], Batch], audited: Callable[[Batch], Found]
            ) -> None:  # fmt: skip
        """The audit of a pairing, read from its file or made and kept there.

        Args:
            paired: makes the pairs, in a folder, and tells how far it is.
            audited: makes their audit.
        """
        kept = None if self.folder is None else self.folder / f"{name}.json"
        if kept is not None and kept.exists():
            with suppress(Damaged):  # a damaged one is made again
                self.found[name] = read_as(OBJECT, kept)
                return
        blocks, first = 1, self.done

        def tell(done: int, total: int) -> None:
            nonlocal blocks
            blocks = total
            self.done = first + done
            self.tell(self.done, first + (total + 1) * (len(self.names) - len(self.found)))

        pairs, began = paired(None if kept is None else kept.with_suffix(""), tell), clock()
        if is_trying() and self.seconds is not None:
            ahead(self.seconds)  # the first one tells how long each takes
            return
        self.found[name] = audited(pairs).to_json()
        self.seconds = clock() - began
        self.done = first + blocks + 1
        self.tell(self.done, self.done + (blocks + 1) * (len(self.names) - len(self.found)))
        if kept is not None:
            write_json(kept, self.found[name])
            shutil.rmtree(kept.with_suffix(""), ignore_errors=True)


@contextmanager
def _shown(names: Sequence[str], folder: Path | None, progress: bool) -> Iterator[_Audits]:
    """Audits of these pairings, with a bar."""
    with bar(what="audit of pairs", unit="block", shown=progress, delay=DELAY) as shown:

        def tell(done: int, total: int) -> None:
            shown.total = total
            shown.update(done - shown.n)

        yield _Audits(tuple(names), None if folder is None else make_folder(folder), tell)


def audits(
    setup: Setup, drafted: Drafted, folder: Path | None = None, progress: bool = False
) -> dict[str, dict[str, object]]:
    """The audit of the pairing that is trained on, and of the other pairings for one round, by name.

    Args:
        folder: where finished audits and the pairs of others are kept; None keeps nothing.
        progress: whether a bar is shown.
    """
    draft, pairing, data_seed = drafted.draft, drafted.pairing, setup.data_seed
    if setup.data.alphabet is not None:
        return _text_audits(setup, drafted, data_seed, folder, progress)
    whole, own, block = setup.data.train, pairing.pairing or "whole-set", pairing.block or 512
    data = whole
    if len(whole) > AUDITED:  # computing every pairing of a large set would take longer than training
        data = whole[permutation(data_seed, len(whole), "audit")[:AUDITED]]
        data = replace(data, index=torch.arange(AUDITED))
    fresh = seen_as(setup.data, _fresh(draft, min(len(data), 2000), data_seed))
    nearest = () if "label" in draft.takes else ("nearest-data", "nearest-draft")  # they may pair across labels
    names = tuple(dict.fromkeys((own, "whole-set", *nearest, "independent")))

    def paired(name: str, place: Path | None, tell: Callable[[int, int], None]) -> Batch:
        if name == own and (name == "given" or (data is whole and name in OFFLINE)):
            return drafted.pairs[torch.arange(min(len(whole), len(drafted.pairs)))]
        size = 256 if name == "minibatch" else block
        return prepare(coupling_of(name, pairing, setup), data, draft, place, block=size, seed=data_seed, progress=tell)

    with _shown(names, folder, progress) as made:
        for name in names:
            rows = (
                whole if name == "given" else data
            )  # given pairs cannot be recomputed for a subset, so all are audited
            made.add(name, partial(paired, name), partial(_audited, setup.data, rows, fresh, data_seed))
        return made.found


def _fresh(draft: Source, n: int, seed: int) -> Tensor:
    """Fresh drafts (n, *S); in an estimate of time a few of them, repeated."""
    few, began = min(n, TRIED) if is_trying() else n, clock()
    x = draft.draw(few, noise=Noise.of(seed + 7919, few)).x0
    ahead((n / few - 1) * (clock() - began))
    return x[torch.arange(n) % few]


def _audited(data: DataSet, rows: Batch, fresh: Tensor, seed: int, part: Batch) -> Audit:
    """The audit of pairs of some rows of the data."""
    assert part.start is not None and part.index is not None
    start, end = seen_as(data, part.start.x0), seen_as(data, part.x1)
    return audit_pairs(
        start, end, part.index, len(rows), rows.condition.get("label"), fresh, seen_as(data, rows.x1), seed
    )  # fmt: skip


def _text_audits(
    setup: Setup, drafted: Drafted, seed: int, folder: Path | None, progress: bool
) -> dict[str, dict[str, object]]:
    """The audit of the pairing of texts that is trained on, and of independent pairs. Each is computed anew on a subset of the
    data; pairs from a file are used directly."""
    from warmflow.metrics.audit_tokens import TokenAudit, audit_tokens

    data, draft, pairing = setup.data.train, drafted.draft, drafted.pairing
    few = data[permutation(seed, len(data), "audit")[:TEXTS]]
    few = Batch(few.x1, {}, torch.arange(len(few)))
    fresh = _fresh(draft, len(few), seed)

    def paired(name: str, place: Path | None, tell: Callable[[int, int], None]) -> Batch:
        if name == "given":
            return drafted.pairs[torch.arange(min(TEXTS, len(drafted.pairs)))]
        block = pairing.block or 1024
        return prepare(coupling_of(name, pairing, setup), few, draft, place, block=block, seed=seed, progress=tell)

    def audited(name: str, part: Batch) -> TokenAudit:
        assert part.start is not None
        index = None if name == "given" else part.index
        return audit_tokens(part.start.x0, part.x1, index, len(few), fresh, few.x1, setup.vocabulary, seed)

    names = tuple(dict.fromkeys((pairing.pairing or "rewritten", "independent")))
    with _shown(names, folder, progress) as made:
        for name in names:
            made.add(name, partial(paired, name), partial(audited, name))
        return made.found
