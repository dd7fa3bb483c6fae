"""Prepares the pairs of any coupling offline, on large blocks. Own pairs, reflow and aligned drafts use the same mechanism.

The data is visited ``rounds`` times, each time in a new order, in blocks. The pairs of every block are stored in a file
(``pair_files``). When run again, finished blocks are read; missing and damaged ones are computed. A
folder made with other settings, other data or another source is an error that names the difference. A source is identified by
its samples: a draft model that was trained further counts as another source. A coupling is identified by its settings: a model
among them by the bytes of its tensors, a user's space by its values on the first data points.

If pairs stay within a condition (``Assignment(within="label")``), a random block of many classes would hold few rows of each.
Blocks then consist of whole classes: small classes share a block, and a class larger than a block is split into equal parts.

Large data sets cannot be assigned at once. Refinement passes over the pairs of a round (``refine``) come within a few percent of
the optimum. Each pass is stored in its own file, so that further passes continue from the last one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from functools import singledispatch
from pathlib import Path

import torch
from torch import Tensor

from warmflow.contracts import Batch, Coupling, Data, Pair, Source
from warmflow.couplings.base import permuted, place, seen
from warmflow.couplings.pair_files import Block, read_rows, write_rows
from warmflow.couplings.refine import refined
from warmflow.estimates import Rounds, ahead, clock, is_trying
from warmflow.files import make_folder, read_json, write_json
from warmflow.noise import Noise, permutation
from warmflow.number_checks import is_whole, numbers_checked
from warmflow.printing import in_brief
from warmflow.records import concatenate

TRIED = 4096
UNREPEATABLE = "not repeatable"


def digest(*values: Tensor | dict[str, Tensor] | None) -> str:
    """Sixteen hexadecimal digits that identify tensors by their names, shapes, dtypes and bytes."""
    found = hashlib.sha256()
    for value in values:
        for name, tensor in sorted(value.items()) if isinstance(value, dict) else [("", value)]:
            if tensor is not None:
                found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
                found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]


def _data_digest(data: Data, rows: int = 4096) -> str:
    parts = []
    for first in range(0, len(data), rows):
        batch = data[torch.arange(first, min(first + rows, len(data)))]
        parts.append(digest(batch.x1, dict(batch.condition), batch.index))
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:16]


def _source_digest(data: Data, source: Source, n: int = 16) -> str:
    """A digest of a source's first samples, given the data's conditions if it takes any. A source that does not repeat its
    samples can only be identified by its class.
    """
    rows = torch.arange(n) % len(data)
    condition = {k: v for k, v in data[rows].condition.items() if k in source.takes}
    noise = Noise.of(0, n).fold("fingerprint")
    once, again = (digest(s.x0, dict(s.condition)) for s in (source.draw(n, condition, noise=noise) for _ in range(2)))
    return once if once == again else UNREPEATABLE


@singledispatch
def _description(part: object) -> str:
    """A description of a part, like its repr, with tensors replaced by digests, because the repr of a large tensor is
    abbreviated. Fields marked ``LATER`` are included only if they are set; callables are described by name, because their repr
    contains an address.
    """
    if is_dataclass(part):
        held = {f.name: getattr(part, f.name) for f in fields(part)}
        held = {f.name: held[f.name] for f in fields(part) if held[f.name] is not None or "later" not in f.metadata}
        return f"{type(part).__name__}({', '.join(f'{k}={_description(v)}' for k, v in held.items())})"
    if callable(part):
        return getattr(part, "__qualname__", type(part).__qualname__)
    return repr(part)


_description.register(Tensor, digest)
_description.register(type, repr)


@_description.register
def _(part: torch.nn.Module) -> str:
    return f"{type(part).__name__} {digest(dict(part.state_dict()))}"


def _check_settings(folder: Path, settings: dict[str, object]) -> None:
    """Raises ValueError if the folder holds pairs made with other settings; makes the folder, or cleans it."""
    make_folder(folder)
    note = folder / "pairs.json"
    before = _settings(note)
    if before is not None:
        changed = [k for k in settings if before.get(k) != settings[k]]
        if changed:
            k = changed[0]
            raise ValueError(
                f"{folder} holds pairs made with {k} = {in_brief(repr(before.get(k)))}, now {k} = {in_brief(repr(settings[k]))}: "
                "use another folder, or delete this one"
            )
        return
    for unknown in folder.glob("round-*.safetensors"):  # made with settings that nothing tells any more
        unknown.unlink()
    write_json(note, settings)


def _settings(note: Path) -> dict[str, object] | None:
    """The settings that the pairs of a folder were made with; None if they are not there, or damaged."""
    try:
        found = read_json(note)
    except ValueError:
        return None
    return dict(found) if hasattr(found, "items") else None


def _groups(data: Data, within: str | None, rows: int = 4096) -> Tensor | None:
    """The condition (n,) that pairs must share, or None if there is none or the data do not have it."""
    if within is None or within not in data[torch.arange(1)].condition:
        return None
    parts = (torch.arange(first, min(first + rows, len(data))) for first in range(0, len(data), rows))
    return torch.cat([data[part].condition[within].cpu() for part in parts])


def blocks(order: Tensor, groups: Tensor | None, block: int) -> list[Tensor]:
    """Divides the rows ``order`` (n,) of a round into blocks of at most ``block`` rows. Blocks have equal sizes, because a
    small last block would be paired badly. If pairs stay within groups (n,), blocks consist of whole groups, and larger groups
    are split into equal parts.
    """
    n = len(order)
    if groups is None:
        return list(order.split(-(-n // -(-n // block))))
    found: list[Tensor] = []
    room = 0
    for group in groups.unique():
        members = order[groups[order] == group]
        if len(members) > block:
            found += members.tensor_split(-(-len(members) // block))
            room = 0
        elif len(members) <= room:
            found[-1] = torch.cat([found[-1], members])
            room -= len(members)
        else:
            found.append(members)
            room = block - len(members)
    return found


def _of_block(data: Data, rows: Tensor, source: Source, noise: Noise, repeats: bool) -> Block:
    """What the pairs of some rows of the data are made from."""
    batch = data[rows].to("cpu")
    return Block(batch if batch.index is not None else replace(batch, index=rows), source, noise, repeats)


def _refined_round(pair: Pair, coupling: Coupling, names: list[str], block: int, noise: Noise,
            files: list[Path | None], tell: Callable[[], None]) -> Pair:  # fmt: skip
    """Applies one refinement pass per file to the pairs of a round; ``names`` are the conditions that belong to the data."""
    x0, x1 = place(pair.start, coupling.space).cpu(), seen(pair.x1, coupling.space).cpu()
    datum = {k: pair.start.condition[k] for k in names}
    groups = None if coupling.within is None else datum[coupling.within].cpu()
    rows = torch.arange(len(pair.x1))
    for k, file in enumerate(files):
        kept = None if file is None else read_rows(file, len(rows))
        if kept is None:
            kept = refined(x0, x1, rows, groups, block=block, noise=noise.fold(f"pass {k}"))
            if file is not None:
                write_rows(file, kept)
        rows = kept
        tell()
    return replace(pair, start=permuted(pair.start, rows, Batch(pair.x1, datum)))


@numbers_checked
def prepare(
    coupling: Coupling,
    data: Data,
    source: Source,
    folder: str | Path | None = None,
    *,
    block: int = 4096,
    rounds: int = 1,
    passes: int = 0,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Batch:
    """Pairs the whole data set: returns a Batch of ``rounds`` x len(data) rows with their starts.

    Pairs are made on the CPU, wherever the data are. ``index`` is the data point of each pair, or None for couplings that make
    their own targets (``Rewritten``).

    Args:
        folder: where blocks are stored and found again; None keeps them in memory only.
        block: rows paired at once. Assignment takes about block^3 operations and block^2 x 12 bytes.
        rounds: number of fresh starts per data point. More rounds make it harder to memorise the pairs.
        passes: number of refinement passes, in which the pairs of a round are assigned again in blocks of nearby pairs;
            Assignment only. A pass never increases the cost. For drafts of images, blocks of 512 with five passes come closer
            to the assignment of the whole set, in less time, than blocks of 4,096 without passes.
        progress: called with (finished blocks and passes, their total number).

    Raises:
        ValueError: a folder of pairs made with other settings, data or source; a block or rounds below 1; passes below 0, for
            another coupling than Assignment, or with blocks of one row.
    """
    _check(coupling, block, rounds, passes)
    n, where, repeats = len(data), None if folder is None else Path(folder), True
    groups = _groups(data, coupling.within)
    if where is not None:
        facts = _facts(coupling, data, source, groups)
        _check_settings(where, {**facts, "block": block, "seed": seed})
        repeats = UNREPEATABLE not in str(facts["source"])
    if is_trying():
        return _tried(coupling, data, source, groups, block=block, rounds=rounds, passes=passes, seed=seed)
    done, total, pairs = 0, rounds * (len(blocks(torch.arange(n), groups, block)) + passes), []

    def tell() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    def file(k: int, part: str) -> Path | None:
        return None if where is None else where / f"round-{k:04d}-{part}.safetensors"

    for k in range(rounds):
        first, found = k * n, []
        for j, rows in enumerate(blocks(permutation(seed, n, f"round {k}"), groups, block)):
            path = file(k, f"block-{j:04d}")
            part = _of_block(data, rows, source, Noise.of(seed, len(rows), first).fold("prepare"), repeats)
            pair = None if path is None else part.read(path)
            if pair is None:
                for stale in where.glob(f"round-{k:04d}-pass-*.safetensors") if where is not None else ():
                    stale.unlink()  # its pairs will be replaced
                pair = coupling.pair(part.batch, source, noise=part.noise)
                if path is not None:
                    part.write(path, pair)
            found.append(pair)
            first += len(rows)
            tell()
        if passes:
            files = [file(k, f"pass-{p:04d}") for p in range(passes)]
            names = [name for name in data[torch.arange(1)].condition if name != "draft"]
            found = [concatenate(found)]  # frees the blocks: a data set may be large
            noise = Noise.of(seed, n, k * n).fold("refine")
            found = [_refined_round(found[0], coupling, names, block, noise, files, tell)]
        pairs += found
    whole = pairs[0] if len(pairs) == 1 else concatenate(pairs)
    return Batch(whole.x1, {}, whole.index, whole.start)


def _tried(
    coupling: Coupling, data: Data, source: Source, groups: Tensor | None, *, block: int, rounds: int, passes: int, seed: int
) -> Batch:  # fmt: skip
    """A few of the pairs, repeated up to ``TRIED`` rows, in an estimate of time (``estimates``)."""
    n, parts, found = len(data), blocks(permutation(seed, len(data), "round 0"), groups, block), []
    loop = Rounds(rounds * len(parts))
    for rows in parts:
        part = _of_block(data, rows, source, Noise.of(seed, len(rows)).fold("prepare"), repeats=False)
        found.append(coupling.pair(part.batch, source, noise=part.noise))
        if loop.enough():
            break
    loop.left_out()
    pair, began = concatenate(found), clock()
    if passes:
        names = [name for name in data[torch.arange(1)].condition if name != "draft"]
        noise = Noise.of(seed, len(pair.x1)).fold("refine")
        pair = _refined_round(pair, coupling, names, block, noise, [None], lambda: None)
        ahead((rounds * passes * n / len(pair.x1) - 1) * (clock() - began))
    pair = pair[torch.arange(min(rounds * n, max(TRIED, len(pair.x1)))) % len(pair.x1)]
    return Batch(pair.x1, {}, pair.index, pair.start)


def _check(coupling: Coupling, block: int, rounds: int, passes: int) -> None:
    if not is_whole(block) or not is_whole(rounds):
        raise ValueError(f"block is {block} and rounds is {rounds}; both must be at least 1")
    if not is_whole(passes, 0) or (passes and not coupling.refines):
        raise ValueError(
            f"passes is {passes} with the coupling {type(coupling).__name__}; only Assignment takes passes, 0 or more"
        )
    if passes and block < 2:
        raise ValueError(f"block is {block}; passes exchange starts within blocks of at least 2 rows")


def _facts(coupling: Coupling, data: Data, source: Source, groups: Tensor | None) -> dict[str, object]:
    """The values that identify pairs, in addition to block and seed."""
    n, space = len(data), coupling.space
    facts: dict[str, object] = {
        "coupling": _description(coupling),
        "source": f"{type(source).__name__} {_source_digest(data, source)}",
        "data": f"{n} rows {_data_digest(data)}",
    }
    if space is not None:
        facts["space"] = digest(seen(data[torch.arange(min(16, n))].x1, space))
    if groups is not None:
        facts["blocks"] = "whole groups"
    return facts
