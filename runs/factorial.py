"""What earns the gain: the start, the coupling, or that the field sees the start?

    start      noise, one Gaussian, a mixture, a DC-GAN
    coupling   independent, minibatch (assignment within a training batch), whole-set (assignment over the whole training set)
    field      blind, or seen: it is given the start (before its own noise)

Every cell is a warm start with other options: the same network, updates, batch and optimiser. Drafts and pairs are made anew for
each training seed. noise.independent.blind is the usual cold flow, noise.minibatch.blind the flow of minibatch optimal transport,
and noise.whole-set.seen the warm start with noise for its draft.

    python runs/factorial.py compare OUT --problem digits --seeds 5 --updates 2000 --jobs 2
    python runs/factorial.py compare OUT ... --cells noise.whole-set.blind,mixture.whole-set.seen     these cells alone
    python runs/factorial.py compared FOLDER           the effects that a finished comparison of images holds
    python runs/factorial.py draw OUT docs/figures/start_effect.svg                    the effect of the start as a figure

Every cell is measured at 1, 2, 3, 4, 6 and 8 calls with its solver chosen on validation data. The table gives n_eq; the effects
are differences of distances at equal calls, with simultaneous 95 % intervals over the numbers of calls:

    start      the same coupling and field from noise, minus from the draft      (above 0: the draft helps)
    coupling   independent minus whole-set, and minibatch minus whole-set
    field      blind minus seen

Writes the study and factorial.json into OUT. A run that was cut off goes on.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cyclopts
import numpy as np

from warmflow.checkpoints import open_run
from warmflow.drafts import NoDraft
from warmflow.evaluation.curves import distances
from warmflow.evaluation.record import plain as json_values
from warmflow.evaluation.record import read_study, save_study
from warmflow.evaluation.study import Role, Study
from warmflow.evaluation.targets import gain_at_equal_calls
from warmflow.experiments.pipeline import Comparison, evaluated
from warmflow.experiments.trained_runs import bills_of, flows_of
from warmflow.experiments.work import Work, prepare_all, train_all
from warmflow.files import read_json, write_json
from warmflow.methods.base import Member, settled
from warmflow.methods.warm_start import WarmStart
from warmflow.options import plain
from warmflow.problems import problem_of
from warmflow.problems.measures import real_data
from warmflow.setup import Setup

STARTS = ("noise", "gaussian", "mixture", "gan")
COUPLINGS = ("independent", "minibatch", "whole-set")
FIELDS = ("blind", "seen")
CELLS = [".".join(cell) for cell in itertools.product(STARTS, COUPLINGS, FIELDS)]
BASELINES = ("noise.independent.blind", "noise.minibatch.blind", "noise.whole-set.blind")


def method_of(cell: str) -> WarmStart:
    """The method of a cell. A field that is blind to its noise takes it as it is; every other start has the problem's sigma."""
    start, coupling, field = cell.split(".")
    seen = field == "seen"
    return WarmStart(
        draft=NoDraft() if start == "noise" else start, pairing=coupling, seen=seen,
        sigma=0.0 if start == "noise" and not seen else None,
    )  # fmt: skip


def role_of(cell: str) -> Role:
    start, coupling, field = cell.split(".")
    if cell in BASELINES:
        return Role.BASELINE
    return Role.CANDIDATE if start != "noise" and (coupling, field) == ("whole-set", "seen") else Role.SHOWN


def members_of(setup: Setup, cells: Sequence[str]) -> tuple[Member, ...]:
    """The cells as methods of one comparison."""
    return tuple(Member(cell, settled(method_of(cell), setup), role_of(cell)) for cell in cells)


def contrasts(cells: Sequence[str]) -> list[tuple[str, str, str]]:
    """(effect, worse cell, better cell): D(worse) - D(better) above 0 says that the second helps."""
    found = []
    for cell in cells:
        start, coupling, field = cell.split(".")
        if start != "noise" and (other := f"noise.{coupling}.{field}") in cells:
            found.append(("start", other, cell))
        if coupling == "whole-set":
            found += [("coupling", other, cell) for weak in ("independent", "minibatch")
                      if (other := f"{start}.{weak}.{field}") in cells]  # fmt: skip
        if field == "seen" and (other := f"{start}.{coupling}.blind") in cells:
            found.append(("field", other, cell))
    return found


def quality(study: Study) -> dict[str, Any]:
    """n_eq, the distance and its bounds, by cell, metric and calls."""
    table: dict[str, Any] = {}
    for method in study.methods:
        curve = study.curve(method.name)
        for metric in study.metrics:
            bounds = distances(curve, metric.name)
            scatter = metric.scatter or math.nan
            rows = zip(curve.calls, bounds.estimate, bounds.low(0.975), bounds.high(0.975), strict=True)
            table.setdefault(method.name, {})[metric.name] = {
                float(c): {"n_eq": scatter / d if d > 0 else math.inf, "distance": d, "low": low, "high": high}
                for c, d, low, high in rows
            }
    return table


def cell_of(asked: Mapping[str, Any]) -> str:
    """The cell that a method of a comparison is, by its options in config.json; empty where it is none."""
    pairing, draft = asked.get("pairing"), asked.get("draft")
    if asked["class"] == "Cold":
        cell = f"noise.{pairing}.blind" if asked.get("start") == "noise" else ""
    else:
        start = "noise" if isinstance(draft, Mapping) and draft.get("class") == "NoDraft" else draft
        cell = f"{start}.{pairing}.{'seen' if asked.get('seen') else 'blind'}" if asked["class"] == "WarmStart" else ""
    return cell if cell in CELLS else ""


def effects_of(study: Study, methods: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every contrast at every number of calls, with its interval; ``methods`` is the name of each cell's method."""
    effects = []
    for effect, worse, better in contrasts(list(methods)):
        for metric in study.metrics:
            gains = gain_at_equal_calls(study.curve(methods[better]), [study.curve(methods[worse])], metric.name)
            if gains is None:
                continue  # no two rows at one number of calls
            names = {"effect": effect, "from": worse, "to": better, "metric": metric.name}
            for i, c in enumerate(gains.calls):
                found = {"estimate": gains.band.estimate[i], "low": gains.band.low[i], "high": gains.band.high[i]}
                effects.append({**names, "calls": float(c), **found})
    return effects


def told(found: dict[str, Any], metric: str) -> str:
    """The table and the effects at 2 and 4 calls, as text."""
    calls = found["calls"]
    lines = [
        f"{len(found['seeds'])} seeds; n_eq on {metric} at {', '.join(map(str, calls))} calls, and the solver chosen"
    ]
    for name, by_metric in found["table"].items():
        at = by_metric[metric]
        numbers = " ".join(f"{at[float(c)]['n_eq']:7.0f}" if float(c) in at else "      -" for c in calls)
        lines.append(f"{name:28s} {numbers}   {found['chosen'][name]}")
    return "\n".join([*lines, *effects_told(found["effects"])])


def effects_told(effects: Sequence[Mapping[str, Any]]) -> list[str]:
    """The effects at 2 and 4 calls, as text."""
    lines = ["", "effects at 2 and 4 calls (distance x 1,000, simultaneous 95 % interval)"]
    for e in effects:
        if e["calls"] in (2.0, 4.0):
            lines.append(
                f"{e['effect']:9s} {e['from']:26s} -> {e['to']:26s} {e['metric']:20s} {e['calls']:.0f}: "
                f"{1e3 * e['estimate']:7.2f} ({1e3 * e['low']:.2f} to {1e3 * e['high']:.2f})"
            )
    return lines


app = cyclopts.App(help=__doc__.splitlines()[0])


@app.command
def compare(
    out: Path, *, problem: str = "digits", seeds: int = 5, updates: int | None = None, dtype: str = "float32",
    samples: int = 2000, cells: str = ",".join(CELLS), calls: str = "1,2,3,4,6,8", jobs: int = 1,
) -> None:  # fmt: skip
    """Train what is missing, measure and judge.

    Args:
        updates: of each flow; by default the problem's.
        cells: by default all 24.
        jobs: processes.
    """
    chosen, grid = cells.split(","), tuple(int(c) for c in calls.split(","))
    for cell in chosen:
        if cell not in CELLS:
            raise SystemExit(f"cell {cell!r} is unknown; known: {', '.join(CELLS)}")
    asked, training = problem_of(problem), {} if updates is None else {"updates": updates}
    setup = asked.setup(dtype=dtype, **training)
    config = open_run(out, {"kind": "factorial", "problem": asked.asked(), "training": plain(setup.training)})
    work = Work(asked, setup.training, members_of(setup, chosen), out)
    work.keep(setup)
    each = range(seeds)
    prepare_all(work, each, jobs=jobs, progress=True)
    train_all(work, each, jobs=jobs, progress=True)
    real, _ = real_data(setup.data, samples)
    candidates, runs = tuple(m.name for m in work.members if m.role is Role.CANDIDATE), work.runs(each)
    comparison = Comparison(setup.data, samples, candidates, flows_of(runs), (), grid, bills=bills_of(runs), jobs=jobs)
    evaluation = evaluated(comparison, out, real, progress=True)
    study = evaluation.study
    save_study(out, study)
    found = {
        "seeds": list(each), "calls": grid, "chosen": {c.method: c.chosen for c in evaluation.choices},
        "table": quality(study), "effects": effects_of(study, {cell: cell for cell in chosen}),
    }  # fmt: skip
    write_json(out / "factorial.json", json_values(found))
    write_json(out / "config.json", {**config, "state": "complete"})
    print(told(found, study.primary.name))


@app.command
def compared(folder: Path) -> None:
    """Write FOLDER/factorial.json from the study of a finished comparison."""
    study, methods = read_study(folder), read_json(folder / "config.json")["asked"]["methods"]
    cells = {cell: name for name, asked in methods.items() if (cell := cell_of(asked))}
    if not contrasts(list(cells)):
        raise SystemExit(f"{folder} has the cells {', '.join(cells) or 'none'}: no effect can be read from them")
    effects = effects_of(study, cells)
    write_json(folder / "factorial.json", json_values({"seeds": study.seeds, "effects": effects}))
    print("\n".join(effects_told(effects)))


@app.command
def draw(out: Path, file: Path) -> None:
    """The effect of each draft, whole-set pairs and seen, at 2 and more calls, a panel a metric."""
    from matplotlib.figure import Figure

    effects = read_json(out / "factorial.json")["effects"]
    found = [e for e in effects if e["effect"] == "start" and e["to"].endswith("whole-set.seen")]
    metrics = list(dict.fromkeys(e["metric"] for e in found))
    figure = Figure(figsize=(3.4 * len(metrics), 3.0), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(metrics), sharex=True))
    for ax, metric in zip(axes, metrics, strict=True):
        for i, start in enumerate(dict.fromkeys(e["to"].split(".")[0] for e in found)):
            rows = [e for e in found if e["metric"] == metric and e["to"].startswith(start) and e["calls"] >= 2]
            x = np.array([e["calls"] for e in rows]) * 1.03 ** (i - 1)
            y, low, high = (1e3 * np.array([e[k] for e in rows]) for k in ("estimate", "low", "high"))
            ax.errorbar(x, y, [y - low, high - y], marker="o", ms=3.5, lw=1.2, capsize=2, label=start)
        ax.axhline(0, color="0.4", lw=0.8)
        ax.set_xscale("log")
        at = sorted({e["calls"] for e in found if e["calls"] >= 2})
        ax.set_xticks(at, [f"{c:g}" for c in at])
        ax.minorticks_off()
        ax.set_title(metric, fontsize=9)
        ax.set_xlabel("network calls")
    axes[0].set_ylabel("distance from noise minus from the draft\n(x 1,000; above 0 the draft helps)", fontsize=8)
    axes[-1].legend(fontsize=8, frameon=False)
    figure.savefig(file)


if __name__ == "__main__":
    app()
