"""Judges the cells of ``runs/factorial.py``: what earns the gain, the start, the coupling, or seeing the start?

    python runs/factorial_verdict.py OUT --recipe images.digits --samples 2000
    python runs/factorial_verdict.py draw OUT docs/figures/start_effect.svg        the start effect as a figure
    python runs/factorial_verdict.py compared FOLDER        the effects that a finished comparison of images holds

Every cell is measured at 1, 2, 3, 4, 6 and 8 calls with its solver chosen on validation data. The table gives n_eq; the effects
are differences of distances at equal calls, with simultaneous 95 % intervals over the numbers of calls:

    start      the same coupling and field from noise, less from the draft      (above 0: the draft helps)
    coupling   independent less whole, and minibatch less whole
    field      blind less seen

Writes OUT/factorial.json, and the study in OUT, so that it can be judged again.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from warmflow.checkpoints import load, read_json, write_json
from warmflow.evaluation.curves import distances
from warmflow.evaluation.record import plain, read_study, save_study
from warmflow.evaluation.study import Role, Study, Training
from warmflow.evaluation.targets import gain_at_equal_calls
from warmflow.measuring import Store, Trained, entries_of, rows_of
from warmflow.recipes.build import plan_of
from warmflow.recipes.measures import real_data
from warmflow.recipes.settings import settings_of

CALLS = (1, 2, 3, 4, 6, 8)
BASELINES = ("noise.independent.blind", "noise.minibatch.blind", "noise.whole.blind")
CONTROL = "noise.whole.seen"


def role_of(cell: str) -> Role:
    return (
        Role.BASELINE
        if cell in BASELINES
        else Role.CANDIDATE
        if cell.endswith("whole.seen") and cell != CONTROL
        else Role.SHOWN
    )


def contrasts(cells: list[str]) -> list[tuple[str, str, str]]:
    """(effect, worse cell, better cell): D(worse) - D(better) above 0 says that the second helps."""
    found = []
    for cell in cells:
        start, coupling, field = cell.split(".")
        if start != "noise" and (other := f"noise.{coupling}.{field}") in cells:
            found.append(("start", other, cell))
        if coupling == "whole":
            found += [("coupling", other, cell) for weak in ("independent", "minibatch")
                      if (other := f"{start}.{weak}.{field}") in cells]  # fmt: skip
        if field == "seen" and (other := f"{start}.{coupling}.blind") in cells:
            found.append(("field", other, cell))
    return found


COLD = {
    "cold": "noise.independent.blind", "cold_assigned": "noise.minibatch.blind", "cold_whole": "noise.whole.blind",
    "noise": "noise.whole.seen",
}  # fmt: skip
"""The cells that the flows of a comparison are, beside the warm one."""


@dataclass(frozen=True)
class Effect:
    """A difference of distances at equal calls, with its simultaneous interval; above 0 the second cell is nearer to the data."""

    effect: str
    worse: str
    better: str
    metric: str
    calls: float
    estimate: float
    low: float
    high: float

    def line(self) -> str:
        """One row of the table, distance x 1,000."""
        low, middle, high = (1e3 * value for value in (self.low, self.estimate, self.high))
        return (f"{self.effect:9s} {self.worse:26s} -> {self.better:26s} {self.metric:20s} {self.calls:.0f}: "
                f"{middle:7.2f} ({low:.2f} to {high:.2f})")  # fmt: skip

    def json(self) -> dict[str, object]:
        """As factorial.json has it."""
        found = asdict(self)
        return {"effect": found.pop("effect"), "from": found.pop("worse"), "to": found.pop("better"), **found}


def effects_of(study: Study, methods: dict[str, str]) -> list[Effect]:
    """The effects of a study; ``methods`` is the name of each cell's method, by cell."""
    effects = []
    for effect, worse, better in contrasts(sorted(methods)):
        for metric in study.metrics:
            gains = gain_at_equal_calls(study.curve(methods[better]), [study.curve(methods[worse])], metric.name)
            assert gains is not None
            band = gains.band
            effects += [
                Effect(effect, worse, better, metric.name, float(c), float(middle), float(low), float(high))
                for c, middle, low, high in zip(gains.calls, band.estimate, band.low, band.high, strict=True)
            ]
    return effects


def show(effects: list[Effect]) -> None:
    """Prints the effects at 2 and 4 calls."""
    print("\neffects at 2 and 4 calls (distance x 1,000, simultaneous 95 % interval)")
    for e in effects:
        if e.calls in (2.0, 4.0):
            print(e.line())


def compared(folder: Path) -> None:
    """Writes FOLDER/factorial.json from the study of a comparison.

    Raises:
        ValueError: the warm flow is no cell of the factorial.
    """
    study, settings = read_study(folder), read_json(folder / "config.json")["settings"]
    draft, pairing = settings["draft"], settings["pairing"]
    if draft not in ("gaussian", "mixture", "gan") or pairing != "assignment" or not settings["seen"]:
        raise ValueError(
            f"{folder} has the draft {draft!r}, pairing {pairing!r} and seen {settings['seen']}: no cell of the factorial"
        )
    cells = {**COLD, "warm": f"{draft}.whole.seen"}
    effects = effects_of(study, {cell: name for name, cell in cells.items() if name in {m.name for m in study.methods}})
    write_json(folder / "factorial.json", plain({"seeds": study.seeds, "effects": [e.json() for e in effects]}))
    show(effects)


def draw(out: Path, file: Path) -> None:
    """The start effect of each draft, whole-set pairs and seen, at 2 and more calls, a panel a metric."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    found = [
        e
        for e in read_json(out / "factorial.json")["effects"]
        if e["effect"] == "start" and e["to"].endswith("whole.seen")
    ]
    metrics = list(dict.fromkeys(e["metric"] for e in found))
    figure, axes = plt.subplots(1, len(metrics), figsize=(3.4 * len(metrics), 3.0), layout="constrained", sharex=True)
    for ax, metric in zip(np.atleast_1d(axes), metrics, strict=True):
        for i, start in enumerate(dict.fromkeys(e["to"].split(".")[0] for e in found)):
            rows = [e for e in found if e["metric"] == metric and e["to"].startswith(start) and e["calls"] >= 2]
            x = np.array([e["calls"] for e in rows]) * 1.03 ** (i - 1)
            y, low, high = (1e3 * np.array([e[k] for e in rows]) for k in ("estimate", "low", "high"))
            ax.errorbar(x, y, [y - low, high - y], marker="o", ms=3.5, lw=1.2, capsize=2, label=start)
        ax.axhline(0, color="0.4", lw=0.8)
        ax.set_xscale("log")
        calls = sorted({e["calls"] for e in found if e["calls"] >= 2})
        ax.set_xticks(calls, [f"{c:g}" for c in calls])
        ax.minorticks_off()
        ax.set_title(metric, fontsize=9)
        ax.set_xlabel("network calls")
    np.atleast_1d(axes)[0].set_ylabel(
        "distance from noise less from the draft\n(x 1,000; above 0 the draft helps)", fontsize=8
    )
    np.atleast_1d(axes)[-1].legend(fontsize=8, frameon=False)
    figure.savefig(file)


def main() -> None:
    if sys.argv[1:2] == ["draw"]:
        draw(Path(sys.argv[2]), Path(sys.argv[3]))
        return
    if sys.argv[1:2] == ["compared"]:
        compared(Path(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", default="images.digits")
    parser.add_argument("--samples", type=int, default=2000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    plan = plan_of(args.recipe, settings_of(args.recipe))
    seeds = sorted(int(p.name) for p in args.out.iterdir() if p.name.isdigit())
    whole = {c.parent.name: c for c in args.out.glob("0/*/model.json")}
    cells = [c for c in sorted(whole) if all((args.out / str(s) / c / "model.json").exists() for s in seeds)]
    trained = [
        Trained(c, role_of(c), s, load(args.out / str(s) / c), 0.0) for c in cells for s in seeds
    ]  # fmt: skip
    real, _ = real_data(plan.data, args.samples)
    store = Store.of(args.out, real, args.samples)
    entries = entries_of(trained, {}, grid=CALLS)
    choices = [store.choice(e, real, args.samples) for e in entries]
    chosen = {c.method: c.chosen for c in choices}
    rows = rows_of(entries, chosen, real, args.samples, store, progress=True)
    study = Study(tuple(e.method(chosen[e.name]) for e in entries), tuple(rows), real.metric_facts, real.facts,
                  Training.EQUAL, items="images")  # fmt: skip
    save_study(args.out, study)
    table = {}
    for name in cells:
        curve = study.curve(name)
        for metric in study.metrics:
            bounds = distances(curve, metric.name)
            assert metric.scatter is not None
            table.setdefault(name, {})[metric.name] = {
                float(c): {"n_eq": metric.scatter / d if d > 0 else np.inf, "distance": d, "low": low, "high": high}
                for c, d, low, high in zip(
                    curve.calls, bounds.estimate, bounds.low(0.975), bounds.high(0.975), strict=True
                )
            }
    effects = effects_of(study, {cell: cell for cell in cells})
    write_json(
        args.out / "factorial.json",
        plain({"seeds": seeds, "chosen": chosen, "table": table, "effects": [e.json() for e in effects]}),
    )
    primary = study.primary.name
    print(f"{len(seeds)} seeds; n_eq on {primary} at {', '.join(map(str, CALLS))} calls, and the solver chosen")
    for name in cells:
        at = table[name][primary]
        numbers = " ".join(f"{at[float(c)]['n_eq']:7.0f}" if float(c) in at else "      -" for c in CALLS)
        print(f"{name:28s} {numbers}   {chosen[name]}")
    show(effects)


if __name__ == "__main__":
    main()
