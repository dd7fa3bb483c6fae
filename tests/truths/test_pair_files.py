"""Files of pairs: the same bits come back, little is stored, and what is damaged is made again."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from warmflow.contracts import Batch, Coupling, Start
from warmflow.couplings import Assignment, Independent, NearestDatum, NearestDraft, Rewritten, pair_files, prepare
from warmflow.noise import Noise
from warmflow.sources import External, NGram, StandardNormal

N, SHAPE = 60, (3, 8, 8)
X = Noise.of(0, N).normal("x", *SHAPE)
DATA = Batch(X, {"label": torch.arange(N) % 3}, torch.arange(N))
NOISE = StandardNormal(SHAPE)
HOW: dict[str, Any] = {"block": 20, "rounds": 2, "seed": 3}


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("round-*.safetensors"))


def equal(a: Batch, b: Batch) -> bool:
    assert a.start is not None and b.start is not None and a.index is not None and b.index is not None
    named = [(a.start.condition[k], b.start.condition[k]) for k in a.start.condition]
    same = a.start.condition.keys() == b.start.condition.keys()
    tensors = [(a.x1, b.x1), (a.start.x0, b.start.x0), (a.index, b.index), *named]
    return same and all(x.dtype == y.dtype and torch.equal(x, y) for x, y in tensors)


COUPLINGS = [Assignment(), Independent(), NearestDatum(), NearestDatum(capacity=2), NearestDraft()]


@pytest.mark.parametrize("coupling", COUPLINGS, ids=repr)
def test_pairs_are_stored_as_numbers_of_rows_and_come_back_bit_for_bit(coupling: Coupling, tmp_path: Path) -> None:
    memory = prepare(coupling, DATA, NOISE, **HOW)
    first, again = (prepare(coupling, DATA, NOISE, tmp_path, **HOW) for _ in range(2))
    assert equal(memory, first) and equal(memory, again)
    for file in files(tmp_path):
        assert set(load_file(file)) <= {"rows.data", "rows.draw"}
        assert file.stat().st_size < 600, "20 samples of 192 numbers take 15 kB"


def test_drafts_that_take_long_to_draw_are_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_files, "SLOW", 0.0)
    monkeypatch.setattr(pair_files, "ONCE", 0.0)
    first, again = (prepare(Assignment(), DATA, NOISE, tmp_path, **HOW) for _ in range(2))
    assert equal(first, again)
    assert set(load_file(files(tmp_path)[0])) == {"x0"}, "the data are not stored"


def test_one_slow_draw_on_a_busy_machine_does_not_decide_what_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 9.0, 9.0, *(9.0 for _ in range(10_000))])
    monkeypatch.setattr(pair_files, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    prepare(Assignment(), DATA, NOISE, tmp_path, **HOW)
    assert not any("x0" in load_file(file) for file in files(tmp_path))


def test_drafts_that_cannot_be_repeated_are_stored(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    source = External(lambda n, seed: torch.randn(n, *SHAPE, generator=generator), SHAPE)
    first, again = (prepare(Assignment(), DATA, source, tmp_path, **HOW) for _ in range(2))
    assert equal(first, again)


@dataclass(frozen=True, eq=False)
class Elsewhere(Coupling):
    """A coupling that changes its starts by less than any tolerance."""

    preserves = frozenset[str]()

    def pair(self, batch: Batch, source: Any, *, noise: Noise) -> Any:
        found = Independent().pair(batch, source, noise=noise)
        return type(found)(Start(found.start.x0 + 1e-7), found.x1 * -1, found.index)


def test_what_differs_in_one_bit_is_stored(tmp_path: Path) -> None:
    first, again = (prepare(Elsewhere(), DATA, NOISE, tmp_path, **HOW) for _ in range(2))
    assert equal(first, again)
    assert set(load_file(files(tmp_path)[0])) == {"x0", "x1"}


def test_rewritten_texts_take_one_byte_a_symbol(tmp_path: Path) -> None:
    stream = (Noise.of(1, 1).integers("text", 4000, high=27)[0]).long()
    model = NGram.fit(stream, vocabulary=27, order=2, length=64)
    data = Batch(stream[: 64 * 40].reshape(40, 64))
    coupling = Rewritten(model, 2.0)
    memory = prepare(coupling, data, model, block=20)
    first, again = (prepare(coupling, data, model, tmp_path, block=20) for _ in range(2))
    for one in (first, again):
        assert one.start is not None and memory.start is not None and one.index is None
        assert torch.equal(one.x1, memory.x1) and torch.equal(one.start.x0, memory.start.x0)
        assert one.x1.dtype == one.start.x0.dtype == torch.int64
    assert max(file.stat().st_size for file in files(tmp_path)) < 2 * 20 * 64 + 1500


def empty(file: Path) -> None:
    file.write_bytes(b"")


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-7])


def noise(file: Path) -> None:
    file.write_bytes(bytes(range(256)) * 3)


def other_rows(file: Path) -> None:
    """A valid file with a row that does not exist."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(file, "pt") as opened:
        facts = opened.metadata()
    held = load_file(file)
    save_file({k: torch.full_like(v, 77) for k, v in held.items()}, file, facts)


def pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("damage", [empty, cut, noise, other_rows, pipe], ids=lambda f: f.__name__)
@pytest.mark.parametrize("part", ["block-0001", "pass-0000"])
def test_a_damaged_file_is_made_again(damage: Any, part: str, tmp_path: Path) -> None:
    whole = prepare(Assignment(), DATA, NOISE, passes=2, **HOW)
    prepare(Assignment(), DATA, NOISE, tmp_path, passes=2, **HOW)
    file = tmp_path / f"round-0000-{part}.safetensors"
    before = {k: v.clone() for k, v in load_file(file).items()}  # a copy: the file is mapped
    damage(file)
    assert equal(whole, prepare(Assignment(), DATA, NOISE, tmp_path, passes=2, **HOW))
    after = load_file(file)
    assert after.keys() == before.keys() and all(torch.equal(after[k], before[k]) for k in before)
    assert not [path for path in tmp_path.iterdir() if "tmp" in path.name]


@pytest.mark.parametrize("text", ["", "{", "[1]", '"x"', "[" * 10_000])
def test_pairs_whose_settings_are_damaged_are_made_again(text: str, tmp_path: Path) -> None:
    whole = prepare(Assignment(), DATA, NOISE, tmp_path, **HOW)
    (tmp_path / "pairs.json").write_text(text)
    other = prepare(Assignment(), DATA, NOISE, tmp_path, **{**HOW, "seed": 4})
    assert not equal(whole, other), "blocks of unknown settings are not taken for others"
    assert json.loads((tmp_path / "pairs.json").read_text())["seed"] == 4


def test_whole_numbers_are_narrowed_exactly() -> None:
    for values, kind in (
        ([0, 255], torch.uint8),
        ([-1, 5], torch.int16),
        ([0, 40_000], torch.int32),
        ([2**40], torch.int64),
    ):
        x = torch.tensor(values)
        assert pair_files.narrowed(x).dtype == kind and torch.equal(pair_files.narrowed(x).long(), x)
    x = Tensor([1.5])
    assert pair_files.narrowed(x) is x
