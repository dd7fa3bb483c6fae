"""Our cold flows beside torchcfm's and flow_matching's: the same U-Net, weights to begin with, data, order, optimiser, updates.

    pip install 'warmflow[peers]'
    python benchmarks/peers.py speed [--blocks 20] [--updates 10]
    python benchmarks/peers.py quality --out OUT [--updates 1000] [--seeds 0] [--warm RUN ...] [--arms ...] [--solvers ...]

Fashion-MNIST as the recipe ``images.fashion`` has it. The arms:

    cold           ours, independent pairs, predicts x1           torchcfm       ConditionalFlowMatcher, sigma 0
    cold_assigned  ours, minibatch assignment, predicts x1        torchcfm_ot    ExactOptimalTransportConditionalFlowMatcher
    cold_velocity  ours, independent pairs, predicts velocity     flow_matching  CondOTProbPath
                                                                  torchcfm_x1    as torchcfm, but predicts x1

Peers predict the velocity, which is their practice; ours predicts x1, which is ours. Both are measured both ways, so that what
the prediction does is told from what the library does.

``speed`` sets cold beside torchcfm and flow_matching, and cold_assigned beside torchcfm_ot, in blocks that alternate. The aim:
the lower bound of ours over the better peer at least 0.90. ``quality`` trains every arm, measures it at 4, 20 and 50 calls, and
compares. The aims: cold and the peers' independent flows as good as each other; a warm flow at 4 calls better than torchcfm_ot at
4 and as good as it at 20. Run it again to go on where it stopped. What is not installed is skipped, with the reason.
"""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers_flows import BETAS, PEERS, Loop
from peers_quality import (
    BUDGETS,
    OURS,
    WARM_BUDGETS,
    Walked,
    compared,
    markdown,
    peers_named,
    rows_of_ours,
    rows_of_peer,
    trained_ours,
    trained_peer,
    warm_run,
)
from peers_speed import Clocked, Turns, order, ratios

from warmflow.arms import fingerprint
from warmflow.checkpoints import open_run, write_json
from warmflow.contracts import Player
from warmflow.recipes.build import plan_for
from warmflow.recipes.measures import ruler_for
from warmflow.recipes.plan import Plan
from warmflow.training import train
from warmflow.verdict import Ruler

RECIPE = "images.fashion"
SOLVERS = ("euler", "heun", "adams-bashforth", "midpoint", "dopri5")
BESIDE = (("cold", ("torchcfm", "flow_matching")), ("cold_assigned", ("torchcfm_ot",)))
"""Whose updates per second are set beside whose."""


def versions() -> dict[str, str]:
    """The versions of the packages in play; "not installed" where one is missing."""
    names = ("warmflow", "torch", "torchcfm", "POT", "torchdiffeq", "torchdyn", "flow_matching")
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def speed(a: argparse.Namespace) -> None:
    plan = plan_for(RECIPE, most=a.most)
    print(f"{RECIPE}, {len(plan.data.train)} images, batch {plan.settings.batch}, {torch.get_num_threads()} threads")
    found: dict[str, Any] = {"updates": a.updates, "blocks": a.blocks, "versions": versions()}
    for ours, names in BESIDE:
        peers, skipped = peers_named(names)
        for name, why in skipped.items():
            print(f"skipped: {name}, {why}", flush=True)
        if not peers:
            continue
        total = (a.blocks + 1) * a.updates
        torch.manual_seed(0)
        loops = {}
        for peer in peers:
            network = plan.network(plan.data.shape, {}, 0)
            loops[peer.name] = Loop(peer.match(), network, plan.data.train.x1, plan.settings, total, 0).run
        turns = Turns(order(list(loops), a.blocks + 1), a.updates, loops)
        arm = plan.flow.arm(plan, ours, 0, None, None)
        assert isinstance(arm.objective.players["flow"], Player) and arm.objective.players["flow"].betas == BETAS
        train(Clocked(arm.objective, turns), arm.data, steps=total + 1, batch=plan.settings.batch, seed=0)
        found[ours] = {"seconds": turns.seconds, "work": turns.work}
        for label, times in (("on the clock", turns.seconds), ("of one core", turns.work)):
            warm = {name: values[1:] for name, values in times.items()}  # the first block of each warms up
            told = ratios(a.updates, warm)
            found[ours][label] = told
            print(f"{ours}, updates a second {label}, median of {a.blocks} blocks of {a.updates}")
            for name, values in warm.items():
                middle = float(np.median(a.updates / np.array(values)))
                beside = (
                    "" if name not in told else f"   ours over it {told[name][0]:.3f}, at least {told[name][1]:.3f}"
                )
                print(f"  {ours if name == 'ours' else name:14s} {middle:7.3f}{beside}")
            print(f"  over the better: {told['best'][0]:.3f}, at least {told['best'][1]:.3f}", flush=True)
    if a.out is not None:
        a.out.mkdir(parents=True, exist_ok=True)
        write_json(a.out / "speed.json", found)


def quality(a: argparse.Namespace) -> None:
    plan = plan_for(RECIPE, updates=a.updates, samples=a.samples, most=a.most)
    asked = {"kind": "peers", "recipe": RECIPE, "updates": a.updates, "samples": a.samples, "most": a.most,
             "data": fingerprint(plan.data.train.x1)}  # fmt: skip
    open_run(a.out, asked)
    _, skipped = peers_named(a.arms)
    for name, why in skipped.items():
        print(f"skipped: {name}, {why}", flush=True)
    warm = [warm_run(run, plan) for run in a.warm]
    if len({seed for _, seed, _ in warm}) < len(warm):
        raise ValueError("--warm names two runs of one seed; give one a seed")

    for run, (_, seed, _) in zip(a.warm, warm, strict=True):
        if seed not in a.seeds:
            print(f"{run} has seed {seed}, which is not among --seeds: it is measured, and compared with nothing")

    @functools.cache
    def ruler() -> Ruler:
        return ruler_for(plan.data, a.samples)[0]

    samples = ruler().samples
    rows: list[Walked] = []
    for seed in a.seeds:
        for name in a.arms:
            if name in skipped:
                continue
            began, folder = time.perf_counter(), a.out / "arms" / str(seed) / name
            if name in OURS:
                sampler = trained_ours(plan, name, seed, folder)
                _told(name, seed, began, "trained")
                rows += rows_of_ours(name, sampler, seed, BUDGETS, a.solvers, samples, a.out / "rows", ruler)
            else:
                network = trained_peer(plan, PEERS[name], seed, folder)
                _told(name, seed, began, "trained")
                rows += rows_of_peer(
                    PEERS[name], network, plan, seed, BUDGETS, a.solvers, samples, a.out / "rows", ruler
                )
            _told(name, seed, began, "measured")
    for sampler, seed, told in warm:
        began = time.perf_counter()
        rows += rows_of_ours("warm", sampler, seed, WARM_BUDGETS, a.solvers, samples, a.out / "rows", ruler)
        _told(f"warm ({told['updates']} updates)", seed, began, "measured")
    _written(a, plan, rows, ruler(), skipped, [told for _, _, told in warm])


def _told(name: str, seed: int, began: float, what: str) -> None:
    print(f"{name}, seed {seed}: {what} after {time.perf_counter() - began:.0f} s", flush=True)


def _written(
    a: argparse.Namespace, plan: Plan, rows: Sequence[Walked], ruler: Ruler, skipped: Mapping[str, str],
    warm: Sequence[Mapping[str, Any]],
) -> None:  # fmt: skip
    margins = {metric.name: ruler.margin(metric.name) for metric in ruler.metrics}
    facts = {
        "updates": a.updates, "samples": ruler.samples, "threads": torch.get_num_threads(), "margins": margins,
        "images": len(plan.data.train), "skipped": dict(skipped), "versions": versions(), "warm": list(warm),
    }  # fmt: skip
    pairs = compared(rows, margins)
    lean = [
        {**vars(row), "measure": vars(replace(row.measure, replicates={}))} for row in rows
    ]  # resamplings stay in rows/
    write_json(a.out / "peers.json", {**facts, "ruler": ruler.to_json(), "rows": lean, "pairs": pairs})
    text = markdown(rows, pairs, facts)
    (a.out / "peers.md").write_text(text)
    print(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(dest="part", required=True)
    one, other = parts.add_parser("speed"), parts.add_parser("quality")
    for part in (one, other):
        part.add_argument("--most", type=int, default=0, help="training images, 0 for all")
        part.add_argument("--threads", type=int, default=1)
    one.add_argument("--blocks", type=int, default=20, help="blocks of each, after one that warms up")
    one.add_argument("--updates", type=int, default=10, help="updates in a block")
    one.add_argument("--out", type=Path, default=None, help="a folder for speed.json")
    arms = (*OURS, *PEERS)
    other.add_argument("--out", type=Path, required=True)
    other.add_argument("--updates", type=int, default=1000, help="updates of every arm")
    other.add_argument("--samples", type=int, default=5000, help="samples of every row, in four sets")
    other.add_argument("--seeds", type=int, nargs="+", default=[0])
    other.add_argument("--arms", nargs="+", choices=arms, default=list(arms))
    other.add_argument("--solvers", nargs="+", choices=SOLVERS, default=list(SOLVERS))
    other.add_argument("--warm", type=Path, nargs="+", default=[], help="run folders of trained warm flows, one a seed")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    try:
        speed(a) if a.part == "speed" else quality(a)
    except ValueError as error:
        print(f"peers: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
