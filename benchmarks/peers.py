"""Our cold flows beside torchcfm's and flow_matching's: the same U-Net, weights to begin with, data, order, optimiser, updates.

    pip install 'warmflow[peers]'
    python benchmarks/peers.py speed [--blocks 20] [--updates 10]
    python benchmarks/peers.py quality --out OUT [--updates 1000] [--seeds 0 1 2] --warm RUN ... [--flows ...] [--solvers ...]

Fashion-MNIST as the recipe ``images.fashion`` has it. The flows:

    cold           ours, independent pairs, predicts x1           torchcfm       ConditionalFlowMatcher, sigma 0
    cold_assigned  ours, minibatch assignment, predicts x1        torchcfm_ot    ExactOptimalTransportConditionalFlowMatcher
    cold_velocity  ours, independent pairs, predicts velocity     flow_matching  CondOTProbPath
                                                                  torchcfm_x1    as torchcfm, but predicts x1

Peers predict the velocity, which is their practice; ours predicts x1, which is ours. Both are measured both ways, so that what
the prediction does is told from what the library does.

``speed`` sets cold beside torchcfm and flow_matching, and cold_assigned beside torchcfm_ot, in blocks that alternate. The aim:
the lower bound of ours over the better peer at least 0.90. ``quality`` trains every flow and asks ``warmflow.evaluate`` whether
the warm flow (ours, trained before: one run a seed) needs fewer calls than all of them; then judges pairs of flows. With
``--solvers euler`` flows alone are compared, and no solvers. Trained flows are kept; what is not installed is skipped, with the
reason.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers_flows import BETAS, PEERS, Loop
from peers_quality import (
    OUR_SOLVERS,
    OURS,
    of_ours,
    of_peer,
    pairs_told,
    peers_named,
    trained_ours,
    trained_peer,
    warm_run,
)
from peers_speed import Clocked, Turns, order, ratios

from warmflow.checkpoints import open_run, write_json
from warmflow.contracts import Player
from warmflow.evaluation.evaluate import Extras, evaluate
from warmflow.evaluation.record import save_evaluation
from warmflow.evaluation.study import Training
from warmflow.experiments.evaluate_files import table
from warmflow.experiments.train_flows import fingerprint
from warmflow.recipes.build import plan_for
from warmflow.problems.measures import held_out, real_data
from warmflow.training import train

RECIPE = "images.fashion"
SOLVERS = (*OUR_SOLVERS, "midpoint")
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
    found = open_run(a.out, asked)
    _, skipped = peers_named(a.flows)
    for name, why in skipped.items():
        print(f"skipped: {name}, {why}", flush=True)
    warm = {seed: sampler for sampler, seed, _ in (warm_run(run, plan) for run in a.warm)}
    if sorted(warm) != sorted(set(a.seeds)):
        raise ValueError(
            f"--warm has runs of the seeds {sorted(warm)}, --seeds is {sorted(a.seeds)}: give one run a seed"
        )
    baseline: dict[str, Any] = {}
    for name in a.flows:
        if name in skipped:
            continue
        began, folders = time.perf_counter(), {seed: a.out / "arms" / str(seed) / name for seed in a.seeds}
        if name in OURS:
            ours = {seed: trained_ours(plan, name, seed, folder) for seed, folder in folders.items()}
            baseline[name] = of_ours(ours, a.solvers)
        else:
            peer = PEERS[name]
            networks = {seed: trained_peer(plan, peer, seed, folder) for seed, folder in folders.items()}
            baseline[name] = of_peer(peer, networks, plan, a.solvers)
        print(f"{name}: trained after {time.perf_counter() - began:.0f} s", flush=True)
    test, validation = held_out(plan.data)
    real, _ = real_data(plan.data, a.samples)
    evaluation = evaluate(
        test, validation=validation, train=plan.data.train.x1, metrics=real.metrics, samples=a.samples, clip=plan.data.bounds,
        baseline=baseline, candidates={"warm": of_ours(warm, a.solvers)}, progress=True,
        extras=Extras(trained=Training.EQUAL, items="images"),
    )  # fmt: skip
    save_evaluation(a.out, evaluation)
    facts = {"skipped": skipped, "versions": versions(), "threads": torch.get_num_threads(), "solvers": list(a.solvers)}
    write_json(a.out / "config.json", {**found, **facts, "state": "complete"})
    text = f"{evaluation}\n\n{table(evaluation.study)}\n\n{pairs_told(evaluation.study)}"
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
    flows = (*OURS, *PEERS)
    other.add_argument("--out", type=Path, required=True)
    other.add_argument("--updates", type=int, default=1000, help="updates of every flow")
    other.add_argument("--samples", type=int, default=5000, help="samples of every row")
    other.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    other.add_argument("--flows", nargs="+", choices=flows, default=list(flows))
    other.add_argument("--solvers", nargs="+", choices=SOLVERS, default=list(SOLVERS))
    other.add_argument(
        "--warm", type=Path, nargs="+", required=True, help="run folders of trained warm flows, one a seed"
    )
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
