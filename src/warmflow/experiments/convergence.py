"""Has the best baseline converged? It is trained again, twice as long, and added to the baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from warmflow.evaluation.evaluate import Evaluation
from warmflow.evaluation.real import RealData
from warmflow.evaluation.record import plain
from warmflow.evaluation.study import Role
from warmflow.evaluation.study import Training as Held
from warmflow.experiments.pipeline import Comparison, evaluated
from warmflow.experiments.trained_runs import flows_of
from warmflow.experiments.work import Work, train_all
from warmflow.options import changed
from warmflow.printing import say

SETTLED = 0.1
"""A training has converged if twice as many updates improve the best distance by a smaller share."""


def doubled(
    work: Work, comparison: Comparison, evaluation: Evaluation, real: RealData, seeds: Sequence[int], jobs: int, progress: bool
) -> tuple[Held, Mapping[str, object]]:  # fmt: skip
    """Trains the best baseline twice as long. It has converged if that improves its best distance by less than a tenth, on
    every metric.

    Returns:
        What then holds of the training; and for verdict.json the distances, and the verdict with the longer one among the
        baselines.
    """
    study = evaluation.study
    metric = study.primary.name
    trained = [m for m in study.named(Role.BASELINE) if work.member(m.name).method.trains]
    if not trained:
        return comparison.training, {}
    best = min(trained, key=lambda m: float(study.curve(m.name).validation[metric].min())).name
    say(f"training {best} twice as long", progress)
    *restarts, updates = (2 * end for end in work.training.ends)
    ends = {"updates": updates, "restarts": ",".join(map(str, restarts)) or None}
    name, training = f"{best}-doubled", changed(work.training, ends)
    longer = replace(work, training=training, members=(replace(work.member(best), name=name),))
    train_all(longer, seeds, jobs=jobs, progress=progress)
    against = evaluated(comparison, work.root, real, progress=progress, extra=flows_of(longer.runs(seeds)))
    settled = {}
    for m in study.metrics:
        once = float(study.curve(best).mean(m.name).min())
        twice = float(against.study.curve(name).mean(m.name).min())
        slack = SETTLED * once if once > 0 else 0.0
        noise = (m.scatter or 0.0) / study.real.test
        settled[m.name] = {"once": once, "twice": twice, "settled": once - twice < max(slack, noise)}
    held = Held.CONVERGENCE if all(v["settled"] for v in settled.values()) else comparison.training
    told = {key: {"outcome": v.outcome, "rate": v.rate} for key, v in against.verdicts.items()}
    words = {key: a.text for key, a in against.answers.items()}
    return held, {"doubled": plain({"baseline": best, "settled": settled, "verdicts": told, "words": words})}
