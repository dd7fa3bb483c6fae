"""A trial of the user's own cold model, before anything is trained: is it near the data, and do more steps bring it nearer?

A diffusion model that is sampled as if it were a flow returns noise. A comparison beside it takes hours and can only say that
nothing can be told; here a few samples show it in seconds, and often which noise schedule the model needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from warmflow.contracts import Source
from warmflow.evaluation.real import RealData
from warmflow.evaluation.study import Role
from warmflow.experiments.measure import Alone, Drawn
from warmflow.experiments.work import Work
from warmflow.fields import WrappedField, wrap
from warmflow.sampler import Sampler
from warmflow.user_code import naming

SAMPLES, FEW, MOST = 256, 1, 50
"""Samples of a trial, and its fewest and most steps."""
GUESSED, GUESSED_STEPS = 64, 10
"""Samples and steps with which other schedules are tried."""
SURE, SHARE = 4.0, 0.5
"""Differences below this multiple of their standard deviation are noise; a model beyond this share of the noise's own distance is
hardly nearer to the data than noise."""
OTHERS: tuple[Mapping[str, Any], ...] = (
    {"schedule": "vp"}, {"schedule": "vp", "predicts": "v"}, {"schedule": "vp", "predicts": "x1"}, {"schedule": "edm"},
    {"schedule": "rectified"}, {"schedule": "rectified", "scale": 1000.0}, {"schedule": "vp", "integer_times": False},
    {"schedule": "vp", "integer_times": False, "scale": 999.0}, {"time": "descending"},
)  # fmt: skip
"""Arguments of ``wrap`` that are tried where a model is not near the data."""


@dataclass(frozen=True)
class Trial:
    """Distances of a few samples of the model, by number of steps, and of noise, on the metric of this name.

    Args:
        spread: the standard deviation of the distance of as many real samples.
        cause: what the user should look at, if the distances are wrong.
    """

    metric: str
    few: float
    most: float
    noise: float
    spread: float
    cause: str = ""

    @property
    def fault(self) -> str:
        """What is wrong with the samples; empty if nothing is."""
        at_most = f"its samples with {MOST} steps ({self.most:.3g} on {self.metric})"
        if self.most > self.few + max(SURE * self.spread, 0.1 * self.few):
            return f"{at_most} are farther from the data than with {FEW} ({self.few:.3g})"
        if self.most > max(SURE * self.spread, SHARE * self.noise):
            return f"{at_most} are hardly nearer to the data than noise ({self.noise:.3g})"
        return ""

    @property
    def warning(self) -> str:
        """One line about the fault and its likely cause; empty if there is none."""
        return f"your cold model: {self.fault}; {self.cause}" if self.fault else ""

    def beside(self, draft: float) -> str:
        """A warning if the model is farther from the data than the draft alone, at this distance; empty if it is not."""
        if min(self.few, self.most) <= draft + SURE * self.spread:
            return ""
        cause = "" if self.fault else f"; {self.cause}"  # the first warning has named it
        return (
            f"your cold model: its samples ({min(self.few, self.most):.3g} on {self.metric}) are farther from the data than the "
            f"draft alone ({draft:.3g}). It is not trained enough, or not sampled as it was trained; nothing is claimed beside "
            f"it{cause}"
        )


def trial_of(work: Work, seed: int, real: RealData) -> Trial | None:
    """The trial of the user's own model in a comparison; None if it has none."""
    own = next((m.method for m in work.members if m.role is Role.BASELINE and not m.method.trains), None)
    if own is None:
        return None
    sampler, metric = own.sampler(work.parts(seed), {}), real.metrics[0]
    solver = (own.solvers() or (sampler.solver,))[0]

    def distance(n: int, steps: int, changed: Sampler = sampler) -> float:
        return real.validated(Drawn(changed, solver)(n, steps=steps, seed=seed).x.cpu(), metric.name)

    with torch.inference_mode():
        noise = real.validated(Alone(sampler.source, real.bounds, False)(SAMPLES, steps=0, seed=seed), metric.name)
        spread = metric.null_spread(real.validation[metric.name].features, SAMPLES)
        found = Trial(metric.name, distance(SAMPLES, FEW), distance(SAMPLES, MOST), noise, spread)
        return replace(found, cause=_cause(sampler, found, distance))


def _cause(sampler: Sampler, found: Trial, distance: Callable[[int, int, Sampler], float]) -> str:
    """The likely cause of samples that are far from the data."""
    field = sampler.field
    if sampler.solver.order == 0 or not isinstance(field, WrappedField):
        return "look at the samples of your generator, and at their range"
    if field.schedule is not None:
        return "check schedule, predicts, integer_times and clip_x0 of wrap, and the range of the data that it was trained on"
    cause = "this looks like a diffusion model: wrap(model, schedule=...) takes 'vp', 'edm', 'rectified' or the betas"
    if not found.fault:
        return cause
    tried = {
        told: distance(GUESSED, GUESSED_STEPS, replace(sampler, field=one)) for told, one in _others(field, sampler)
    }
    best = min(tried, key=lambda told: tried[told], default="")
    if not best or tried[best] > SHARE * found.most:
        return cause
    return f"{cause}; with {best} its distance is {tried[best]:.3g}"


def _others(field: WrappedField, sampler: Sampler) -> Iterator[tuple[str, WrappedField]]:
    """The model wrapped in other ways that it can be called in, with the arguments in words."""
    known = {} if field.predicts == "velocity" else {"predicts": field.predicts}
    for more in OTHERS:
        try:
            with naming("it cannot be called like this"):
                one = wrap(field.network, **{**known, **more})
                x: Tensor = replace(sampler, field=one)(2, steps=2).x
        except ValueError:
            continue
        if bool(torch.isfinite(x).all()):
            yield ", ".join(f"{name}={value!r}" for name, value in {**more, "predicts": one.predicts}.items()), one


def draft_distance(work: Work, seed: int, real: RealData) -> float | None:
    """The distance of the draft of the first candidate that has one and pairs it with the data; None without one."""
    parts = work.parts(seed)
    for member in work.members:
        drafted = member.method.drafted(parts) if member.role is Role.CANDIDATE else None
        if drafted is not None:
            source: Source = drafted.draft
            return real.validated(Alone(source, real.bounds, True)(SAMPLES, steps=0, seed=seed), real.metrics[0].name)
    return None
