"""Another warm flow beside a finished comparison: its draft without some classes, or its pairs made otherwise.

python runs/beside.py COMPARISON OUT --pairing nearest-datum --block 55000    # the paper: every draft with its nearest sample
python runs/beside.py COMPARISON OUT --without 0,1,2    # a draft that never saw three classes

The new flow, "other", is trained under the comparison's seeds and is the candidate; the flows of the comparison are read from
its folder, its own candidate is shown. Rows of the comparison are taken from its study where the real data are the same. Each
seed has its own draft (the comparison's, unless classes are left out) and its own pairs. Resumable. Prints the verdict, what the
audit says of the pairs, and the table.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import torch

from warmflow.checkpoints import load, load_part, open_run, read_json, write_json
from warmflow.contracts import Source
from warmflow.evaluation.real import RealData
from warmflow.evaluation.record import read_study
from warmflow.evaluation.study import Role
from warmflow.experiments.evaluate_files import table
from warmflow.experiments.measure import Store, Trained, alone
from warmflow.experiments.pair_audits import audits
from warmflow.experiments.pipeline import Comparison, conclude, described, real_of
from warmflow.experiments.prepare import NOISE_BILL, Prepared, seed_folder
from warmflow.experiments.train_flows import prepare_all, train_all
from warmflow.recipes.build import plan_of
from warmflow.recipes.plan import Plan
from warmflow.recipes.settings import settings_of
from warmflow.report import Report
from warmflow.sources import GaussianMixture

OTHER = "other"


def read_plan(comparison: Path, **changes: object) -> Plan:
    """The plan of a finished comparison, with other settings."""
    asked = read_json(comparison / "config.json")["asked"]
    return plan_of(asked["recipe"], settings_of(asked["recipe"], **asked["settings"] | changes))


def with_draft(plan: Plan, comparison: Path, without: Sequence[int]) -> Plan:
    """The plan with the comparison's drafts, or with mixtures that are fitted to the other classes alone."""

    def draft(folder: Path | None = None, progress: bool = False, seed: int = 0) -> Source:
        if not without:
            found: Source = load_part(seed_folder(comparison, seed), "draft")
            return found
        train = plan.data.train
        kept = train.x1[~torch.isin(train.condition["label"], torch.tensor(without))]
        return GaussianMixture.fit(kept, components=plan.settings.components, seed=seed)  # type: ignore[attr-defined]

    return replace(plan, draft=draft)


def read_flows(plan: Plan, comparison: Path, seeds: Sequence[int]) -> list[Trained]:
    """The flows of a finished comparison; its candidates are shown, and its control belongs to them."""
    found = []
    for seed in seeds:
        for name in plan.flow.arms:
            folder, role = seed_folder(comparison, seed) / name, plan.flow.role(name)
            seconds = float(read_json(folder / "config.json")["training"]["seconds"])
            shown = role if role is Role.BASELINE else Role.SHOWN
            found.append(Trained(name, shown, seed, load(folder), seconds, title=plan.flow.title(name)))
    return found


def reuse(comparison: Path, out: Path, real: RealData, samples: int, seeds: Sequence[int]) -> None:
    """Puts the comparison's rows into the store of this one, where they were measured against the same real data."""
    if read_json(comparison / "config.json").get("measured") != json.loads(json.dumps(real.fixed)):
        return
    study, store = read_study(comparison), Store.of(out, real, samples)
    for row in study.rows:
        method = study.method(row.method)
        if method.role is not Role.START and row.seed in seeds:
            store.keep(method.solver, row)


def beside(
    comparison: Path,
    out: Path,
    *,
    pairing: str | None = None,
    block: int | None = None,
    without: Sequence[int] = (),
    jobs: int = 1,
) -> Report:
    """Trains the other flow and judges it beside the comparison."""
    config = read_json(comparison / "config.json")
    seeds, grid = tuple(config["seeds"]), tuple(config["asked"]["calls"])
    changes = {k: v for k, v in (("pairing", pairing), ("block", block)) if v is not None}
    plan = with_draft(read_plan(comparison, **changes), comparison, without)
    asked = {"kind": "compare", "recipe": plan.name, "settings": plan.settings.asked, "without": list(without),
             "seeds": list(seeds), "calls": list(grid), "beside": comparison.name}  # fmt: skip
    found = open_run(out, asked)
    if found["state"] == "complete":
        return Report.read(out)
    prepared = Prepared(plan, out)
    prepare_all(prepared, seeds, ("warm",), jobs=1)  # here: another process would fit the recipe's own draft
    tasks = [("warm", seed, plan.settings.updates) for seed in seeds]
    train_all(plan, out, tasks, prepared, jobs=jobs, device="cpu", progress=True)
    trained = read_flows(plan, comparison, seeds)
    for seed in seeds:
        folder = seed_folder(out, seed) / "warm"
        seconds = float(read_json(folder / "config.json")["training"]["seconds"])
        trained.append(Trained(OTHER, Role.CANDIDATE, seed, load(folder), seconds, title="the other warm flow"))
    real, facts = real_of(plan)
    reuse(comparison, out, real, plan.settings.samples, seeds)
    drafts = {seed: prepared.source(seed, "draft") for seed in seeds}
    noise = Prepared(plan, comparison).bill(seeds).get(NOISE_BILL, 0.0)
    bills = {OTHER: prepared.bill(seeds), "cold_whole": {NOISE_BILL: noise}}
    first = min(seeds)
    c = Comparison(
        plan, trained, [alone(plan, "draft", drafts, OTHER, "its draft alone")], grid, bills=bills, draft=drafts[first],
        training=plan.flow.training, counted=plan.flow.counted, jobs=jobs,
        audit=audits(plan, drafts[first], prepared.of(first, "warm")[1]),
    )  # fmt: skip
    found |= described(plan, real, facts, seeds, "cpu")
    write_json(out / "config.json", {**found, "state": "started"})
    return conclude(c, out, found, real, progress=True)


@click.command(help=__doc__.splitlines()[0])
@click.argument("comparison", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--pairing", default=None, help="[default: the comparison's]")
@click.option("--block", default=None, type=int, help="rows paired at once  [default: the comparison's]")
@click.option("--without", default="", help="classes that the draft is not fitted to, like 0,1,2")
@click.option("--jobs", default=1, show_default=True)
def main(comparison: Path, out: Path, pairing: str | None, block: int | None, without: str, jobs: int) -> None:
    missing = [int(k) for k in without.split(",") if k]
    report = beside(comparison, out, pairing=pairing, block=block, without=missing, jobs=jobs)
    verdict = read_json(out / "verdict.json")
    pairing = read_plan(out).settings.pairing
    print(report.verdict.claim)
    print("the audit of these pairs:", *(verdict["audit"].get(pairing, {}).get("flags") or ["nothing to flag"]))
    print(table(read_study(out)))


if __name__ == "__main__":
    main()
