"""What earns the gain: the start, the coupling, or that the field sees the start?

    start      noise, one Gaussian, a mixture, a DC-GAN
    coupling   independent, minibatch (assignment within a training batch), whole (assignment over the whole training set)
    field      blind, or seen: it is given the start (before its own noise)

Every cell is the same network, updates, batch and optimiser. Drafts and pairs are made anew for each training seed. The cell
noise.independent.blind is the usual cold flow, noise.minibatch.blind the flow of minibatch optimal transport, and
noise.whole.seen the warm recipe with noise for its draft.

    python runs/factorial.py OUT --recipe images.digits --seeds 5 --updates 2000      trains what is missing
    python runs/factorial.py OUT ... --part 0/2                                       every second of the cells, for two processes
    python runs/factorial.py OUT ... --cells noise.whole.blind,mixture.whole.seen     these alone

Each cell is a run folder OUT/SEED/CELL and resumes where it was cut off. ``runs/factorial_verdict.py`` judges them.
"""

from __future__ import annotations

import argparse
import itertools
import time
from dataclasses import replace
from pathlib import Path

import torch

from warmflow.checkpoints import load_part, open_run, save_part, write_json
from warmflow.contracts import Source
from warmflow.experiments.train_flows import run_arm
from warmflow.recipes.build import plan_of
from warmflow.recipes.plan import Plan, fitted, pairs
from warmflow.recipes.settings import of_floats, settings_of
from warmflow.sources import StandardNormal

STARTS = ("noise", "gaussian", "mixture", "gan")
COUPLINGS = {"independent": "independent", "minibatch": "minibatch-assignment", "whole": "assignment"}
FIELDS = ("blind", "seen")
CELLS = [".".join(cell) for cell in itertools.product(STARTS, COUPLINGS, FIELDS)]


def plan_of_cell(plan: Plan, cell: str, seed: int) -> Plan:
    """The plan with the settings of a cell; the seed is that of the draft and of the pairs, the data's split stays."""
    start, coupling, field = cell.split(".")
    s = of_floats(plan.settings)
    sigma = 0.0 if cell.startswith("noise") and field == "blind" else s.sigma
    settings = replace(
        s, draft=start, pairing=COUPLINGS[coupling], seen=field == "seen", sigma=sigma, data_seed=s.data_seed + seed
    )
    return replace(plan, settings=settings, draft=fitted(settings, plan.data.train.x1))


def draft_of(plan: Plan, start: str, folder: Path, seed: int) -> Source:
    """The draft of one training seed, fitted once and kept."""
    if start == "noise":
        return StandardNormal(plan.data.shape)
    if (folder / "seconds.json").exists():
        return load_part(folder, "draft")
    open_run(folder, {"kind": "draft", "draft": start, "recipe": plan.name, "seed": plan.settings.data_seed})
    began = time.perf_counter()
    draft = plan.draft(folder / "training", False, seed)
    save_part(folder, "draft", draft)
    write_json(folder / "seconds.json", {"draft": time.perf_counter() - began})
    return draft


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", default="images.digits")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--updates", type=int, default=None)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--cells", default=",".join(CELLS))
    parser.add_argument("--part", default="0/1", help="I/N: the I-th of N shares of the training seeds and cells")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cells = args.cells.split(",")
    for cell in cells:
        if cell not in CELLS:
            parser.error(f"cell {cell!r} is unknown; known: {', '.join(CELLS)}")
    changes = {} if args.updates is None else {"updates": args.updates}
    base = plan_of(args.recipe, settings_of(args.recipe, dtype=args.dtype, **changes))
    mine, of = (int(part) for part in args.part.split("/"))
    for seed in range(mine, args.seeds, of) if args.seeds >= of else range(args.seeds):
        for cell in cells:
            start = cell.split(".")[0]
            plan = plan_of_cell(base, cell, seed)
            draft = draft_of(plan, start, args.out / str(seed) / start, seed)
            online = plan.settings.pairing not in plan.flow.offline
            began = time.perf_counter()
            paired = pairs(plan, draft, None if online else args.out / str(seed) / f"{cell}.pairs", seed=seed)
            pairing = time.perf_counter() - began
            began = time.perf_counter()
            folder = args.out / str(seed) / cell
            run_arm(plan, "warm", seed, folder, draft, paired)
            if not (folder / "spent.json").exists():
                write_json(folder / "spent.json", {"pairing": pairing, "training": time.perf_counter() - began})
            print(
                f"seed {seed} {cell}: pairing {pairing:.1f} s, training {time.perf_counter() - began:.1f} s", flush=True
            )


if __name__ == "__main__":
    main()
