"""Bad input of image data, large files and choices of rows, in the same form as ``bad_input``'s cases."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bad_input import Case, Make, Place
from PIL import Image

GRIDS, WIDE, HIGH = 30, 1600, 1280


def image_commands() -> Iterator[Case]:
    def of(make: Callable[[Place], Any], command: str = "compare") -> Make:
        more = ["--out", "c", "--quiet", "--jobs", "1"] if command == "compare" else []
        return lambda p: [command, str(make(p)), *more]

    yield Case("compare of a near name of images", of(lambda p: "cifar100"), "cifar100", "did you mean 'cifar10'")
    yield Case("audit of a near name of images", of(lambda p: "emojis", "audit"), "emojis", "did you mean 'emoji'")
    yield Case("compare of a hub without a name", of(lambda p: "hf:"), "name is empty", "hf:NAME")
    yield Case("compare of a hub's missing folder", of(lambda p: "hf:./no/where"), "./no/where", "save_to_disk")
    yield Case("audit of a hub's file", of(lambda p: f"hf:{p.file('set')}", "audit"), "is a file", "save_to_disk")
    yield Case("compare of a lonely class", of(lambda p: f"folder:{_lonely(p)}"), 'class "owl" has one', "merge it")
    yield Case("audit of a lonely class", of(lambda p: f"folder:{_lonely(p)}", "audit"), "one member", "remove it")
    yield Case("compare of a lonely label", of(_lonely_label), 'class "7" has one member', "merge it")
    yield Case(
        "audit of one image", of(lambda p: f"folder:{p.images(1)}", "audit"), "one readable image", "at least two"
    )
    yield Case("compare of half a file of images", of(_half_array), "images.npy", "numpy.save")


def image_calls() -> Iterator[Case]:
    def cifar(spoil: Callable[[Path], object], **more: Any) -> Make:
        def make(p: Place) -> Callable[[], Any]:
            folder = _grids(p.here / "cifar10")
            spoil(folder)
            return lambda: _load("cifar10", folder=folder, **more)

        return make

    for what, spoil, says, remedy in (
        ("without a grid", lambda f: (f / "cifar10_07.webp").unlink(), "has no cifar10_07.webp", "it needs all"),
        ("without labels", lambda f: (f / "labels.npy").unlink(), "has no labels.npy", "it needs all"),
        ("with half a grid", lambda f: _cut(f / "cifar10_00.webp"), "cifar10_00.webp cannot be read", "fetch it"),
        ("with an empty grid", lambda f: _cut(f / "cifar10_03.webp", 0), "cifar10_03.webp", "fetch it again"),
        ("with a grid of another kind", lambda f: _picture(f / "cifar10_00.webp", "PNG"), "not an image", "fetch it"),
        ("with a small grid", lambda f: _picture(f / "cifar10_02.webp", "WEBP"), "32 x 32 pixels", "1600 x 1280"),
        ("with few labels", lambda f: _labels(f, np.zeros(59_999, np.uint8)), "(59999,)", "fetch it again"),
        ("with labels of texts", lambda f: _labels(f, np.array(["cat"] * 60_000)), "<U3", "fetch it again"),
        ("with labels out of range", lambda f: _labels(f, np.arange(60_000) % 11), "from 0 to 10", "fetch it again"),
        ("with labels below 0", lambda f: _labels(f, np.arange(60_000) % 10 - 1), "from -1 to 8", "fetch it again"),
        ("with other labels", lambda f: _labels(f, np.zeros(60_000, np.uint8)), '50000 training images', "again"),
        ("with labels that are pickled", _pickled, "labels.npy", "never unpickled"),
        ("with half of its labels", lambda f: _cut(f / "labels.npy"), "labels.npy", "numpy.save"),
    ):  # fmt: skip
        yield Case(f"CIFAR-10 {what}", cifar(spoil), says, remedy)
    for value in (-1, 2.5, True):
        yield Case(f"CIFAR-10 with most {value}", cifar(lambda f: None, most=value), f"most is {value}", "0 for all")
    yield Case("CIFAR-10 of an empty folder", lambda p: lambda: _load("cifar10", folder=p.here), "neither", "give the")
    yield Case("CIFAR-10 as pickles", _batches("data_batch_1"), "never opened", "cifar-10-binary.tar.gz")
    yield Case("CIFAR-10 of one batch", _batches("data_batch_1.bin"), "data_batch_2.bin and 4 more", "it needs all")
    yield Case("CIFAR-10 of short batches", _batches(), "data_batch_1.bin holds 30", "fetch it again")
    yield Case("a batch with a label of 77", _label, "the label 77", "fetch it again")

    def emoji(size: int = 64, **changes: Any) -> Make:
        return lambda p: lambda: _load("emoji", file=_emoji(p.here / "e.npz", **changes), size=size)

    yield Case("emoji of another size", emoji(48), "size is 48", "known: 64, 32")
    yield Case("emoji without codes", emoji(code=None), "no array 'code'", "fetch it again")
    yield Case("emoji of floats", emoji(x=np.zeros((9, 64, 64, 3))), "float64", "fetch it again")
    yield Case("emoji with few categories", emoji(y=np.zeros(5, int)), "300 images, 5 categories", "fetch it again")
    yield Case("emoji of an unknown category", emoji(y=np.full(300, 4)), "from 4 to 4, known 0 .. 1", "fetch it again")
    yield Case("emoji of no code", emoji(code=np.array(["smile"] * 300)), "'smile'", "fetch it again")
    yield Case("emoji of a lonely category", emoji(y=np.arange(300) // 299), 'class "b" has one member', "merge it")
    yield Case(
        "half of the emoji", lambda p: lambda: _load("emoji", file=_cut(_emoji(p.here / "e.npz"))), "e.npz", "fetch it"
    )
    yield Case("emoji nowhere", lambda p: lambda: _load("emoji", file=p.here / "no.npz"), "no such file", "fetch it")

    # larger than memory
    def mapped(memory: Any, x: Any = None, **more: Any) -> Make:
        given = np.arange(300 * 16, dtype=np.uint8).reshape(300, 4, 4) if x is None else x
        return lambda p: lambda: _load(p.array("x.npy", given), memory=memory, **more)

    yield Case("no memory", mapped(0), "memory is 0", "positive number of GB")
    yield Case("memory as text", mapped("2 GB"), "'2 GB'", "positive number of GB")
    yield Case("memory for a few rows", mapped(1e-6), "holds 15 rows", "raise it")
    yield Case("mapped labels of another number", mapped(1.5e-5, labels=[1, 2]), "300 rows", "one label a row")
    yield Case(
        "mapped rows that are alike", mapped(1.5e-5, np.zeros((300, 4, 4), np.uint8)), "the same", "check the file"
    )
    yield Case("mapped numbers beyond 1", mapped(1.5e-5, np.full((300, 4, 4), 2.0)), "outside [-1, 1]", "scale floats")
    yield Case("mapped whole numbers", mapped(1.5e-5, np.ones((300, 4, 4), np.int64)), "int64", "give uint8")
    yield Case("mapped axes", mapped(1e-6, np.zeros((300, 1, 4, 4, 1), np.uint8)), "5 dimensions", "(N, C, H, W)")
    yield Case("few mapped rows", mapped(1e-9, np.zeros((9, 4, 4), np.uint8)), "9 rows", "at least 200")
    yield Case(
        "a stream of a few rows", lambda p: lambda: _load(f"folder:{p.images(210)}", size=4, stream=True, memory=1e-5),
        "holds 156 rows", "raise it",
    )  # fmt: skip
    yield Case(
        "a stream of nothing", lambda p: lambda: _load(f"folder:{p.images(broken=3)}", stream=True), "no image", "png"
    )
    yield Case("pruning what is mapped", _mapped_and("pruned"), "cannot be pruned", "raise memory")
    yield Case("re-weighting what is mapped", _mapped_and("reweighted"), "cannot be reweighted", "raise memory")
    yield Case("restoring what is mapped", _mapped_and("denoising"), "is read on demand", "raise memory")


def _load(what: Any, **options: Any) -> Any:
    from warmflow.data import load

    return load(what, **options)


def _lonely(p: Place) -> Path:
    """A folder of 220 images in two classes and one in a third."""
    folder = p.here / "photos"
    for k in range(221):
        sub = folder / ("owl" if k == 220 else "cat" if k % 2 else "dog")
        sub.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(k).integers(0, 255, (6, 6), dtype=np.uint8)).save(sub / f"{k}.png")
    return folder


def _lonely_label(p: Place) -> str:
    x = np.random.default_rng(0).integers(0, 255, (250, 4, 4), dtype=np.uint8)
    np.savez(p.here / "d.npz", x=x, y=np.r_[np.zeros(249, int), 7])
    return str(p.here / "d.npz")


def _half_array(p: Place) -> str:
    path = Path(p.array("images.npy", np.zeros((300, 8, 8), np.uint8)))
    return str(_cut(path))


def _cut(path: Path, keep: float = 0.5) -> Path:
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * keep)])
    return path


def _grids(folder: Path) -> Path:
    """CIFAR-10's files, of one plain picture."""
    folder.mkdir()
    for k in range(GRIDS):
        (folder / f"cifar10_{k:02d}.webp").write_bytes(_grid())
    _labels(folder, (np.arange(60_000) % 10).astype(np.uint8))
    return folder


@cache
def _grid() -> bytes:
    file, ramp = io.BytesIO(), np.add.outer(np.arange(HIGH), np.arange(WIDE)).astype(np.uint8)
    Image.fromarray(np.stack([ramp, ramp // 2, ramp // 3], -1)).save(file, "WEBP", lossless=True)
    return file.getvalue()


def _labels(folder: Path, labels: np.ndarray) -> None:
    np.save(folder / "labels.npy", labels)


def _pickled(folder: Path) -> None:
    np.save(folder / "labels.npy", np.array([{}] * 60_000, dtype=object), allow_pickle=True)


def _picture(path: Path, format: str) -> None:
    Image.new("RGB", (32, 32), (1, 2, 3)).save(path, format)


def _batches(*names: str) -> Make:
    """A folder of these files (or of all), each of 30 bytes."""
    every = (*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin")

    def make(p: Place) -> Callable[[], Any]:
        for name in names or every:
            (p.here / name).write_bytes(bytes(30))
        return lambda: _load("cifar10", folder=p.here)

    return make


def _label(p: Place) -> Callable[[], Any]:
    from warmflow.data.cifar10 import RECORD, read_batch

    (p.here / "b.bin").write_bytes(bytes([77]) + bytes(RECORD - 1))
    return lambda: read_batch(p.here / "b.bin", rows=1)


def _emoji(path: Path, n: int = 300, **changes: Any) -> Path:
    arrays = {
        "x": np.zeros((n, 64, 64, 3), np.uint8), "y": np.arange(n) % 2, "code": np.array(["1F600"] * n),
        "categories": np.array(["a", "b"]),
    } | changes  # fmt: skip
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    return path


def _mapped_and(what: str) -> Make:
    def make(p: Place) -> Callable[[], Any]:
        from warmflow.data import paired, selection

        x = np.random.default_rng(0).integers(0, 255, (300, 4, 4), dtype=np.uint8)
        data = _load(p.array("x.npy", x), memory=1.5e-5, labels=np.arange(300) % 2)
        acts: dict[str, Callable[[], Any]] = {
            "pruned": lambda: selection.pruned(data, torch.zeros(300), 0.5),
            "reweighted": lambda: selection.reweighted(data, [1, 1]),
            "denoising": lambda: paired.denoising(data),
        }
        return acts[what]

    return make
