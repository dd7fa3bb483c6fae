"""Samples of a finished run, written to a file: .npy, .npz, .png, of texts .txt and .jsonl.

Where a run is given labels, those of its samples are kept: in .npz as ``labels`` (n,) and ``classes`` (K,), in .jsonl as
"label" and "class" of each line, and beside every other file as NAME.labels.json.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Unpack

import numpy as np
import torch
from torch import Tensor

from warmflow.checkpoints import device_of, fitting, load
from warmflow.contracts import Samples
from warmflow.data import Codec
from warmflow.data.grid import Grid
from warmflow.data.labels import are_numbers
from warmflow.data.text import Alphabet
from warmflow.experiments.run import Given
from warmflow.experiments.sample_options import LabelOptions, TokenOptions
from warmflow.experiments.saved_runs import read_asked
from warmflow.failures import explained
from warmflow.files import check_place, remove_leftovers, replacing, write_json
from warmflow.number_checks import is_whole, numbers_checked
from warmflow.printing import bar, in_one_line, say
from warmflow.run_config import read_config
from warmflow.sampler import Sampler, placed
from warmflow.solvers import solver_named

STEPS = 4
"""Default number of steps for sampling a run."""
AT_ONCE, VALUES_AT_ONCE = 4096, 2**26
"""Samples, and numbers in them, that are made at once by default."""
BINS = 32
LARGEST_GRID = 4096
"""Samples that a picture shows at most."""
LINE_END = "\u2424"
"""A line end within a sample, in a file of one sample a line."""
SUFFIXES = (".png", ".npy", ".npz", ".txt", ".jsonl")
HOLD_LABELS = (".npz", ".jsonl")


@explained("sampling", "--batch-size", "--number")
@numbers_checked
def sample_run(
    run: Path, n: int, out: Path, *, steps: int | None = None, solver: str | None = None, seed: int = 0,
    batch: int | None = None, raw: bool = False, device: str = "cpu", progress: bool = True,
    tokens: TokenOptions | None = None, labels: LabelOptions | None = None, **given: Unpack[Given],
) -> str:  # fmt: skip
    """Samples a finished run and writes a file; returns the line to print.

    Args:
        steps: by default 4, of a run of one call (a student) 1.
        solver: a name in ``SOLVERS``; by default the run's own.
        batch: samples that are made at once.
        raw: take the weights that were not averaged.
        given: the user's own callables or modules that the folder cannot hold: draft=..., network=...

    Raises:
        ValueError: bad input, named with its remedy, before anything is sampled.
    """
    _check(n, steps, solver, batch)
    device_of(device)
    read_asked(run)
    _check_file(out, n)
    loaded, codec = load(run, raw=raw, **given), codec_of(run)
    if loaded.steps == 1:
        if steps not in (None, 1) or solver not in (None, "euler"):
            raise ValueError(f"{run} makes samples in one call: leave steps and solver out")
        if labels is not None and labels.guidance is not None:
            raise ValueError(
                f"guidance is {labels.guidance:g}, but {run} makes samples in one call, guided as its teacher: leave it out"
            )
        steps = 1
    steps = steps or STEPS
    loaded = _with_solver(loaded, run, solver, tokens or TokenOptions(), codec)
    for note in (tokens or TokenOptions()).notes(codec):
        say(f"note: {note}", True)
    classes = classes_of(run, loaded)
    loaded, condition = (labels or LabelOptions()).applied(loaded, run, n, classes)
    _check_kind(out, run, loaded, codec)
    with fitting(run, "raw" if raw else "model"), bar(total=n, unit="sample", shown=progress) as shown:
        drawn = placed(loaded, device)(
            n, seed=seed, steps=steps, batch=batch or min(n, at_once(loaded.shape)), condition=condition,
            progress=lambda k: shown.update(k - shown.n),
        )  # fmt: skip
    if drawn.x.is_floating_point() and not bool(torch.isfinite(drawn.x).all()):
        raise ValueError(
            f"{run} makes samples that are not finite: its weights are damaged or its training diverged, train it again"
        )
    labelled = Labels.of(drawn, classes)
    _write(drawn, out, codec, seed, steps, labelled)
    calls = float(drawn.calls.cpu().double().mean())
    told = "" if labelled is None else labelled.told(condition is not None, out)
    if out.suffix == ".txt" and codec is not None and codec.alphabet is not None and "\n" in codec.alphabet.symbols:
        told += f"; line ends in samples are written as {LINE_END}, .jsonl keeps them"
    return f"{out}: {n} samples, {steps} steps, {calls:g} calls a sample, {drawn.seconds:.2f} s in all{told}"


def at_once(shape: tuple[int, ...]) -> int:
    """Samples of this shape that are made at once by default."""
    return max(1, min(AT_ONCE, VALUES_AT_ONCE // max(1, math.prod(shape))))


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels (n,) int64 of samples, and the names of the labels; empty if they have none."""

    labels: Tensor
    classes: tuple[str, ...]

    @staticmethod
    def of(drawn: Samples, classes: tuple[str, ...]) -> Labels | None:
        found = drawn.start.condition.get("label")
        return None if found is None else Labels(found.cpu().long(), classes)

    def name(self, row: int) -> str | None:
        """The name of a sample's class."""
        return self.classes[int(self.labels[row])] if self.classes else None

    def told(self, one: bool, out: Path) -> str:
        """The end of the line that is printed: the label if all samples have ``one``, and where the labels are."""
        name = "" if are_numbers(self.classes) else f" ({in_one_line(self.classes[int(self.labels[0])])})"
        label = f"; label {int(self.labels[0])}{name}" if one else ""
        return label if out.suffix in HOLD_LABELS else f"{label}; labels in {beside(out)}"


def beside(out: Path) -> Path:
    """The file of labels beside a file that cannot hold them."""
    return out.with_name(f"{out.name}.labels.json")


def _check(n: int, steps: int | None, solver: str | None, batch: int | None) -> None:
    if not is_whole(n):
        raise ValueError(f"n is {n}; ask for at least 1 sample")
    if solver is not None:
        solver_named(solver)
    if steps is not None and not is_whole(steps):
        raise ValueError(f"steps is {steps}; take at least 1 step")
    if batch is not None and not is_whole(batch):
        raise ValueError(f"batch is {batch}; draw at least 1 sample at a time")


def _check_file(out: Path, n: int) -> None:
    if not out.parent.is_dir():
        raise ValueError(f"out is {out}, but there is no folder {out.parent}: make it first, or choose another place")
    if out.is_dir():
        raise ValueError(f"out is {out}, which is a folder; name a file in it")
    check_place(out)
    if out.suffix not in SUFFIXES:
        raise ValueError(f"out is {out}; its suffix is .png (a picture), .npz or .npy; for texts .txt or .jsonl too")
    if out.suffix == ".png" and n > LARGEST_GRID:
        raise ValueError(f"n is {n}; a picture shows at most {LARGEST_GRID} samples, use .npz for more")


def _check_kind(out: Path, run: Path, sampler: Sampler, codec: Codec | None) -> None:
    """Raises a ValueError if samples of this run cannot be written to a file of this kind."""
    texts = codec is not None and codec.alphabet is not None
    if out.suffix in (".txt", ".jsonl") and not texts:
        raise ValueError(f"out is {out}, but {run} makes no texts; write .npz or .npy")
    if out.suffix != ".png":
        return
    if texts:
        raise ValueError(f"out is {out}, but {run} makes texts; write .txt, .jsonl, .npz or .npy")
    if len(sampler.shape) not in (1, 3):
        raise ValueError(f"samples of shape {sampler.shape} make no picture; write .npz or .npy")
    if len(sampler.shape) == 3 and sampler.shape[0] not in (1, 3):
        raise ValueError(f"images with {sampler.shape[0]} channels make no picture; write .npz or .npy")


def _with_solver(sampler: Sampler, run: Path, solver: str | None, tokens: TokenOptions, codec: Codec | None) -> Sampler:
    """The sampler with the solver that was asked for, or with the options of tokens."""
    if not sampler.solver.jumps:
        tokens.refuse(run)
        return replace(sampler, solver=solver_named(solver)) if solver else sampler
    if solver is not None:
        raise ValueError(
            f"solver is {solver!r}, but {run} is a flow of tokens, which is sampled by jumps: leave it out"
        )
    return tokens.applied(sampler, codec)


def _write(
    drawn: Samples, out: Path, codec: Codec | None, seed: int, steps: int, labelled: Labels | None
) -> None:  # fmt: skip
    """Writes the samples atomically; labels of an earlier file are removed."""
    remove_leftovers(out.parent)
    x = drawn.x.cpu()
    grid, alphabet = (None, None) if codec is None else (codec.grid, codec.alphabet)
    with replacing(out, out.suffix) as temporary:
        if out.suffix == ".npy":
            with open(temporary, "wb") as file:
                np.save(_Written(file), x.numpy())
        elif out.suffix == ".txt" and alphabet is not None:
            temporary.write_text(
                "".join(f"{in_a_line(alphabet.decode(row))}\n" for row in x),
                encoding="utf-8",
                errors="backslashreplace",
            )
        elif out.suffix == ".jsonl" and alphabet is not None:
            temporary.write_text(_lines(drawn, alphabet, labelled), encoding="utf-8", errors="backslashreplace")
        elif out.suffix == ".npz":
            _save(temporary, x.numpy(), drawn.calls.cpu().numpy(), seed, steps, labelled)
        else:
            picture(x if grid is None else grid.decode(x), temporary)
        beside(out).unlink(missing_ok=True)
        if labelled is not None and out.suffix not in HOLD_LABELS:
            write_json(beside(out), {"labels": labelled.labels.tolist(), "classes": list(labelled.classes)})


class _Written:
    """A file for ``np.save``, which writes into files of Python's own in a way that does not tell of a full disk."""

    def __init__(self, file: BinaryIO) -> None:
        self.write = file.write


def _save(path: Path, x: np.ndarray, calls: np.ndarray, seed: int, steps: int, labelled: Labels | None) -> None:
    """Writes a .npz file; ``classes`` is empty if the labels have no names."""
    if labelled is None:
        np.savez_compressed(path, x=x, calls=calls, seed=seed, steps=steps)
        return
    classes = np.array(labelled.classes, dtype=str)
    np.savez_compressed(path, x=x, calls=calls, seed=seed, steps=steps, labels=labelled.labels.numpy(), classes=classes)


def in_a_line(text: str) -> str:
    """A sample as one line of a file: its line ends become a symbol."""
    return text.replace("\n", LINE_END)


def codec_of(run: Path) -> Codec | None:
    """The meaning of a run's tokens, from its config.json; None for floats."""
    found = read_config(run).get("codec")
    if found is None:
        return None
    if "symbols" in found:
        return Alphabet(tuple(found["symbols"]))
    return Grid(found["levels"], found["low"], found["high"])


def classes_of(run: Path, sampler: Sampler) -> tuple[str, ...]:
    """The names of the labels of a run, from its config.json; empty if it has none.

    Raises:
        ValueError: names of another number than the sampler's labels.
    """
    found, shares = read_config(run).get("classes") or (), sampler.source.label_shares
    if not found or shares is None:
        return ()
    if len(found) != len(shares):
        raise ValueError(
            f"{run / 'config.json'} names {len(found)} classes, and the model knows {len(shares)}: train it again"
        )
    return tuple(str(name) for name in found)


def _lines(drawn: Samples, codec: Alphabet, labelled: Labels | None = None) -> str:
    """A line of JSON for each sample: its text, its draft and its label where it had one, its calls."""
    drafts = drawn.start.condition.get("draft")
    lines = []
    for i, row in enumerate(drawn.x.cpu()):
        facts: dict[str, object] = {"text": codec.decode(row)}
        if drafts is not None:
            facts["draft"] = codec.decode(drafts[i].cpu())
        if labelled is not None:
            facts |= {"label": int(labelled.labels[i]), "class": labelled.name(i)}
        lines.append(json.dumps({**facts, "calls": int(drawn.calls[i])}, ensure_ascii=False) + "\n")
    return "".join(lines)


def picture(x: Tensor, path: Path) -> None:
    """Writes a PNG: a grid of images (n, C, H, W) in [-1, 1], enlarged to at least 32 pixels a side; or a scatter of points
    (n, d), their first two coordinates; a histogram if there is one.

    Raises:
        ValueError: images of other than 1 or 3 channels.
    """
    if x.ndim == 2:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5, 5), layout="constrained")
        axes = figure.add_subplot()
        if x.shape[1] == 1:
            axes.hist(x[:, 0].numpy(), bins=BINS)
        else:
            axes.scatter(x[:, 0], x[:, 1], s=3, linewidths=0)
            axes.set_aspect("equal")
        figure.savefig(path, dpi=120)
        return
    from PIL import Image

    if x.shape[1] not in (1, 3):
        raise ValueError(f"images with {x.shape[1]} channels make no picture; write .npz or .npy")
    columns = math.ceil(math.sqrt(len(x)))
    rows = math.ceil(len(x) / columns)
    n, c, h, w = x.shape
    sheet = torch.ones(rows * columns, c, h + 1, w + 1)
    sheet[:n, :, :h, :w] = x.clamp(-1, 1)
    sheet = sheet.reshape(rows, columns, c, h + 1, w + 1).permute(0, 3, 1, 4, 2)
    pixels = ((sheet.reshape(rows * (h + 1), columns * (w + 1), c) + 1) * 127.5).round().to(torch.uint8).numpy()
    image = Image.fromarray(pixels[..., 0] if c == 1 else pixels)
    scale = max(1, math.ceil(32 / max(h, w)))
    image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST).save(path)
