"""Any coupling, offline, on large blocks: own pairs, reflow and aligned drafts are the same thing.

The data is visited ``rounds`` times, each time in a new order, in blocks; every block's pairs are one safetensors file,
written under a temporary name and renamed. Run again, finished blocks are read and missing ones are made; a folder made
with other settings, other data or another source is an error that names the difference. A source is known by what it
draws: a draft model that was trained further is another source under the same name. A coupling is known by its settings,
a model among them by the bytes of its tensors.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from warmflow.contracts import Batch, Coupling, Data, Pair, Source, Start, concatenate
from warmflow.noise import Noise, permutation


def _write(pair: Pair, path: Path) -> None:
    from safetensors.torch import save_file

    tensors = {"x1": pair.x1, "x0": pair.start.x0}
    for name, value in (
        ("index", pair.index),
        ("t", pair.start.t),
        ("fixed", pair.start.fixed),
        ("calls", pair.start.calls),
    ):
        if value is not None:
            tensors[name] = value
    tensors |= {f"condition.{k}": v for k, v in pair.start.condition.items()}
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    save_file({k: v.cpu().contiguous().clone() for k, v in tensors.items()}, temporary)  # no two may share memory
    os.replace(temporary, path)


def _read(path: Path) -> Pair:
    from safetensors.torch import load_file

    tensors = load_file(path)
    condition = {k.removeprefix("condition."): v for k, v in tensors.items() if k.startswith("condition.")}
    start = Start(tensors["x0"], condition, tensors.get("fixed"), tensors.get("t"), tensors.get("calls"))
    return Pair(start, tensors["x1"], tensors.get("index"))


def digest(*values: Tensor | dict[str, Tensor] | None) -> str:
    """Sixteen hexadecimal digits of tensors' names, shapes and bytes."""
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
    """A source by its first draws, under the data's own conditions where it takes some; one that draws otherwise when
    asked the same again can only be known by its name."""
    rows = torch.arange(n) % len(data)
    condition = {k: v for k, v in data[rows].condition.items() if k in source.takes}
    noise = Noise.of(0, n).fold("fingerprint")
    once, again = (digest(s.x0, dict(s.condition)) for s in (source.draw(n, condition, noise=noise) for _ in range(2)))
    return once if once == again else "not repeatable"


def _named(part: Any) -> str:
    """A part as its repr would have it, with tensors as their digests: a table's repr shows its corners only."""
    if isinstance(part, Tensor):
        return digest(part)
    if isinstance(part, torch.nn.Module):
        return f"{type(part).__name__} {digest(dict(part.state_dict()))}"
    if is_dataclass(part) and not isinstance(part, type):
        return f"{type(part).__name__}({', '.join(f'{f.name}={_named(getattr(part, f.name))}' for f in fields(part))})"
    return repr(part)


def _agree(folder: Path, settings: dict[str, Any]) -> None:
    note = folder / "pairs.json"
    if note.exists():
        before = json.loads(note.read_text())
        changed = [k for k in settings if before.get(k) != settings[k]]
        if changed:
            k = changed[0]
            raise ValueError(
                f"{folder} holds pairs made with {k} = {before.get(k)!r}, now {k} = {settings[k]!r}: "
                "use another folder, or delete this one"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    temporary = note.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(settings))
    os.replace(temporary, note)


def prepare(
    coupling: Coupling,
    data: Data,
    source: Source,
    folder: str | Path | None = None,
    *,
    block: int = 4096,
    rounds: int = 1,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Batch:
    """Pairs of the whole set: a Batch with ``rounds`` x len(data) rows that carry their starts.

    ``index`` names the datum each pair ends in, or is None where the coupling makes targets of its own (``Rewritten``).

    Args:
        folder: where blocks are kept and found again; None keeps them in memory only.
        block: rows paired at once. Assignment costs about block^3 operations and block^2 x 8 bytes.
        rounds: fresh starts for every datum, that many times: the more, the less the pairs can be memorised.
        progress: told (blocks done, blocks in all).

    Raises:
        ValueError: a folder of pairs made with other settings, data or another source; a block or rounds below 1.
    """
    if block < 1 or rounds < 1:
        raise ValueError(f"block is {block} and rounds is {rounds}; both are at least 1")
    n = len(data)
    where = None if folder is None else Path(folder)
    if where is not None:
        named = f"{type(source).__name__} {_source_digest(data, source)}"
        settings = {"coupling": _named(coupling), "source": named, "data": f"{n} rows {_data_digest(data)}"}
        _agree(where, {**settings, "block": block, "seed": seed})
    count = -(-n // block)
    size, pairs = -(-n // count), []  # equal blocks: a small last block would be paired badly
    for k in range(rounds):
        order = permutation(seed, n, f"round {k}")
        for j in range(count):
            path = None if where is None else where / f"round-{k:04d}-block-{j:04d}.safetensors"
            if path is not None and path.exists():
                pairs.append(_read(path))
            else:
                rows: Tensor = order[j * size : (j + 1) * size]
                noise = Noise.of(seed, len(rows), k * n + j * size).fold("prepare")
                batch = data[rows]
                if batch.index is None:
                    batch = replace(batch, index=rows)
                pair = coupling.pair(batch, source, noise=noise)
                if path is not None:
                    _write(pair, path)
                pairs.append(pair)
            if progress is not None:
                progress(k * count + j + 1, rounds * count)
    whole = concatenate(pairs)
    return Batch(whole.x1, {}, whole.index, whole.start)
