"""Samples of ours and of peers' flows on one ruler: arms that are trained once, rows that are measured once, and what follows.

    OUT/arms/<seed>/<arm>/   ours: a run folder;  a peer's: weights.safetensors, its averaged weights, facts in the header
    OUT/rows/*.json          an arm of a seed, walked by a solver in so many steps: calls, seconds, the ruler's measure
    OUT/peers.json, .md      every row, and the comparisons of ``PAIRS``

All of it is written under another name and renamed; what lies there is not made again. A row names the weights that it was drawn
with, so that those of an arm trained anew are not taken for it.

All arms of a seed start from the same noise, are clipped to the images' range, and have the same number of samples. At a budget
of k calls an arm is its best walk of no more calls (lowest distance on the primary metric): ours by Euler, Heun
or Adams-Bashforth, a peer's by its own solvers.

``ALIKE`` compares by Euler alone, ``PAIRS`` by each arm's best.

    as good   for every metric, the one-sided 95 % upper bound of D(a) - D(b) is below the margin (``warmflow.verdict``)
    better    for every metric, that bound is below 0

Under one training seed the verdict's rule gives no bound. Then the bounds shown are those of the real set's resampling alone (the
mean -/+ 1.64 of its standard errors) and answer for these trained networks, not for their training. The samples' own noise is
not in them, so *better* asks for a bound below minus the margin, which is what two sets of real images differ by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peers_flows import PEERS, Loop, Peer, drawn, own_randomness
from torch import Tensor, nn

from warmflow.arms import fingerprint, read_asked, run_arm
from warmflow.checkpoints import load, make_folder, read_json, read_tensors, write_json, write_tensors
from warmflow.contracts import Solver
from warmflow.measuring import at_once
from warmflow.metrics.comparison import difference
from warmflow.noise import Noise
from warmflow.recipes.plan import Plan
from warmflow.sampler import Sampler
from warmflow.solvers import AdamsBashforth, Euler, Heun
from warmflow.sources import StandardNormal
from warmflow.verdict import Measure, Ruler

OURS: dict[str, dict[str, Any]] = {"cold": {}, "cold_assigned": {}, "cold_velocity": {"predicts": "velocity"}}
"""Our arms: the settings that each changes, and ``arm_of`` for what the plan calls it."""
BUDGETS = (4, 20, 50)
WARM_BUDGETS = (4,)
AT_ONE_SEED = 1.645
ALIKE = (
    *(("cold", k, peer, k) for peer in ("torchcfm", "flow_matching", "torchcfm_x1") for k in BUDGETS),
    *(("cold_velocity", k, peer, k) for peer in ("torchcfm", "flow_matching") for k in BUDGETS),
    *(("cold_assigned", k, "torchcfm_ot", k) for k in BUDGETS),
)
"""(arm, calls, arm, calls): compared by Euler alone, which all have, so that training is compared and no solver."""
PAIRS = (
    *(("cold", k, peer, k) for peer in ("torchcfm", "flow_matching", "torchcfm_x1") for k in BUDGETS),
    *(("cold_velocity", k, peer, k) for peer in ("torchcfm", "flow_matching") for k in BUDGETS),
    *(("cold_assigned", k, "torchcfm_ot", k) for k in BUDGETS),
    *(("warm", 4, "torchcfm_ot", k) for k in (4, 20)),
)
"""(arm, calls, arm, calls): compared in both directions."""


@dataclass(frozen=True)
class Walked:
    """A row: an arm of one seed, walked by one solver. ``budget`` is None where the solver takes as many calls as it likes."""

    arm: str
    seed: int
    solver: str
    steps: int
    budget: int | None
    weights: str
    calls: float
    seconds: float
    measure: Measure

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "measure": self.measure.to_json()}

    @staticmethod
    def from_json(json: Mapping[str, Any]) -> Walked:
        return Walked(**{**json, "measure": Measure.from_json(json["measure"])})


def weights_of(network: nn.Module) -> str:
    """A digest of all weights."""
    return fingerprint(torch.cat([v.detach().double().flatten() for v in network.state_dict().values()]))


# ---------------------------------------------------------------- arms


def arm_of(name: str) -> str:
    """What the plan calls one of our arms."""
    return "cold" if name == "cold_velocity" else name


def trained_ours(plan: Plan, name: str, seed: int, folder: Path, progress: bool = False) -> Sampler:
    """One of our arms: trained, or found; ValueError where the folder holds another run."""
    plan = replace(plan, settings=replace(plan.settings, **OURS[name]))
    run_arm(plan, arm_of(name), seed, folder, None, None, progress=name if progress else None)
    return load(folder)


def trained_peer(plan: Plan, peer: Peer, seed: int, folder: Path) -> nn.Module:
    """A peer's averaged network: trained and written in one step, or found.

    Raises:
        ValueError: the folder holds a flow of other data or settings.
    """
    s, x1 = plan.settings, plan.data.train.x1
    asked = {"peer": peer.name, "seed": seed, "data": fingerprint(x1), **asdict(s)}
    asked = {k: str(v) for k, v in asked.items()}
    network, path = plan.network(plan.data.shape, {}, seed), make_folder(folder) / "weights.safetensors"
    if path.exists():
        tensors, facts = read_tensors(path)
        other = [k for k, v in asked.items() if facts.get(k) != v]
        if other:
            raise ValueError(
                f"{path} has {other[0]} {facts.get(other[0])}, asked is {asked[other[0]]}: choose another --out"
            )
        network.load_state_dict(tensors)
        return network.eval()
    with own_randomness(seed):
        loop = Loop(peer.match(), network, x1, s, s.updates, seed)
        loop.run(s.updates)
    if not math.isfinite(loop.loss):
        raise ValueError(f"{peer.name}, seed {seed}: training diverged, its last loss is {loop.loss}")
    write_tensors(path, loop.average.state_dict(), {**asked, "loss": str(loop.loss)})
    return loop.average


# ---------------------------------------------------------------- rows


def our_walks(budgets: Iterable[int], solvers: Sequence[str]) -> list[tuple[Solver, int, int]]:
    """(solver, steps, budget): Euler takes the whole budget, Heun's 2 n - 1 calls the most that fit."""
    found: list[tuple[Solver, int, int]] = []
    for k in budgets:
        found += [(Euler(), k, k)] if "euler" in solvers else []
        found += [(AdamsBashforth(), k, k)] if "adams-bashforth" in solvers and k > 1 else []
        found += [(Heun(), (k + 1) // 2, k)] if "heun" in solvers and k > 2 else []
    return found


def peer_walks(peer: Peer, budgets: Iterable[int], solvers: Sequence[str]) -> list[tuple[str, int, int | None]]:
    """(solver, steps, budget); an adaptive one once, with 0 steps and no budget."""
    known = {name: calls for name, calls in (peer.solvers or {}).items() if name in solvers}
    found: list[tuple[str, int, int | None]] = [
        (name, k // calls, k) for k in budgets for name, calls in known.items() if calls and k >= calls
    ]
    return found + [(name, 0, None) for name, calls in known.items() if not calls]


def kept(folder: Path, weights: str, key: tuple[str, int, str, int, int | None], samples: int,
         make: Callable[[], tuple[Tensor, float, float]], ruler: Callable[[], Ruler]) -> Walked:  # fmt: skip
    """The row that lies in the folder, or one that is drawn, measured and put there."""
    arm, seed, solver, steps, budget = key
    path = make_folder(folder) / f"{arm}-{seed}-{solver}-{steps}.json"
    if path.exists():
        found = Walked.from_json(read_json(path))
        if found.weights == weights and found.measure.samples == samples:
            return found
    x, calls, seconds = make()
    row = Walked(arm, seed, solver, steps, budget, weights, calls, seconds / len(x), ruler().measure(x))
    write_json(path, row.to_json())
    return row


def rows_of_ours(name: str, sampler: Sampler, seed: int, budgets: Iterable[int], solvers: Sequence[str], samples: int,
                 folder: Path, ruler: Callable[[], Ruler]) -> list[Walked]:  # fmt: skip
    found = []
    weights = weights_of(sampler.field.network)  # type: ignore[attr-defined]
    for solver, steps, budget in our_walks(budgets, solvers):

        def make(solver: Solver = solver, steps: int = steps) -> tuple[Tensor, float, float]:
            made = replace(sampler, solver=solver, steps=steps)(samples, seed=seed, batch=at_once(sampler))
            return made.x, float(made.calls.double().mean()), made.seconds

        key = (name, seed, type(solver).__name__.lower(), steps, budget)
        found.append(kept(folder, weights, key, samples, make, ruler))
    return found


def rows_of_peer(peer: Peer, network: nn.Module, plan: Plan, seed: int, budgets: Iterable[int], solvers: Sequence[str],
                 samples: int, folder: Path, ruler: Callable[[], Ruler]) -> list[Walked]:  # fmt: skip
    found, weights, batch = [], weights_of(network), max(64, 2**18 // math.prod(plan.data.shape))
    for solver, steps, budget in peer_walks(peer, budgets, solvers):

        def make(solver: str = solver, steps: int = steps) -> tuple[Tensor, float, float]:
            x, calls, seconds = drawn(peer, network, starts(plan, samples, seed), solver, steps, batch)
            return plan.clip(x), calls, seconds

        found.append(kept(folder, weights, (peer.name, seed, solver, steps, budget), samples, make, ruler))
    return found


def starts(plan: Plan, samples: int, seed: int) -> Tensor:
    """The noise that our cold sampler starts from under this seed."""
    return StandardNormal(plan.data.shape).draw(samples, noise=Noise.of(seed, samples).fold("source")).x0


def warm_run(run: Path, plan: Plan) -> tuple[Sampler, int, dict[str, Any]]:
    """A trained warm flow, its seed and what was asked of it; ValueError where it is none, or of other data."""
    asked = read_asked(run)
    if asked["arm"] != "warm":
        raise ValueError(f"--warm {run} is a {asked['arm']} flow; give the folder of a warm one")
    if asked["data"] != fingerprint(plan.data.train.x1):
        raise ValueError(f"--warm {run} was trained on other images than these (another --most, or another data set)")
    return load(run), int(asked["seed"]), asked


# ---------------------------------------------------------------- comparisons


def best(
    rows: Sequence[Walked], arm: str, budget: int, seeds: set[int], primary: str, solver: str | None = None
) -> list[Walked]:
    """The rows of these seeds of the walk with the lowest mean primary distance among the arm's of that budget (by that
    solver)."""
    groups: dict[tuple[str, int], list[Walked]] = {}
    for row in rows:
        if row.arm == arm and row.budget == budget and row.seed in seeds and solver in (None, row.solver):
            groups.setdefault((row.solver, row.steps), []).append(row)
    whole = [group for group in groups.values() if {row.seed for row in group} == seeds]
    return min(whole, key=lambda g: sum(row.measure.distance[primary] for row in g), default=[])


def bounds(a: Mapping[int, Measure], b: Mapping[int, Measure], metric: str) -> dict[str, float]:
    """The mean over seeds of D(a) - D(b) with its one-sided bounds (estimate, low, high), under one seed as the module says."""
    found = difference(a, b, metric)
    if found["high"] is None:
        ((seed, one),) = a.items()
        spread = float((one.replicates[metric] - b[seed].replicates[metric]).std())
        found |= {
            "low": found["estimate"] - AT_ONE_SEED * spread,
            "high": found["estimate"] + AT_ONE_SEED * spread,
        }
    return found


def said(found: Mapping[str, Mapping[str, float]], way: int, seeds: int) -> str:
    """What the bounds of D(a) - D(b) say of a (way 1) or of b (way -1): better, as good or not shown."""
    high = [(d["high"] if way > 0 else -d["low"], d["margin"]) for d in found.values()]
    if all(h < (0 if seeds > 1 else -margin) for h, margin in high):
        return "better"
    return "as good" if all(h < margin for h, margin in high) else "not shown"


def compared(rows: Sequence[Walked], margins: Mapping[str, float]) -> list[dict[str, Any]]:
    """Every pair of ``ALIKE`` and ``PAIRS`` whose arms have a seed in common. ``margins`` by metric, the primary first."""
    found = []
    for solver, (a, calls_a, b, calls_b) in (*(("euler", pair) for pair in ALIKE), *((None, pair) for pair in PAIRS)):
        seeds = {row.seed for row in rows if row.arm == a} & {row.seed for row in rows if row.arm == b}
        ours, theirs = (
            best(rows, arm, k, seeds, next(iter(margins)), solver) for arm, k in ((a, calls_a), (b, calls_b))
        )
        if not ours or not theirs:
            continue
        left, right = ({row.seed: row.measure for row in group} for group in (ours, theirs))
        by_metric = {name: {**bounds(left, right, name), "margin": margin} for name, margin in margins.items()}
        found.append({
            "a": a, "a_calls": ours[0].calls, "a_solver": ours[0].solver, "b": b, "b_calls": theirs[0].calls,
            "b_solver": theirs[0].solver, "seeds": sorted(seeds), "difference": by_metric,
            "a_is": said(by_metric, 1, len(seeds)), "b_is": said(by_metric, -1, len(seeds)),
        })  # fmt: skip
    return found


def markdown(rows: Sequence[Walked], pairs: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> str:
    """The tables of a page: the arms, then the comparisons."""
    margins = facts["margins"]
    lines = [
        f"{facts['updates']} updates an arm, {facts['samples']} samples a row, {facts['threads']} thread; "
        + "margins "
        + ", ".join(f"{name} {margin:.2e}" for name, margin in margins.items()),
        *(f"warm, seed {told['seed']}: {told['updates']} updates" for told in facts["warm"]),
        "",
        "| arm | seed | solver | steps | calls | ms a sample | " + " | ".join(margins) + " | variation | copies |",
        "|---|" + "---|" * (len(margins) + 7),
    ]
    for row in sorted(rows, key=lambda r: (r.arm, r.seed, r.solver, r.steps)):
        distances = " | ".join(f"{row.measure.distance[name]:.2e}" for name in margins)
        lines.append(
            f"| {row.arm} | {row.seed} | {row.solver} | {row.steps or '-'} | {row.calls:.1f} | {1e3 * row.seconds:.2f} | "
            f"{distances} | {row.measure.variation:.3f} | {row.measure.copying_share:.3f} |"
        )
    lines += [
        "",
        "| a | b | seeds | " + " | ".join(f"D(a) - D(b), {name}" for name in margins) + " | a is | b is |",
        "|---|" + "---|" * (len(margins) + 4),
    ]
    for p in pairs:
        told = " | ".join(f"{d['estimate']:.2e} ({d['low']:.2e} to {d['high']:.2e})" for d in p["difference"].values())
        a, b = (f"{p[k]}, {p[f'{k}_solver']}, {p[f'{k}_calls']:.0f} calls" for k in ("a", "b"))
        lines.append(f"| {a} | {b} | {len(p['seeds'])} | {told} | {p['a_is']} | {p['b_is']} |")
    if any(len(p["seeds"]) == 1 for p in pairs):
        lines += ["", "Comparisons under one seed: bounds of the real set's resampling alone; an indication, no claim."]
    return "\n".join(lines) + "\n"


def peers_named(names: Sequence[str]) -> tuple[list[Peer], dict[str, str]]:
    """The peers of these names that can be run, and why the others are skipped."""
    asked = [PEERS[name] for name in names if name in PEERS]
    return [p for p in asked if not p.missing], {p.name: p.missing for p in asked if p.missing}
