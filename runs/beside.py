"""Another warm flow beside a finished comparison: its draft without some classes, or its pairs made otherwise. Judged by the
same ruler against the comparison's cold rows.

python runs/beside.py COMPARISON OUT --pairing nearest-datum --block 55000    # the paper: every draft with its nearest datum
python runs/beside.py COMPARISON OUT --without 0,1,2    # a draft that never saw three classes

Resumable. Prints the verdict, what the audit says, and class variation and copying at every number of calls.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import torch

from warmflow.arms import prepare_all, train_all
from warmflow.checkpoints import load, load_part, make_folder, read_json, write_json
from warmflow.measuring import Entry, audits, measured, read_rows, save_rows, sources_alone
from warmflow.prepared import Prepared, seed_folder
from warmflow.recipes.build import plan_of
from warmflow.recipes.measures import ruler_for
from warmflow.recipes.settings import settings_of
from warmflow.sources import GaussianMixture
from warmflow.verdict import judge


@click.command()
@click.argument("comparison", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--pairing", default="assignment", show_default=True)
@click.option("--block", default=512, show_default=True)
@click.option("--without", default="", help="classes that the draft is not fitted to")
@click.option("--steps", default="1,2,3,4,8,16,32", show_default=True)
@click.option("--seeds", default=3, show_default=True)
@click.option("--jobs", default=1, show_default=True)
def main(
    comparison: Path, out: Path, pairing: str, block: int, without: str, steps: str, seeds: int, jobs: int
) -> None:
    asked = read_json(comparison / "config.json")["asked"]
    plan = plan_of(
        asked["recipe"], settings_of(asked["recipe"], **asked["settings"] | {"pairing": pairing, "block": block})
    )
    make_folder(out)
    if without:
        train = plan.data.train
        missing = torch.tensor([int(k) for k in without.split(",")])
        kept = train.x1[~torch.isin(train.condition["label"], missing)]
        components = plan.settings.components
        drafts = [GaussianMixture.fit(kept, components=components, seed=seed) for seed in range(seeds)]
    else:
        drafts = [load_part(seed_folder(comparison, seed), "draft") for seed in range(seeds)]
    plan = replace(plan, draft=lambda folder=None, progress=False, seed=0: drafts[seed])
    prepared = Prepared(plan, out)
    prepare_all(prepared, range(seeds), ("warm",), jobs=1)  # here: another process would fit the recipe's own draft
    tasks = [("warm", seed, plan.settings.updates) for seed in range(seeds)]
    train_all(plan, out, tasks, prepared, jobs=jobs, device="cpu", progress=True)
    ruler, _ = ruler_for(plan.data, plan.settings.samples)
    entries = [Entry("warm", "warm", seed, load(out / "seeds" / str(seed) / "warm"), 0.0) for _, seed, _ in tasks]
    asked_steps = tuple(int(k) for k in steps.split(","))
    rows = list(measured(plan, ruler, entries, (), asked_steps, True, folder=out))
    for e in entries:
        alone = sources_alone(plan, {"draft": prepared.source(e.seed, "draft")})
        rows += measured(plan, ruler, [e], alone, (), False, walks=lambda entry: ())
    save_rows(out, rows)
    cold = [r for r in read_rows(comparison) if r.kind == "cold" and r.seed < seeds]
    draft, paired = prepared.of(0, "warm")
    verdict = judge(
        ruler, rows + cold, audit=audits(plan, draft, paired), names=plan.flow.names, ratios=plan.flow.ratios
    )
    write_json(out / "verdict.json", verdict.to_json())
    print(verdict.claim)
    print("the audit of these pairs says:", *(verdict.audit[pairing]["flags"] or ["nothing to flag"]))
    print(f"class variation: real {ruler.variation.mean:.3f}, at most {ruler.variation.limit:.3f}")
    for r in rows:
        distances = " / ".join(f"{1000 * v:.2f}" for v in r.measure.distance.values())
        print(
            f"{r.arm:5s} seed {r.seed} {r.calls:4.0f} calls  {distances}  classes {r.measure.variation:.3f}  "
            f"copying {r.measure.copying_share:.4f}"
        )


if __name__ == "__main__":
    main()
