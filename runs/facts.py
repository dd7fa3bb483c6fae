"""The facts of a comparison on one screen: the claim, the bars of the issue, the table. Reads a folder; computes nothing anew.

python runs/facts.py FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from warmflow.measuring import read_rows
from warmflow.metrics.comparison import difference


def gap(folder: Path, margins: dict[str, float], calls: float = 4) -> None:
    """D(cold) - D(warm) at these calls against each pairing of the cold flow, with its one-sided 95 % lower bound."""
    rows = [r for r in read_rows(folder) if r.calls == calls and r.solver == "Euler"]
    warm = {r.seed: r.measure for r in rows if r.arm == "warm"}
    for arm in sorted({r.arm for r in rows if r.kind == "cold"}):
        cold = {r.seed: r.measure for r in rows if r.arm == arm}
        for name, margin in margins.items():
            found = difference(cold, warm, name)
            print(f"  gap at {calls:g} calls, {arm}: {name}: {found['estimate']:.2e}, at least {found['low']:.2e} "
                  f"= {found['low'] / margin:.1f} margins")  # fmt: skip


def main(folder: str) -> None:
    v = json.loads((Path(folder) / "verdict.json").read_text())
    config = json.loads((Path(folder) / "config.json").read_text())
    print(v["claim"])
    print(
        f"factor in calls {v['factor_calls']}, against cold's best row {v['factor_calls_best']}, in seconds {v['factor_seconds']}"
    )
    for name, d in v["differences"].items():
        print(f"  {name}: difference {d['estimate']:.2e} [{d['low']:.2e}, {d['high']:.2e}], margin {d['margin']:.2e}")
    for name, guard in v["guards"].items():
        print(f"  guard {name}: {'passes' if guard['passes'] else 'FAILS'} ({guard['says']})")
    if "doubled" in v:
        print("  doubling the cold training:", json.dumps(v["doubled"]))
    print("  draft alone as good:", v["draft"]["as_good"], "| bill", v["bill"], "| threads", config["threads"])
    for e in v["equal_calls"]:
        for name, g in e["gain"].items():
            beside = f"{e['cold']['arm']} {e['cold']['solver']} at {e['cold']['calls']:g}"
            print(f"  at {e['calls']:g} calls, {beside}: {name}: cold - warm {g['estimate']:.2e}, at least {g['low']:.2e} "
                  f"= {g['low'] / g['margin']:.1f} margins")  # fmt: skip
    names = list(v["differences"])
    gap(Path(folder), {name: v["ruler"]["metrics"][name]["margin"] for name in names})
    print(
        f"{'arm':15s} {'solver':6s} {'steps':>5s} {'calls':>5s} {'us':>7s} "
        + " ".join(f"{n[-12:]:>14s}" for n in names)
        + "  class TV  copying"
    )
    for r in v["rows"]:
        d = " ".join(f"{1e3 * r['distances'][n]['distance']:14.3f}" for n in names)
        print(
            f"{r['arm']:15s} {r['solver']:6s} {r['steps']:5d} {r['calls']:5.1f} {1e6 * r['seconds']:7.1f} {d}"
            f"  {r['variation']:8.3f} {r['copying']:8.4f}"
        )


if __name__ == "__main__":
    main(sys.argv[1])
