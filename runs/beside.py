"""Another warm flow beside a finished comparison: its draft without some classes, or its pairs made otherwise.

python runs/beside.py COMPARISON OUT --pairing nearest-data --block 55000    # the paper: every draft with its nearest sample
python runs/beside.py COMPARISON OUT --without 0,1,2    # a draft that never saw three classes

The new flow, "other", is trained under the comparison's seeds and is the candidate; the flows of the comparison are read from
its folder, its own candidates are shown. Rows of the comparison are taken from its study where the real data are the same. The
baselines have the effort of the comparison's own pairing, not that of the new one. Each seed has its own draft and its own pairs.
A run that was cut off goes on. Prints the verdict, what the audit says of the pairs, and the table.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cyclopts
from finished import Finished
from without import Without

from warmflow.checkpoints import open_run
from warmflow.drafts import draft_of
from warmflow.evaluation.real import RealData
from warmflow.evaluation.record import read_study
from warmflow.evaluation.study import Role
from warmflow.experiments.evaluate_files import table
from warmflow.experiments.measure import Store
from warmflow.experiments.pipeline import conclude, described
from warmflow.experiments.trained_runs import comparison_of
from warmflow.experiments.work import Work, prepare_all, train_all
from warmflow.files import read_json, write_json
from warmflow.methods.base import Member, settled
from warmflow.methods.warm_start import WarmStart
from warmflow.options import changed, plain
from warmflow.problems.measures import real_data
from warmflow.report import Report

OTHER = "other"


def other_of(theirs: Work, pairing: str | None, block: int | None, without: Sequence[int]) -> WarmStart:
    """The comparison's first warm start with other options."""
    warm = next(
        m.method for m in theirs.members if m.role in (Role.CANDIDATE, Role.SHOWN) and isinstance(m.method, WarmStart)
    )
    given = {"pairing": pairing, "block": block}
    changes: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    setup = theirs.setup()
    if without:
        inner = draft_of(setup.defaults["draft"] if warm.draft is None else warm.draft)
        changes["draft"] = Without(inner=inner, classes=tuple(without))
    return settled(changed(warm, changes), setup)


def reuse(comparison: Path, out: Path, real: RealData, samples: int) -> None:
    """Puts the comparison's rows into the store of this one, where they were measured against the same real data."""
    if read_json(comparison / "config.json").get("measured") != json.loads(json.dumps(real.fixed)):
        return
    study, store = read_study(comparison), Store.of(out, real, samples)
    for row in study.rows:
        method = study.method(row.method)
        if method.role is not Role.START:
            store.keep(method.solver, row)


def beside(comparison: Path, out: Path, method: WarmStart, *, jobs: int = 1) -> Report:
    """Trains the other flow and judges it beside the comparison.

    Raises:
        ValueError: a comparison that is not finished, or a folder that holds another one.
    """
    found = Finished.read(comparison)
    theirs, seeds, setup = found.work, found.seeds, found.work.setup()
    ours = replace(theirs, members=(Member(OTHER, method, Role.CANDIDATE),), root=out)
    asked = {"kind": "compare", "problem": dict(setup.asked), "training": plain(theirs.training), "other": method.asked(),
             "seeds": list(seeds), "calls": list(found.calls), "beside": comparison.name}  # fmt: skip
    config = open_run(out, asked)
    if config["state"] == "complete":
        return Report.read(out)
    prepare_all(ours, seeds, jobs=jobs, progress=True)
    train_all(ours, seeds, jobs=jobs, progress=True)
    shown = [
        replace(run, member=replace(run.member, role=Role.SHOWN, of=""))
        if run.member.role is not Role.BASELINE
        else run
        for run in theirs.runs(seeds)
    ]
    real, facts = real_data(setup.data, found.samples)
    reuse(comparison, out, real, found.samples)
    c = comparison_of(setup, [*shown, *ours.runs(seeds)], found.samples, found.calls, jobs=jobs)
    config |= described(setup.data, real, facts, seeds, "cpu", recipe=setup.name, settings=plain(theirs.training))
    write_json(out / "config.json", {**config, "state": "started"})
    return conclude(c, out, config, real, progress=True)


def main(
    comparison: Path, out: Path, *, pairing: str | None = None, block: int | None = None, without: str = "", jobs: int = 1
) -> None:  # fmt: skip
    """Another warm flow beside a finished comparison.

    Args:
        pairing: how starts are paired with data; by default as in the comparison.
        block: rows that are paired at once; by default as in the comparison.
        without: classes that the draft is not fitted to, like 0,1,2.
        jobs: processes.
    """
    missing = [int(k) for k in without.split(",") if k]
    method = other_of(Finished.read(comparison).work, pairing, block, missing)
    report = beside(comparison, out, method, jobs=jobs)
    audit = read_json(out / "verdict.json")["audit"].get(method.pairing, {})
    print(report.verdict.claim)
    print("the audit of these pairs:", *(audit.get("flags") or ["nothing to flag"]))
    print(table(read_study(out)))


if __name__ == "__main__":
    cyclopts.run(main)
