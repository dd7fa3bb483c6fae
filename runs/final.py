"""A table of a comparison's methods against 10,000 held-out images, on a named feature extractor and at equal numbers.

python runs/final.py COMPARISON --row warm-start:4 --row cold-whole-set:20:adams-bashforth --row draft

Methods are those of ``COMPARISON/seeds/SEED``; ``draft`` is the draft alone. A row of training images stands beside them: what
real images that are not the held-out ones have. Features of real images are kept in ``COMPARISON/features``, rows in
``COMPARISON/final-SIZE.md``. With Inception's published weights: --file inception-2015-12-05.pt --trust --pixels 0 --high 255
--flag return_features
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import cyclopts
import torch
from finished import Finished
from tqdm import tqdm

from warmflow.contracts import Solver
from warmflow.evaluation.study import Role
from warmflow.experiments.measure import Alone, at_once
from warmflow.image_table import final_table, markdown
from warmflow.metrics.extractors import EfficientNetLite0, Scripted
from warmflow.noise import permutation
from warmflow.solvers import AdamsBashforth, Euler, Heun, MultistepX1

SOLVERS: Mapping[str, Solver] = {
    "euler": Euler(), "heun": Heun(), "adams-bashforth": AdamsBashforth(), "multistep-x1": MultistepX1(),
}  # fmt: skip


def main(
    comparison: Path, *, row: list[str], seed: int = 0, samples: int = 10_000, pixels: int = 112, file: Path | None = None,
    low: float = 0.0, high: float = 1.0, flag: list[str] | None = None, threads: int = 1, trust: bool = False,
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
        trust: run the file, which is a program that can read and write your files.
    """
    torch.set_num_threads(threads)
    extractor = EfficientNetLite0.load(pixels) if file is None else Scripted.load(
        file, size=pixels or None, low=low, high=high, arguments=dict.fromkeys(flag or (), True), trust=trust
    )  # fmt: skip
    work = Finished.read(comparison).work
    data = work.setup().data
    real, train = data.heldout.x1[:samples], data.train.x1
    n = len(real)
    images = {"real (training images)": train[permutation(0, len(train), "final")[:n]]}
    for text in tqdm(row, desc="sampling"):
        name, steps, solver = (*text.split(":"), "", "")[:3]
        if name == "draft":
            first = next(m for m in work.members if m.role is Role.CANDIDATE)
            start = first.method.starts_from(work.parts(seed))
            if start is None:
                raise SystemExit(f"{first.name} starts from noise: leave --row draft out")
            images["draft alone"] = Alone(start.source, data.bounds, start.draft)(n, steps=0, seed=seed)
            continue
        sampler = work.run(name, seed)
        sampler = replace(sampler, solver=SOLVERS[solver]) if solver else sampler
        by = type(sampler.solver).__name__
        drawn = sampler(n, seed=seed, steps=int(steps), batch=at_once(sampler))
        images[f"{name}, {by}, {float(drawn.calls.double().mean()):g} calls"] = drawn.x
    table = markdown(final_table(real, images, extractor, folder=comparison / "features"))
    (comparison / f"final-{pixels if file is None else file.stem}.md").write_text(table + "\n")
    print(table)


if __name__ == "__main__":
    cyclopts.run(main)
