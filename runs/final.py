"""A table of a comparison's methods against 10,000 held-out images, on a named feature extractor and at equal numbers.

python runs/final.py COMPARISON --row warm-start:4 --row cold-whole-set:20:adams-bashforth --row draft

Methods are those of ``COMPARISON/seeds/SEED``; ``draft`` is the draft alone. A row of training images stands beside them: what
real images that are not the held-out ones have. Features of real images are kept in ``COMPARISON/features``, rows in
``COMPARISON/final-SIZE.md``. With Inception's published weights: --file inception-2015-12-05.pt --trust --pixels 0 --high 255
--flag return_features
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cyclopts
import torch
from finished import Finished
from torch import Tensor
from tqdm import tqdm

from warmflow.contracts import Solver
from warmflow.evaluation.study import Role
from warmflow.experiments.measure import Alone, at_once
from warmflow.experiments.work import Work
from warmflow.image_table import final_table, markdown
from warmflow.metrics.extractors import EfficientNetLite0, Scripted
from warmflow.noise import permutation
from warmflow.solvers import AdamsBashforth, Euler, Heun, MultistepX1

SOLVERS: Mapping[str, Solver] = {
    "euler": Euler(), "heun": Heun(), "adams-bashforth": AdamsBashforth(), "multistep-x1": MultistepX1(),
}  # fmt: skip


def main(
    comparison: Path, *, row: list[str], seed: int = 0, samples: int = 10_000, pixels: int = 112, file: Path | None = None,
    low: float = 0.0, high: float = 1.0, flag: list[str] | None = None, threads: int = 1, data: Path | None = None,
    trust: bool = False,
) -> None:  # fmt: skip
    """A table of a comparison's methods against held-out images.

    Args:
        row: METHOD:STEPS or METHOD:STEPS:SOLVER, or draft; give it once for each row.
        seed: training seed of the methods; also of the samples.
        pixels: side for the extractor; 0 for a file that resizes by itself.
        file: a TorchScript file to extract with in place of EfficientNet-Lite0.
        low: what black becomes for the file.
        high: what white becomes for the file.
        flag: an argument that the file is called with as True, like return_features.
        data: a file with the arrays of a comparison that was made from arrays in Python.
        trust: run the file, which is a program that can read and write your files.
    """
    torch.set_num_threads(threads)
    try:
        extractor = EfficientNetLite0.load(pixels) if file is None else Scripted.load(
            file, size=pixels or None, low=low, high=high, arguments=dict.fromkeys(flag or (), True), trust=trust
        )  # fmt: skip
        found = Finished.read(comparison, data)
        if seed not in found.seeds:
            raise ValueError(f"--seed is {seed}; known: {', '.join(map(str, found.seeds))}")
        real, images = images_of(found.work, row, seed, samples)
        table = markdown(final_table(real, images, extractor, folder=comparison / "features"))
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    (comparison / f"final-{pixels if file is None else file.stem}.md").write_text(table + "\n", encoding="utf-8")
    print(table)


def images_of(work: Work, rows: list[str], seed: int, samples: int) -> tuple[Tensor, dict[str, Tensor]]:
    """Held-out images, and as many of each row of the table, by name.

    Raises:
        ValueError: a comparison of something else than images, or a row that it does not have.
    """
    data = work.setup().data
    if data.kind != "images":
        raise ValueError(f"the comparison is of {data.kind}; the table is of images")
    n = min(samples, len(data.heldout), len(data.train))
    train = data.train.x1[permutation(0, len(data.train), "final")[:n]]
    plans = [_parsed(text, work) for text in rows]
    images = {"real (training images)": train}
    for name, steps, solver in tqdm(plans, desc="sampling"):
        if name == "draft":
            images["draft alone"] = _draft(work, seed, n)
            continue
        sampler = work.saved(name, seed).sampler()
        sampler = replace(sampler, solver=SOLVERS[solver]) if solver else sampler
        drawn = sampler(n, seed=seed, steps=steps, batch=at_once(sampler))
        images[f"{name}, {type(sampler.solver).__name__}, {float(drawn.calls.cpu().double().mean()):g} calls"] = drawn.x
    return data.heldout.x1[:n], images


def _parsed(text: str, work: Work) -> tuple[str, int, str]:
    """The method, the number of steps and the solver of a row."""
    name, steps, solver = (*text.split(":"), "", "")[:3]
    names = [m.name for m in work.members]
    if name == "draft" and not steps:
        return name, 0, ""
    if name not in names:
        raise ValueError(f"--row is {text!r}; the methods are {', '.join(names)}, and draft")
    if not (steps.isascii() and steps.isdigit() and int(steps)) or (solver and solver not in SOLVERS):
        raise ValueError(
            f"--row is {text!r}; give METHOD:STEPS or METHOD:STEPS:SOLVER, with one of {', '.join(SOLVERS)}"
        )
    return name, int(steps), solver


def _draft(work: Work, seed: int, n: int) -> Tensor:
    """Samples (n, *S) of what the first candidate starts from."""
    first = next(m for m in work.members if m.role is Role.CANDIDATE)
    start = first.method.starts_from(work.setup(), work.saved(first.name, seed).sampler())
    if start is None:
        raise ValueError(f"{first.name} starts from noise: leave --row draft out")
    return Alone(start.source, work.setup().data.bounds, start.draft)(n, steps=0, seed=seed)


if __name__ == "__main__":
    cyclopts.run(main)
