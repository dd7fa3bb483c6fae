"""A draft that lacks three digit classes: what each pairing makes of it.

A Gaussian mixture is fitted to the training digits 3 .. 9 alone. Paired to the nearest datum, the flow learns the draft's
classes; assigned, it must learn the data's. Trains warm and cold arms for each pairing and prints the audit's flags and the
class total variation beside its floor. About six minutes on two cores.

python runs/missing_classes.py [OUT] [SEEDS] [UPDATES] [PAIRINGS]
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from warmflow.comparison import run
from warmflow.recipes.build import plan_of
from warmflow.recipes.plan import ready
from warmflow.recipes.settings import settings_of
from warmflow.sources import GaussianMixture


def main(
    out: str = "out-missing-classes",
    seeds: str = "3",
    updates: str = "3000",
    pairings: str = "nearest-datum,assignment",
) -> None:
    for pairing in pairings.split(","):
        plan = plan_of("images.digits", settings_of("images.digits", pairing=pairing, updates=int(updates)))
        train = plan.data.train
        kept = train.condition["label"] > 2
        draft = GaussianMixture.fit(train.x1[kept])
        plan = replace(plan, draft=ready(draft))
        report = run(
            plan,
            Path(out) / pairing,
            steps=(1, 2, 4, 8, 32),
            seeds=tuple(range(int(seeds))),
            own_draft=True,
            progress=False,
        )
        v = report.verdict
        print(f"\n{pairing}: {v.claim}")
        print("  the audit says:", *(v.audit[pairing]["flags"] or ["nothing to flag"]))
        for r in v.rows:
            if r["arm"] in ("real", "draft", "warm"):
                print(
                    f"  {r['arm']:6s} {r['steps']:3d} steps  class variation {r['variation']:.3f}  copying {r['copying']:.4f}"
                )


if __name__ == "__main__":
    main(*sys.argv[1:])
