"""Points in the plane: moons, eight Gaussians, a checkerboard; drafts of known grade.

A draft of grade s is a *fresh* data point plus N(0, s^2 I), on data of unit variance: 0.15 is good, 0.35 fair, 0.7 poor.
"""

from __future__ import annotations

from warmflow.data.fresh import FreshToy
from warmflow.data.toy import toy
from warmflow.recipes.flows import FloatFlow
from warmflow.recipes.plan import Plan, fitted, network, ready
from warmflow.recipes.settings import Toy
from warmflow.sources.jittered import Jittered


def plan(name: str, settings: Toy) -> Plan:
    """A toy by its name ("moons", "eight_gaussians", "checkerboard"); held-out points are as many as the samples."""
    data = toy(name, train=settings.train, heldout=max(settings.samples, 300), seed=settings.data_seed)
    draft = fitted(settings, data.train.x1)
    if settings.draft == "jittered":
        draft = ready(Jittered(FreshToy(name), settings.spread))
    return Plan(f"toy.{name}", settings, data, draft, network(settings), FloatFlow())
