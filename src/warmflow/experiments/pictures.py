"""Samples of every method from the same seed, for the report: images, points, and trajectories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from warmflow.contracts import Source
from warmflow.data import DataSet
from warmflow.evaluation.study import Role
from warmflow.experiments.measure import Alone, Trained
from warmflow.experiments.pair_audits import seen_as
from warmflow.noise import Noise
from warmflow.sampler import trajectory
from warmflow.sources import LearnedPrior

BASELINE_STEPS = (1, 2, 4, 20, 50)
TOKEN_STEPS = (4, 16, 64)
TRAJECTORIES = 200


def pictures(
    data: DataSet, trained: Sequence[Trained], draft: Source | None, steps: Sequence[int], n: int
) -> dict[str, Tensor]:
    """Samples (n, *S) named "real", "draft", "start" and "METHOD.STEPS"; for points also "trajectory.METHOD".
    Of several candidates each has its start as "METHOD.start".

    Args:
        trained: the trained flows; those of the smallest seed are shown.
        draft: the draft, before noise is added; None for none.
        steps: the numbers of steps at which candidates are shown.
        n: number of samples of each; at most the number of held-out samples.
    """
    n = min(n, len(data.heldout))
    out: dict[str, Tensor] = {"real": data.heldout.x1[:n]}
    seed = min((t.seed for t in trained), default=0)
    if draft is not None:
        out["draft"] = Alone(draft, data.bounds, True)(n, steps=0, seed=seed)
    several = len({t.name for t in trained if t.role is Role.CANDIDATE}) > 1
    tokens, plane = data.kind == "tokens", data.kind == "points" or data.grid is not None
    for t in trained:
        if t.seed != seed:
            continue
        shown = t.grid or (steps if t.role is Role.CANDIDATE else TOKEN_STEPS if tokens else BASELINE_STEPS)
        out |= {f"{t.name}.{k}": t.sampler(n, seed=seed, steps=k).x for k in shown}
        if t.role is Role.CANDIDATE:
            out |= {
                (f"{t.name}.{k}" if several and k == "start" else k): x for k, x in _start_pictures(data, t, n).items()
            }
        if plane and t.role in (Role.CANDIDATE, Role.BASELINE):
            start = t.sampler.source.draw(TRAJECTORIES, noise=Noise.of(seed, TRAJECTORIES).fold("source"))
            steps_of = max(t.grid) if t.grid else 4 if t.role is Role.CANDIDATE else 20
            out[f"trajectory.{t.name}"] = trajectory(replace(t.sampler, steps=steps_of), start, seed=seed)
    whole = {k: seen_as(data, v).cpu().contiguous() for k, v in out.items()}
    return {k: v if v.dtype == torch.int64 else v.float() for k, v in whole.items()}


def _start_pictures(data: DataSet, t: Trained, n: int) -> dict[str, Tensor]:
    """The start of a candidate; for a learned prior its mean, its sigma, and starts with 0.5, 1 and 2 times sigma."""
    source, noise = t.sampler.source, Noise.of(t.seed, n).fold("source")
    start = source.draw(n, noise=noise)
    if not isinstance(source, LearnedPrior):
        return {"start": start.x0 if data.bounds is None else start.x0.clamp(*data.bounds)}
    sigma = start.condition["log_sigma"].exp()
    out = {"prior.mean": start.condition["mean"], "prior.sigma": 2 * sigma / sigma.max() - 1}
    for name, scale in (("start_at_half_of_sigma", 0.5), ("start", 1.0), ("start_at_twice_sigma", 2.0)):
        out[f"prior.{name}"] = replace(source, scale=scale).draw(n, noise=noise).x0
    return out
