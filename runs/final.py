"""The table at the end of a comparison: its methods against 10,000 held-out images, on a named extractor and at equal numbers.

python runs/final.py COMPARISON --row warm:4 --row cold_whole:20:adams-bashforth --row cold_whole:20:euler --row draft

Methods are those of ``COMPARISON/seeds/SEED``; ``draft`` is the draft alone. A row of training images stands beside them: what
real images that are not the held-out ones have. Features of real images are kept in ``COMPARISON/features``, rows in
``COMPARISON/final-SIZE.md``. With Inception's published weights: --file inception-2015-12-05.pt --pixels 0 --high 255
--flag return_features
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import torch
from tqdm import tqdm

from warmflow import load
from warmflow.checkpoints import load_part, read_json
from warmflow.experiments.measure import Alone, at_once
from warmflow.experiments.single_runs import SOLVERS
from warmflow.image_table import final_table, markdown
from warmflow.metrics.extractors import EfficientNetLite0, Scripted
from warmflow.noise import permutation
from warmflow.recipes.build import plan_of
from warmflow.recipes.settings import settings_of


@click.command()
@click.argument("comparison", type=click.Path(path_type=Path, exists=True))
@click.option("--row", "--walk", "asked_rows", multiple=True, help="method:steps or method:steps:solver, or draft")
@click.option("--seed", default=0, show_default=True, help="training seed of the methods; also of the samples")
@click.option("-n", "n", default=10_000, show_default=True)
@click.option(
    "--pixels",
    default=112,
    show_default=True,
    help="side for the extractor; 0 for a file that resizes by itself",
)
@click.option(
    "--file", type=click.Path(path_type=Path), help="a TorchScript file to extract with, not EfficientNet-Lite0"
)
@click.option("--low", default=0.0, show_default=True, help="what black becomes for the file")
@click.option("--high", default=1.0, show_default=True, help="what white becomes for the file")
@click.option(
    "--flag", "flags", multiple=True, help="an argument that the file is called with as True: return_features"
)
@click.option("--threads", default=1, show_default=True)
def main(
    comparison: Path, asked_rows: tuple[str, ...], seed: int, n: int, pixels: int, file: Path | None, low: float, high: float,
    flags: tuple[str, ...], threads: int,
) -> None:  # fmt: skip
    torch.set_num_threads(threads)
    extractor = EfficientNetLite0.load(pixels) if file is None else Scripted.load(
        file, size=pixels or None, low=low, high=high, arguments=dict.fromkeys(flags, True)
    )  # fmt: skip
    asked = read_json(comparison / "config.json")["asked"]
    plan = plan_of(asked["recipe"], settings_of(asked["recipe"], **asked["settings"]))
    real, train = plan.data.heldout.x1[:n], plan.data.train.x1
    n = len(real)
    methods = {"real (training images)": train[permutation(0, len(train), "final")[:n]]}
    for text in tqdm(asked_rows, desc="sampling"):
        name, steps, solver = (*text.split(":"), "", "")[:3]
        if name == "draft":
            source = load_part(comparison / "seeds" / str(seed), "draft")
            methods["draft alone"] = Alone(source, plan.data.bounds, True)(n, steps=0, seed=seed)
            continue
        sampler = load(comparison / "seeds" / str(seed) / name)
        sampler = replace(sampler, solver=SOLVERS[solver]) if solver else sampler
        by = type(sampler.solver).__name__
        drawn = sampler(n, seed=seed, steps=int(steps), batch=at_once(sampler))
        calls = float(drawn.calls.double().mean())
        methods[f"{name}, {by}, {calls:g} calls"] = drawn.x
    rows = final_table(real, methods, extractor, folder=comparison / "features")
    text = markdown(rows)
    (comparison / f"final-{pixels if file is None else file.stem}.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
