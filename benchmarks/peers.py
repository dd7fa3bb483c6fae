"""Our cold flows beside torchcfm's and flow_matching's: the same U-Net, weights to begin with, data, order, optimiser, updates.

    pip install 'warmflow[peers]'
    python benchmarks/peers.py speed [--blocks 20] [--updates 10]
    python benchmarks/peers.py quality --out OUT [--updates 1000] [--seeds 0 1 2] [--flows ...] [--solvers ...]

The problem is fashion-mnist. The flows:

    cold            ours, independent pairs, predicts x1           torchcfm       ConditionalFlowMatcher, sigma 0
    cold-minibatch  ours, minibatch assignment, predicts x1        torchcfm_ot    ExactOptimalTransportConditionalFlowMatcher
    cold-velocity   ours, independent pairs, predicts velocity     flow_matching  CondOTProbPath
                                                                   torchcfm_x1    as torchcfm, but predicts x1

Peers predict the velocity, which is their practice; ours predicts x1, which is ours. Both are measured both ways, so that the
effect of the prediction is kept apart from the effect of the library.

``speed`` sets cold beside torchcfm and flow_matching, and cold-minibatch beside torchcfm_ot, in blocks that alternate. The aim:
the lower bound of ours over the better peer at least 0.90. ``quality`` trains every flow and a warm start, and asks
``warmflow.evaluate`` whether the warm flow needs fewer calls than all of them; then judges pairs of flows. With
``--solvers euler`` flows alone are compared, and no solvers. Trained flows are kept; what is not installed is skipped, with the
reason. With three seeds, quality takes about four hours on one core.
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
    WARM,
    of_ours,
    of_peer,
    pairs_told,
    peers_named,
    trained_ours,
    trained_peer,
)
from peers_speed import Clocked, Turns, order, ratios

from warmflow.checkpoints import open_run
from warmflow.contracts import Player
from warmflow.evaluation.evaluate import Extras, evaluate
from warmflow.evaluation.record import save_evaluation
from warmflow.evaluation.study import Training
from warmflow.experiments.evaluate_files import table
from warmflow.experiments.work import seed_folder
from warmflow.files import fingerprint, write_json
from warmflow.methods import Parts
from warmflow.options import plain
from warmflow.problems.measures import held_out, real_data
from warmflow.problems.published import FashionMNIST
from warmflow.training import train

SOLVERS = (*OUR_SOLVERS, "midpoint")
BESIDE = (("cold", ("torchcfm", "flow_matching")), ("cold-minibatch", ("torchcfm_ot",)))
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
    setup = FashionMNIST(most=a.most).setup()
    t, x1 = setup.training, setup.data.train.x1
    print(f"{setup.name}, {len(x1)} images, batch {t.batch}, {torch.get_num_threads()} threads")
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
            loops[peer.name] = Loop(peer.match(), setup.build(setup.shape, {}, 0), x1, t, total, 0).run
        turns = Turns(order(list(loops), a.blocks + 1), a.updates, loops)
        objective, data = OURS[ours][0].stages(Parts(setup, 0))[0].make({})
        assert isinstance(objective.players["flow"], Player) and objective.players["flow"].betas == BETAS
        train(Clocked(objective, turns), data, steps=total + 1, batch=t.batch, seed=0)
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
    setup = FashionMNIST(most=a.most).setup(updates=a.updates)
    asked = {"kind": "peers", "problem": dict(setup.asked), "training": plain(setup.training), "samples": a.samples,
             "data": fingerprint(setup.data.train.x1)}  # fmt: skip
    found = open_run(a.out, asked)
    _, skipped = peers_named(a.flows)
    for name, why in skipped.items():
        print(f"skipped: {name}, {why}", flush=True)
    methods: dict[str, Any] = {}
    for name in (*a.flows, WARM):
        if name in skipped:
            continue
        began = time.perf_counter()
        if name in OURS:
            methods[name] = of_ours({seed: trained_ours(setup, name, seed, a.out) for seed in a.seeds}, a.solvers)
        else:
            peer = PEERS[name]
            networks = {seed: trained_peer(setup, peer, seed, seed_folder(a.out, seed) / name) for seed in a.seeds}
            methods[name] = of_peer(peer, networks, setup, a.solvers)
        print(f"{name}: trained after {time.perf_counter() - began:.0f} s", flush=True)
    candidates = {WARM: methods.pop(WARM)}
    test, validation = held_out(setup.data)
    real, _ = real_data(setup.data, a.samples)
    evaluation = evaluate(
        test, validation=validation, train=setup.data.train.x1, metrics=real.metrics, samples=a.samples, clip=setup.data.bounds,
        baseline=methods, candidates=candidates, progress=True,
        extras=Extras(trained=Training.EQUAL, items="images"),
    )  # fmt: skip
    save_evaluation(a.out, evaluation)
    facts = {"skipped": skipped, "versions": versions(), "threads": torch.get_num_threads(), "solvers": list(a.solvers)}
    write_json(a.out / "config.json", {**found, **facts, "state": "complete"})
    text = f"{evaluation}\n\n{table(evaluation.study)}\n\n{pairs_told(evaluation.study)}"
    (a.out / "peers.md").write_text(text, encoding="utf-8")
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
    flows = (*(name for name in OURS if name != WARM), *PEERS)
    other.add_argument("--out", type=Path, required=True)
    other.add_argument("--updates", type=int, default=1000, help="updates of every flow")
    other.add_argument("--samples", type=int, default=5000, help="samples of every row")
    other.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    other.add_argument("--flows", nargs="+", choices=flows, default=list(flows))
    other.add_argument("--solvers", nargs="+", choices=SOLVERS, default=list(SOLVERS))
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
