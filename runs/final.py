"""The table at the end of a comparison: its arms against 10,000 held-out images, on a named extractor and at equal numbers.

python runs/final.py COMPARISON --walk warm:4 --walk cold_assigned:20:adams-bashforth --walk cold_assigned:20:euler --walk draft

Arms are those of ``COMPARISON/seeds/SEED``; ``draft`` is the draft alone. A row of training images stands beside them: what real
images that are not the held-out ones have. Features of real images are kept in ``COMPARISON/features``, rows in
``COMPARISON/final-SIZE.md``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import torch
from tqdm import tqdm

from warmflow import load
from warmflow.checkpoints import load_part, read_json
from warmflow.final import final_table, markdown
from warmflow.measuring import Alone, at_once
from warmflow.metrics.extractors import EfficientNetLite0
from warmflow.noise import permutation
from warmflow.recipes.build import plan_of
from warmflow.recipes.settings import settings_of
from warmflow.single import SOLVERS


@click.command()
@click.argument("comparison", type=click.Path(path_type=Path, exists=True))
@click.option("--walk", "walks", multiple=True, help="arm:steps or arm:steps:solver, or draft")
@click.option("--seed", default=0, show_default=True, help="training seed of the arms; also of the samples")
@click.option("-n", "n", default=10_000, show_default=True)
@click.option("--pixels", default=112, show_default=True, help="side that images are brought to for the extractor")
@click.option("--threads", default=1, show_default=True)
def main(comparison: Path, walks: tuple[str, ...], seed: int, n: int, pixels: int, threads: int) -> None:
    torch.set_num_threads(threads)
    asked = read_json(comparison / "config.json")["asked"]
    plan = plan_of(asked["recipe"], settings_of(asked["recipe"], **asked["settings"]))
    real, train = plan.data.heldout.x1[:n], plan.data.train.x1
    n = len(real)
    arms = {"real (training images)": train[permutation(0, len(train), "final")[:n]]}
    for walk in tqdm(walks, desc="sampling"):
        arm, steps, solver = (*walk.split(":"), "", "")[:3]
        if arm == "draft":
            source = load_part(comparison, "draft")
            arms["draft alone"] = plan.clip(Alone("draft", "draft", source).drawn(n, seed))
            continue
        sampler = load(comparison / "seeds" / str(seed) / arm)
        sampler = replace(sampler, solver=SOLVERS[solver]) if solver else sampler
        name = type(sampler.solver).__name__
        drawn = sampler(n, seed=seed, steps=int(steps), batch=at_once(sampler))
        calls = float(drawn.calls.double().mean())
        arms[f"{arm}, {name}, {calls:g} calls"] = drawn.x
    rows = final_table(real, arms, EfficientNetLite0.load(pixels), folder=comparison / "features")
    text = markdown(rows)
    (comparison / f"final-{pixels}.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
